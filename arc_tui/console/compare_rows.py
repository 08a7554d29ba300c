"""Rows of the screen that compares runs: two beside each other, more of them below each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len

from arc_core.base.text import printable
from arc_tui.console.lists import columns
from arc_tui.drawing.rows import Row, sized, wrap
from arc_tui.looks.styles import PALETTE_COLOURS
from arc_tui.runs.comparison import SEED, RunGroup, differing, letter_of, mean_text, option_text

RANGED, WORDED = 100, 150
"""Cells from which ranges are written, and what a best validation is."""

WIDEST_NAME, WIDEST_OPTION = 24, 18
_SIGN_CELLS, _GAP = 4, 2
_NUMBER_CELLS, _RANGE_CELLS = 9, 21


def style_of_line(place: int) -> str:
    """Return the style of a line by its place."""
    return f"series.{place % PALETTE_COLOURS}"


class _Column(NamedTuple):
    """A column of the table: its head, its texts, and how many cells it takes."""

    head: str
    texts: Sequence[str]
    style: str = "text"
    least: int = 0
    most: int = 60

    @property
    def cells(self) -> int:
        longest = max(map(cell_len, (self.head, *self.texts)))
        return min(max(longest, self.least), self.most) + _GAP


class Table(NamedTuple):
    """What is known of runs, or groups of them, a row each; `left_out` are the options that do not fit."""

    heading: Row
    rows: list[Row]
    left_out: list[str]


def table(groups: Sequence[RunGroup], number: str, step: int | None, cells: int) -> Table:
    """Write a row for each run or group: its number, its best validation, and the options that set it apart.

    Args:
        groups: The runs.
        number: Dotted name of what they are compared by.
        step: The step whose value is told; None tells the last.
        cells: Width.
    """
    shown = _columns(groups, number, step, cells)
    apart = differing(groups)
    options = [
        _Column(printable(key, 30), [option_text(group.option(key)) for group in groups], most=WIDEST_OPTION)
        for key in apart
    ]
    left = cells - _SIGN_CELLS - sum(column.cells for column in shown)
    ends = list(itertools.accumulate(option.cells for option in options))
    fitting = sum(end <= left for end in ends)
    shown += options[:fitting]
    rows: list[Row] = [
        [
            (f" {letter_of(place)}  ", style_of_line(place)),
            *(
                (sized(column.texts[place], column.cells - _GAP) + " " * _GAP, column.style)
                for column in shown
            ),
        ]
        for place in range(len(groups))
    ]
    heading: Row = [
        (" " * _SIGN_CELLS, ""),
        *((sized(column.head, column.cells), "muted") for column in shown),
    ]
    return Table(heading, rows, apart[fitting:])


def _columns(groups: Sequence[RunGroup], number: str, step: int | None, cells: int) -> list[_Column]:
    """Return the columns that stand before those of options; numbers do not move them as they change."""
    ranged, grouped = cells >= RANGED, any(group.members for group in groups)
    values = [mean_text(group.values(number, step), ranged=ranged) for group in groups]
    best = [group.best(words=cells >= WORDED, ranged=ranged) for group in groups]
    name = WIDEST_NAME if ranged else WIDEST_NAME // 2
    number_cells = _RANGE_CELLS if ranged and grouped else _NUMBER_CELLS
    found = [_Column("NAME", [group.label for group in groups], most=name)]
    if grouped:
        found.append(_Column("RUNS", [group.members for group in groups], "muted"))
    if ranged:
        found.append(_Column("STEP", [group.steps for group in groups]))
    found.append(_Column("LAST" if step is None else f"AT {step:,}", values, least=number_cells))
    found.append(_Column("BEST VALIDATION" if ranged else "BEST", best))
    return found


def chosen_rows(group: RunGroup, left_out: Sequence[str], cells: int, lines: int) -> list[Row]:
    """Write in so many rows which runs the chosen line is of, and the options that have no column."""
    names = ", ".join(printable(run.name, 60) for run in group.runs)
    seeds = f"; {SEED} {option_text(group.option(SEED))}" if len(group.runs) > 1 else ""
    options = "".join(f"; {printable(key, 30)} {option_text(group.option(key))}" for key in left_out)
    rows = wrap(f"{names}{seeds}{options}", cells, "muted", most=lines)
    return [*rows, *([] for _ in range(lines - len(rows)))]


def pair_rows(pair: Sequence[RunGroup], number: str, styles: Sequence[str], cells: int) -> list[Row]:
    """Write what is known of two runs beside each other, and where their options differ.

    Args:
        pair: Both runs.
        number: Dotted name of what they are compared by.
        styles: Of their lines.
        cells: Width.
    """
    runs = [group.runs[0] for group in pair]
    values = [run.value(number, None) for run in runs]
    told = [
        (f"{number}, last", *map(_figure, values)),
        ("difference", "", _figure(values[1] - values[0], "+.4g")),
        ("step", *(f"{run.history.last_step:,}" for run in runs)),
        ("best validation", *(group.best() for group in pair)),
        *(
            (printable(key, 30), *(option_text(group.option(key)) for group in pair))
            for key in differing(pair)
        ),
    ]
    label = min(26, cells // 3)
    widths = (label, (cells - label) // 2, (cells - label) // 2)
    names = [("", ""), *((printable(run.name), look) for run, look in zip(runs, styles, strict=True))]
    texts = [[(what, "muted"), (one, "text"), (other, "text")] for what, one, other in told]
    return [columns(row, widths, cells) for row in (names, *texts)]


def _figure(value: float, form: str = ".4g") -> str:
    return format(value, form) if math.isfinite(value) else "-"
