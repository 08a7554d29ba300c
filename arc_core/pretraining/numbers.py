"""What a step of pretraining tells the world, in the form that every run's events have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from arc_core.data.grids import to_rows
from arc_core.pretraining.pairs import ViewGroup
from arc_core.pretraining.system import SolverSystem
from arc_core.run.event_forms import NOT_IN_SOLVER
from arc_core.solver.batch import Item, SolverBatch
from arc_core.solver.net import SIZE_WEIGHT, Planned


@dataclass(frozen=True)
class Scored:
    """What became of the demonstrations of a batch.

    Attributes:
        cells: Cell accuracy of each.
        exact: Whether each is right in every cell.
    """

    cells: list[float]
    exact: list[bool]


def score_items(planned: Planned, batch: SolverBatch) -> Scored:
    """How right the last step is on each item's own cells."""
    right = (planned.logits[:, -1].argmax(dim=-1) == batch.targets) * batch.out_mask
    cells = right.sum(dim=(1, 2)) / batch.out_mask.sum(dim=(1, 2))
    values = cells.tolist()
    return Scored(values, [value == 1.0 for value in values])


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
    system: SolverSystem, loss: float, size_loss: float, norm: float, scored: Scored
) -> dict[str, Any]:
    """The numbers of a step event; those of parts that a pretraining run does not have are None.

    Args:
        system: After the step.
        loss: Of the plans.
        size_loss: Of the sizes, weighted.
        norm: Of the gradient before clipping.
        scored: The step's demonstrations.
    """
    total = loss + size_loss
    absent: dict[str, dict[str, None]] = {}
    for name in sorted(NOT_IN_SOLVER):
        group, _, part = name.partition(".")
        absent.setdefault(group, {})[part] = None
    cell = sum(scored.cells) / len(scored.cells)
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
        "accuracy": {"cell": cell, "exact": sum(scored.exact) / len(scored.exact)},
    }
