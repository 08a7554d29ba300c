"""What a step of the pipeline tells the world: its event, and a sample of its pairs."""

from __future__ import annotations

from typing import Any

from arc_core.data.grids import to_rows
from arc_core.pipeline.batch import Batch
from arc_core.pipeline.step import StepResult
from arc_core.training.optimizer import MixedPrecision


def step_fields(result: StepResult, batch: Batch, precision: MixedPrecision) -> dict[str, Any]:
    """The numbers of a step event, as `TrainingLoop.tell_step` takes them."""
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
        "rule": batch.prompt_inputs.rules[0],
    }


def sample_fields(result: StepResult, batch: Batch, index: int = 0) -> dict[str, Any]:
    """One pair of the batch as grids."""
    assert batch.targets is not None
    inputs = batch.inputs

    def rows(grids: Any, size: list[int]) -> list[str]:
        return to_rows(grids[: size[0], : size[1]].cpu().numpy())

    return {
        "task": batch.task_ids[index],
        "pair": batch.pair_indices[index],
        "input": rows(inputs.cells[index], inputs.sizes[index].tolist()),
        "before": to_rows(result.before.grids(inputs)[index].numpy()),
        "after": to_rows(result.after.grids(inputs)[index].numpy()),
        "target": rows(batch.targets.cells[index], batch.targets.sizes[index].tolist()),
    }
