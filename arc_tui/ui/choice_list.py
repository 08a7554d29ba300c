"""A list of rows with a cursor; of a long one only the lines that are seen are painted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from arc_tui.drawing.rows import Row, Run, fill
from arc_tui.ui.rows_view import painted

WHEEL_LINES = 3


class ChoiceList(Widget, can_focus=True):
    """Shows a heading and rows, one of which is chosen.

    Args:
        empty: What to say while there is no row.
    """

    DEFAULT_CSS = """
    ChoiceList { height: 1fr; width: 1fr; background: $surface-panel; color: $surface-text; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "jump(False)", show=False),
        Binding("end", "jump(True)", show=False),
    ]

    class Chosen(Message):
        """The cursor has moved to another row."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    class Opened(Message):
        """The row under the cursor was clicked again."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, *, empty: str = "nothing to choose", id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._empty = empty
        self._heading: Row = []
        self._rows: list[Row] = []
        self._cursor = 0
        self._top = 0

    @property
    def cursor(self) -> int | None:
        """Index of the chosen row; None while there is none."""
        return self._cursor if self._rows else None

    @property
    def rows(self) -> Sequence[Row]:
        """All rows, seen or not."""
        return self._rows

    def show(self, heading: Sequence[Run], rows: Sequence[Sequence[Run]], cursor: int | None = None) -> None:
        """Show other rows.

        Args:
            heading: Stands above them and does not move; empty for none.
            rows: The rows.
            cursor: Which is to be chosen; None keeps the index.
        """
        wanted = self._cursor if cursor is None else cursor
        new = ([*heading], [[*row] for row in rows], min(max(wanted, 0), max(len(rows) - 1, 0)))
        if new != (self._heading, self._rows, self._cursor):
            self._heading, self._rows, self._cursor = new
            self._follow()
            self.refresh()

    def choose(self, index: int) -> None:
        """Move the cursor to a row."""
        index = min(max(index, 0), len(self._rows) - 1)
        if index != self._cursor and self._rows:
            self._cursor = index
            self._follow()
            self.refresh()
            self.post_message(self.Chosen(index))

    def action_move(self, lines: int) -> None:
        """Move the cursor by some rows."""
        self.choose(self._cursor + lines)

    def action_page(self, pages: int) -> None:
        """Move the cursor by as many rows as are seen."""
        self.choose(self._cursor + pages * max(self._lines - 1, 1))

    def action_jump(self, to_end: bool) -> None:
        """Move the cursor to the first row or the last."""
        self.choose(len(self._rows) - 1 if to_end else 0)

    def on_click(self, event: events.Click) -> None:
        """Choose the row under the mouse; a second click opens it."""
        index = self._top + event.y - self._above
        if event.y < self._above or index >= len(self._rows):
            return
        if index == self._cursor and event.chain > 1:
            self.post_message(self.Opened(index))
        self.choose(index)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Move up."""
        event.stop()
        self.choose(self._cursor - WHEEL_LINES)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Move down."""
        event.stop()
        self.choose(self._cursor + WHEEL_LINES)

    def on_resize(self) -> None:
        """Keep the cursor in sight."""
        self._follow()

    def on_focus(self) -> None:
        """Show the cursor as the focus has it."""
        self.refresh()

    def on_blur(self) -> None:
        """Show that the focus has gone."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        index = self._top + y - self._above
        if y < self._above:
            row: Row = self._heading
        elif not self._rows and y == self._above:
            row = [(f" {self._empty}", "muted")]
        elif index < len(self._rows):
            row = self._rows[index]
            if index == self._cursor:
                chosen = "selection" if self.has_focus else "accent"
                row = [(text, chosen) for text, _ in fill(row, self.size.width)]
        else:
            row = []
        return painted(row, self).adjust_cell_length(self.size.width, self.rich_style)

    @property
    def _above(self) -> int:
        return 1 if self._heading else 0

    @property
    def _lines(self) -> int:
        return max(self.size.height - self._above, 1)

    def _follow(self) -> None:
        """Scroll no more than it takes to see the cursor."""
        lowest = max(len(self._rows) - self._lines, 0)
        self._top = min(max(self._top, self._cursor - self._lines + 1), self._cursor, lowest)
