"""The line above a chart: its curves' values, at the cursor or now, and what happened there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from arc_tui.drawing.charts import MARK, PLAIN_SIGNS, SIGNS
from arc_tui.drawing.rows import Row, cut, width
from arc_tui.runs.marks import GLYPHS, PLAIN_GLYPHS, Mark, MarkKind

NUMBER_CELLS = 9
SHOWN_MARKS = 3
"""Marks told at most."""


@dataclass(frozen=True)
class Reading:
    """What a curve says at one place.

    Attributes:
        label: The curve's name.
        style: Style of its line.
        low: Smallest value there, NaN without one.
        high: Largest value.
        mean: Mean.
        smooth: Value of its mean line; NaN without one.
        bad: How many numbers there were not finite.
        sign: What stands before the label; empty for how the line is broken.
    """

    label: str
    style: str
    low: float
    high: float
    mean: float
    smooth: float
    bad: int = 0
    sign: str = ""


def readout(
    readings: Sequence[Reading],
    cells: int,
    *,
    step: int | None,
    marks: Sequence[Mark] = (),
    clipped: int = 0,
    plain: bool = False,
) -> Row:
    """Write the values of a chart's curves in a row.

    Args:
        readings: One for each curve, in the chart's order.
        cells: Width; what does not fit is left out from the right.
        step: The step that the cursor is at; None for the newest numbers.
        marks: What happened there.
        clipped: Columns with values that a logarithmic scale cannot show.
        plain: Whether to write in ASCII.
    """
    parts: list[Row] = []
    if step is not None:
        parts.append([(f"step {step:,}", "readout")])
    signs = PLAIN_SIGNS if plain else SIGNS
    spread_out = cells >= sum(len(reading.label) + 2 * NUMBER_CELLS + 12 for reading in readings)
    for place, reading in enumerate(readings):
        parts.append(
            _reading(reading, reading.sign or signs[place % len(signs)], plain=plain, whole=spread_out)
        )
    glyphs = PLAIN_GLYPHS if plain else GLYPHS
    for mark in sorted(marks, key=lambda mark: mark.kind is not MarkKind.NAN)[:SHOWN_MARKS]:
        parts.append([(f"{glyphs[mark.kind]} {mark.text}", MARK + mark.kind)])
    if clipped:
        parts.append([(f"{'v' if plain else '▾'} at or below 0 in {clipped} columns", "mark.clipped")])
    row: Row = []
    for part in parts:
        gap = 2 if row else 0
        if row and width(row) + gap + min(width(part), 8) > cells:
            break
        row += [(" " * gap, ""), *part] if row else part
    return cut(row, cells)


def _reading(reading: Reading, sign: str, *, plain: bool, whole: bool) -> Row:
    row: Row = [(f"{sign} {reading.label} ", reading.style)]
    if reading.bad and not math.isfinite(reading.mean):
        return [*row, ("not finite".rjust(NUMBER_CELLS), MARK + MarkKind.NAN)]
    row.append((f"{_number(reading.mean):<{NUMBER_CELLS}}", "text"))
    if not whole:
        return row
    if reading.low < reading.high:
        dash = "-" if plain else "–"
        row.append((f" ({_number(reading.low)} {dash} {_number(reading.high)})", "muted"))
    if math.isfinite(reading.smooth):
        row.append((f" EMA {_number(reading.smooth):<{NUMBER_CELLS}}", "muted"))
    return row


def _number(value: float) -> str:
    """Write a number with four digits that count, zeros kept, so that it does not change its width."""
    if not math.isfinite(value):
        return "-"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        whole_digits = max(1, len(f"{abs(value):.0f}"))
        return f"{value:.{max(0, 5 - whole_digits)}f}"
    return f"{value:.2e}"
