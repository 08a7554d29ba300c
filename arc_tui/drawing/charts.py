"""Charts in braille: mean lines over the envelope that keeps their spikes, with axes, marks and a cursor.

Pure functions from numbers to rows of named styles. A chart costs the same whatever the run's length:
it is given columns, two for each cell, in which the history has summed up its steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from arc_tui.drawing import axes, braille
from arc_tui.drawing.rows import Row
from arc_tui.runs.marks import GLYPHS, PLAIN_GLYPHS, MarkKind
from arc_tui.runs.series import Window, bridged, columns_of

GUTTER = axes.LABEL_CELLS + 1
"""Cells to the left of the plot: a tick's text and the axis."""

BELOW = 2
"""Rows below the plot: the axis with its marks, and the steps."""

LEAST_WIDTH, LEAST_HEIGHT = GUTTER + 4, BELOW + 2

Values = NDArray[np.float64]
Steps = NDArray[np.int64]


@dataclass(frozen=True)
class Curve:
    """One line of a chart.

    Attributes:
        label: What the readout calls it.
        window: Its numbers, in twice as many columns as the plot has cells.
        smooth: [columns] its mean line; None draws the mean of each column.
        line: Style of the mean line.
        raw: Style of the envelope; empty for none.
        sign: A letter that stands on the line here and there, so that colour is not alone; empty for none.
        dash: How the line is broken, a place in `DASHES`; None takes that of its place among the curves.
    """

    label: str
    window: Window
    smooth: Values | None
    line: str
    raw: str = ""
    sign: str = ""
    dash: int | None = None


@dataclass(frozen=True)
class Plot:
    """A chart to draw.

    Attributes:
        first: The step at the left end.
        last: The step at the right end.
        curves: Its lines; those that come first lie on top.
        marks: Steps at which something happened, by its kind (`History.mark_steps`).
        log: Whether equal ratios are equally far apart.
        cursor: The step that the cursor is at; None without one.
        least: Values that are shown in any case.
        plain: Whether to draw in ASCII.
        empty: What to say while there is nothing to draw.
    """

    first: int
    last: int
    curves: Sequence[Curve]
    marks: Mapping[MarkKind, Steps] = field(default_factory=dict[MarkKind, Steps])
    log: bool = False
    cursor: int | None = None
    least: tuple[float, ...] = ()
    plain: bool = False
    empty: str = "waits for the first step"


DASHES = ("1", "1110", "10", "111010")
"""How the lines of several curves are broken, dot by dot, so that colour is not alone."""

SIGNS = ("━", "╍", "┈", "╌")
"""How the readout shows each of them."""

PLAIN_LINES = ("^~-_|", "*****", "ooooo", "+++++")
PLAIN_RAW = "':..:"
PLAIN_SIGNS = ("-", "*", "o", "+")

CELLS_OF_A_SIGN, LEAST_PERIOD = 6, 30
"""How far apart letters stand: so many cells for each curve, and between two of the same curve at least."""

_ON_AXIS = (
    MarkKind.NAN,
    MarkKind.CHECKPOINT_FAILED,
    MarkKind.RESUME,
    MarkKind.RATE,
    MarkKind.WARNING,
    MarkKind.VALIDATION,
    MarkKind.CHECKPOINT,
    MarkKind.EPOCH,
)
"""Kinds of marks, the ones that matter most first."""

MARK = "mark."
"""What the names of the marks' styles begin with."""

_REGULAR = frozenset({MarkKind.EPOCH, MarkKind.CHECKPOINT, MarkKind.VALIDATION, MarkKind.WARNING})
"""Kinds that say nothing more by their place once they are everywhere."""

MOST_LABELS = 8
"""So many of the last numbers that were not finite have their step beside them."""

_CLIPPED, _PLAIN_CLIPPED = "▾", "v"


def plot_cells(width: int) -> int:
    """Return how many cells a plot is wide in a chart of this width."""
    return max(width - GUTTER, 1)


def draw(plot: Plot, width: int, height: int) -> list[Row]:
    """Draw a chart.

    Args:
        plot: What to draw.
        width: Cells; below `LEAST_WIDTH` nothing is drawn.
        height: Rows; below `LEAST_HEIGHT` nothing is drawn.

    Returns:
        `height` rows of at most `width` cells.
    """
    if width < LEAST_WIDTH or height < LEAST_HEIGHT:
        return [[] for _ in range(max(height, 0))]
    cells, lines = plot_cells(width), height - BELOW
    if not any(bool((curve.window.count > 0).any() or (curve.window.bad > 0).any()) for curve in plot.curves):
        rows: list[Row] = [
            [(" " * (GUTTER - 1), ""), ("|" if plot.plain else "│", "axis")] for _ in range(lines)
        ]
        rows[lines // 2].append((f" {plot.empty}"[:cells], "muted"))
        return [*rows, _axis_row(plot, cells, {}), []]
    scale = scale_of(plot)
    canvas = braille.Canvas(lines, cells)
    labels = axes.value_labels(scale, lines)
    for row in labels:
        canvas.dotted(row, plain=plot.plain)
    for place in reversed(range(len(plot.curves))):
        _draw_envelope(canvas, plot, place, scale)
    _draw_cursor(canvas, plot)
    for place in reversed(range(len(plot.curves))):
        _draw_line(canvas, plot, place, scale)
    for place in reversed(range(len(plot.curves))):
        _draw_signs(canvas, plot, place, scale)
    _draw_clipped(canvas, plot, scale)
    _draw_nonfinite(canvas, plot)
    body = canvas.rows()
    steps = axes.step_labels(plot.first, plot.last, cells)
    return [
        *([*_gutter(labels.get(row), plain=plot.plain), *runs] for row, runs in enumerate(body)),
        _axis_row(plot, cells, steps),
        _step_row(steps, cells),
    ]


def scale_of(plot: Plot) -> axes.Scale:
    """Return the scale of a chart's values: all of them, spikes too, are on it."""
    values = [part for curve in plot.curves for part in (curve.window.low, curve.window.high)]
    values += [curve.window.mean for curve in plot.curves] if plot.log else []
    return axes.scale_of(values, log=plot.log, least=plot.least)


def clipped_columns(curve: Curve) -> int:
    """Return in how many columns a curve has values that a logarithmic scale cannot show."""
    return int(np.count_nonzero(curve.window.low <= 0))


def _draw_envelope(canvas: braille.Canvas, plot: Plot, place: int, scale: axes.Scale) -> None:
    curve = plot.curves[place]
    if not curve.raw:
        return
    window = curve.window
    top = scale.rows(bridged(window.high, window), canvas.dot_rows)
    bottom = scale.rows(bridged(window.low, window), canvas.dot_rows)
    # Neighbouring columns meet, so that few steps give a line and not a row of dots.
    dots = braille.spans(top, bottom, canvas.dot_rows)
    dots |= braille.line((top + bottom) / 2, canvas.dot_rows)
    canvas.paint(braille.in_ascii(dots, PLAIN_RAW) if plot.plain else braille.braille(dots), curve.raw)


def _draw_line(canvas: braille.Canvas, plot: Plot, place: int, scale: axes.Scale) -> None:
    curve = plot.curves[place]
    heights = _heights(canvas, plot, place, scale)
    dots = braille.line(heights, canvas.dot_rows)
    if plot.plain:
        signs = curve.sign * 5 or PLAIN_LINES[place % len(PLAIN_LINES)]
        canvas.paint(braille.in_ascii(dots, signs), curve.line)
        return
    dash = DASHES[(place if curve.dash is None else curve.dash) % len(DASHES)]
    dots &= np.resize(np.array([sign == "1" for sign in dash]), dots.shape[1])
    canvas.paint(braille.braille(dots), curve.line)


def _heights(canvas: braille.Canvas, plot: Plot, place: int, scale: axes.Scale) -> Values:
    """Return the row of dots that a curve's line is at in each column; NaN where it is nowhere."""
    curve = plot.curves[place]
    values = curve.window.mean if curve.smooth is None else curve.smooth
    if plot.log:
        values = np.where(values > 0, values, np.nan)
    return scale.rows(bridged(values, curve.window), canvas.dot_rows)


def _draw_signs(canvas: braille.Canvas, plot: Plot, place: int, scale: axes.Scale) -> None:
    """Put a curve's letter on its line, each at cells of its own, so that none hides another's."""
    curve = plot.curves[place]
    heights = _heights(canvas, plot, place, scale)[::2]
    known = np.flatnonzero(np.isfinite(heights))
    if not curve.sign or not len(known):
        return
    signs = sorted({other.sign for other in plot.curves})
    period = max(CELLS_OF_A_SIGN * len(signs), LEAST_PERIOD)
    first = round((signs.index(curve.sign) + 0.5) * min(period, canvas.cells) / len(signs))
    cells = [cell for cell in range(first, canvas.cells, period) if np.isfinite(heights[cell])]
    for cell in cells or [int(known[-1])]:
        canvas.put(round(heights[cell]) // braille.DOT_ROWS, cell, curve.sign, curve.line)


def _draw_clipped(canvas: braille.Canvas, plot: Plot, scale: axes.Scale) -> None:
    """Mark at the bottom where a logarithmic scale cannot show a value."""
    if not scale.log:
        return
    for curve in plot.curves:
        cells = (np.flatnonzero(curve.window.low <= 0) // 2).tolist()
        canvas.put_at(canvas.lines - 1, cells, _PLAIN_CLIPPED if plot.plain else _CLIPPED, "mark.clipped")


def _draw_cursor(canvas: braille.Canvas, plot: Plot) -> None:
    if plot.cursor is not None and plot.first <= plot.cursor <= plot.last:
        cell = axes.cell_of(plot.cursor, plot.first, plot.last, canvas.cells)
        canvas.column(cell, "|" if plot.plain else "│", "cursor")


def _draw_nonfinite(canvas: braille.Canvas, plot: Plot) -> None:
    """Pin what was not finite to the top, with its step where there is room."""
    at = _cells_of(plot, MarkKind.NAN, canvas.cells)
    columns = [np.flatnonzero(curve.window.bad > 0) // 2 for curve in plot.curves]
    glyph = (PLAIN_GLYPHS if plot.plain else GLYPHS)[MarkKind.NAN]
    canvas.put_at(0, np.concatenate([*columns, list(at)]).astype(int).tolist(), glyph, MARK + MarkKind.NAN)
    for cell, step in sorted(at.items(), reverse=True)[:MOST_LABELS]:
        text = f"{step:,}"
        for begin in (cell + 1, cell - len(text)):
            if canvas.is_free(0, begin, begin + len(text) - 1):
                canvas.put(0, begin, text, MARK + MarkKind.NAN)
                break


def _cells_of(plot: Plot, kind: MarkKind, cells: int) -> dict[int, int]:
    """Return the cells in which marks of a kind fall, each with the step of the last of them."""
    steps = plot.marks.get(kind, np.zeros(0, np.int64))
    steps = steps[(plot.first <= steps) & (steps <= plot.last)]
    at = columns_of(steps, plot.first, plot.last, 2 * cells) // 2
    return dict(zip(at.tolist(), steps.tolist(), strict=True))


def _gutter(label: str | None, *, plain: bool) -> Row:
    if label is None:
        return [(" " * (GUTTER - 1), ""), ("|" if plain else "│", "axis")]
    return [(label.rjust(GUTTER - 1)[: GUTTER - 1], "tick"), ("+" if plain else "┤", "axis")]


def _axis_row(plot: Plot, cells: int, steps: dict[int, str]) -> Row:
    """Draw the line below the plot with the marks on it."""
    canvas = braille.Canvas(1, cells)
    canvas.put(0, 0, ("-" if plot.plain else "─") * cells, "axis")
    for cell in steps:
        canvas.put(0, cell, "+" if plot.plain else "┴", "axis")
    glyphs = PLAIN_GLYPHS if plot.plain else GLYPHS
    for cell, kind in _marked_cells(plot, cells).items():
        canvas.put(0, cell, glyphs[kind], MARK + kind)
    corner = [(" " * (GUTTER - 1), ""), ("+" if plot.plain else "└", "axis")]
    return [*corner, *canvas.rows()[0]]


def _marked_cells(plot: Plot, cells: int) -> dict[int, MarkKind]:
    """Return the kind of mark that each cell shows; a lesser one gives way by a cell, or is left out."""
    shown: dict[int, MarkKind] = {}
    for kind in _ON_AXIS:
        at = _cells_of(plot, kind, cells)
        if kind in _REGULAR and len(at) > cells // 4:
            continue
        for cell in sorted(at):
            places = (cell,) if kind is MarkKind.EPOCH else (cell, cell - 1, cell + 1)
            place = next((p for p in places if p not in shown and 0 <= p < cells), None)
            if place is not None:
                shown[place] = kind
    return shown


def _step_row(steps: dict[int, str], cells: int) -> Row:
    """Write the steps below their ticks, none over another."""
    text, end = "", 0
    for cell, label in sorted(steps.items()):
        begin = min(max(cell - len(label) // 2, 0), cells - len(label))
        if begin >= end and begin >= 0:
            text = text.ljust(begin) + label
            end = begin + len(label) + 1
    return [(" " * GUTTER, ""), (text, "tick")]
