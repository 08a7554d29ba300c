"""A chart of a run's numbers: it follows the newest steps, or a cursor that keys and mouse move."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.message import Message

from arc_tui.drawing import axes, charts
from arc_tui.drawing.charts import Curve, Plot
from arc_tui.drawing.readout import Reading, readout
from arc_tui.drawing.rows import Row
from arc_tui.runs.comparison import GroupHistory
from arc_tui.runs.history import History
from arc_tui.runs.marks import Mark
from arc_tui.runs.series import Window, columns_of
from arc_tui.ui.rows_view import RowsView

CLOSEST = 20
"""Fewest steps that the chart zooms in to."""

ZOOM = 2
SMOOTHING = 50
"""The mean line's half-life is the stretch shown, divided by this."""

LEAST_HALF_LIFE = 3.0
LEAST_FOR_READOUT = 5
"""Rows below which the chart has no line of values above it."""

Source = History | GroupHistory
"""What a curve is drawn from: a run's numbers, or those of several runs as one."""


@dataclass(frozen=True)
class ChartSeries:
    """A curve to show.

    Attributes:
        name: Dotted name of the number.
        label: What the readout calls it.
        line: Style of its mean line.
        raw: Style of its envelope; empty for none.
        smooth: Whether the line is an exponential moving average; else the mean of each column.
        sign: A letter that stands on the line here and there, and before its label; empty for none.
        dash: How its line is broken, a place in `charts.DASHES`; None takes that of its place.
        told: Whether the line above the chart tells its value.
    """

    name: str
    label: str
    line: str
    raw: str = ""
    smooth: bool = True
    sign: str = ""
    dash: int | None = None
    told: bool = True


class Chart(RowsView, can_focus=True):
    """Draws series of one history, or of several beside each other.

    It has the actions of `actions.Scope.CHART` and leaves the keys to its screen. Whoever holds the cursor
    hears of it by `CursorMoved` and gives it back with `show_curves`; the chart does not wait for that.

    Args:
        marks: Whether to mark what happened.
        empty: What to say while there is nothing to draw.
    """

    ALLOW_SELECT = False
    """The mouse moves the cursor."""

    DEFAULT_CSS = """
    Chart { height: 1fr; width: 1fr; }
    """

    class CursorMoved(Message):
        """The user has moved the cursor to a step, or back to following the newest (None)."""

        def __init__(self, chart: Chart, step: int | None) -> None:
            super().__init__()
            self.chart = chart
            self.step = step

        @property
        def control(self) -> Chart:
            """The chart."""
            return self.chart

    def __init__(
        self,
        *,
        marks: bool = True,
        empty: str = "waits for the first step",
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._curves: list[tuple[Source, ChartSeries]] = []
        self._with_marks = marks
        self._least: tuple[float, ...] = ()
        self._empty = empty
        self._log = self._plain = False
        self._cursor: int | None = None
        self._hover: int | None = None
        self._span: int | None = None
        self._first = self._last = 0
        self._drawn: object = None

    @property
    def cursor(self) -> int | None:
        """The step that the cursor is at; None while the chart follows the newest."""
        return self._cursor

    @property
    def stretch(self) -> tuple[int, int]:
        """The first and the last step shown; 0 while there is none."""
        return self._first, self._last

    def show_curves(
        self,
        curves: Sequence[tuple[Source, ChartSeries]],
        *,
        cursor: int | None = None,
        log: bool = False,
        plain: bool = False,
        least: tuple[float, ...] = (),
    ) -> None:
        """Show series of a run, or of several, as they are now; marks are those of the first.

        Args:
            curves: Each with the numbers of its run; the first lies on top.
            cursor: The step that the cursor is at; None follows the newest.
            log: Whether the scale is logarithmic.
            plain: Whether to draw in ASCII.
            least: Values that are on the axis in any case.
        """
        self._curves = list(curves)
        self._cursor, self._log, self._plain, self._least = cursor, log, plain, least
        self.redraw()

    def redraw(self) -> None:
        """Draw again if anything has changed; only lines that differ are painted."""
        cells, lines = self.size
        seen = [(id(history), history.revision) for history, _ in self._curves]
        state = (cells, lines, seen, [series for _, series in self._curves], self._span)
        state = (*state, self._cursor, self._hover, self._log, self._plain, self._least)
        if state != self._drawn and cells > 0 and lines > 0:
            self._drawn = state
            self.show(self._draw(cells, lines))

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.redraw()

    def copied(self) -> str | None:
        """Return the values at the cursor, or the newest, as JSON; None before the first step."""
        if not self._last:
            return None
        step = self._cursor if self._cursor is not None else self._last
        of_one_run = len({id(history) for history, _ in self._curves}) == 1
        found: dict[str, float | None] = {"step": step}
        for history, series in self._curves:
            value = float(history.at(series.name, step).mean[0])
            found[series.name if of_one_run else series.label] = value if math.isfinite(value) else None
        return json.dumps(found)

    # Keys: the actions of `actions.Scope.CHART`

    def action_cursor_left(self) -> None:
        """Move the cursor one cell to the left."""
        self._move(-1)

    def action_cursor_right(self) -> None:
        """Move the cursor one cell to the right; beyond the newest step it follows live."""
        self._move(1)

    def action_cursor_home(self) -> None:
        """Move the cursor to the first step shown."""
        self._point(self._first or None)

    def action_cursor_end(self) -> None:
        """Move the cursor to the last step shown."""
        self._point(self._last or None)

    def action_zoom_in(self) -> None:
        """Show fewer steps, around the cursor or up to the newest."""
        self._zoom(1 / ZOOM)

    def action_zoom_out(self) -> None:
        """Show more steps, up to the whole run."""
        self._zoom(ZOOM)

    # Mouse

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Put the cursor where the mouse is."""
        if event.button == 1 and (step := self._step_at(event.x)) is not None:
            self.capture_mouse()
            self._point(step)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag the cursor, or read values where the mouse is."""
        step = self._step_at(event.x)
        if self.app.mouse_captured is self:
            if step is not None and step != self._cursor:
                self._point(step)
        elif step != self._hover:
            self._hover = step
            self.redraw()

    def on_mouse_up(self) -> None:
        """Let go of the cursor."""
        self.release_mouse()

    def on_leave(self) -> None:
        """Read the values at the cursor again."""
        if self._hover is not None:
            self._hover = None
            self.redraw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Show fewer steps."""
        event.stop()
        self._zoom(1 / ZOOM)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Show more steps."""
        event.stop()
        self._zoom(ZOOM)

    def _move(self, cells: int) -> None:
        if not self._last:
            return
        width = charts.plot_cells(self.size.width)
        if self._cursor is None:
            if cells < 0:
                self._point(self._last)
            return
        whole = max((history.last_step for history, _ in self._curves), default=0)
        step = max(1, round((self._last - self._first) / max(width - 1, 1)))
        moved = self._cursor + cells * step
        self._point(None if moved > whole else max(moved, self._whole()[0]))

    def _point(self, step: int | None) -> None:
        self._cursor, self._hover = step, None
        self.redraw()
        self.post_message(self.CursorMoved(self, step))

    def _zoom(self, factor: float) -> None:
        first, last = self._whole()
        if not last:
            return
        span = max(CLOSEST, round((self._last - self._first + 1) * factor))
        self._span = span if span < last - first + 1 else None
        self.redraw()

    def _step_at(self, x: int) -> int | None:
        cell = x - charts.GUTTER
        if not self._last or not 0 <= cell < charts.plot_cells(self.size.width):
            return None
        return axes.step_of(cell, self._first, self._last, charts.plot_cells(self.size.width))

    def _whole(self) -> tuple[int, int]:
        """Return the first and last step of all histories."""
        known = [history for history, _ in self._curves if history.last_step]
        return (
            min((history.first_step for history in known), default=0),
            max((history.last_step for history in known), default=0),
        )

    def _look(self) -> tuple[int, int]:
        """Return the stretch to show: it holds the cursor, and moves no further than that takes."""
        first, last = self._whole()
        if self._span is None or not last:
            return first, last
        end = last
        if self._cursor is not None:
            begin = min(max(self._first, self._cursor - self._span + 1), self._cursor)
            if not begin <= self._cursor < begin + self._span or self._last - self._first + 1 != self._span:
                begin = self._cursor - self._span // 2
            end = min(max(begin, first) + self._span - 1, last)
        return max(end - self._span + 1, first), end

    def _draw(self, cells: int, lines: int) -> list[Row]:
        self._first, self._last = self._look()
        columns = 2 * charts.plot_cells(cells)
        curves = [self._curve(history, series, columns) for history, series in self._curves]
        marked = self._marked
        marks = marked.mark_steps(self._first, self._last) if marked is not None else {}
        at = self._hover if self._hover is not None else self._cursor
        plot = Plot(
            self._first, self._last, curves, marks, self._log, at, self._least, self._plain, self._empty
        )
        if lines < LEAST_FOR_READOUT:
            return charts.draw(plot, cells, lines)
        return [self._readout(plot, cells), *charts.draw(plot, cells, lines - 1)]

    @property
    def _marked(self) -> History | None:
        """The history whose marks are shown; None where there are none."""
        first = self._curves[0][0] if self._with_marks and self._curves else None
        return first if isinstance(first, History) else None

    def _curve(self, source: Source, series: ChartSeries, columns: int) -> Curve:
        half_life = max((self._last - self._first + 1) / SMOOTHING, LEAST_HALF_LIFE)
        window, smooth = source.curve(
            series.name,
            self._first,
            max(self._last, self._first),
            columns,
            half_life if series.smooth else None,
        )
        return Curve(series.label, window, smooth, series.line, series.raw, series.sign, series.dash)

    def _readout(self, plot: Plot, cells: int) -> Row:
        if not self._last:
            return []
        width = charts.plot_cells(cells)
        step = plot.cursor if plot.cursor is not None else self._last
        column = int(columns_of(step, self._first, self._last, 2 * width))
        readings = [
            _reading(curve, history.at(series.name, step), min(max(column, 0), 2 * width - 1))
            for curve, (history, series) in zip(plot.curves, self._curves, strict=True)
            if series.told
        ]
        here = self._marks_at(step, width) if plot.cursor is not None else []
        clipped = sum(charts.clipped_columns(curve) for curve in plot.curves) if self._log else 0
        return readout(readings, cells, step=plot.cursor, marks=here, clipped=clipped, plain=self._plain)

    def _marks_at(self, step: int, width: int) -> list[Mark]:
        """Return the marks in the cell of a step, the newest first."""
        marked = self._marked
        if marked is None:
            return []
        cell = axes.cell_of(step, self._first, self._last, width)
        reach = 2 * (self._last - self._first) // max(width - 1, 1) + 1
        near = marked.marks(step - reach, step + reach)
        return [m for m in near[::-1] if axes.cell_of(m.step, self._first, self._last, width) == cell]


def _reading(curve: Curve, found: Window, column: int) -> Reading:
    smooth = math.nan
    if curve.smooth is not None:
        before = curve.smooth[: column + 1]
        known = before[before == before]  # without NaN
        smooth = float(known[-1]) if len(known) else math.nan
    return Reading(
        curve.label,
        curve.line,
        float(found.low[0]),
        float(found.high[0]),
        float(found.mean[0]),
        smooth,
        int(found.bad[0]),
        curve.sign,
    )
