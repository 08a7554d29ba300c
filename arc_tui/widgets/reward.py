"""Panel 2: the reward and its four metrics as signed bars around zero, each with its history."""

from __future__ import annotations

import math

from arc_tui.bars import signed_bar, sparkline
from arc_tui.rows import Row, cut
from arc_tui.view import View
from arc_tui.widgets.chart import Series
from arc_tui.widgets.chart_panel import ChartPanel

METRICS = {
    "reward.total": ("total", 1.0),
    "reward.d_acc": ("accuracy", 1.0),
    "reward.d_size": ("size", 0.5),
    "reward.d_color": ("colour", 0.5),
    "reward.d_rev": ("reversibility", 0.5),
}
"""The name of each number and its weight in the total."""

LABEL, NUMBER = 14, 8
LOOK_BACK = 400
"""Steps that the histories show."""

SMALLEST_SCALE = 0.1


class RewardPanel(ChartPanel):
    """The total and what adds up to it."""

    DIGIT = 2
    SERIES = (Series("reward.total", "reward", "ema", "raw"),)
    LEAST = (0.0,)

    def rows_wanted(self, cells: int, lines: int) -> int:
        """Leave a line between bars and chart."""
        del cells, lines
        return len(METRICS)

    def draw(self, view: View, cells: int, lines: int) -> tuple[Row, list[Row]]:
        """Draw the metrics."""
        total = view.latest("reward.total")
        headline: Row = [(f"{total:+.4f}", "reward.total")] if math.isfinite(total) else []
        return headline, reward_rows(view, cells, lines)


def reward_rows(view: View, cells: int, lines: int) -> list[Row]:
    """Draw total and metrics: a bar, the number, and the history where there is room.

    Args:
        view: The run.
        cells: Width of a row.
        lines: Rows that there is room for; with twice as many, each history has a line of its own.
    """
    if view.state.last_step is None:
        return [[("waits for the first step", "muted")]]
    values = {name: view.latest(name) for name in METRICS}
    scale = max([SMALLEST_SCALE, *(abs(v) for v in values.values() if math.isfinite(v))])
    tall = lines >= 3 * len(METRICS)
    room = cells - LABEL - NUMBER
    spark = 0 if tall else max(0, min(room // 3, 24))
    rows: list[Row] = []
    for name, (label, weight) in METRICS.items():
        value = values[name]
        shown = f"{value:+{NUMBER}.4f}" if math.isfinite(value) else "nan".rjust(NUMBER)
        row: Row = [(label.ljust(LABEL), "title" if name == "reward.total" else "")]
        row += signed_bar(value, scale, max(room - spark - (1 if spark else 0), 3))
        row.append((shown, "positive" if value >= 0 else "negative" if value < 0 else "mark.nan"))
        if spark:
            row += [(" ", ""), (sparkline(view.history.recent(name, LOOK_BACK, spark), spark), name)]
        rows.append(cut(row, cells))
        if tall:
            history = sparkline(view.history.recent(name, LOOK_BACK, cells - LABEL), cells - LABEL)
            rows += [[(f"  {weight:g} of total".ljust(LABEL), "muted"), (history, name)], []]
    validation = view.state.last_validation
    if tall and validation is None and view.facts.config.get("validate_on") != "none":
        rows.append([("the first validation comes after epoch 1", "muted")])
    return rows
