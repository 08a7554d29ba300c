"""Steps summed up in buckets, and a ring of them: what a curve of any length is drawn from.

A bucket of width w with index i holds the steps i*w to (i+1)*w - 1. Buckets of all series are kept
beside each other: every array of values has one row a series and one column a bucket.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arc_tui.runs.digest import StepTable

Floats = NDArray[np.float32]
Counts = NDArray[np.uint32]


@dataclass
class Buckets:
    """Minimum, maximum, sum and more of each series over n stretches of steps.

    Attributes:
        index: [n] int64, rising.
        low: [series, n] float32 smallest value; infinity where there is none.
        high: [series, n] float32 largest value; minus infinity where there is none.
        total: [series, n] float64 sum of the values.
        final: [series, n] float32 value at the last step; NaN if it was not finite or is not there.
        count: [series, n] uint32 number of values.
        bad: [series, n] uint32 how many numbers were not finite.
        final_step: [n] int64 the last step seen in each; -1 where none was.
    """

    index: NDArray[np.int64]
    low: Floats
    high: Floats
    total: NDArray[np.float64]
    final: Floats
    count: Counts
    bad: Counts
    final_step: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.index)

    def part(self, where: slice | NDArray[np.int64], series: slice = slice(None)) -> Buckets:
        """Return some of the buckets, of all series or some of them."""
        return Buckets(
            self.index[where],
            self.low[series, where],
            self.high[series, where],
            self.total[series, where],
            self.final[series, where],
            self.count[series, where],
            self.bad[series, where],
            self.final_step[where],
        )


def empty_buckets(series: int, n: int) -> Buckets:
    """Return n buckets without a step in them, indexed from 0."""
    shape = (series, n)
    return Buckets(
        np.arange(n, dtype=np.int64),
        np.full(shape, np.inf, np.float32),
        np.full(shape, -np.inf, np.float32),
        np.zeros(shape, np.float64),
        np.full(shape, np.nan, np.float32),
        np.zeros(shape, np.uint32),
        np.zeros(shape, np.uint32),
        np.full(n, -1, np.int64),
    )


def buckets_of_table(table: StepTable) -> Buckets:
    """Return a bucket of width 1 for each step of a table whose steps rise."""
    values = table.values.astype(np.float32)
    known = np.isfinite(values)
    return Buckets(
        table.steps,
        np.where(known, values, np.float32(np.inf)),
        np.where(known, values, np.float32(-np.inf)),
        np.where(known, table.values, 0.0),
        values,
        known.astype(np.uint32),
        table.bad.astype(np.uint32),
        table.steps,
    )


def grouped(buckets: Buckets, groups: NDArray[np.int64]) -> Buckets:
    """Sum up neighbouring buckets.

    Args:
        buckets: At least one bucket.
        groups: [n] int64, never falling: the index of the new bucket that each goes into.
    """
    starts = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))
    if len(starts) == len(buckets):
        return Buckets(groups, *_values(buckets))
    ends = np.append(starts[1:], len(groups)) - 1
    return Buckets(
        groups[starts],
        np.minimum.reduceat(buckets.low, starts, axis=1),
        np.maximum.reduceat(buckets.high, starts, axis=1),
        np.add.reduceat(buckets.total, starts, axis=1),
        buckets.final[:, ends],
        np.add.reduceat(buckets.count, starts, axis=1),
        np.add.reduceat(buckets.bad, starts, axis=1),
        np.maximum.reduceat(buckets.final_step, starts),
    )


def _values(
    buckets: Buckets,
) -> tuple[Floats, Floats, NDArray[np.float64], Floats, Counts, Counts, NDArray[np.int64]]:
    found = buckets
    return found.low, found.high, found.total, found.final, found.count, found.bad, found.final_step


class Ring:
    """The newest buckets of one width, as many as there is room for.

    Args:
        series: Number of series.
        width: Steps in a bucket.
        capacity: Buckets that are kept.
    """

    def __init__(self, series: int, width: int, capacity: int) -> None:
        self.width = width
        self.capacity = capacity
        self._top = capacity - 1
        self._kept = empty_buckets(series, capacity)

    @property
    def floor(self) -> int:
        """Index of the oldest bucket that is kept."""
        return self._top - self.capacity + 1

    @property
    def first_step(self) -> int:
        """The first step that is kept; 0 while nothing has been given up."""
        return self.floor * self.width

    def rise(self, step: int) -> None:
        """Make room up to a step; the oldest buckets make way."""
        top = step // self.width
        if top <= self._top:
            return
        self._clear(max(self._top + 1, top - self.capacity + 1), top)
        self._top = top

    def widen(self, series: int) -> None:
        """Make room for more series, which have no values yet."""
        kept = self._kept
        more = empty_buckets(series - len(kept.low), self.capacity)
        self._kept = Buckets(
            kept.index,
            np.concatenate([kept.low, more.low]),
            np.concatenate([kept.high, more.high]),
            np.concatenate([kept.total, more.total]),
            np.concatenate([kept.final, more.final]),
            np.concatenate([kept.count, more.count]),
            np.concatenate([kept.bad, more.bad]),
            kept.final_step,
        )

    def merge(self, new: Buckets) -> None:
        """Add buckets of the ring's own width that hold a step each; those below the floor are left out."""
        if new.index[0] < self.floor:
            new = new.part(slice(int(np.searchsorted(new.index, self.floor)), None))
        if not len(new):
            return
        for slots, part in self._pieces(new.index):
            kept, piece = self._kept.part(slots), new.part(part)  # views; what is kept is written in place
            newer = piece.final_step > kept.final_step
            np.minimum(kept.low, piece.low, out=kept.low)
            np.maximum(kept.high, piece.high, out=kept.high)
            kept.total += piece.total
            kept.count += piece.count
            kept.bad += piece.bad
            np.copyto(kept.final, piece.final, where=newer)
            np.maximum(kept.final_step, piece.final_step, out=kept.final_step)

    def read(self, first: int, last: int, series: slice = slice(None)) -> Buckets:
        """Return the buckets with the indices first to last that hold a step, of all series or some."""
        first, last = max(first, self.floor), min(last, self._top)
        if last < first:
            return empty_buckets(len(self._kept.low[series]), 0)
        begin, end = first % self.capacity, last % self.capacity + 1
        if begin < end:
            found = self._kept.part(slice(begin, end), series)
        else:
            found = _joined(
                self._kept.part(slice(begin, None), series), self._kept.part(slice(0, end), series)
            )
        filled = np.flatnonzero(found.final_step >= 0)
        return found.part(filled, slice(None)) if len(filled) < len(found) else found

    def clear_after(self, step: int) -> None:
        """Forget every bucket that holds a later step, the one with `step` in it too if it does."""
        index = step // self.width
        if index < self.floor:
            self._clear(self.floor, self._top)
            return
        cut = index if self._kept.final_step[index % self.capacity] > step else index + 1
        self._clear(cut, self._top)

    def _clear(self, first: int, last: int) -> None:
        if last < first:
            return
        kept = self._kept
        indices = np.arange(max(first, last - self.capacity + 1), last + 1, dtype=np.int64)
        for slots, part in self._pieces(indices):
            kept.index[slots] = indices[part]
            kept.low[:, slots] = np.inf
            kept.high[:, slots] = -np.inf
            kept.total[:, slots] = 0.0
            kept.final[:, slots] = np.nan
            kept.count[:, slots] = 0
            kept.bad[:, slots] = 0
            kept.final_step[slots] = -1

    def _pieces(self, index: NDArray[np.int64]) -> list[tuple[slice, slice]]:
        """Cut rising indices into stretches whose places in the ring follow each other.

        Returns:
            The place of each stretch in the ring, and its place among the indices.
        """
        slots = index % self.capacity
        breaks = np.flatnonzero((np.diff(index) != 1) | (np.diff(slots) != 1)) + 1
        bounds = [0, *breaks.tolist(), len(index)]
        return [
            (slice(int(slots[begin]), int(slots[begin]) + end - begin), slice(begin, end))
            for begin, end in itertools.pairwise(bounds)
        ]


def _joined(one: Buckets, other: Buckets) -> Buckets:
    return Buckets(
        np.concatenate([one.index, other.index]),
        np.concatenate([one.low, other.low], axis=1),
        np.concatenate([one.high, other.high], axis=1),
        np.concatenate([one.total, other.total], axis=1),
        np.concatenate([one.final, other.final], axis=1),
        np.concatenate([one.count, other.count], axis=1),
        np.concatenate([one.bad, other.bad], axis=1),
        np.concatenate([one.final_step, other.final_step]),
    )
