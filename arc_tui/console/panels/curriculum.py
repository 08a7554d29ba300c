"""Panel 4: the size term's schedule with "now" on it, and the memory's threshold, accuracy and entries."""

from __future__ import annotations

import math

from arc_core.pipeline.curriculum import SizeWarmupCurriculum
from arc_tui.console.panels.chart_panel import ChartPanel
from arc_tui.drawing.bars import recent_line
from arc_tui.drawing.rows import Row, cut
from arc_tui.runs.view import RunView
from arc_tui.ui.chart import ChartSeries

LABEL = 11
LOOK_BACK = 1000
CURVES = {
    "memory.threshold": "threshold",
    "memory.ema": "mean",
    "accuracy.cell": "accuracy",
    "memory.stored": "stored",
}
"""Numbers over time, and what they are called here."""


class CurriculumPanel(ChartPanel):
    """What the curriculum and the memory are at."""

    DIGIT = 4
    SERIES = (
        ChartSeries("memory.threshold", "threshold", "memory.threshold", smooth=False),
        ChartSeries("accuracy.cell", "accuracy", "accuracy.cell"),
    )
    LEAST = (0.0,)

    def rows_wanted(self, cells: int, lines: int) -> int:
        """Have the schedule, a gap and the memory."""
        del cells, lines
        return len(CURVES) + 4

    def draw(self, view: RunView, cells: int, lines: int) -> tuple[Row, list[Row]]:
        """Draw both."""
        weight = view.latest("curriculum.size_weight")
        headline: Row = [(f"{weight:.3f}", "")] if math.isfinite(weight) else []
        return headline, curriculum_rows(view, cells, lines)


def curriculum_rows(view: RunView, cells: int, lines: int) -> list[Row]:
    """Draw the schedule and the memory.

    Args:
        view: The run.
        cells: Width of a row.
        lines: Rows that there is room for.
    """
    if view.lacks("memory.ema"):
        return [[("neither size warm-up nor memory in this recipe", "muted")]]
    rows = schedule_rows(view.state.epoch, view.facts.epochs, cells)
    if view.state.last_step is None:
        return [*rows, [("memory waits for the first step", "muted")]]
    if view.facts.config.get("memory") is False:
        return [*rows, [("the memory is turned off", "muted")]]
    if lines >= len(rows) + len(CURVES) + 2:
        rows.append([])
    for name, label in CURVES.items():
        value = view.latest(name)
        shown = f"{value:7.0f}" if name == "memory.stored" else f"{value:7.4f}"
        spark = max(0, min(cells - LABEL - 8, 60))
        history = recent_line(view.history, name, LOOK_BACK, spark)
        rows.append(cut([(label.ljust(LABEL), ""), (f"{shown} ", ""), (history, name)], cells))
    capacity: object = view.facts.config.get("memory_capacity")
    of = f" of {capacity:,}" if isinstance(capacity, int) else ""
    rows.append(cut([("entries".ljust(LABEL), ""), (f"{view.count('memory.entries'):7,}{of}", "")], cells))
    return rows


def schedule_rows(epoch: int, epochs: int | None, cells: int) -> list[Row]:
    """Draw the weight of the size term by epoch, with a sign under the present one.

    Args:
        epoch: The present epoch, 0-based.
        epochs: Epochs of the run; None where that is not known.
        cells: Width of a row.
    """
    schedule = SizeWarmupCurriculum()
    shown = max(min(epochs or schedule.warmup_epochs + 2, max((cells - LABEL) // 6, 1)), 1)
    first = max(0, min(epoch - shown // 2, (epochs or shown) - shown))
    row: Row = [("size weight", "")]
    under: Row = [("", "")]
    for number in range(first, first + shown):
        text = f" {schedule.get_size_loss_weight(number):.3f}"
        row.append((text, "accent" if number == epoch else "muted"))
    place = min(max(epoch - first, 0), shown - 1)
    under = [(" " * (LABEL + 6 * place), ""), ("  ▲ now", "accent")]
    return [cut(row, cells), cut(under, cells)]
