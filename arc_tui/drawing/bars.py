"""Small drawings of single numbers: sparklines and bars around zero."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from arc_tui.drawing.rows import Row
from arc_tui.runs.history import History

BLOCKS = np.array(list("▁▂▃▄▅▆▇ "))
"""Never a full cell, so that lines below each other stay apart. The last one stands for a number that was
not finite, or is not there."""


def sparkline(values: NDArray[np.float64], cells: int) -> str:
    """Draw values as blocks between their smallest and largest; equal ones lie at the bottom.

    Args:
        values: At most one for each cell; what is not finite is left blank.
        cells: Width of the result.
    """
    if cells <= 0:
        return ""
    known = np.isfinite(values)
    if not known.any():
        return " " * cells
    low, high = float(values[known].min()), float(values[known].max())
    levels = np.full(len(values), len(BLOCKS) - 1)
    span = high - low
    scaled = (values[known] - low) / span if span > 0 else np.zeros(int(known.sum()))
    levels[known] = np.minimum((scaled * (len(BLOCKS) - 1)).astype(int), len(BLOCKS) - 2)
    return "".join(BLOCKS[levels])[:cells].ljust(cells)


def recent_line(history: History, name: str, steps: int, cells: int) -> str:
    """Draw a number of the last steps as a sparkline.

    Args:
        history: The run's numbers.
        name: Dotted name of the number.
        steps: How many steps to look back at most.
        cells: Width of the result; nothing is drawn into none.
    """
    return sparkline(history.recent(name, steps, cells), cells) if cells > 0 else ""


def signed_bar(value: float, scale: float, cells: int) -> Row:
    """Draw a number as a bar to the left or right of zero, by half cells.

    Args:
        value: The number; nothing is drawn for one that is not finite.
        scale: The number that fills one side, above 0.
        cells: Width of the result, at least 3.
    """
    side, zero = (cells - 1) // 2, "│"
    rest = cells - 1 - 2 * side
    length = min(abs(value) / scale, 1.0) * side if math.isfinite(value) else 0.0
    full, half = divmod(round(length * 2), 2)
    if value < 0:
        bar = ("╺" * half + "━" * full, "negative")
        return [(" " * (side - full - half), ""), bar, (zero, "axis"), (" " * (side + rest), "")]
    bar = ("━" * full + "╸" * half, "positive")
    return [(" " * side, ""), (zero, "axis"), bar, (" " * (side + rest - full - half), "")]


def share_bar(share: float, cells: int) -> str:
    """Draw a share from 0 to 1 as a line that grows by half cells."""
    full, half = divmod(round(max(0.0, min(share, 1.0)) * cells * 2), 2)
    return ("━" * full + "╸" * half).ljust(cells)


def progress_bar(share: float, cells: int) -> Row:
    """Draw a share from 0 to 1 as a line that grows by half cells."""
    if cells <= 0:
        return []
    bar = share_bar(share, cells)
    done = len(bar.rstrip())
    return [(bar[:done], "state.running"), ("─" * (cells - done), "bar.track")]
