"""The curves of a run: every number of every step, kept so that any stretch costs the same to draw.

Beside the newest steps, kept one by one, stand rings of ever wider buckets; the widest holds the whole
run. Minimum and maximum survive in each, so a spike of one step is never lost, and a million steps take
no more memory than the rings have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arc_tui.runs.buckets import Buckets, Ring, buckets_of_table, empty_buckets, grouped
from arc_tui.runs.columns import Columns
from arc_tui.runs.digest import StepTable

CAPACITY = 8192
"""Buckets of a ring; so many of the newest steps are kept one by one."""

FACTOR = 4
"""How many times wider the buckets of the next ring are."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """A stretch of one series in so many columns, NaN where a column holds no value.

    Attributes:
        first: The step of the first column.
        last: The step of the last column.
        low: [columns] smallest value.
        high: [columns] largest value.
        mean: [columns] mean.
        final: [columns] value at the last step of the column.
        total: [columns] sum of the values, 0 where there is none.
        count: [columns] number of values.
        bad: [columns] how many numbers were not finite.
    """

    first: int
    last: int
    low: Numbers
    high: Numbers
    mean: Numbers
    final: Numbers
    total: Numbers
    count: NDArray[np.int64]
    bad: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.mean)


def columns_of(steps: NDArray[Any] | int, first: float, last: float, columns: int) -> NDArray[np.int64]:
    """Return the column of each step; the first step is in the first column, the last in the last."""
    span = max(last - first, 1)
    return np.floor((np.asarray(steps) - first) * ((columns - 1) / span) + 0.5).astype(np.int64)


def bridged(values: Numbers, window: Window) -> Numbers:
    """Return a curve without the holes of columns that no step falls into.

    A column whose numbers were all not finite stays a hole, and nothing is drawn beyond the ends.
    """
    known = np.flatnonzero(np.isfinite(values))
    if len(known) in (0, len(values)):
        return values
    at = np.arange(len(values))
    filled = np.interp(at, known, values[known], left=np.nan, right=np.nan)
    gaps = np.flatnonzero((window.bad > 0) & ~np.isfinite(values))
    if len(gaps):
        before = known[np.maximum(np.searchsorted(known, gaps) - 1, 0)]
        after = known[np.minimum(np.searchsorted(known, gaps), len(known) - 1)]
        for begin, end in {*zip(before.tolist(), after.tolist(), strict=True)}:
            filled[begin + 1 : end] = np.nan
    return filled


class SeriesStore:
    """All numbers of a run's steps by dotted name, in bounded memory.

    What tables have beside is kept from then on: a run may come to tell more.

    Args:
        columns: The numbers that are kept from the outset.
        capacity: Buckets of each ring, a multiple of `FACTOR`.
    """

    def __init__(self, columns: Columns, capacity: int = CAPACITY) -> None:
        self._columns = columns
        self._capacity = capacity
        self._rings = [Ring(len(columns), 1, capacity)]
        self.first_step = 0
        """The first step known; 0 before any is."""
        self.last_step = 0
        """The last step known; 0 before any is."""

    @property
    def bytes(self) -> int:
        """Memory that the rings take."""
        per_bucket = len(self._columns) * (3 * 4 + 8 + 2 * 4) + 2 * 8
        return len(self._rings) * self._capacity * per_bucket

    def add(self, table: StepTable, highest: int = 0) -> None:
        """Add steps, newer or older than those known.

        Args:
            table: The steps.
            highest: A step for which room is made even if it is not in the table.
        """
        self._widen(self._columns.with_those_of(table.columns))
        table = _rising(table.laid_out(self._columns))
        top = max(highest, int(table.steps[-1]) if len(table) else 0)
        self._make_room(top)
        if not len(table):
            return
        self.first_step = min(self.first_step or MOST, int(table.steps[0]))
        self.last_step = max(self.last_step, int(table.steps[-1]))
        buckets = buckets_of_table(table)
        for ring in self._rings:
            # Rings that hold only newer steps are passed over: the next takes the buckets as they are.
            if table.steps[-1] >= ring.first_step:
                buckets = grouped(buckets, buckets.final_step // ring.width)
                ring.merge(buckets)

    def truncate(self, step: int) -> None:
        """Forget what came after a step.

        A bucket that holds earlier and later steps is made anew from the narrower ones; those narrower
        buckets are gone when the resume reaches further back than they do, and the earlier steps of that
        one bucket with them.
        """
        if step >= self.last_step:
            return
        finer: Ring | None = None
        for ring in self._rings:
            ring.clear_after(step)
            if finer is not None:
                index = step // ring.width
                ratio = ring.width // finer.width
                again = finer.read(index * ratio, index * ratio + ratio - 1)
                if len(again) and not len(ring.read(index, index)) and index >= ring.floor:
                    ring.merge(grouped(again, np.full(len(again), index, np.int64)))
            finer = ring
        self.last_step = min(self.last_step, step)
        if self.last_step < self.first_step:
            self.first_step = self.last_step = 0

    def window(self, name: str, first: float, last: float, columns: int) -> Window:
        """Return a stretch of a series in columns.

        Args:
            name: Dotted name of the number; one that the steps do not have has no values.
            first: The step of the first column.
            last: The step of the last column, not before the first.
            columns: How many columns, at least 1. With fewer steps than columns some hold none.
        """
        ring = self._finest(math.ceil(first))
        found = self._read(name, ring, math.ceil(first) // ring.width, math.floor(last) // ring.width)
        low, high, mean, final = (np.full(columns, np.nan) for _ in range(4))
        total = np.zeros(columns)
        count, bad = np.zeros(columns, np.int64), np.zeros(columns, np.int64)
        if len(found):
            middle = np.clip(found.index * ring.width + (ring.width - 1) / 2, first, last)
            at = grouped(found, columns_of(middle, first, last, columns))
            where = at.index
            count[where], bad[where], total[where] = at.count[0], at.bad[0], at.total[0]
            known = at.count[0] > 0
            filled = where[known]
            low[filled], high[filled] = at.low[0][known], at.high[0][known]
            mean[filled] = at.total[0][known] / at.count[0][known]
            final[where] = at.final[0]
        return Window(math.ceil(first), math.floor(last), low, high, mean, final, total, count, bad)

    def smoothed(self, name: str, window: Window, half_life: float) -> Numbers:
        """Return the exponential moving average of a series in the columns of a window of it.

        What lies before the window counts too, so that the line does not change as the window moves.

        Args:
            name: Dotted name of the number.
            window: The stretch, as `window` returned it.
            half_life: Steps after which a value weighs half as much.

        Returns:
            [columns], NaN where the window has no value.
        """
        columns = len(window)
        per_column = max(window.last - window.first, 1) / max(columns - 1, 1)
        decay = 0.5 ** (per_column / half_life)
        reach = max(1, min(math.ceil(10 * half_life / per_column), 4 * columns))
        before = min(reach, math.ceil(max(window.first - self.first_step, 0) / per_column))
        total, count = window.total, window.count
        if before:
            start = window.first - before * per_column
            earlier = self.window(name, start, window.first - per_column, before)
            total, count = np.append(earlier.total, total), np.append(earlier.count, count)
        kernel = decay ** np.arange(min(reach, len(total)))
        weight = np.convolve(count, kernel)[before : before + columns]
        smooth = np.convolve(total, kernel)[before : before + columns]
        known = window.count > 0
        return np.divide(smooth, weight, out=np.full(columns, np.nan), where=known)

    def at(self, name: str, step: int) -> Window:
        """Return the narrowest bucket that still holds a step, as a window of one column."""
        ring = self._finest(step)
        first = step // ring.width * ring.width
        return self.window(name, first, first + ring.width - 1, 1)

    def steps(self, name: str, count: int) -> Numbers:
        """Return the last values of a series, one a step, oldest first; NaN where one was not finite.

        Args:
            name: Dotted name of the number.
            count: How many steps at most, up to the ring's capacity.
        """
        found = self._read(name, self._rings[0], self.last_step - count + 1, self.last_step)
        return found.final[0].astype(np.float64) if len(found) else np.zeros(0)

    def latest(self, name: str) -> float:
        """Return a number of the last step; NaN where it was not finite or is not known."""
        found = self._read(name, self._rings[0], self.last_step, self.last_step)
        return float(found.final[0, 0]) if len(found) else math.nan

    def _read(self, name: str, ring: Ring, first: int, last: int) -> Buckets:
        """Return the buckets of one number; none where the steps do not have it."""
        row = self._columns.row_of.get(name)
        return empty_buckets(1, 0) if row is None else ring.read(first, last, slice(row, row + 1))

    def _widen(self, columns: Columns) -> None:
        """Keep these numbers from now on: what is kept, and others behind it."""
        if columns is not self._columns:
            for ring in self._rings:
                ring.widen(len(columns))
            self._columns = columns

    def _finest(self, step: int) -> Ring:
        return next((ring for ring in self._rings if ring.first_step <= max(step, 0)), self._rings[-1])

    def _make_room(self, step: int) -> None:
        """Make every ring reach a step; a wider one is added before the widest has to give anything up."""
        while step // self._rings[-1].width >= self._capacity:
            widest = self._rings[-1]
            wider = Ring(len(self._columns), widest.width * FACTOR, self._capacity)
            known = widest.read(0, self._capacity - 1)
            if len(known):
                wider.merge(grouped(known, known.index // FACTOR))
            self._rings.append(wider)
        for ring in self._rings:
            ring.rise(step)


MOST = 1 << 62
"""Larger than any step."""


def _rising(table: StepTable) -> StepTable:
    """Return a table with each step once, the last event of each, in rising order."""
    if len(table) < 2 or bool(np.all(table.steps[1:] > table.steps[:-1])):
        return table
    _, position = np.unique(table.steps[::-1], return_index=True)
    return table.select(len(table) - 1 - position)
