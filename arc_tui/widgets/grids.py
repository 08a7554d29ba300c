"""Panel 3: a sample's grids."""

from __future__ import annotations

from arc_tui.rows import Row
from arc_tui.view import View
from arc_tui.widgets.panel import RowsPanel


class GridsPanel(RowsPanel):
    """Grids."""

    DIGIT = 3

    def draw(self, view: View, cells: int, lines: int) -> tuple[Row, list[Row]]:
        """Draw."""
        return [], []
