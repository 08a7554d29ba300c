"""Phase 3b: one training step, in the order of the seed's steps 1 to 10.

Shape legend: B pairs, T planning steps, H and W padded sides, C colours, S sides 1..30.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from arc_core.pipeline.batch import Batch
from arc_core.pipeline.declared import components_of
from arc_core.pipeline.loss import TERMS, hard_cell_weights
from arc_core.pipeline.outcome_summary import outcome_summary
from arc_core.pipeline.padding import GridBatch
from arc_core.pipeline.planner import one_hot
from arc_core.pipeline.policy import RefineInfo
from arc_core.pipeline.resize import resize_logits
from arc_core.pipeline.reward import Scores, score_batch, straight_through
from arc_core.pipeline.system import ArcSystem, Flow, Prediction
from arc_core.pipeline.whole import Whole
from arc_core.training.optimizer import MixedPrecision, backward_and_step, set_rates
from arc_core.training.recipe import SampledPair

Numbers = dict[str, float]


class HasGrids(Protocol):
    """Predictions for a batch."""

    def grids(self, inputs: GridBatch) -> list[Tensor]:
        """The predicted grids, each [h, w] colours on the host."""
        ...


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
        before: What was predicted under the base prompt, to draw a sample from.
        after: The same under the refined prompt.
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
    before: HasGrids
    after: HasGrids


def training_step(
    system: ArcSystem, batch: Batch, epoch: int, step: int, whole: Whole | None = None
) -> StepResult:
    """Train on one batch.

    Args:
        system: The models; moved by this step.
        batch: With targets, on the system's device.
        epoch: 0-based, for the size warm-up.
        step: 1-based over the whole run, for the schedule.
        whole: What the batch is this process's share of; None where it is all.

    Raises:
        ValueError: If the batch has no targets.
    """
    target = batch.targets
    if target is None:
        raise ValueError("a training batch needs targets")
    config = system.config
    whole = whole or Whole.alone(batch, target)
    set_rates([system.optimizer], system.schedule.factor(step))

    # Steps 2 to 5: prompt, baseline prediction, refinement, refined prediction.
    flow = system.flow(batch, explore=True, noise=whole.noise(config.prompt_dim, system.device))

    # Steps 6 and 7: what the refinement gained, each prediction at the size it predicts itself.
    with torch.no_grad():
        before = _scores(system, flow.before, flow.base_prompt, batch, target)
    after = _scores(system, flow.after, flow.base_prompt, batch, target)
    reward = after.gain_over(before)

    # Step 8: the policy learns from each pair's reward.
    policy_norm = torch.zeros((), device=system.device)
    if config.refine:
        with torch.no_grad():
            flow.refine_info.outcome = outcome_summary(flow, batch)
        info = RefineInfo(**{name: whole.every(part) for name, part in vars(flow.refine_info).items()})
        policy_norm = system.policy.update(info, whole.every(reward["total"]))["grad_norm"]

    # Step 9: the loss on the target's grid.
    size_weight = system.size_warmup.get_size_loss_weight(epoch)
    losses, mask_ratio = _efe_losses(system, flow, batch, target, size_weight, whole)
    share = config.reward_weight
    combined = (1.0 - share) * losses["total"] - share * reward["total"].mean()

    told = whole.means(
        {
            **{f"loss.{name}": losses[name] for name in TERMS},
            "loss.efe_total": losses["total"],
            "loss.combined": combined,
            **{f"reward.{name}": value.mean() for name, value in reward.items()},
            "mask_ratio": mask_ratio,
        }
    )

    # Step 10: backward, clip, step.
    norms, applied = backward_and_step(
        system.spread(whole.weight * combined),
        [system.optimizer],
        system.components,
        system.precision,
        config.clip_norm,
        told["loss.combined"],
    )

    accuracy = whole.every(after.accuracy.detach())
    host = to_host(
        {
            **told,
            **{f"norm.{name}": value for name, value in norms.items()},
            "norm.policy": torch.as_tensor(policy_norm),
        },
        accuracy,
        accuracy == 1.0,
    )
    numbers, accuracies, exacts = host
    memory = memory_state(system, 0)
    if applied:
        memory = remember(system, flow.prompt, flow.after, batch, whole, accuracies)
    if applied:
        system.efe_loss.remember_outcomes(whole.outcomes.cells, whole.outcomes.mask)
        system.memory_threshold.update(sum(accuracies) / len(accuracies))
    return result_of(
        system, numbers, size_weight, memory, accuracies, exacts, applied, flow.before, flow.after
    )


def result_of(
    system: ArcSystem,
    numbers: Numbers,
    size_weight: float,
    memory: Numbers,
    accuracies: list[float],
    exacts: list[bool],
    applied: bool,
    before: HasGrids,
    after: HasGrids,
) -> StepResult:
    """Put together what a step did: `numbers` as `to_host` brought them, the rest as `StepResult` has it."""
    rates = {group["name"]: float(group["lr"]) for group in system.optimizer.param_groups}
    rates["policy"] = float(system.policy.optimizer.param_groups[0]["lr"])
    components = components_of(system.config.to_dict())
    return StepResult(
        loss=_under("loss.", numbers),
        reward=_under("reward.", numbers),
        mask_ratio=numbers["mask_ratio"],
        size_weight=size_weight,
        memory=memory,
        grad_norm={name: numbers[f"norm.{name}"] for name in components},
        learning_rate={name: rates[name] for name in components},
        cell_accuracy=accuracies,
        exact=exacts,
        applied=applied,
        before=before,
        after=after,
    )


def _scores(
    system: ArcSystem, prediction: Prediction, prompt: Tensor, batch: Batch, target: GridBatch
) -> Scores:
    """Score a prediction at its own size, with the backward planner as judge of reversibility."""
    logits, mask = prediction.final(batch.inputs)
    sizes, judge = prediction.output.sizes, system.backward_planner
    if judge is None:
        return score_batch(logits, mask, sizes, prediction.output.size_logits, target, batch.inputs, None)
    probabilities = logits.softmax(dim=-1)
    hard = F.one_hot(logits.argmax(dim=-1), logits.shape[-1]).float()
    # Whole colours with the probabilities' gradient: the judge sees what it is shown elsewhere.
    shown = straight_through(hard, probabilities) * mask[..., None]
    frozen = {name: weight.detach() for name, weight in judge.named_parameters()}
    with system.precision.autocast():
        # A judge that the reward could train would learn to please it.
        plan = functional_call(judge, frozen, (shown, prompt.detach(), mask))
    found = _last_on_inputs(plan, sizes, batch.inputs)
    return score_batch(logits, mask, sizes, prediction.output.size_logits, target, batch.inputs, found)


def _last_on_inputs(plan: Tensor, sizes: Tensor, inputs: GridBatch) -> Tensor:
    """The backward plan's last step on the inputs' sizes, [B, H, W, C]."""
    return resize_logits(plan[:, -1:], sizes, inputs.sizes, inputs.canvas)[:, 0]


def _efe_losses(
    system: ArcSystem, flow: Flow, batch: Batch, target: GridBatch, size_weight: float, whole: Whole
) -> tuple[dict[str, Tensor], Tensor]:
    """Step 9: all terms on the target's grid, hard cells weighed up; and the mask ratio."""
    forward_preds = flow.after.on(batch.inputs, target.sizes, target.canvas, slice(None))
    final = forward_preds[:, -1]
    wrong = (final.detach().argmax(dim=-1) != target.cells).float() * target.mask
    weights, ratio = hard_cell_weights(wrong, target.mask, system.config.hard_cell_gain)
    reconstruction = None
    if system.backward_planner is None:
        backward_preds = forward_preds.flip(1)
    else:
        with system.precision.autocast():
            plan = system.agent.reconstruct(one_hot(target.cells, target.mask), flow.prompt, target.mask)
        # The backward plan starts at the output: its step T+1-t stands beside the forward step t.
        backward_preds = plan.flip(1)
        reconstruction = _last_on_inputs(plan, target.sizes, batch.inputs)
    losses = system.efe_loss(
        forward_preds,
        backward_preds,
        forward_preds,
        None,
        final,
        target.cells,
        episode_length=forward_preds.shape[1],
        prompt_embedding=flow.prompt,
        grid_mask=target.mask,
        cell_weights=weights,
        reconstruction=reconstruction,
        inputs=batch.inputs,
        size_logits=flow.after.output.size_logits,
        target_sizes=target.sizes,
        size_weight=size_weight,
        among=whole.among,
    )
    return losses, ratio.mean()


def remember(
    system: ArcSystem,
    prompts: Tensor,
    predicted: HasGrids,
    batch: Batch,
    whole: Whole,
    accuracies: list[float],
) -> Numbers:
    """Store the pairs at or above the threshold (fix 5) and move the anchor Ĉ by them.

    Args:
        system: With the memory.
        prompts: [b, P] the refined ones, of this process's pairs.
        predicted: What was predicted under them.
        batch: These pairs.
        whole: All of the batch's.
        accuracies: Share of right cells of each of all.
    """
    if not system.config.memory:
        return memory_state(system, 0)
    threshold = system.memory_threshold.get_threshold()
    chosen = [index for index, accuracy in enumerate(accuracies) if accuracy >= threshold]
    if not chosen:
        return memory_state(system, 0)
    summary, prompts, grids = whole.solutions(
        batch.prompt_inputs.summary, prompts, predicted.grids(batch.inputs)
    )
    target = whole.outcomes
    shares = one_hot(target.cells, target.mask).sum(dim=(1, 2)) / target.sizes.prod(dim=1)[:, None]
    stored = 0
    for index in chosen:
        kept = system.memory.store(
            whole.keys[index],
            summary[index],
            prompts[index].detach(),
            grids[index],
            accuracies[index],
        )
        if kept:
            stored += 1
            system.efe_loss.move_anchor(shares[index])
    return memory_state(system, stored)


def memory_state(system: ArcSystem, stored: int) -> Numbers:
    """What a step tells of the memory, of which so many pairs are new."""
    threshold = system.memory_threshold
    return {
        "ema": threshold.ema,
        "threshold": threshold.get_threshold(),
        "entries": len(system.memory),
        "stored": stored,
    }


def to_host(
    scalars: dict[str, Tensor], accuracy: Tensor, exact: Tensor
) -> tuple[Numbers, list[float], list[bool]]:
    """Bring all of a step's numbers over in one transfer."""
    values = [scalar.detach().double().reshape(1) for scalar in scalars.values()]
    packed = torch.cat([*values, accuracy.double(), exact.double()]).tolist()
    count = len(scalars)
    numbers = dict(zip(scalars, packed[:count], strict=True))
    pairs = len(accuracy)
    return numbers, packed[count : count + pairs], [value == 1.0 for value in packed[count + pairs :]]


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


def sample_of(result: StepResult, batch: Batch, index: int = 0) -> SampledPair:
    """One pair of the batch as grids."""
    assert batch.targets is not None
    inputs, targets = batch.inputs, batch.targets
    grids = {
        "input": _cut(inputs.cells[index], inputs.sizes[index]),
        "before": result.before.grids(inputs)[index],
        "after": result.after.grids(inputs)[index],
        "target": _cut(targets.cells[index], targets.sizes[index]),
    }
    return SampledPair(grids, batch.task_ids[index], batch.pair_indices[index])


def _cut(cells: Tensor, size: Tensor) -> Tensor:
    height, width = size.tolist()
    return cells[:height, :width]
