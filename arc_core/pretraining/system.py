"""The models of a pretraining run: the solver's net, its average, its optimizers; and what a step tells."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from arc_core.base.errors import CheckpointError
from arc_core.base.text import first_of
from arc_core.checkpoints.form import require_form
from arc_core.pipeline.canvas import CanvasBatch, Item
from arc_core.pipeline.canvas_planner import Planned
from arc_core.pipeline.muon import agent_optimizers
from arc_core.pretraining.config import PretrainConfig
from arc_core.pretraining.pairs import ViewGroup
from arc_core.run.checkpoint_index import FORMAT, STATE, read_state
from arc_core.solver.config import SolverConfig
from arc_core.solver.start import fresh_net
from arc_core.training.models import TrainedModels, move_mean
from arc_core.training.recipe import SampledPair

MEAN_SHARE = 0.999
"""Weight of the past in the averaged weights."""

STATE_FORM: dict[str, Any] = {"format": FORMAT, "architecture": {}, "system": {}}


class SolverSystem(TrainedModels):
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
        self._solver = solver
        self.prompt_tasks = list(prompt_tasks)
        self.net = fresh_net(solver, config.seed, prompts).to(device)
        self.mean = copy.deepcopy(self.net).requires_grad_(False)
        optimizers = agent_optimizers(
            self.net, (), kind=config.optimizer, rate=config.agent_lr, weight_decay=config.weight_decay
        )
        super().__init__(config, device, {"agent": self.net, "mean": self.mean}, optimizers)

    def update_mean(self, step: int) -> None:
        """Move the averaged weights towards the net's after a 1-based step."""
        move_mean(self.mean, self.net, 1 - min(MEAN_SHARE, step / (step + 10)))

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it beside the tensors."""
        return {**super().state(), "prompt_tasks": self.prompt_tasks}

    def restore_state(self, saved: Mapping[str, Any]) -> None:
        """Take back what `state` gave.

        Raises:
            CheckpointError: If something is missing or of another kind; names it.
        """
        if "amp_dtype" not in saved:  # checkpoints of earlier versions; only float16 has a scale
            saved = {**saved, "amp_dtype": "float16" if saved.get("scaler") else "float32"}
        super().restore_state(saved)

    def bookkeeping(self) -> dict[str, Any]:
        """What state.json keeps of it beside the tensors."""
        return {"architecture": self._solver.architecture()}

    def load(self, path: Path) -> dict[str, Any]:
        """Restore tensors, optimizers and random generators from a checkpoint of the same configuration.

        Returns:
            state.json.

        Raises:
            CheckpointError: If anything is missing or does not fit; names it.
        """
        state = read_state(path)
        require_form(state, STATE_FORM, STATE)
        saved, own = state["architecture"], self._solver.architecture()
        if other := [name for name in own if saved.get(name) != own[name]]:
            name = other[0]
            raise CheckpointError(f"its architecture has {name} {saved.get(name)}, the run now {own[name]}")
        self._require_prompts_of(state["system"].get("prompt_tasks", self.prompt_tasks))
        return super().load(path)

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


def cell_accuracies(planned: Planned, batch: CanvasBatch) -> list[float]:
    """The share of each item's own cells that the last step has right."""
    right = (planned.logits[:, -1].argmax(dim=-1) == batch.targets) * batch.out_mask
    return (right.sum(dim=(1, 2)) / batch.out_mask.sum(dim=(1, 2))).tolist()


def sample_of(task: str, group: ViewGroup, item: Item, planned: Planned) -> SampledPair:
    """One pair as it is seen, what the first and the last planning step make of it, and its output."""
    height, width = item.placement.size
    steps = planned.logits[0, :, :height, :width].argmax(dim=-1)
    grids = {"input": item.input, "before": steps[0], "after": steps[-1], "target": item.target}
    return SampledPair(grids, task, group.pairs[0])


def step_numbers(loss: float, size_loss: float, cells: list[float]) -> dict[str, dict[str, Any]]:
    """What a step tells beside its optimizers.

    Args:
        loss: Of the plans.
        size_loss: Of the sizes, weighted.
        cells: Of `cell_accuracies`.
    """
    return {
        "loss": {"consistency": loss, "size": size_loss, "efe_total": loss + size_loss},
        "accuracy": {
            "cell": sum(cells) / len(cells),
            "exact": sum(value == 1.0 for value in cells) / len(cells),
        },
    }
