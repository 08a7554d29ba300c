"""Panel 1: combined and EFE loss as a chart, and the contributions that add up to them."""

from __future__ import annotations

import math

from arc_core.run.event_forms import LOSS_TERMS
from arc_tui.console.panels.chart_panel import ChartPanel
from arc_tui.drawing.bars import recent_line, share_bar
from arc_tui.drawing.rows import Row, cut
from arc_tui.runs.view import RunView
from arc_tui.ui.chart import ChartSeries

TOTALS = ("efe_total", "combined")
LABEL, NUMBER, SHARE = 14, 9, 6
LOOK_BACK = 400
LEAST_BAR = 6

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


def contribution_rows(view: RunView, cells: int, lines: int) -> list[Row]:
    """Draw the contributions.

    Args:
        view: The run.
        cells: Width of a row.
        lines: Rows that there is room for: with ten or more each contribution has one and the totals
            follow; with fewer, two contributions share a row.
    """
    if view.state.last_step is None:
        return [[("waits for the first step", "muted")]]
    values = {name: view.latest(f"loss.{name}") for name in LOSS_TERMS if not view.lacks(f"loss.{name}")}
    whole = sum(abs(value) for value in values.values() if math.isfinite(value))
    if lines < len(values):
        return _paired(values, whole, cells)[:lines]
    room = max(cells - LABEL - NUMBER - SHARE, 0)
    spark = min(room if room < 2 * LEAST_BAR else room // 2, 30)
    bar = min(max(room - spark - 1, 0), 40)
    rows: list[Row] = []
    for name, value in values.items():
        share = abs(value) / whole if whole and math.isfinite(value) else 0.0
        row: Row = [(name.replace("_", " ").ljust(LABEL), f"loss.{name}"), _number(value)]
        row += [(f" {share:4.0%} ", "muted")]
        if spark:
            row += [(recent_line(view.history, f"loss.{name}", LOOK_BACK, spark), f"loss.{name}")]
        if bar >= LEAST_BAR:
            row += [(" ", ""), (share_bar(share, bar), f"loss.{name}")]
        rows.append(cut(row, cells))
    if lines >= len(values) + len(TOTALS):
        total = view.latest("loss.efe_total")
        added = sum(values.values())
        sign = "=" if abs(added - total) <= 1e-3 * max(1.0, abs(total)) else "≠"
        rows.append(cut([(f"{sign} EFE total".ljust(LABEL), "efe"), _number(total)], cells))
        rows.append(cut([("combined".ljust(LABEL), "loss"), _number(view.latest("loss.combined"))], cells))
    return rows


def _paired(values: dict[str, float], whole: float, cells: int) -> list[Row]:
    """Draw two contributions to a row, the largest first."""
    order = sorted(values, key=lambda name: -abs(values[name]) if math.isfinite(values[name]) else -math.inf)
    half = cells // 2
    rows: list[Row] = []
    for at in range(0, len(order), 2):
        row: Row = []
        for name in order[at : at + 2]:
            share = abs(values[name]) / whole if whole and math.isfinite(values[name]) else 0.0
            text = f"{values[name]:8.3f} {share:4.0%}"
            label = name.replace("_", " ")[: max(half - len(text) - 1, 3)]
            row += [(label.ljust(max(half - len(text) - 1, 3)), f"loss.{name}"), (text + " ", "")]
        rows.append(cut(row, cells))
    return rows


def _number(value: float) -> tuple[str, str]:
    return f"{value:{NUMBER}.4f}", "" if math.isfinite(value) else "mark.nan"
