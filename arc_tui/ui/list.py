"""A list of any length with a cursor: rows are drawn when they are seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events
from textual.message import Message
from textual.strip import Strip

from arc_tui.drawing.rows import Row, Run, fill, plain
from arc_tui.ui.rows_view import Lines, painted

WHEEL_LINES = 3


class LazyList(Lines, can_focus=True):
    """Shows a heading and rows, one of which is chosen.

    Args:
        empty: What to say while there is no row.
    """

    DEFAULT_CSS = """
    LazyList { height: 1fr; width: 1fr; background: $surface-panel; color: $surface-text; }
    """

    class Chosen(Message):
        """The cursor has moved to another row."""

        def __init__(self, source: LazyList, index: int) -> None:
            super().__init__()
            self.source = source
            self.index = index

    class Opened(Message):
        """The row under the cursor was clicked again."""

        def __init__(self, source: LazyList, index: int) -> None:
            super().__init__()
            self.source = source
            self.index = index

    def __init__(self, *, empty: str = "nothing here", id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._empty = empty
        self._heading: Callable[[int], Row] | None = None
        self._draw: Callable[[int, int], Row] = lambda index, cells: []
        self.count = 0
        self._cursor = 0
        self._top = 0

    @property
    def cursor(self) -> int | None:
        """Index of the chosen row; None while there is none."""
        return self._cursor if self.count else None

    @property
    def chosen_text(self) -> str:
        """What the chosen row says; empty while there is none."""
        return plain(self._draw(self._cursor, self.size.width)).strip() if self.count else ""

    def show(
        self,
        count: int,
        draw: Callable[[int, int], Row],
        *,
        heading: Callable[[int], Row] | None = None,
        cursor: int | None = None,
        empty: str | None = None,
    ) -> None:
        """Show other rows.

        Args:
            count: How many there are.
            draw: Draws a row for an index and a width in cells.
            heading: Draws what stands above them and does not move; None for nothing.
            cursor: Which is to be chosen; None keeps the index.
            empty: What to say while there is none; None keeps what was said.
        """
        self.count, self._draw, self._heading = count, draw, heading
        self._empty = self._empty if empty is None else empty
        wanted = self._cursor if cursor is None else cursor
        self._cursor = min(max(wanted, 0), max(count - 1, 0))
        self._follow()
        self.refresh()

    def choose(self, index: int) -> None:
        """Move the cursor to a row."""
        index = min(max(index, 0), self.count - 1)
        if index != self._cursor and self.count:
            self._cursor = index
            self._follow()
            self.refresh()
            self.post_message(self.Chosen(self, index))

    def press(self, key: str) -> bool:
        """Move the cursor as a key says; returns whether it is one that moves.

        The screen hands keys on, rather than this being bindings: those are looked up only after a key has
        gone through every widget, so that keys typed fast would overtake each other.
        """
        page = max(self._lines - 1, 1)
        to = {
            "up": self._cursor - 1,
            "down": self._cursor + 1,
            "pageup": self._cursor - page,
            "pagedown": self._cursor + page,
            "home": 0,
            "end": self.count - 1,
        }
        if key not in to:
            return False
        self.choose(to[key])
        return True

    def on_click(self, event: events.Click) -> None:
        """Choose the row under the mouse; a second click opens it."""
        index = self._top + event.y - self._above
        if event.y < self._above or index >= self.count:
            return
        if index == self._cursor and event.chain > 1:
            self.post_message(self.Opened(self, index))
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

    def line(self, y: int) -> Sequence[Run]:
        """Return a line of what is seen."""
        cells = self.size.width
        index = self._top + y - self._above
        row: Sequence[Run] = []
        if y < self._above and self._heading is not None:
            row = self._heading(cells)
        elif not self.count and y == self._above:
            row = [(f" {self._empty}", "muted")]
        elif index < self.count:
            row = self._draw(index, cells)
            if index == self._cursor:
                chosen = "selection" if self.has_focus else "accent"
                row = [(text, chosen) for text, _ in fill(row, cells)]
        return row

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        return painted(self.selected_line(y), self).adjust_cell_length(self.size.width, self.rich_style)

    @property
    def _above(self) -> int:
        return 1 if self._heading is not None else 0

    @property
    def _lines(self) -> int:
        return max(self.size.height - self._above, 1)

    def _follow(self) -> None:
        """Scroll no more than it takes to see the cursor."""
        lowest = max(self.count - self._lines, 0)
        self._top = min(max(self._top, self._cursor - self._lines + 1), self._cursor, lowest)
