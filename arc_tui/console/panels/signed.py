"""Parts above and below zero, as those of a reward: signed bars, each with its history."""

from __future__ import annotations

import math

from arc_core.run.declared import NumberGroup
from arc_tui.console.panels.drawing import Drawing, brief, label_cells, named, unit_of
from arc_tui.drawing.bars import recent_line, signed_bar
from arc_tui.drawing.rows import Row, Run, cut
from arc_tui.looks.styles import style_of
from arc_tui.runs.view import RunView

NUMBER = 8
LOOK_BACK = 400
"""Steps that the histories show."""

SMALLEST_SCALE = 0.1


class Signed(Drawing):
    """A bar for each number around a common zero; the chart shows the totals."""

    LEAST = (0.0,)
    LABEL = 14

    def rows(self, view: RunView, group: NumberGroup, cells: int, lines: int) -> list[Row]:
        """Draw a bar, the number, and the history, which has a line of its own where there is room."""
        values = {number.name: view.latest(group.dotted(number.name)) for number in group.numbers}
        scale = max([SMALLEST_SCALE, *(abs(v) for v in values.values() if math.isfinite(v))])
        tall = lines >= 3 * len(group.numbers)
        label = label_cells((number.shown for number in group.numbers), self.LABEL, cells)
        unit = unit_of(group)
        room = cells - label - NUMBER - len(unit)
        spark = 0 if tall else max(0, min(room // 3, 24))
        rows: list[Row] = []
        for number in group.numbers:
            value, dotted = values[number.name], group.dotted(number.name)
            style = style_of(view.declared, dotted)
            row: Row = [named(number.shown, label, "title" if number.name in group.totals else "")]
            row += signed_bar(value, scale, max(room - spark - (1 if spark else 0), 3))
            row += [_shown(value), (unit, "muted")]
            if spark:
                row += [(" ", ""), (recent_line(view.history, dotted, LOOK_BACK, spark), style)]
            rows.append(cut(row, cells))
            if tall:
                history = recent_line(view.history, dotted, LOOK_BACK, cells - label)
                rows += [[named(f"  times {number.weight:g}", label, "muted"), (history, style)], []]
        return rows

    def headline(self, view: RunView, group: NumberGroup) -> Row:
        """Write the last total."""
        dotted = group.dotted(group.totals[-1]) if group.totals else ""
        value = view.latest(dotted) if dotted else math.nan
        if not math.isfinite(value):
            return []
        return [(brief(value, "+.4f") + unit_of(group), style_of(view.declared, dotted))]


def _shown(value: float) -> Run:
    if not math.isfinite(value):
        return "nan".rjust(NUMBER), "mark.nan"
    text = f"{value:+{NUMBER}.4f}"
    text = text if len(text) <= NUMBER else f"{value:+{NUMBER}.0e}"
    return text, "positive" if value >= 0 else "negative"
