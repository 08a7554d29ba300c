"""Solved pairs that a run shows now and then."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import cast

from arc_core.run.declared import Declared
from arc_core.run.event_forms import SampleEvent

LARGEST_SIDE = 30
UNKNOWN = "?"
"""Stands in a grid for a cell that is no digit, which only a damaged log has."""

Grid = tuple[str, ...]
"""Rows of digits, all of one length."""

_NO_DIGIT = re.compile(r"[^0-9]")


@dataclass(frozen=True)
class SampleGrid:
    """One grid of a sample.

    Attributes:
        name: Its key in the event.
        title: What it is called on a screen.
        grid: Its rows.
        judged: Whether it is a prediction, whose wrong cells are marked.
    """

    name: str
    title: str
    grid: Grid
    judged: bool = False


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
        grids: What it shows, in the order of the screen.
        target: The solution that judged grids are held against; None where there is none.
    """

    step: int
    seq: int
    time: float
    task: str
    pair: int
    rule: str | None
    grids: tuple[SampleGrid, ...]
    target: Grid | None = None


def sample_of(event: SampleEvent, rule: str | None, declared: Declared) -> Sample:
    """Read a sample event; what is damaged in a grid becomes `UNKNOWN`.

    Args:
        event: The event; grids of it that are not declared are left out.
        rule: The rule sentence of its step.
        declared: What the run's samples carry; grids that the event does not have are left out.
    """
    grids = tuple(
        SampleGrid(form.name, form.shown, grid_of(event.grids[form.name]), form.judged)
        for form in declared.grids
        if form.name in event.grids
    )
    target = next((one.grid for one in grids if one.name == declared.target), None)
    return Sample(event.step, event.seq, event.time, event.task, event.pair, rule, grids, target)


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


def numbers(grid: Grid) -> list[list[int | None]]:
    """Return a grid as ARC's files have it; None for a cell that is no digit."""
    return [[None if cell == UNKNOWN else int(cell) for cell in row] for row in grid]


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
