"""A tensor's elements as a map that scrolls under a cursor; what is seen is read in the background."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rich.segment import Segment
from rich.style import Style
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from arc_core.base.errors import ArcError
from arc_tui.drawing.rows import Row
from arc_tui.inspect.tensors.binning import Statistics
from arc_tui.inspect.tensors.dtypes import decode_float64
from arc_tui.inspect.tensors.header_scan import Shape
from arc_tui.inspect.tensors.pieces import DataFiles, readable
from arc_tui.inspect.tensors.source import Checkpoint
from arc_tui.looks.styles import ink_on
from arc_tui.looks.themes import Theme
from arc_tui.ui.rows_view import looks, painted

GUTTER = 8
"""Cells to the left of the map, for the numbers of rows."""
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
    with DataFiles(checkpoint) as files:
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


class HeatMap(Widget, can_focus=True):
    """Shows one tensor as a matrix.

    Args:
        checkpoint: Where it is.
        place: The tensor.
    """

    ALLOW_SELECT = False

    DEFAULT_CSS = """
    HeatMap { height: 1fr; width: 1fr; background: $surface-panel; color: $surface-text; }
    """

    class CursorMoved(Message):
        """The cursor stands on another element, or its value has become known."""

    class Failed(Message):
        """The elements cannot be read."""

        def __init__(self, problem: str) -> None:
            super().__init__()
            self.problem = problem

    class Arrived(Message):
        """The elements that are seen have been read."""

        def __init__(self, top: int, left: int, window: Floats) -> None:
            super().__init__()
            self.top = top
            self.left = left
            self.window = window

    def __init__(self, checkpoint: Checkpoint, place: int) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._place = place
        self.matrix = Matrix.of(checkpoint.table.shapes[place])
        self._top = self._left = self._row = self._column = 0
        self._window: Floats = np.zeros((0, 0))
        self._window_at = (0, 0)
        self._scale: float | None = None
        self._seen_scale = 1.0
        """The range of colours until the statistics are known: that of what is seen."""

    @property
    def element(self) -> int:
        """Place of the element under the cursor in the flattened tensor."""
        return self.matrix.place(self._row, self._column)

    @property
    def value(self) -> float | None:
        """The element under the cursor; None until it has been read."""
        row, column = self._row - self._window_at[0], self._column - self._window_at[1]
        inside = 0 <= row < self._window.shape[0] and 0 <= column < self._window.shape[1]
        return float(self._window[row, column]) if inside else None

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns that are seen."""
        return max(self.size.height - 1, 1), max((self.size.width - GUTTER) // CELL, 1)

    def take_scale(self, found: Statistics) -> None:
        """Take the range of colours from a tensor's statistics: the middle 98% of its values."""
        if found.values is not None:
            spread = max(abs(found.values.quantiles[0]), abs(found.values.quantiles[-1]))
            self._scale = spread or max(abs(found.values.minimum), abs(found.values.maximum))
            self.refresh()

    def move(self, rows: int, columns: int) -> None:
        """Move the cursor."""
        self.go(self._row + rows, self._column + columns)

    def go_to(self, element: int) -> None:
        """Put the cursor on an element by its place in the flattened tensor."""
        self.go(*divmod(element, max(self.matrix.columns, 1)))

    def go(self, row: int, column: int) -> None:
        """Put the cursor on an element, or the nearest that there is."""
        if not self.matrix.elements:
            return
        self._row = min(max(row, 0), self.matrix.rows - 1)
        in_row = min(self.matrix.elements - self._row * self.matrix.columns, self.matrix.columns)
        self._column = min(max(column, 0), in_row - 1)
        self._follow()
        self.refresh()
        self.post_message(self.CursorMoved())

    def on_resize(self) -> None:
        """See more or less of it."""
        self._follow(read=True)

    def _follow(self, *, read: bool = False) -> None:
        rows, columns = self.extent
        top = min(max(self._top, self._row - rows + 1), self._row)
        left = min(max(self._left, self._column - columns + 1), self._column)
        if read or (top, left) != (self._top, self._left):
            self._top, self._left = top, left
            self.run_worker(self._read, thread=True, exclusive=True, group="heat")

    def _read(self) -> None:
        top, left = self._top, self._left
        try:
            window = read_window(self._checkpoint, self._place, top, left, *self.extent)
        except ArcError as error:
            self.post_message(self.Failed(str(error)))
        else:
            self.post_message(self.Arrived(top, left, window))

    def on_heat_map_arrived(self, message: Arrived) -> None:
        """Show what has been read, unless the map has moved on since."""
        if (message.top, message.left) != (self._top, self._left):
            return
        self._window, self._window_at = message.window, (message.top, message.left)
        if self._scale is None:
            finite = np.abs(message.window[np.isfinite(message.window)])
            self._seen_scale = float(finite.max()) if len(finite) else 1.0
        self.refresh()
        self.post_message(self.CursorMoved())

    def render_line(self, y: int) -> Strip:
        """Paint one line: the numbers of columns, then one row of elements a line."""
        cells = self.size.width
        if y == 0:
            return painted(self._columns_row(cells), self).adjust_cell_length(cells, self.rich_style)
        row = self._top + y - 1
        if row >= self.matrix.rows:
            return Strip.blank(cells, self.rich_style)
        theme, ground = looks(self), self.rich_style
        number = "accent" if row == self._row else "tick"
        segments = [Segment(f"{row:>{GUTTER - 1},} "[-GUTTER:], ground + theme.style(number))]
        scale = self._scale if self._scale is not None else self._seen_scale
        at = row - self._window_at[0]
        known = self._window[at] if 0 <= at < self._window.shape[0] else self._window[:0].ravel()
        in_row = min(self.matrix.elements - row * self.matrix.columns, self.matrix.columns)
        for column in range(self._left, min(self._left + self.extent[1], in_row)):
            place = column - self._window_at[1]
            if not 0 <= place < len(known):
                segments.append(Segment("··", ground + theme.style("muted")))
                continue
            text, style = heat_style(float(known[place]), scale, theme)
            if (row, column) == (self._row, self._column):
                text, style = "[]", style + theme.style("cursor") if theme.colourless else style
            segments.append(Segment(text, ground + style))
        return Strip(segments).adjust_cell_length(cells, ground)

    def _columns_row(self, cells: int) -> Row:
        text, column = " " * GUTTER, self._left
        last = min(self._left + self.extent[1], self.matrix.columns)
        while column < last:
            label = f"{column:,}"
            step = max(-(-(len(label) + 1) // CELL), 8)
            text += label.ljust(step * CELL)
            column += step
        return [(text[:cells], "tick")]
