"""Panel 1: combined and EFE loss as a chart, and the contributions that add up to them."""

from __future__ import annotations

import math

from arc_core.run.event_forms import LOSS_TERMS
from arc_tui.console.panels.chart_panel import ChartPanel
from arc_tui.console.panels.contributions import TOTALS, contribution_rows
from arc_tui.drawing.rows import Row
from arc_tui.runs.view import RunView
from arc_tui.ui.chart import ChartSeries

TREND_STEPS = 200
"""Over how many steps the headline's trend is told."""


class LossPanel(ChartPanel):
    """The loss: mean lines over envelopes that keep every spike."""

    DIGIT = 1
    SERIES = (
        ChartSeries("loss.combined", "combined", "ema", "raw"),
        ChartSeries("loss.efe_total", "EFE", "ema.efe", "raw.efe"),
    )
    SCALES = True

    def rows_wanted(self, cells: int, lines: int) -> int:
        """Give the chart more than half."""
        del cells
        everything = len(LOSS_TERMS) + len(TOTALS)
        if lines >= 2 * everything + 4:
            return everything
        return len(LOSS_TERMS) if lines >= 2 * len(LOSS_TERMS) + 1 else len(LOSS_TERMS) // 2

    def draw(self, view: RunView, cells: int, lines: int) -> tuple[Row, list[Row]]:
        """Draw the contributions."""
        return self._told(view), contribution_rows(view, cells, lines)

    def _told(self, view: RunView) -> Row:
        value = view.latest("loss.combined")
        scale = "log" if self.log_scale else "linear"
        if not math.isfinite(value):
            return [("combined nan", "mark.nan"), (f" {scale}", "muted")] if view.state.last_step else []
        row: Row = [(f"{value:.3f}", "loss")]
        means = view.history.recent("loss.combined", TREND_STEPS, 2)
        if len(means) == 2 and all(math.isfinite(mean) and mean for mean in means):
            change = (means[1] - means[0]) / abs(means[0])
            row.append((f" {'▲' if change > 0 else '▼'} {abs(change):.0%}", "muted"))
        return [*row, (f" {scale}", "muted")]
