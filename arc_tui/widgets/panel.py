"""What all eight panels have in common: a frame with digit, title and headline, and a body of rows."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from arc_tui.keys import PANEL_NAMES
from arc_tui.rows import Row, Run, cut, width
from arc_tui.view import View
from arc_tui.widgets.rows_view import RowsView, painted

FRAME = 1
"""Cells that the frame takes on each side."""

LEAST_HEADLINE = 6
"""Cells below which a headline is left out."""


class Panel(Widget, can_focus=True):
    """A framed part of the main screen; the headline stands in the frame, so it costs no line.

    A panel is told of new data by `show_view`, at the main screen's pace and only while it is shown.
    """

    DEFAULT_CSS = """
    Panel { layout: vertical; background: $surface-panel; color: $surface-text; overflow: hidden; }
    Panel > .body { margin: 1; width: 1fr; height: 1fr; background: $surface-panel; }
    """

    DIGIT = 0

    class Enlarge(Message):
        """The user has clicked the frame's top, which enlarges or shrinks the panel."""

        def __init__(self, digit: int) -> None:
            super().__init__()
            self.digit = digit

    def __init__(self) -> None:
        super().__init__(id=f"panel-{self.DIGIT}")
        self._headline: Row = []

    @property
    def headline(self) -> Row:
        """What stands in the frame beside the title."""
        return self._headline

    def show_view(self, view: View) -> None:
        """Show a run as it is now.

        Raises:
            NotImplementedError: In a panel that does not say what it shows.
        """
        raise NotImplementedError

    def show_headline(self, row: Sequence[Run]) -> None:
        """Put something beside the title; only the frame's top is painted again, and only if it changed."""
        if list(row) != self._headline:
            self._headline = list(row)
            self.refresh(Region(0, 0, self.size.width, 1))

    def take_focus(self) -> None:
        """Focus what in this panel takes keys."""
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
        left: Row = [("╭", edge), (f"{self.DIGIT} ", "key"), (PANEL_NAMES[self.DIGIT], "title"), (" ", "")]
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

    def on_click(self, event: events.Click) -> None:
        """Focus the panel; a click on its title enlarges it."""
        self.take_focus()
        if event.widget is self and event.y == 0:
            self.post_message(self.Enlarge(self.DIGIT))


class RowsPanel(Panel):
    """A panel whose body is rows of text."""

    def compose(self) -> ComposeResult:
        """Make the body."""
        yield RowsView(classes="body")

    def draw(self, view: View, cells: int, lines: int) -> tuple[Row, list[Row]]:
        """Return headline and body for a run as it is now.

        Args:
            view: The run.
            cells: Width of the body.
            lines: Height of the body.

        Raises:
            NotImplementedError: In a panel that does not say what it shows.
        """
        raise NotImplementedError

    def show_view(self, view: View) -> None:
        """Draw it and show what has changed."""
        body = self.query_one(RowsView)
        cells, lines = self.size.width - 2 * FRAME, self.size.height - 2 * FRAME
        if cells < 1 or lines < 1:
            return
        headline, rows = self.draw(view, cells, lines)
        self.show_headline(headline)
        body.show(rows[:lines])
