"""Parts that add up to a total, as those of a loss: shares, histories, and whether they do add up."""

from __future__ import annotations

import math

from arc_core.run.declared import NumberGroup
from arc_tui.console.panels.drawing import Drawing, brief, label_cells, named, unit_of
from arc_tui.drawing.bars import recent_line, share_bar
from arc_tui.drawing.rows import Row, cut, sized
from arc_tui.looks.styles import style_of
from arc_tui.runs.view import RunView

NUMBER, SHARE = 9, 6
LOOK_BACK = 400
LEAST_BAR = 6

TREND_STEPS = 200
"""Over how many steps the headline's trend is told."""


class Contributions(Drawing):
    """A row for each part, the largest alone where there is little room, and the totals below."""

    SCALES = True
    LABEL = 14

    def wanted(self, group: NumberGroup, lines: int | None = None) -> int:
        """Give a chart more than half."""
        everything, parts = len(group.numbers), len(group.parts)
        if lines is None or lines >= 2 * everything + 4:
            return everything
        return parts if lines >= 2 * parts + 1 else (parts + 1) // 2

    def rows(self, view: RunView, group: NumberGroup, cells: int, lines: int) -> list[Row]:
        """Draw the parts; where they have no row each, two share one, and the totals are left out."""
        values = {number.name: view.latest(group.dotted(number.name)) for number in group.parts}
        whole = sum(abs(value) for value in values.values() if math.isfinite(value))
        if lines < len(values):
            return _paired(view, group, values, whole, cells)[: max(lines, 0)]
        label = label_cells((number.shown for number in group.numbers), self.LABEL, cells)
        unit = unit_of(group)
        room = max(cells - label - NUMBER - SHARE - len(unit), 0)
        spark = min(room if room < 2 * LEAST_BAR else room // 2, 30)
        bar = min(max(room - spark - 1, 0), 40)
        rows: list[Row] = []
        for number in group.parts:
            value, dotted = values[number.name], group.dotted(number.name)
            style = style_of(view.declared, dotted)
            share = abs(value) / whole if whole and math.isfinite(value) else 0.0
            row: Row = [named(number.shown, label, style), _number(value), (unit, "muted")]
            row += [(f" {share:4.0%} ", "muted")]
            if spark:
                row += [(recent_line(view.history, dotted, LOOK_BACK, spark), style)]
            if bar >= LEAST_BAR:
                row += [(" ", ""), (share_bar(share, bar), style)]
            rows.append(cut(row, cells))
        if lines >= len(group.numbers):
            rows += [cut(row, cells) for row in _total_rows(view, group, sum(values.values()), label)]
        return rows

    def headline(self, view: RunView, group: NumberGroup) -> Row:
        """Write the last total and its trend."""
        if not group.totals or view.state.last_step is None:
            return []
        dotted = group.dotted(group.totals[-1])
        value = view.latest(dotted)
        if not math.isfinite(value):
            return [(f"{view.declared.numbers[dotted].shown} nan", "mark.nan")]
        row: Row = [(brief(value) + unit_of(group), style_of(view.declared, dotted))]
        means = view.history.recent(dotted, TREND_STEPS, 2)
        if len(means) == 2 and all(math.isfinite(mean) and mean for mean in means):
            change = (means[1] - means[0]) / abs(means[0])
            row.append((f" {'▲' if change > 0 else '▼'} {abs(change):.0%}", "muted"))
        return row


def _total_rows(view: RunView, group: NumberGroup, added: float, label: int) -> list[Row]:
    """Draw the totals; the first tells whether it is what the parts add up to."""
    rows: list[Row] = []
    for place, name in enumerate(group.totals):
        dotted = group.dotted(name)
        total, shown = view.latest(dotted), view.declared.numbers[dotted].shown
        if place == 0:
            equal = abs(added - total) <= 1e-3 * max(1.0, abs(total))
            shown = f"{'=' if equal else '≠'} {shown}"
        style = style_of(view.declared, dotted)
        rows.append([named(shown, label, style), _number(total), (unit_of(group), "muted")])
    return rows


def _paired(
    view: RunView, group: NumberGroup, values: dict[str, float], whole: float, cells: int
) -> list[Row]:
    """Draw two parts to a row, the largest first."""
    order = sorted(values, key=lambda name: -abs(values[name]) if math.isfinite(values[name]) else -math.inf)
    half = cells // 2
    rows: list[Row] = []
    for at in range(0, len(order), 2):
        row: Row = []
        for name in order[at : at + 2]:
            dotted = group.dotted(name)
            share = abs(values[name]) / whole if whole and math.isfinite(values[name]) else 0.0
            number = f"{values[name]:8.3f}"
            text = f"{number if len(number) == 8 else f'{values[name]:8.0e}'} {share:4.0%}"
            room = max(half - len(text) - 1, 3)
            label = sized(view.declared.numbers[dotted].shown, room)
            row += [(label, style_of(view.declared, dotted)), (text + " ", "")]
        rows.append(cut(row, cells))
    return rows


def _number(value: float) -> tuple[str, str]:
    text = f"{value:{NUMBER}.4f}"
    return text if len(text) <= NUMBER else f"{value:{NUMBER}.1e}", "" if math.isfinite(value) else "mark.nan"
