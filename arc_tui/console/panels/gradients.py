"""Panel 6: gradient norms before clipping, how often they are clipped, rates, and mixed precision."""

from __future__ import annotations

import math

from arc_core.run.event_forms import COMPONENTS
from arc_tui.console.panels.chart_panel import ChartPanel
from arc_tui.drawing.bars import recent_line
from arc_tui.drawing.rows import Row, cut
from arc_tui.runs.view import RunView
from arc_tui.ui.chart import ChartSeries

LABEL = 9
LOOK_BACK = 400
OFTEN_CLIPPED = 0.9
"""A component whose gradient is clipped in more of the steps than this is marked."""


class GradientsPanel(ChartPanel):
    """A line for each parameter group."""

    DIGIT = 6
    SERIES = tuple(
        ChartSeries(f"grad_norm.{group}", group.replace("_", " "), f"grad_norm.{group}")
        for group in COMPONENTS[:4]
    )
    SCALES = True

    def rows_wanted(self, cells: int, lines: int) -> int:
        """Have a head above the groups, and mixed precision below them."""
        del cells, lines
        return len(COMPONENTS) + 2

    def draw(self, view: RunView, cells: int, lines: int) -> tuple[Row, list[Row]]:
        """Draw the groups."""
        clip = view.facts.clip_norm
        headline: Row = [(f"clip at {clip:g}", "muted")] if math.isfinite(clip) else []
        return headline, gradient_rows(view, cells, lines)


def gradient_rows(view: RunView, cells: int, lines: int) -> list[Row]:
    """Draw a line for each group: norm, history, clip share and learning rate.

    Args:
        view: The run.
        cells: Width of a row.
        lines: Rows that there is room for; the last one is for mixed precision.
    """
    if view.state.last_step is None:
        return [[("waits for the first step", "muted")]]
    clip = view.facts.clip_norm
    spark = max(0, min(cells - LABEL - 9 - 6 - 10, 40))
    rows: list[Row] = []
    if lines >= len(COMPONENTS) + 2:
        rows.append(_head(spark))
    for group in COMPONENTS:
        name = f"grad_norm.{group}"
        if view.lacks(name):
            continue
        norm, rate = view.latest(name), view.latest(f"learning_rate.{group}")
        share = view.history.clip_share(name, clip) if math.isfinite(clip) else math.nan
        clipped = f"{share:5.0%}" if math.isfinite(share) else "    -"
        style = (
            "mark.nan" if not math.isfinite(norm) else "fix.failing" if norm == 0 and group == "lm" else ""
        )
        row: Row = [(group.replace("_", " ").ljust(LABEL), ""), (f"{norm:8.1e} ", style)]
        if spark:
            row += [(recent_line(view.history, name, LOOK_BACK, spark), name), (" ", "")]
        sign = "!" if share > OFTEN_CLIPPED else " "
        row += [(f"{clipped}{sign}", "muted"), (f" {rate:8.1e}", "")]
        rows.append(cut(row, cells))
    rows.append(cut(_amp_row(view), cells))
    return rows


def _head(spark: int) -> Row:
    blank = " " * (spark + 1 if spark else 0)
    return [("".ljust(LABEL) + "    norm " + blank + " clip      rate", "muted")]


def _amp_row(view: RunView) -> Row:
    scale, skipped = view.latest("amp.scale"), view.count("amp.skipped_steps")
    row: Row = [("amp".ljust(LABEL), ""), (f"scale {scale:g}", "")]
    row.append(
        (f"  {skipped:,} step{'' if skipped == 1 else 's'} skipped", "warning" if skipped else "muted")
    )
    return row
