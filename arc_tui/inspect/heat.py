"""A tensor as a matrix of coloured cells: which elements are seen, how they are read, and how they look."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rich.style import Style

from arc_tui.inspect.tensors.dtypes import decode_float64
from arc_tui.inspect.tensors.header_scan import Shape
from arc_tui.inspect.tensors.pieces import Descriptors, readable
from arc_tui.inspect.tensors.source import Checkpoint
from arc_tui.looks.styles import ink_on
from arc_tui.looks.themes import Theme

FOLDED = 32
"""Columns that a tensor of one dimension is folded into."""
CELL = 2
"""Terminal columns of an element."""
SHADES = " ·░▒▓█"
LEVELS = 24

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Matrix:
    """A tensor seen as rows and columns: the first dimension by all others.

    Attributes:
        rows: How many there are.
        columns: How many elements a row has; the last row of a folded tensor may have fewer.
        elements: In all.
    """

    rows: int
    columns: int
    elements: int

    @classmethod
    def of(cls, shape: Shape) -> Matrix:
        """See a tensor of this shape as a matrix."""
        elements = math.prod(shape)
        if elements == 0:
            return cls(0, 0, 0)
        if len(shape) < 2 or shape[0] == elements:
            columns = min(FOLDED, elements)
            return cls(-(-elements // columns), columns, elements)
        return cls(shape[0], elements // shape[0], elements)

    def place(self, row: int, column: int) -> int:
        """Return the place of an element in the flattened tensor, the last one at most."""
        return min(row * self.columns + column, self.elements - 1)


def read_window(checkpoint: Checkpoint, place: int, top: int, left: int, rows: int, columns: int) -> Floats:
    """Read a part of a tensor as a matrix.

    Args:
        checkpoint: Where it is.
        place: The tensor.
        top: First row.
        left: First column.
        rows: How many, cut to what is there.
        columns: The same.

    Returns:
        [rows, columns]; NaN beyond the end of a folded tensor's last row.

    Raises:
        CheckpointError: If its type is not decoded, or its file cannot be read.
    """
    element = readable(checkpoint, place)
    matrix = Matrix.of(checkpoint.table.shapes[place])
    rows, columns = max(min(rows, matrix.rows - top), 0), max(min(columns, matrix.columns - left), 0)
    window = np.full((rows, columns), np.nan)
    with Descriptors(checkpoint) as files:
        for number in range(rows):
            first = (top + number) * matrix.columns + left
            count = min(columns, matrix.elements - first)
            if count <= 0:
                continue
            # Packed elements share bytes: begin at a whole one and leave out what came with it.
            spare = first % (8 // element.bits) if element.bits < 8 else 0
            length = -(-(spare + count) * element.bits // 8)
            raw = files.read_into(place, np.empty(length, np.uint8), (first - spare) * element.bits // 8)
            window[number, :count] = decode_float64(element, raw)[spare : spare + count]
    return window


def heat_style(value: float, scale: float, theme: Theme) -> tuple[str, Style]:
    """Return text and look of an element.

    Args:
        value: The element.
        scale: The size at which colours are strongest, above 0.
        theme: Gives the colours; without them a sign and a shade tell the same.
    """
    if math.isnan(value):
        return "NN", theme.style("error")
    if math.isinf(value):
        return "∞∞" if value > 0 else "-∞", theme.style("error")
    share = min(abs(value) / scale, 1.0) if scale > 0 else 0.0
    if theme.colourless or theme.ascii:
        shade = SHADES[math.ceil(share * (len(SHADES) - 1))]
        shade = shade if not theme.ascii else " .:+x#"[SHADES.index(shade)]
        return ("-" if value < 0 else "+" if value > 0 else " ") + shade, theme.style("text")
    strong = theme.series.negative if value < 0 else theme.series.positive
    return "  ", _blend(theme.surface.panel, strong, math.ceil(share * LEVELS) / LEVELS)


def _blend(ground: str, strong: str, share: float) -> Style:
    mixed = "#" + "".join(
        f"{round(int(ground[at : at + 2], 16) * (1 - share) + int(strong[at : at + 2], 16) * share):02x}"
        for at in (1, 3, 5)
    )
    return Style(color=ink_on(mixed), bgcolor=mixed)
