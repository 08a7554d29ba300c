"""Panel 2: the reward and its four metrics as signed bars around zero, each with its history."""

from __future__ import annotations

import math

from arc_tui.console.panels.chart_panel import ChartPanel
from arc_tui.drawing.bars import recent_line, signed_bar
from arc_tui.drawing.rows import Row, cut
from arc_tui.runs.fields import duration
from arc_tui.runs.view import RunView
from arc_tui.ui.chart import ChartSeries

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
    SERIES = (ChartSeries("reward.total", "reward", "ema", "raw"),)
    LEAST = (0.0,)

    def rows_wanted(self, cells: int, lines: int) -> int:
        """Have a line for each metric and one for the validation."""
        del cells, lines
        return len(METRICS) + 1

    def draw(self, view: RunView, cells: int, lines: int) -> tuple[Row, list[Row]]:
        """Draw the metrics."""
        total = view.latest("reward.total")
        known = math.isfinite(total) and not view.lacks("reward.total")
        headline: Row = [(f"{total:+.4f}", "reward.total")] if known else []
        return headline, reward_rows(view, cells, lines)


def reward_rows(view: RunView, cells: int, lines: int) -> list[Row]:
    """Draw total and metrics: a bar, the number, and the history where there is room.

    Args:
        view: The run.
        cells: Width of a row.
        lines: Rows that there is room for; with twice as many, each history has a line of its own.
    """
    if view.state.last_step is None:
        return [[("waits for the first step", "muted")]]
    if view.lacks("reward.total"):
        return [[("no reward in this recipe", "muted")], cut(validation_row(view), cells)]
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
            row += [(" ", ""), (recent_line(view.history, name, LOOK_BACK, spark), name)]
        rows.append(cut(row, cells))
        if tall:
            history = recent_line(view.history, name, LOOK_BACK, cells - LABEL)
            rows += [[(f"  times {weight:g}".ljust(LABEL), "muted"), (history, name)], []]
    rows.append(cut(validation_row(view), cells))
    return rows


def validation_row(view: RunView) -> Row:
    """Write the last validation beside the better baseline and the best one, or when the first will come."""
    last, best = view.state.last_validation, view.state.best_validation
    label = ("validation".ljust(LABEL), "")
    if last is None or best is None:
        if view.facts.config.get("validate_on") == "none":
            return [label, ("none is made (validate_on)", "muted")]
        left = f", in about {duration(view.epoch_seconds)}" if math.isfinite(view.epoch_seconds) else ""
        return [label, (f"the first one follows epoch {view.state.epoch + 1}{left}", "muted")]
    cells, copied = last.cell_accuracy, last.number("copy_cell_accuracy")
    style = "positive" if cells > copied else ""
    row: Row = [label, (f"{cells:.1%}", style), (f" (copy {copied:.1%})", "muted")]
    return [*row, (f"  {last.exact:,}/{last.inputs:,} exact, best {best.exact:,}", "")]
