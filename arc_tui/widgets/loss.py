"""Panel 1: the loss as a chart, and what it is made of."""

from __future__ import annotations

from arc_tui.rows import Row
from arc_tui.view import View
from arc_tui.widgets.contributions import contribution_rows
from arc_tui.widgets.panel import RowsPanel


class LossPanel(RowsPanel):
    """Contributions."""

    DIGIT = 1

    def draw(self, view: View, cells: int, lines: int) -> tuple[Row, list[Row]]:
        """Draw."""
        return [], contribution_rows(view, cells, lines)
