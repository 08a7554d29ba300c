"""A framed part of a screen; its headline stands in the frame, so that it costs no line."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from arc_tui.drawing.rows import Row, Run, cut, width
from arc_tui.ui.rows_view import RowsView, painted

FRAME = 1
"""Cells that the frame takes on each side."""

LEAST_EDGE = 4
"""Cells behind the title, however long it is."""

LEAST_HEADLINE = 6
"""Cells below which a headline is left out."""


class Framed(Widget, can_focus=True):
    """A frame with digit, title and headline around whatever has the class `body`."""

    DEFAULT_CSS = """
    Framed { layout: vertical; background: $surface-panel; color: $surface-text; overflow: hidden; }
    Framed > .body { margin: 1; width: 1fr; height: 1fr; background: $surface-panel; }
    """

    DIGIT = 0
    """The key that shows it."""
    TITLE = ""
    """Its name."""

    def __init__(self) -> None:
        super().__init__(id=f"panel-{self.DIGIT}")
        self._headline: Row = []

    def compose(self) -> ComposeResult:
        """Make the body: rows, unless a part says otherwise."""
        yield RowsView(classes="body")

    @property
    def room(self) -> tuple[int, int]:
        """Cells and lines within the frame; 0 and less before its size is known."""
        return self.size.width - 2 * FRAME, self.size.height - 2 * FRAME

    @property
    def headline(self) -> Row:
        """What stands in the frame beside the title."""
        return self._headline

    def title_text(self) -> str:
        """Return the title."""
        return self.TITLE

    def show_headline(self, row: Sequence[Run]) -> None:
        """Put something beside the title; only the frame's top is painted again, and only if it changed."""
        if list(row) != self._headline:
            self._headline = list(row)
            self.refresh(Region(0, 0, self.size.width, 1))

    def take_focus(self) -> None:
        """Focus what in this part takes keys."""
        self.focus()

    def render_line(self, y: int) -> Strip:
        """Paint a line of the frame; the body lies over the middle."""
        edge = "accent" if self.has_focus or self.has_focus_within else "border"
        cells = self.size.width
        if y == 0:
            row = self._top(cells, edge)
        else:
            left, line, right = "╰─╯" if y == self.size.height - 1 else "│ │"
            row = [(left + line * (cells - 2) + right, edge)]
        return painted(row, self).adjust_cell_length(cells, self.rich_style)

    def _top(self, cells: int, edge: str) -> Row:
        begin: Row = [("╭", edge), (f"{self.DIGIT} ", "key")]
        title = cut([(self.title_text(), "title")], max(cells - width(begin) - LEAST_EDGE, 0))
        left: Row = [*begin, *title, (" ", "")]
        room = cells - width(left) - 5
        head = cut(self._headline, room) if room >= LEAST_HEADLINE else []
        right: Row = [(" ", ""), *head, (" ", ""), ("─╮", edge)] if head else [("─╮", edge)]
        return [*left, ("─" * (cells - width(left) - width(right)), edge), *right]

    def on_focus(self) -> None:
        """Show the focus in the frame."""
        self.refresh()

    def on_blur(self) -> None:
        """Show that the focus has gone."""
        self.refresh()

    def on_descendant_focus(self) -> None:
        """Show the focus in the frame."""
        self.refresh()

    def on_descendant_blur(self) -> None:
        """Show that the focus has gone."""
        self.refresh()
