"""Grids as pixels: those of a sample beside each other, wrong cells crossed out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from arc_tui.drawing.grids import GridPicture, is_wrong, pictures_of
from arc_tui.runs.samples import Sample

CELL = 12
"""Pixels of a cell's side, its line included."""

COLOURS = ("#000000", "#0074d9", "#ff4136", "#2ecc40", "#ffdc00", "#aaaaaa", "#f012be", "#ff851b")
COLOURS += ("#7fdbff", "#870c25")
"""ARC's own colours, by digit; pictures outlive themes."""

_LINE, _PAPER, _UNKNOWN = (85, 85, 85), (255, 255, 255), (255, 255, 255)
_RGB = {str(digit): tuple(bytes.fromhex(colour[1:])) for digit, colour in enumerate(COLOURS)}


def picture_of(sample: Sample) -> NDArray[np.uint8]:
    """Draw the grids of a sample beside each other.

    A cell that differs from the target has a cross, white on black: no colour of ARC's hides it.

    Returns:
        Height x width x 3.
    """
    grids = [_grid(one) for one in pictures_of(sample)]
    height = max((len(grid) for grid in grids), default=CELL)
    gap = np.full((height, CELL, 3), _PAPER, np.uint8)
    parts: list[NDArray[np.uint8]] = []
    for grid in grids:
        below = np.full((height - len(grid), grid.shape[1], 3), _PAPER, np.uint8)
        parts += [gap] * bool(parts) + [np.concatenate([grid, below])]
    return np.concatenate(parts, axis=1) if parts else gap


def _grid(one: GridPicture) -> NDArray[np.uint8]:
    rows, columns = one.size
    drawn = np.full((max(rows, 1) * CELL + 1, max(columns, 1) * CELL + 1, 3), _PAPER, np.uint8)
    for y, row in enumerate(one.grid):
        for x, digit in enumerate(row):
            top, left = y * CELL, x * CELL
            drawn[top : top + CELL + 1, left : left + CELL + 1] = _LINE
            drawn[top + 1 : top + CELL, left + 1 : left + CELL] = _RGB.get(digit, _UNKNOWN)
            if is_wrong(one, y, x):
                for at in range(3, CELL - 2):
                    for across in (at, CELL - at):
                        drawn[top + at, left + across - 1 : left + across + 2] = 0
                for at in range(3, CELL - 2):
                    drawn[top + at, [left + at, left + CELL - at]] = 255
    return drawn
