"""A panel with a chart above its rows, or beside them where it is wide."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container

from arc_tui.console.panels.panel import RowsPanel
from arc_tui.runs.view import RunView
from arc_tui.ui.chart import Chart, ChartSeries
from arc_tui.ui.rows_view import RowsView, looks

LEAST_CHART = 7
"""Rows below which a chart is left out."""

SIDE_BY_SIDE = 110
ROWS_WIDTH = 58
"""Cells of the rows beside a chart."""


class ChartPanel(RowsPanel):
    """Numbers over time; the rows have their room first, where `rows_wanted` does not say otherwise."""

    DEFAULT_CSS = f"""
    ChartPanel > .body {{ layout: vertical; }}
    ChartPanel Chart {{ background: $surface-panel; }}
    ChartPanel RowsView.rows {{ background: $surface-panel; }}
    ChartPanel.-wide > .body {{ layout: horizontal; }}
    ChartPanel.-wide RowsView.rows {{ width: {ROWS_WIDTH}; height: 1fr; margin: 0 0 0 2; }}
    """

    SERIES: tuple[ChartSeries, ...] = ()
    LEAST: tuple[float, ...] = ()
    """Values that are on the chart's axis in any case."""

    SCALES = False
    """Whether the chart can be logarithmic."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = False
        """Whether the chart is drawn on a logarithmic scale."""

    def compose(self) -> ComposeResult:
        """Make chart and rows."""
        with Container(classes="body"):
            yield Chart(self.SERIES, least=self.LEAST)
            yield RowsView(classes="rows")

    @property
    def chart(self) -> Chart:
        """The chart."""
        return self.query_one(Chart)

    def rows_wanted(self, cells: int, lines: int) -> int:
        """Return how many lines the rows take where the chart stands above them.

        Args:
            cells: Width of the body.
            lines: Height of the body.

        Raises:
            NotImplementedError: In a panel that does not say.
        """
        raise NotImplementedError

    def take_focus(self) -> None:
        """Focus the chart where there is one, for its cursor."""
        (self.chart if self.chart.display else self).focus()

    def show_view(self, view: RunView) -> None:
        """Draw rows and chart."""
        cells, lines = self.room
        if cells < 1 or lines < 1:
            return
        wide = cells >= SIDE_BY_SIDE and lines >= LEAST_CHART
        wanted = min(self.rows_wanted(cells, lines), lines)
        shown = wide or lines - wanted >= LEAST_CHART
        self._arrange(wide=wide, shown=shown, rows=wanted if shown else lines)
        width, height = (ROWS_WIDTH, lines) if wide else (cells, wanted if shown else lines)
        headline, rows = self.draw(view, width, height)
        self.show_headline(headline)
        self.query_one(".rows", RowsView).show(rows[:height])
        if shown:
            log = self.log_scale and self.SCALES
            self.chart.show_history(view.history, cursor=view.cursor, log=log, plain=looks(self).ascii)

    def _arrange(self, *, wide: bool, shown: bool, rows: int) -> None:
        """Give chart and rows their places; nothing is laid out anew while they stay."""
        chart, below = self.chart, self.query_one(".rows", RowsView)
        self.set_class(wide, "-wide")
        focused = self.has_focus or self.has_focus_within
        if chart.display != shown:
            chart.display = shown
            if focused:
                self.take_focus()
        height = None if wide else rows
        if below.styles.height is None or below.styles.height.cells != height:
            below.styles.height = height
