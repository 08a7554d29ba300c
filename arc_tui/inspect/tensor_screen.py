"""One tensor: its statistics, its histogram, and a map of its elements."""

from __future__ import annotations

import math
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.message import Message

from arc_core.base.text import printable
from arc_tui.drawing.rows import Row, beside
from arc_tui.inspect.browsed import Browsed
from arc_tui.inspect.detail_rows import (
    HISTOGRAM_LINES,
    head_rows,
    histogram_rows,
    statistics_rows,
    update_rows,
)
from arc_tui.inspect.facts import position
from arc_tui.inspect.heat_map import HeatMap
from arc_tui.inspect.tensors.binning import Statistics
from arc_tui.inspect.tensors.moments import Update, updates
from arc_tui.inspect.tensors.statistics import statistics
from arc_tui.ui.actions import Scope
from arc_tui.ui.jobs import Job
from arc_tui.ui.rows_view import RowsView
from arc_tui.ui.screen import JobScreen

BESIDE = 110
"""Cells from which the histogram stands beside the statistics."""
LARGEST_UPDATE = 256 << 20
"""Bytes of a parameter up to which its moments are read without being asked for."""


class TensorScreen(JobScreen[None]):
    """Shows a tensor.

    Args:
        browsed: The checkpoint; statistics are kept in it.
        place: The tensor.
    """

    SCOPE = Scope.TENSOR
    AUTO_FOCUS: ClassVar[str | None] = "HeatMap"
    DEFAULT_CSS = """
    TensorScreen #facts { height: auto; max-height: 50%; background: $surface-background; padding: 0 1; }
    TensorScreen #cursor { height: 1; background: $surface-background; }
    """

    class Computed(Message):
        """The tensor's statistics have been computed."""

        def __init__(self, found: Statistics, update: Update | None) -> None:
            super().__init__()
            self.found = found
            self.update = update

    def __init__(self, browsed: Browsed, place: int) -> None:
        super().__init__()
        self.browsed = browsed
        self.place = place
        self._powers = False
        self._update: Update | None = None
        self._odd_at = -1

    def compose(self) -> ComposeResult:
        """Make the parts."""
        yield RowsView(id="facts")
        yield RowsView(id="cursor")
        yield HeatMap(self.browsed.checkpoint, self.place)
        yield RowsView(classes="told")
        yield self.key_line()

    def on_mount(self) -> None:
        """Compute what is not known yet."""
        known = self.browsed.statistics.get(self.place)
        if known is not None:
            self.query_one(HeatMap).take_scale(known)
        self.compute("statistics of this tensor; Esc calls it off", self._work)

    def _work(self, job: Job) -> None:
        checkpoint, state = self.browsed.checkpoint, self.browsed.training
        found = self.browsed.statistics.get(self.place)
        if found is None:
            for _, found in statistics(checkpoint, [self.place], progress=job.progress):
                self.post_message(self.Computed(found, None))
        update = None
        if state is not None and int(checkpoint.table.bytes[self.place]) <= LARGEST_UPDATE:
            update = next(updates(checkpoint, state.groups, checkpoint.table.names[self.place]), None)
        if found is not None:
            self.post_message(self.Computed(found, update))

    @on(Computed)
    def take_statistics(self, message: Computed) -> None:
        """Keep what has been computed, and show it."""
        self.browsed.statistics[self.place] = message.found
        self._update = message.update or self._update
        self.query_one(HeatMap).take_scale(message.found)
        self.redraw()

    @on(HeatMap.Failed)
    def reading_failed(self, message: HeatMap.Failed) -> None:
        """Say why there is nothing to see."""
        self.tell(f"✗ {message.problem}", "error")

    def redraw(self) -> None:
        """Draw statistics and histogram."""
        view = self.query_one("#facts", RowsView)
        cells = self.size.width - 2
        if cells < 10:
            return
        rows = self._fact_rows(cells)
        view.show(rows)
        self.show_cursor()

    def _fact_rows(self, cells: int) -> list[Row]:
        checkpoint, found = self.browsed.checkpoint, self.browsed.statistics.get(self.place)
        shape = checkpoint.table.shapes[self.place]
        if found is None:
            return head_rows(checkpoint, self.place, cells)
        if cells < BESIDE:
            rows = head_rows(checkpoint, self.place, cells) + statistics_rows(found, shape, cells)
            rows += update_rows(self._update)
            lines = max(min(self.size.height // 2 - len(rows), HISTOGRAM_LINES), 0)
            return rows + histogram_rows(found, min(cells, 64), lines, powers=self._powers)
        half = cells // 2 - 1
        left = head_rows(checkpoint, self.place, half) + statistics_rows(found, shape, half)
        left += update_rows(self._update)
        right = histogram_rows(found, cells - half - 2, max(len(left), HISTOGRAM_LINES), powers=self._powers)
        return beside([(left, half), (right, cells - half - 2)])

    @on(HeatMap.CursorMoved)
    def show_cursor(self) -> None:
        """Write the element under the cursor."""
        heat = self.query_one(HeatMap)
        shape = self.browsed.checkpoint.table.shapes[self.place]
        if not heat.matrix.elements:
            self.query_one("#cursor", RowsView).show([[(" no elements", "muted")]])
            return
        value = heat.value
        at = str(list(position(heat.element, shape)))
        told = "is being read" if value is None else _exact(value)
        rows, columns = f"{heat.matrix.rows:,}", f"{heat.matrix.columns:,}"
        row: Row = [
            (f" {at} ", "readout"),
            (f"= {told}", "readout"),
            (f"    {rows} rows of {columns}, the first dimension by the others", "muted"),
        ]
        self.query_one("#cursor", RowsView).show([row])

    def copied(self) -> str | None:
        """Return the element under the cursor."""
        value = self.query_one(HeatMap).value
        return None if value is None else _exact(value)

    # Actions

    def action_move(self, rows: int, columns: int) -> None:
        """Move the cursor."""
        self.query_one(HeatMap).move(rows, columns)

    def action_page(self, rows: int, columns: int) -> None:
        """Move the cursor by what is seen."""
        heat = self.query_one(HeatMap)
        heat.move(rows * heat.extent[0], columns * heat.extent[1])

    def action_jump(self, to_end: int) -> None:
        """Go to the first element or the last."""
        heat = self.query_one(HeatMap)
        heat.go_to(heat.matrix.elements - 1 if to_end else 0)

    def action_odd(self) -> None:
        """Go to the next of the first elements that are not finite."""
        found = self.browsed.statistics.get(self.place)
        places = sorted((*found.first_nans, *found.first_infinities)) if found is not None else []
        if not places:
            self.tell("Every element is finite" if found is not None else "Its statistics are not known yet")
            return
        self._odd_at = (self._odd_at + 1) % len(places)
        self.query_one(HeatMap).go_to(places[self._odd_at])

    def action_scale(self) -> None:
        """Draw the histogram by values, or by powers of two."""
        self._powers = not self._powers
        self.redraw()


def _exact(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return printable(f"{value:.9g}")
