"""The panels of groups: a chart above its rows, or beside them where it is wide."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container

from arc_core.run.declared import NumberGroup
from arc_tui.console.panels.board import NORMS, PARTS, PLANS, SIGNED, Board
from arc_tui.console.panels.drawing import label_cells
from arc_tui.console.panels.groups import drawing_of, group_rows, rows_wanted
from arc_tui.console.panels.norms import PRECISION, Norms, precision_row
from arc_tui.console.panels.panel import RowsPanel
from arc_tui.console.panels.validation import validation_row
from arc_tui.drawing.rows import Row
from arc_tui.runs.view import RunView
from arc_tui.ui.chart import Chart, ChartSeries
from arc_tui.ui.rows_view import RowsView, looks

LEAST_CHART = 7
"""Rows below which a chart is left out."""

SIDE_BY_SIDE = 110
ROWS_WIDTH = 58
"""Cells of the rows beside a chart."""


class ChartPanel(RowsPanel):
    """Draws the groups that the board gives it; the rows have their room before the chart."""

    DEFAULT_CSS = f"""
    ChartPanel > .body {{ layout: vertical; }}
    ChartPanel Chart {{ background: $surface-panel; }}
    ChartPanel RowsView.rows {{ background: $surface-panel; }}
    ChartPanel.-wide > .body {{ layout: horizontal; }}
    ChartPanel.-wide RowsView.rows {{ width: {ROWS_WIDTH}; height: 1fr; margin: 0 0 0 2; }}
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = False
        """Whether the chart is drawn on a logarithmic scale."""
        self._groups: tuple[NumberGroup, ...] = ()
        self._validated = False

    def compose(self) -> ComposeResult:
        """Make chart and rows."""
        with Container(classes="body"):
            yield Chart()
            yield RowsView(classes="rows")

    def take_board(self, board: Board) -> None:
        """Draw the groups that a board gives this panel from now on."""
        super().take_board(board)
        self._groups = board.groups.get(self.DIGIT, ())
        self._validated = board.validated == self.DIGIT

    @property
    def chart(self) -> Chart:
        """The chart."""
        return self.query_one(Chart)

    def take_focus(self) -> None:
        """Focus the chart where there is one, for its cursor."""
        (self.chart if self.chart.display else self).focus()

    def show_view(self, view: RunView) -> None:
        """Draw rows and chart."""
        cells, lines = self.room
        if cells < 1 or lines < 1:
            return
        wide = cells >= SIDE_BY_SIDE and lines >= LEAST_CHART
        below = self._below(view, ROWS_WIDTH if wide else cells)
        wanted = rows_wanted(self._groups, len(below), lines)
        if len(self._groups) > 1 and wanted > lines:  # not all of it can be shown anyway
            wanted = lines // 2
        wanted = min(wanted, lines)
        charted = next((group for group in self._groups if _curves(view, group)), None)
        shown = charted is not None and (wide or lines - wanted >= LEAST_CHART)
        wide = wide and shown
        self._arrange(wide=wide, shown=shown, rows=wanted if shown else lines)
        width, height = (ROWS_WIDTH, lines) if wide else (cells, wanted if shown else lines)
        rows = group_rows(view, self._groups, width, height, below=below)
        self.show_headline(self._told(view))
        self.query_one(".rows", RowsView).show(rows[:height])
        if charted is not None and shown:
            self._draw_chart(view, charted)

    def _told(self, view: RunView) -> Row:
        """Write the first group's headline, and the scale of the chart of the first panel."""
        row = drawing_of(self._groups[0]).headline(view, self._groups[0]) if self._groups else []
        if self.DIGIT == PARTS and self._groups and view.state.last_step is not None:
            return [*row, (f" {'log' if self.log_scale else 'linear'}", "muted")]
        return row

    def _draw_chart(self, view: RunView, group: NumberGroup) -> None:
        drawing = drawing_of(group)
        self.chart.show_curves(
            [(view.history, series) for series in _curves(view, group)],
            cursor=view.cursor,
            log=self.log_scale and (drawing.SCALES or self.DIGIT == PARTS),
            plain=looks(self).ascii,
            least=drawing.LEAST,
        )

    def _below(self, view: RunView, cells: int) -> list[Row]:
        """Return what stands below the groups, in rows of so many cells."""
        rows = [validation_row(view)] if self._validated else []
        if self.DIGIT == NORMS and PRECISION in view.declared.by_name:
            names = (number.shown for group in self._groups for number in group.numbers)
            rows.append(precision_row(view, label_cells(names, Norms.LABEL, cells)))
        return [row for row in rows if row]

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


class PartsPanel(ChartPanel):
    """What adds up to the loss, or what comes closest."""

    DIGIT = PARTS


class SignedPanel(ChartPanel):
    """What adds up to the reward, or further numbers over time."""

    DIGIT = SIGNED


class PlansPanel(ChartPanel):
    """What is planned, and what parts of the run have come to."""

    DIGIT = PLANS


class NormsPanel(ChartPanel):
    """What each component is told with."""

    DIGIT = NORMS


def _curves(view: RunView, group: NumberGroup) -> tuple[ChartSeries, ...]:
    return () if group.note else drawing_of(group).curves(view.declared, group)
