"""The models of a pretraining run: the solver's net, its average, its optimizers; and what a step tells."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from arc_core.base.errors import CheckpointError
from arc_core.base.text import first_of
from arc_core.checkpoints.form import require_form
from arc_core.checkpoints.restoring import OPTIMIZER, read_tensors, restore_optimizers, restore_tensors
from arc_core.checkpoints.snapshot import RNG, SnapshotTaker, restore_rng
from arc_core.data.grids import to_rows
from arc_core.pretraining.config import PretrainConfig
from arc_core.pretraining.pairs import ViewGroup
from arc_core.run.checkpoint_index import FORMAT, STATE, read_state
from arc_core.run.event_forms import NOT_IN_SOLVER
from arc_core.solver.batch import Item, SolverBatch
from arc_core.solver.config import SolverConfig
from arc_core.solver.net import SIZE_WEIGHT, Planned
from arc_core.solver.optimizers import set_base_rate, solver_optimizers
from arc_core.solver.solver import fresh_net
from arc_core.training.optimizer import Component, MixedPrecision, Precision, Schedule

MEAN_SHARE = 0.999
"""Weight of the past in the averaged weights."""

STATE_FORM: dict[str, Any] = {"format": FORMAT, "optimizer": {}, "architecture": {}, "system": {}}


class SolverSystem:
    """What a pretraining run trains.

    Args:
        config: The run's settings.
        solver: The architecture.
        device: Where it computes.
        prompts: Tasks whose prompts are learned, and under how many symmetries.
        prompt_tasks: The ids of these tasks, in order.
    """

    def __init__(
        self,
        config: PretrainConfig,
        solver: SolverConfig,
        device: torch.device,
        prompts: tuple[int, int] = (0, 0),
        prompt_tasks: Sequence[str] = (),
    ) -> None:
        self.device = device
        self.prompt_tasks = list(prompt_tasks)
        self.net = fresh_net(solver, config.seed, prompts).to(device)
        self.mean = copy.deepcopy(self.net).requires_grad_(False)
        self.precision = MixedPrecision(device, cast(Precision, config.amp))
        self.schedule = Schedule(config.schedule, config.warmup_steps)
        self.component = Component.of("agent", self.net.parameters())
        self.optimizers = solver_optimizers(
            self.net, (), kind=config.optimizer, rate=config.agent_lr, weight_decay=config.weight_decay
        )

    @property
    def parts(self) -> dict[str, nn.Module]:
        """The modules by the name of their file."""
        return {"agent": self.net, "mean": self.mean}

    @torch.no_grad()
    def update_mean(self, step: int) -> None:
        """Move the averaged weights towards the net's after a 1-based step."""
        share = 1 - min(MEAN_SHARE, step / (step + 10))
        for mean, value in zip(self.mean.parameters(), self.net.parameters(), strict=True):
            mean.lerp_(value, share)

    def base_rates(self) -> dict[str, float]:
        """The learning rate by the name of its setting, before the schedule."""
        return {"agent_lr": float(self.optimizers["main"].param_groups[0]["base_lr"])}

    def set_base_rate(self, name: str, rate: float) -> None:
        """Set the learning rate; other names mean nothing here."""
        if name == "agent_lr":
            set_base_rate(self.optimizers.values(), rate)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it beside the tensors."""
        return {**self.precision.state(), "prompt_tasks": self.prompt_tasks}

    def restore_state(self, saved: Mapping[str, Any]) -> None:
        """Take back what `state` gave.

        Raises:
            CheckpointError: If something is missing or of another kind; names it.
        """
        if "amp_dtype" not in saved:  # checkpoints of earlier versions; only float16 has a scale
            saved = {**saved, "amp_dtype": "float16" if saved.get("scaler") else "float32"}
        self.precision.restore(saved)

    def tensors(self) -> dict[str, Mapping[str, Tensor]]:
        """The live tensors by the path of their file."""
        return {f"{name}.safetensors": module.state_dict() for name, module in self.parts.items()}

    def bookkeeping(self) -> dict[str, Any]:
        """What state.json keeps of it beside the tensors."""
        return {"architecture": self.net.config.architecture()}

    def snapshot_taker(self) -> SnapshotTaker:
        """What takes snapshots of it."""
        return SnapshotTaker(self)

    def load(self, path: Path) -> None:
        """Restore tensors, optimizers and random generators from a checkpoint of the same configuration.

        Raises:
            CheckpointError: If anything is missing or does not fit; names it.
        """
        state = read_state(path)
        require_form(state, STATE_FORM, STATE)
        saved, own = state["architecture"], self.net.config.architecture()
        if other := [name for name in own if saved.get(name) != own[name]]:
            name = other[0]
            raise CheckpointError(f"its architecture has {name} {saved.get(name)}, the run now {own[name]}")
        self._require_prompts_of(state["system"].get("prompt_tasks", self.prompt_tasks))
        for name, tensors in self.tensors().items():
            restore_tensors(path / name, tensors)
        moments, _ = read_tensors(path / OPTIMIZER)
        restore_optimizers(self.optimizers, self.parts, state["optimizer"], moments)
        restore_rng(read_tensors(path / RNG)[0])

    def _require_prompts_of(self, tasks: list[str]) -> None:
        """Refuse data with other tasks: each learned prompt stands for one, by its place."""
        if tasks == self.prompt_tasks:
            return
        gone = [task for task in tasks if task not in self.prompt_tasks]
        new = [task for task in self.prompt_tasks if task not in tasks]
        parts = [(gone, "are gone from the data"), (new, "are new in it")]
        told = "; ".join(f"{len(ids)} {what} ({first_of(ids)})" for ids, what in parts if ids)
        raise CheckpointError(
            f"it holds learned prompts of {len(tasks)} tasks, of which {told or 'the order differs'}: "
            "go on with the data, augment and small_cells that it was trained with"
        )


def cell_accuracies(planned: Planned, batch: SolverBatch) -> list[float]:
    """The share of each item's own cells that the last step has right."""
    right = (planned.logits[:, -1].argmax(dim=-1) == batch.targets) * batch.out_mask
    return (right.sum(dim=(1, 2)) / batch.out_mask.sum(dim=(1, 2))).tolist()


def sample_fields(task: str, group: ViewGroup, item: Item, planned: Planned) -> dict[str, Any]:
    """One pair as it is seen, what the first and the last planning step make of it, and its output."""
    height, width = item.placement.size
    steps = planned.logits[0, :, :height, :width].argmax(dim=-1).to("cpu", torch.int8).numpy()
    assert item.target is not None
    return {
        "task": task,
        "pair": group.pairs[0],
        "input": to_rows(item.input),
        "before": to_rows(steps[0]),
        "after": to_rows(steps[-1]),
        "target": to_rows(item.target),
    }


def step_numbers(
    system: SolverSystem, loss: float, size_loss: float, norm: float, cells: list[float]
) -> dict[str, Any]:
    """The numbers of a step event; those of parts that a pretraining run does not have are None.

    Args:
        system: After the step.
        loss: Of the plans.
        size_loss: Of the sizes, weighted.
        norm: Of the gradient before clipping.
        cells: Of `cell_accuracies`.
    """
    total = loss + size_loss
    absent: dict[str, dict[str, None]] = {}
    for name in sorted(NOT_IN_SOLVER):
        group, _, part = name.partition(".")
        absent.setdefault(group, {})[part] = None
    cell = sum(cells) / len(cells)
    return {
        "loss": {
            **absent["loss"],
            "consistency": loss,
            "size": size_loss,
            "efe_total": total,
            "combined": total,
        },
        "reward": absent["reward"],
        "hard_cells": {"mask_ratio": 1 - cell},
        "curriculum": {"size_weight": SIZE_WEIGHT},
        "memory": absent["memory"],
        "grad_norm": {"agent": norm, **absent["grad_norm"]},
        "amp": system.precision.told(),
        "learning_rate": {
            "agent": float(system.optimizers["main"].param_groups[0]["lr"]),
            **absent["learning_rate"],
        },
        "accuracy": {"cell": cell, "exact": sum(value == 1.0 for value in cells) / len(cells)},
    }
