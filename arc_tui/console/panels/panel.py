"""What all eight panels have in common: a frame with digit, title and headline, and a body of rows."""

from __future__ import annotations

from textual import events
from textual.message import Message

from arc_tui.console.panels.board import Board
from arc_tui.drawing.rows import Row, plain
from arc_tui.runs.view import RunView
from arc_tui.ui.actions import PANEL_NAMES
from arc_tui.ui.chart import Chart
from arc_tui.ui.framed import Framed
from arc_tui.ui.rows_view import RowsView


class Panel(Framed):
    """A framed part of the main screen.

    A panel is told of new data by `show_view`, at the main screen's pace and only while it is shown.
    """

    class Enlarge(Message):
        """The user has clicked the frame's top, which enlarges or shrinks the panel."""

        def __init__(self, digit: int) -> None:
            super().__init__()
            self.digit = digit

    def __init__(self) -> None:
        super().__init__()
        self._title = PANEL_NAMES[self.DIGIT]

    def title_text(self) -> str:
        """Return what the run's board calls the panel."""
        return self._title

    def take_board(self, board: Board) -> None:
        """Be the panel that a run's board says."""
        self._title = board.titles.get(self.DIGIT, self._title)
        self.refresh()

    def copied(self) -> str | None:
        """Return what is copied of the panel: what its chart's cursor is at, else its text."""
        if chart := next((chart for chart in self.query(Chart) if chart.display), None):
            return chart.copied()
        rows = [row for view in self.query(RowsView) if view.display for row in view.rows]
        return "\n".join(plain(row).rstrip() for row in rows)

    def show_view(self, view: RunView) -> None:
        """Show a run as it is now.

        Raises:
            NotImplementedError: In a panel that does not say what it shows.
        """
        raise NotImplementedError

    def on_click(self, event: events.Click) -> None:
        """Focus the panel; a click on its title enlarges it."""
        self.take_focus()
        if event.widget is self and event.y == 0:
            self.post_message(self.Enlarge(self.DIGIT))


class RowsPanel(Panel):
    """A panel whose body is rows of text."""

    def draw(self, view: RunView, cells: int, lines: int) -> tuple[Row, list[Row]]:
        """Return headline and body for a run as it is now.

        Args:
            view: The run.
            cells: Width of the body.
            lines: Height of the body.

        Raises:
            NotImplementedError: In a panel that does not say what it shows.
        """
        raise NotImplementedError

    def show_view(self, view: RunView) -> None:
        """Draw it and show what has changed."""
        body = self.query_one(RowsView)
        cells, lines = self.room
        if cells < 1 or lines < 1:
            return
        headline, rows = self.draw(view, cells, lines)
        self.show_headline(headline)
        body.show(rows[:lines])
