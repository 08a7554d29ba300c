"""Numbers over time, each for itself."""

from __future__ import annotations

import math

from arc_core.run.declared import Declared, NumberGroup
from arc_tui.console.panels.drawing import (
    Drawing,
    brief,
    fitting,
    headline_curve,
    label_cells,
    unit_of,
    value_row,
)
from arc_tui.drawing.rows import Row
from arc_tui.runs.view import RunView
from arc_tui.ui.chart import ChartSeries

LOOK_BACK = 400


class Series(Drawing):
    """A row for each number; the chart shows the first four, a single one with its raw values."""

    def wanted(self, group: NumberGroup, lines: int | None = None) -> int:
        """Leave half of the panel to the chart."""
        return len(group.numbers) if lines is None else min(len(group.numbers), max(lines // 2, 1))

    def rows(self, view: RunView, group: NumberGroup, cells: int, lines: int) -> list[Row]:
        """Draw name, value and history of each."""
        label = label_cells((number.shown for number in group.numbers), self.LABEL, cells)
        names = (group.dotted(number.name) for number in group.numbers)
        return fitting([value_row(view, name, label, LOOK_BACK, cells) for name in names], lines)

    def headline(self, view: RunView, group: NumberGroup) -> Row:
        """Write the first number that is charted."""
        for chosen in self.curves(view.declared, group)[:1]:
            value = view.latest(chosen.name)
            if math.isfinite(value):
                return [(f"{chosen.label} ", "muted"), (brief(value) + unit_of(group), chosen.line)]
        return []

    def curves(self, declared: Declared, group: NumberGroup) -> tuple[ChartSeries, ...]:
        """Return the curves."""
        found = super().curves(declared, group)
        return (headline_curve(declared, found[0].name),) if len(found) == 1 else found
