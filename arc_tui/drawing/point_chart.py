"""A chart of a few points: one number over steps, with its name and its value above."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from arc_core.base.text import printable
from arc_tui.drawing import axes, charts
from arc_tui.drawing.charts import Curve, Plot
from arc_tui.drawing.rows import Row
from arc_tui.runs.series import Window

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
    log: bool = False,
) -> list[Row]:
    """Draw one number over steps, with its name above.

    Args:
        name: What it is.
        points: Steps and values; those that are not finite leave a gap.
        span: First and last step of the chart.
        style: Of its line.
        cells: Width.
        lines: Height, the name's line included.
        cursor: The step that is chosen, whose value is told; None tells the last.
        plain: Whether to draw in ASCII.
        empty: What to say while there is nothing.
        log: Whether the scale is logarithmic.
    """
    if lines < LEAST_LINES or cells < charts.LEAST_WIDTH:
        return []
    window = _window([(step, value) for step, value in points if span[0] <= step <= span[1]], span, cells)
    now = next((value for step, value in reversed(points) if cursor in (None, step)), math.nan)
    told = f"{now:.4g}" if math.isfinite(now) else "-"
    head: Row = [(f" {printable(name, 100)} ", "title"), (told, "readout")]
    curve = Curve(name, window, None, style)
    plot = Plot(span[0], span[1], [curve] if points else [], log=log, cursor=cursor, plain=plain, empty=empty)
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
