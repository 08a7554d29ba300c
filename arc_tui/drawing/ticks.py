"""Ticks: round numbers along an axis, linear or logarithmic, and how they are written."""

from __future__ import annotations

import math
from dataclasses import dataclass

_NOTHING = 1e-300
"""A span below this cannot be divided into steps."""
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


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
