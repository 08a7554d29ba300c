"""The axes of charts: which values lie where, and round numbers to mark them by.

`Scale` lays values over cells; `Axis` lays them along a line of a drawing, as the report's charts need.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arc_tui.drawing.braille import DOT_ROWS
from arc_tui.runs.series import columns_of

Values = NDArray[np.float64]

ROWS_PER_TICK = 4
CELLS_PER_TICK = 12
LEAST_TICKS = 8
"""Two ticks are looked for until so many would be wanted."""

LABEL_CELLS = 7
"""Longest text of a tick beside the chart."""

FEW_DECADES = 1.2
"""A logarithmic axis shorter than this has its ticks at even distances of the value."""
_NOTHING = 1e-300
"""A span below this cannot be divided into steps."""
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """Values laid from the bottom row of dots to the top one.

    Attributes:
        low: The value at the bottom.
        high: The value at the top, above `low`.
        log: Whether equal ratios are equally far apart; both ends are above 0 then.
    """

    low: float
    high: float
    log: bool = False

    def rows(self, values: Values, rows: int) -> Values:
        """Return the row of each value, counted from 0 at the top; what lies beyond an end is put there.

        On a logarithmic scale what is not above 0 is put at the bottom; NaN stays.
        """
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        if self.log:
            with np.errstate(divide="ignore", invalid="ignore"):
                values = np.where(values > 0, np.log(values), np.where(np.isnan(values), np.nan, low))
        return (rows - 1) * (1 - np.clip((values - low) / (high - low), 0.0, 1.0))


def scale_of(values: Sequence[Values], *, log: bool, least: Sequence[float] = ()) -> Scale:
    """Return the scale that shows all values, with a little room at both ends.

    Args:
        values: Any values; NaN does not count, nor what is not above 0 where `log`.
        log: Whether the scale is to be logarithmic; it is not if no value is above 0.
        least: Values that are to be on it in any case.
    """
    everything = np.concatenate([*values, np.asarray(least, dtype=float)]) if values else np.asarray(least)
    known = everything[np.isfinite(everything)]
    if log and bool((known > 0).any()):
        known = known[known > 0]
        low, high = float(known.min()), float(known.max())
        room = max((high / low) ** 0.04, 1.02)
        return Scale(low / room, high * room, log=True)
    if not len(known):
        return Scale(0.0, 1.0)
    low, high = float(known.min()), float(known.max())
    flat = high - low <= 1e-9 * max(abs(low), abs(high))
    room = (abs(high) * 0.1 or 1.0) if flat else (high - low) * 0.04
    return Scale(low - room, high + room)


def ticks_of(scale: Scale, lines: int) -> list[float]:
    """Return round values to mark on a scale.

    Args:
        scale: The scale.
        lines: Rows of cells that it takes.
    """
    if scale.log and math.log10(scale.high / scale.low) > FEW_DECADES:
        found = _log_ticks(scale, lines)
    else:
        found = _even_ticks(scale, lines / ROWS_PER_TICK)
    return [value for value in found if scale.low <= value <= scale.high]


def _log_ticks(scale: Scale, lines: int) -> list[float]:
    """Return powers of ten, and with room 3 or 2 and 5 times them too."""
    first, last = math.floor(math.log10(scale.low)), math.floor(math.log10(scale.high))
    per_decade = lines / ROWS_PER_TICK / math.log10(scale.high / scale.low)
    factors = (1, 2, 5) if per_decade >= 2 else (1, 3) if per_decade >= 1.2 else (1,)
    stride = 1 if len(factors) > 1 else max(1, math.ceil(1 / max(per_decade, 1e-3)))
    return [factor * 10.0**power for power in range(first, last + 1, stride) for factor in factors]


def _even_ticks(scale: Scale, count: float) -> list[float]:
    """Return multiples of a round number, at least two of them on the scale."""
    while True:
        step = nice_step((scale.high - scale.low) / max(count, 1.5))
        first, last = math.ceil(scale.low / step), math.floor(scale.high / step)
        if last > first or count > LEAST_TICKS:
            return [n * step for n in range(first, last + 1)]
        count = max(count, 1.5) * 1.5


def value_labels(scale: Scale, lines: int) -> dict[int, str]:
    """Return the text of each tick by the row of cells that it stands in, from 0 at the top."""
    ticks = ticks_of(scale, lines)
    rows = np.rint(scale.rows(np.asarray(ticks, dtype=float), DOT_ROWS * lines)).astype(int) // DOT_ROWS
    labels: dict[int, str] = {}
    for row, value in zip(rows.tolist(), ticks, strict=True):
        labels.setdefault(row, _short(value))
    return labels


def _short(value: float) -> str:
    """Write a tick in at most `LABEL_CELLS`."""
    text = written(float(f"{value:.12g}"))
    for digits in (1, 0):
        if len(text) > LABEL_CELLS:
            mantissa, exponent = f"{value:.{digits}e}".split("e")
            text = f"{mantissa}e{int(exponent)}"
    return text


def step_labels(first: int, last: int, cells: int) -> dict[int, str]:
    """Return the text of each tick of the steps by the cell that it stands in.

    Args:
        first: The step in the first cell.
        last: The step in the last cell.
        cells: Width.
    """
    if last <= first:
        return {0: f"{first:,}"}
    step = max(1, round(nice_step((last - first) / max(cells / CELLS_PER_TICK, 1))))
    at = range(-(-first // step) * step, last + 1, step)
    return {cell_of(tick, first, last, cells): f"{tick:,}" for tick in at}


def cell_of(step: int, first: int, last: int, cells: int) -> int:
    """Return the cell of a step, as its dots are placed: two columns of dots to a cell."""
    return int(columns_of(step, first, last, 2 * cells)) // 2


def step_of(cell: int, first: int, last: int, cells: int) -> int:
    """Return the step in the middle of a cell, within first and last."""
    if cells < 2 or last <= first:
        return first if cell <= 0 else last
    column = 2 * cell + (0 if cell == 0 else 1 if cell == cells - 1 else 0.5)
    step = first + column * (last - first) / (2 * cells - 1)
    return min(max(round(step), first), last)


@dataclass(frozen=True)
class Axis:
    """A stretch of values laid along a stretch of the drawing.

    Attributes:
        low: The value at `start`.
        high: The value at `end`, above `low`; both are above zero on a logarithmic axis.
        start: Where the axis begins in the drawing.
        end: Where it ends; may lie before `start`, as for values that rise upwards.
        log: Whether equal ratios are equally far apart.
        ticks: Values that are marked.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Return where a value is drawn; values beyond an end are drawn at that end."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        if self.log:
            value = math.log(value) if value > 0 else low
        share = (min(max(value, low), high) - low) / (high - low)
        return self.start + share * (self.end - self.start)


def linear(low: float, high: float, start: float, end: float, count: int = 5) -> Axis:
    """Return an axis from a round number at or below the lowest value to one at or above the highest."""
    if high - low <= max(1e-12 * max(abs(low), abs(high)), _NOTHING):
        pad = abs(low) * 0.1 if abs(low) > _NOTHING else 1.0
        low, high = low - pad, high + pad
    step = nice_step((high - low) / count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(index * step for index in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], start, end, log=False, ticks=ticks)


def exact(low: float, high: float, start: float, end: float, count: int = 6) -> Axis:
    """Return an axis that begins and ends with the values themselves, as steps do; ticks are whole."""
    high = max(high, low + 1)
    step = max(1.0, nice_step((high - low) / count))
    first = math.ceil(low / step)
    ticks = tuple(index * step for index in range(first, math.floor(high / step) + 1))
    return Axis(low, high, start, end, log=False, ticks=ticks)


def logarithmic(low: float, high: float, start: float, end: float) -> Axis:
    """Return an axis over powers of ten, and 2 and 5 times them where there are few.

    Args:
        low: Smallest value, above zero.
        high: Largest value.
        start: Where the axis begins in the drawing.
        end: Where it ends.
    """
    factors = (1.0, 2.0, 5.0) if high / low < 1000 else (1.0,)
    bottom, top = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    marks = [factor * 10.0**power for power in range(bottom, top + 1) for factor in factors]
    below = [mark for mark in marks if mark <= low * (1 + 1e-9)]
    above = [mark for mark in marks if mark >= high * (1 - 1e-9)]
    first, last = below[-1] if below else marks[0], above[0] if above else marks[-1]
    if last <= first:
        last = first * 10
    stride = max(1, math.ceil((top - bottom) / 8)) if factors == (1.0,) else 1
    inside = [mark for mark in marks if first <= mark <= last][::stride]
    return Axis(first, last, start, end, log=True, ticks=tuple(inside))


def nice_step(rough: float) -> float:
    """Return the first of 1, 2, 2.5, 5 times a power of ten that is not below a step."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in _STEPS if factor * power >= rough * (1 - 1e-9))


def written(value: float) -> str:
    """Write a tick in few letters: 12,000 and 0.25 and 3e-5."""
    size = abs(value)
    if value == 0:
        return "0"
    if size >= 1e6 or size < 1e-3:
        mantissa, exponent = f"{value:.3g}".split("e") if "e" in f"{value:.3g}" else (None, None)
        if mantissa is None:
            mantissa, exponent = f"{value:.2e}".split("e")
            mantissa = f"{float(mantissa):g}"
        return f"{mantissa}e{int(exponent or 0)}"
    return f"{value:,.0f}" if size >= 1000 else f"{value:.4g}"
