"""Line charts: each curve as a mean line over the envelope that keeps its spikes, and marks on the axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arc_tui.drawing.axes import Axis, exact, linear, logarithmic, written
from arc_tui.report.svg import Markup, element, label, path, text_of
from arc_tui.runs.marks import Mark, MarkKind

WIDTH, HEIGHT = 760.0, 280.0
"""Size of a chart, in the units of its drawing."""

MOST_COLUMNS = 700
"""Points that a curve is drawn with at most; the envelope covers what lies between."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 14.0, 46.0, 55.0
_LETTER = 6.2
"""Width of a letter of the legend, about."""

_IN_LEGEND, _BETWEEN = 40.0, 14.0
"""What a curve takes of the legend beside its name, and how much of that parts it from the next."""

_CLOSEST_MARKS = 5.0
_BELOW, _FURTHER_BELOW, _ABOVE, _WITHIN = 8.0, 17.0, -2.0, 12.0
"""Lanes of marks, counted from the lower edge of the chart and from the upper one."""

_LANES = {
    MarkKind.CHECKPOINT: _FURTHER_BELOW,
    MarkKind.CHECKPOINT_FAILED: _FURTHER_BELOW,
    MarkKind.NAN: _ABOVE,
    MarkKind.WARNING: _WITHIN,
}
"""Marks that often share a step, as an epoch's validation, warning and checkpoint, each have a lane."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class CurvePoints:
    """One line of a chart, at n steps.

    Attributes:
        steps: [n] where, rising.
        name: What stands in the legend.
        look: `loss`, `efe`, or the number of a palette colour.
        low: [n] smallest value around each, NaN where there is none.
        high: [n] largest value.
        mean: [n] mean.
        smooth: [n] mean line over what came before; None draws none.
        dash: Which dashes set it apart where colour does not; 0 for a solid line.
        sign: A letter that stands on the line; empty for none.
    """

    steps: Numbers
    name: str
    look: str
    low: Numbers
    high: Numbers
    mean: Numbers
    smooth: Numbers | None = None
    dash: int = 0
    sign: str = ""


MARKS = {
    MarkKind.CHECKPOINT: "checkpoint",
    MarkKind.CHECKPOINT_FAILED: "failed checkpoint",
    MarkKind.VALIDATION: "validation",
    MarkKind.RATE: "setting changed",
    MarkKind.RESUME: "resumed",
    MarkKind.WARNING: "warning",
    MarkKind.NAN: "not finite",
}
"""Kinds of marks that are drawn, and their names in the legend; the ends of epochs are not."""


@dataclass(frozen=True)
class LineChart:
    """A chart to draw.

    Attributes:
        title: Its heading.
        first: The step of the first column.
        last: The step of the last column.
        curves: Its lines.
        marks: What happened.
        log: Whether the values rise by ratios.
        zero: Whether zero is always shown, with a line.
    """

    title: str
    first: int
    last: int
    curves: Sequence[CurvePoints]
    marks: Sequence[Mark] = ()
    log: bool = False
    zero: bool = False


def draw(chart: LineChart, width: float = WIDTH, height: float = HEIGHT) -> Markup:
    """Draw a chart as the content of an `svg` element of this size."""
    right, bottom = width - _RIGHT, height - _BOTTOM
    across = exact(chart.first, chart.last, _LEFT, right)
    up, hidden = _value_axis(chart, bottom)
    parts = [element("rect", class_="ground", width=width, height=height)]
    parts.append(label(_LEFT, 18, chart.title, class_="title"))
    parts += _legend(chart, right)
    if hidden:
        note = f"{hidden} {'value' if hidden == 1 else 'values'} at or below zero, at the lower edge"
        parts.append(label(right, 18, note, class_="note", text_anchor="end"))
    parts += _frame(across, up, right, bottom)
    if chart.zero and not chart.log and up.low < 0 < up.high:
        parts.append(element("path", class_="zero", d=f"M{_LEFT} {up.at(0):.2f}H{right}"))
    for curve in chart.curves:
        parts += _curve(curve, across, up)
    parts += _signs(chart, across, up)
    parts += _marks(chart, across, bottom)
    if not any(np.isfinite(curve.mean).any() for curve in chart.curves):
        middle = ((_LEFT + right) / 2, (_TOP + bottom) / 2)
        parts.append(label(*middle, "no numbers yet", class_="note", text_anchor="middle"))
    return "".join(parts)


def columns(first: int, last: int) -> int:
    """Return in how many columns the steps from first to last are to be drawn."""
    return max(1, min(MOST_COLUMNS, last - first + 1))


def _value_axis(chart: LineChart, bottom: float) -> tuple[Axis, int]:
    """Return the axis of the values, and how many columns have values that a log axis cannot show."""
    low = np.concatenate([curve.low for curve in chart.curves]) if chart.curves else np.zeros(0)
    high = np.concatenate([curve.high for curve in chart.curves]) if chart.curves else np.zeros(0)
    low, high = low[np.isfinite(low)], high[np.isfinite(high)]
    if chart.log and len(high) and high.max() > 0:
        shown = np.concatenate([low[low > 0], high[high > 0]])
        return logarithmic(float(shown.min()), float(shown.max()), bottom, _TOP), int((low <= 0).sum())
    if not len(low):
        return linear(0.0, 1.0, bottom, _TOP), 0
    smallest, largest = float(low.min()), float(high.max())
    if chart.zero:
        smallest, largest = min(smallest, 0.0), max(largest, 0.0)
    return linear(smallest, largest, bottom, _TOP), 0


def _frame(across: Axis, up: Axis, right: float, bottom: float) -> list[Markup]:
    parts: list[Markup] = []
    for tick in up.ticks:
        y = up.at(tick)
        parts.append(element("path", class_="rule", d=f"M{_LEFT} {y:.2f}H{right}"))
        parts.append(label(_LEFT - 7, y + 4, written(tick), class_="tick", text_anchor="end"))
    for tick in across.ticks:
        x = across.at(tick)
        parts.append(element("path", class_="frame", d=f"M{x:.2f} {bottom}v4"))
        parts.append(label(x, bottom + 33, written(tick), class_="tick", text_anchor="middle"))
    parts.append(element("path", class_="frame", d=f"M{_LEFT} {_TOP}V{bottom}H{right}"))
    parts.append(label(_LEFT - 7, bottom + 33, "step", class_="tick", text_anchor="end"))
    return parts


def _curve(curve: CurvePoints, across: Axis, up: Axis) -> list[Markup]:
    x = [across.at(float(step)) for step in curve.steps]

    def points(values: Numbers) -> list[tuple[float, float] | None]:
        return [
            (at, up.at(float(value))) if math.isfinite(value) else None
            for at, value in zip(x, values, strict=True)
        ]

    dash = f" dash-{curve.dash}" if curve.dash else ""
    main = {"class_": f"curve line-{curve.look}{dash}"}
    parts: list[Markup] = []
    if np.nanmax(curve.high - curve.low, initial=0.0) > 0:
        parts += _band(points(curve.low), points(curve.high), f"band fill-{curve.look}")
    elif curve.smooth is not None:
        parts.append(path(points(curve.mean), class_=f"raw line-{curve.look}"))
    parts.append(path(points(curve.mean if curve.smooth is None else curve.smooth), **main))
    return parts


def _band(
    low: Sequence[tuple[float, float] | None], high: Sequence[tuple[float, float] | None], look: str
) -> list[Markup]:
    """Fill what lies between two lines; a gap in them is a gap in the band."""
    parts: list[Markup] = []
    stretch: list[tuple[tuple[float, float], tuple[float, float]]] = []
    for pair in [*zip(low, high, strict=True), (None, None)]:
        if pair[0] is not None and pair[1] is not None:
            stretch.append((pair[0], pair[1]))
        elif stretch:
            outline = [top for _, top in stretch] + [bottom for bottom, _ in reversed(stretch)]
            if len(stretch) == 1:  # a column alone: as wide as the eye needs
                (x, bottom), (_, top) = stretch[0]
                outline = [(x - 0.6, top), (x + 0.6, top), (x + 0.6, bottom), (x - 0.6, bottom)]
            parts.append(
                element("polygon", class_=look, points=" ".join(f"{x:.2f},{y:.2f}" for x, y in outline))
            )
            stretch = []
    return parts


def _signs(chart: LineChart, across: Axis, up: Axis) -> list[Markup]:
    """Write each curve's letter on it, each at steps of its own, so that none hides another's."""
    parts: list[Markup] = []
    for place, curve in enumerate(chart.curves):
        known = np.flatnonzero(np.isfinite(curve.mean))
        if not curve.sign or not len(known):
            continue
        wanted = chart.first + (place + 0.5) / len(chart.curves) * (chart.last - chart.first)
        at = known[np.abs(curve.steps[known] - wanted).argmin()]
        x, y = across.at(float(curve.steps[at])), up.at(float(curve.mean[at]))
        parts.append(label(x, y - 4, curve.sign, class_="sign", text_anchor="middle"))
    return parts


def fits_legend(names: Sequence[str], width: float = WIDTH) -> bool:
    """Whether the names of all curves fit into the legend."""
    return _LEFT + sum(_IN_LEGEND + len(name) * _LETTER for name in names) <= width - _RIGHT + _BETWEEN


def _legend(chart: LineChart, right: float) -> list[Markup]:
    parts: list[Markup] = []
    x = _LEFT
    for curve in chart.curves:
        name = curve.name
        if x + _IN_LEGEND - _BETWEEN + len(name) * _LETTER > right:
            break
        dash = f" dash-{curve.dash}" if curve.dash else ""
        parts.append(element("path", class_=f"curve line-{curve.look}{dash}", d=f"M{x:.1f} 34h18"))
        parts.append(label(x + 23, 38, name, class_="tick"))
        x += _IN_LEGEND + len(name) * _LETTER
    return parts


def _marks(chart: LineChart, across: Axis, bottom: float) -> list[Markup]:
    parts: list[Markup] = []
    drawn: dict[MarkKind, float] = {}
    for mark in sorted(chart.marks, key=lambda mark: mark.step):
        if mark.kind not in MARKS or not chart.first <= mark.step <= chart.last:
            continue
        x = across.at(mark.step)
        if x - drawn.get(mark.kind, -math.inf) < _CLOSEST_MARKS:
            continue
        drawn[mark.kind] = x
        if mark.kind is MarkKind.NAN:
            parts.append(element("path", class_="l-nan", d=f"M{x:.2f} {_TOP}V{bottom}"))
        lane = _LANES.get(mark.kind, _BELOW)
        y = lane + (_TOP if mark.kind in (MarkKind.NAN, MarkKind.WARNING) else bottom)
        tip = element("title", text_of(f"step {mark.step:,}: {mark.text}"))
        parts.append(element("g", tip, _sign(mark.kind, x, y)))
    x = _LEFT
    for kind in (kind for kind in MARKS if kind in drawn):
        parts.append(_sign(kind, x + 4, bottom + 44))
        parts.append(label(x + 13, bottom + 48, MARKS[kind], class_="tick"))
        x += 34 + len(MARKS[kind]) * _LETTER
    return parts


def _sign(kind: MarkKind, x: float, y: float) -> Markup:
    """Draw the sign of a kind of mark; each has a form of its own beside its colour."""
    look = {"class_": f"m-{kind.value}"}
    if kind in (MarkKind.CHECKPOINT, MarkKind.CHECKPOINT_FAILED):
        box = element("rect", x=x - 3.5, y=y - 3.5, width=7, height=7, **look)
        cross = element(
            "path", d=f"M{x - 6:.2f} {y - 6:.2f}l12 12M{x - 6:.2f} {y + 6:.2f}l12 -12", class_="l-nan"
        )
        return box + (cross if kind is MarkKind.CHECKPOINT_FAILED else "")
    if kind is MarkKind.VALIDATION:
        return element("circle", cx=x, cy=y, r=4, **look)
    shapes = {
        MarkKind.RATE: "-4.5,4 4.5,4 0,-4.5",
        MarkKind.RESUME: "0,-5 5,0 0,5 -5,0",
        MarkKind.WARNING: "-1.4,-5 1.4,-5 0.9,1 -0.9,1 -0.9,2.5 0.9,2.5 0.9,5 -0.9,5 -0.9,2.5",
        MarkKind.NAN: "-5,-3.4 -3.4,-5 0,-1.6 3.4,-5 5,-3.4 1.6,0 5,3.4 3.4,5 0,1.6 -3.4,5 -5,3.4 -1.6,0",
    }
    moved = [tuple(map(float, pair.split(","))) for pair in shapes[kind].split()]
    return element("polygon", points=" ".join(f"{x + dx:.2f},{y + dy:.2f}" for dx, dy in moved), **look)
