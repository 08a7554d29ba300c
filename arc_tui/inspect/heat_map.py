"""A tensor's elements as a map that scrolls under a cursor; what is seen is read in the background."""

from __future__ import annotations

import numpy as np
from rich.segment import Segment
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from arc_core.base.errors import ArcError
from arc_tui.drawing.rows import Row
from arc_tui.inspect.heat import CELL, Floats, Matrix, heat_style, read_window
from arc_tui.inspect.tensors.binning import Statistics
from arc_tui.inspect.tensors.source import Checkpoint
from arc_tui.ui.rows_view import looks, painted

GUTTER = 8
"""Cells to the left of the map, for the numbers of rows."""


class HeatMap(Widget, can_focus=True):
    """Shows one tensor as a matrix.

    Args:
        checkpoint: Where it is.
        place: The tensor.
    """

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
