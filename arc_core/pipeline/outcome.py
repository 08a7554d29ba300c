"""The end of a training step, whichever agent took it: brought to the host, remembered and told.

All that the host wants to know is brought over at once, after the last of the device's work: to ask for one
number before that would be to wait for all that was asked for earlier.

Shape legend: B pairs, b of a part of them, S of them that are drawn, F features, P prompt, h and w padded
sides of predictions, C colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arc_core.pipeline.batch import Batch
from arc_core.pipeline.declared import components_of
from arc_core.pipeline.planner import one_hot
from arc_core.pipeline.system import ArcSystem
from arc_core.pipeline.whole import Whole
from arc_core.training.optimizer import MixedPrecision
from arc_core.training.recipe import SampledPair

Numbers = dict[str, float]


@dataclass(frozen=True)
class DrawnGrids:
    """Predicted grids, on the device.

    Attributes:
        cells: [S, h, w] colours; those outside of a grid mean nothing.
        sizes: [S, 2].
    """

    cells: Tensor
    sizes: Tensor


@dataclass(frozen=True)
class PartOnDevice:
    """What one part of a batch has come to, when its gradients are there and its graph is gone.

    Attributes:
        whole: What its pairs are a part of.
        means: Numbers that are means over its pairs.
        accuracy: [b] share of right cells.
        summary: [b, F] what the memory finds pairs by.
        prompts: [b, P] the refined ones.
        before: What was predicted under the base prompt, for its first pairs; None where for none.
        after: The same under the refined prompt, for all.
    """

    whole: Whole
    means: dict[str, Tensor]
    accuracy: Tensor
    summary: Tensor
    prompts: Tensor
    before: DrawnGrids | None
    after: DrawnGrids


@dataclass(frozen=True)
class StepOnDevice:
    """What one step did, before the host knows of it.

    Attributes:
        numbers: Each a number: `loss.`, `reward.` and `norm.` before its name, and `mask_ratio`.
        applied: Whether the optimizer stepped.
        size_weight: Of the curriculum.
        parts: All that this process computed.
    """

    numbers: dict[str, Tensor]
    applied: Tensor
    size_weight: float
    parts: Sequence[PartOnDevice]


@dataclass(frozen=True)
class StepResult:
    """What one step did, on the host.

    Attributes:
        loss: Weighted contributions, `efe_total` and `combined`.
        reward: `total` and its breakdown, means over the batch.
        mask_ratio: Mean share of wrong cells on the target's grid.
        size_weight: Of the curriculum.
        memory: `ema`, `threshold`, `entries`, `stored`, as they were in force in this step.
        grad_norm: Of every component, before clipping.
        learning_rate: Of every component.
        cell_accuracy: Of each pair, at its own predicted size.
        exact: Whether each pair is right in size and every cell.
        applied: Whether the optimizer stepped; a gradient that is not finite skips it.
        before: The grids that were predicted under the base prompt, for the batch's first pairs.
        after: The same under the refined prompt, for all.
    """

    loss: Numbers
    reward: Numbers
    mask_ratio: float
    size_weight: float
    memory: Numbers
    grad_norm: Numbers
    learning_rate: Numbers
    cell_accuracy: list[float]
    exact: list[bool]
    applied: bool
    before: list[np.ndarray]
    after: list[np.ndarray]


def joined(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """What was found part by part as one tensor."""
    return tensors[0] if len(tensors) == 1 else torch.cat([*tensors], dim)


def end_of_step(system: ArcSystem, done: StepOnDevice, whole: Whole) -> StepResult:
    """Bring to the host what a step did; where it was taken, the memory and its threshold learn of it.

    Args:
        system: Whose step it was.
        done: What it did.
        whole: What the batch is this process's share of.
    """
    scalars = torch.stack([value.detach().float() for value in done.numbers.values()])
    accuracy = whole.every(joined([part.accuracy for part in done.parts]))
    tried = [part.before for part in done.parts if part.before is not None]
    every = [*tried, *(part.after for part in done.parts)]
    drawn = [tensor for grids in every for tensor in (grids.cells, grids.sizes)]
    told = to_host([scalars, done.applied, system.precision.scale(), accuracy, *drawn])
    numbers = dict(zip(done.numbers, told[0].tolist(), strict=True))
    applied, accuracies = bool(told[1]), told[3].tolist()
    grids = [_cut(*two) for two in zip(told[4::2], told[5::2], strict=True)]
    before, after = (list(chain(*some)) for some in (grids[: len(tried)], grids[len(tried) :]))
    system.precision.settle(applied, float(told[2]))
    memory = memory_state(system, 0)
    if applied:
        memory = remember(system, done.parts, accuracies, after, whole)
        if system.config.lambda_prompt:
            system.efe_loss.remember_outcomes(whole.outcomes.cells, whole.outcomes.mask)
        system.memory_threshold.update(sum(accuracies) / len(accuracies))
    rates = {group["name"]: float(group["lr"]) for group in system.optimizer.param_groups}
    rates["policy"] = float(system.policy.optimizer.param_groups[0]["lr"])
    components = components_of(system.config.to_dict())
    return StepResult(
        loss=_under("loss.", numbers),
        reward=_under("reward.", numbers),
        mask_ratio=numbers["mask_ratio"],
        size_weight=done.size_weight,
        memory=memory,
        grad_norm={name: numbers[f"norm.{name}"] for name in components},
        learning_rate={name: rates[name] for name in components},
        cell_accuracy=accuracies,
        exact=[accuracy == 1.0 for accuracy in accuracies],
        applied=applied,
        before=before,
        after=after,
    )


def to_host(tensors: Sequence[Tensor]) -> list[np.ndarray]:
    """Bring tensors over in one transfer, as float32: exact for whole numbers below 2 to the 24th."""
    flat = torch.cat([tensor.detach().float().reshape(-1) for tensor in tensors]).cpu().numpy()
    ends = np.cumsum([tensor.numel() for tensor in tensors])
    parts = np.split(flat, ends[:-1])
    return [part.reshape(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def _cut(cells: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
    whole = cells.astype(np.int64)
    return [grid[:height, :width] for grid, (height, width) in zip(whole, sizes.astype(int), strict=True)]


def remember(
    system: ArcSystem,
    parts: Sequence[PartOnDevice],
    accuracies: Sequence[float],
    grids: Sequence[np.ndarray],
    whole: Whole,
) -> Numbers:
    """Store the pairs at or above the threshold (fix 5) and move the anchor Ĉ by them.

    Args:
        system: With the memory.
        parts: Of the pairs.
        accuracies: Share of right cells of each of the whole batch.
        grids: What was predicted for the pairs.
        whole: What the batch is this process's share of.
    """
    threshold, target = system.memory_threshold.get_threshold(), whole.outcomes
    good = [index for index, accuracy in enumerate(accuracies) if accuracy >= threshold]
    if not good or not system.config.memory:
        return memory_state(system, 0)
    summary, prompts, grids = whole.solutions(
        joined([part.summary for part in parts]), joined([part.prompts for part in parts]), grids
    )
    places = torch.tensor(good, device=prompts.device)
    kept = system.memory.store(
        [whole.keys[index] for index in good],
        summary[places],
        prompts[places],
        [grids[index] for index in good],
        [accuracies[index] for index in good],
    )
    if kept:
        stored = places[kept]
        cells = one_hot(target.cells[stored], target.mask[stored])
        system.efe_loss.move_anchor(cells.sum(dim=(1, 2)) / target.sizes[stored].prod(dim=1)[:, None])
    return memory_state(system, len(kept))


def memory_state(system: ArcSystem, stored: int) -> Numbers:
    """What a step tells of the memory, of which so many pairs are new."""
    threshold = system.memory_threshold
    return {
        "ema": threshold.ema,
        "threshold": threshold.get_threshold(),
        "entries": len(system.memory),
        "stored": stored,
    }


def _under(prefix: str, numbers: Numbers) -> Numbers:
    return {name.removeprefix(prefix): value for name, value in numbers.items() if name.startswith(prefix)}


def step_numbers(result: StepResult, precision: MixedPrecision) -> dict[str, dict[str, Any]]:
    """The numbers of a step event, as `declared_by` declares them."""
    return {
        "loss": result.loss,
        "reward": result.reward,
        "hard_cells": {"mask_ratio": result.mask_ratio},
        "curriculum": {"size_weight": result.size_weight},
        "memory": result.memory,
        "grad_norm": result.grad_norm,
        "amp": precision.told(),
        "learning_rate": result.learning_rate,
        "accuracy": {
            "cell": sum(result.cell_accuracy) / len(result.cell_accuracy),
            "exact": sum(result.exact) / len(result.exact),
        },
    }


def sample_of(result: StepResult, batch: Batch) -> SampledPair:
    """The first pair of a batch, which is on the host, as grids."""
    assert batch.targets is not None
    first, target = (
        _cut(grids.cells[:1].numpy(), grids.sizes[:1].numpy())[0] for grids in (batch.inputs, batch.targets)
    )
    grids = {"input": first, "before": result.before[0], "after": result.after[0], "target": target}
    return SampledPair(grids, batch.task_ids[0], batch.pair_indices[0])
