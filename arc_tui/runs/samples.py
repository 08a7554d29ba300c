"""Solved pairs that a run shows now and then."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import cast

from arc_core.run.event_forms import GRIDS, SampleEvent

LARGEST_SIDE = 30
UNKNOWN = "?"
"""Stands in a grid for a cell that is no digit, which only a damaged log has."""

Grid = tuple[str, ...]
"""Rows of digits, all of one length."""

_NO_DIGIT = re.compile(r"[^0-9]")


@dataclass(frozen=True)
class Sample:
    """One training pair as it was seen and solved.

    Attributes:
        step: The step it was part of.
        seq: Number of the event.
        time: When, in seconds since the epoch; NaN where the event does not say.
        task: Name of the task, safe to print.
        pair: Which of the task's pairs, 0-based.
        rule: The sentence that the language model was given, safe to print; None where it is not known.
        input: What was to be solved.
        before: The prediction before the policy refined the prompt.
        after: The prediction with the refined prompt.
        target: The solution.
    """

    step: int
    seq: int
    time: float
    task: str
    pair: int
    rule: str | None
    input: Grid
    before: Grid
    after: Grid
    target: Grid


def sample_of(event: SampleEvent, rule: str | None) -> Sample:
    """Read a sample event; what is damaged in a grid becomes `UNKNOWN`.

    Args:
        event: The event.
        rule: The rule sentence of its step.
    """
    return Sample(
        event.step,
        event.seq,
        event.time,
        event.task,
        event.pair,
        rule,
        *(grid_of(event.grids.get(name)) for name in GRIDS),
    )


def cell_accuracy(grid: Grid, target: Grid) -> float:
    """Return the share of cells that are right, as the engine counts: cells outside either grid are wrong.

    Args:
        grid: A prediction.
        target: The solution; both are laid corner on corner.

    Returns:
        0 to 1; 0 if both are empty.
    """
    (rows, columns), (target_rows, target_columns) = size_of(grid), size_of(target)
    either = rows * columns + target_rows * target_columns
    either -= min(rows, target_rows) * min(columns, target_columns)
    right = sum(
        cell == wanted and cell != UNKNOWN
        for row, wanted_row in zip(grid, target, strict=False)
        for cell, wanted in zip(row, wanted_row, strict=False)
    )
    return right / either if either else 0.0


def size_of(grid: Grid) -> tuple[int, int]:
    """Return rows and columns of a grid."""
    return len(grid), len(grid[0]) if grid else 0


def grid_of(rows: object) -> Grid:
    """Return a grid of at most 30 rows of at most 30 cells."""
    if not isinstance(rows, list):
        return ()
    found = [
        _NO_DIGIT.sub(UNKNOWN, row[:LARGEST_SIDE]) if isinstance(row, str) else ""
        for row in cast("list[object]", rows)[:LARGEST_SIDE]
    ]
    width = max(map(len, found), default=0)
    return tuple(row.ljust(width, UNKNOWN) for row in found) if width else ()
