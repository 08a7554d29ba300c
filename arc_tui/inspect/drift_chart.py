"""How a layer has drifted over a run, and a metric beside it, as two charts over the same steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from arc_core.text import printable
from arc_tui import axes, charts
from arc_tui.charts import Curve, Plot
from arc_tui.inspect.timeline import Drift, Mark
from arc_tui.rows import Row
from arc_tui.series import Window

LEAST_LINES = 5


def chart_rows(
    name: str,
    points: Sequence[tuple[int, float]],
    span: tuple[int, int],
    style: str,
    cells: int,
    lines: int,
    *,
    cursor: int | None,
    plain: bool,
    empty: str,
) -> list[Row]:
    """Draw one number over steps, with its name above.

    Args:
        name: What it is.
        points: Steps and values; those that are not finite leave a gap.
        span: First and last step of the chart.
        style: Of its line.
        cells: Width.
        lines: Height, the name's line included.
        cursor: The step that is chosen.
        plain: Whether to draw in ASCII.
        empty: What to say while there is nothing.
    """
    if lines < LEAST_LINES or cells < charts.LEAST_WIDTH:
        return []
    window = _window([(step, value) for step, value in points if span[0] <= step <= span[1]], span, cells)
    now = next((value for step, value in points if step == cursor), math.nan)
    told = f"{now:.4g}" if math.isfinite(now) else "-"
    head: Row = [(f" {printable(name, 100)} ", "title"), (told, "readout")]
    curve = Curve(name, window, None, style)
    plot = Plot(span[0], span[1], [curve] if points else [], cursor=cursor, plain=plain, empty=empty)
    return [head, *charts.draw(plot, cells, lines - 1)]


def _window(points: Sequence[tuple[int, float]], span: tuple[int, int], cells: int) -> Window:
    """Put points into the columns of a chart, two for each cell."""
    columns = 2 * charts.plot_cells(cells)
    values = np.full(columns, np.nan)
    count = np.zeros(columns, np.int64)
    bad = np.zeros(columns, np.int64)
    for step, value in points:
        column = min(axes.cell_of(step, span[0], span[1], columns), columns - 1)
        if math.isfinite(value):
            values[column] = value
            count[column] = 1
        else:
            bad[column] = 1
    total = np.nan_to_num(values)
    return Window(span[0], span[1], values, values, values, values, total, count, bad)


def span_of(marks: Sequence[Mark]) -> tuple[int, int]:
    """Return the first and last step of a timeline, at least one apart."""
    steps = [mark.step for mark in marks if mark.step is not None] or [0]
    return min(steps), max(max(steps), min(steps) + 1)


def drift_points(found: Sequence[Drift]) -> list[tuple[int, float]]:
    """Return how far the layer is from the first checkpoint, by step."""
    return [(one.mark.step, one.since_first) for one in found if one.mark.step is not None]


def metric_points(marks: Sequence[Mark], metric: str) -> list[tuple[int, float]]:
    """Return a metric by step."""
    return [
        (mark.step, mark.metrics[metric])
        for mark in marks
        if mark.step is not None and metric in mark.metrics
    ]


def metrics_of(marks: Sequence[Mark]) -> list[str]:
    """Return the names of all metrics, the loss first."""
    names = sorted({name for mark in marks for name in mark.metrics} - {"step"})
    return sorted(names, key=lambda name: name != "loss")
