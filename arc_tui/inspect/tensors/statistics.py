"""Statistics of tensors, exact whatever their size, in memory that does not depend on it.

Types of at most 16 bits are counted by bit pattern: 65,536 counts know everything. Wider ones take two
passes or, where numbers have 8 bytes, four: see `arc_tui.inspect.tensors.wide`. Small tensors are sorted.

All but the counts are over finite values alone. Quantiles are interpolated as numpy does by default; the
standard deviation is that of the values at hand (divided by their number, not by one less).
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from arc_tui.inspect.tensors import wide
from arc_tui.inspect.tensors.binning import (
    BINS,
    MOST_POSITIONS,
    Histogram,
    Int64s,
    Statistics,
    ValueSummary,
    at_ranks,
    bin_places,
    inner,
    magnitude_bins,
    magnitudes_of,
    number,
    quantile_ranks,
    quantiles_from,
)
from arc_tui.inspect.tensors.dtypes import ElementType, decode, patterns, table
from arc_tui.inspect.tensors.pieces import Bytes, readable, reading
from arc_tui.inspect.tensors.source import Checkpoint
from arc_tui.ui.cancelled import Progress, untold

SMALL = 1 << 16
"""Elements up to which a tensor is sorted as a whole."""
_BLOCK = 1 << 18
"""Elements counted at once: their indices, 8 bytes each, and the counts stay in the cache."""
_SORTED = 1 << 20
"""Elements sorted at once: so many that the distinct ones among them are few."""

_counting = threading.Lock()
"""Held by the thread that counts by `bincount`, which keeps the interpreter to itself."""


class _Collector(Protocol):
    """Takes in the bytes of one tensor, as often as it has passes."""

    passes: int

    def add(self, raw: Bytes, first: int, prepared: object) -> None: ...
    def end_pass(self) -> None: ...
    def finish(self) -> Statistics: ...


def statistics(
    checkpoint: Checkpoint,
    places: Sequence[int],
    *,
    progress: Progress = untold,
) -> Iterator[tuple[int, Statistics]]:
    """Compute the statistics of tensors, in the order given.

    Args:
        checkpoint: Where they are.
        places: Which, each of a type that is decoded.
        progress: Told the bytes read so far and in all, after every piece; may call it off.

    Yields:
        Each tensor's place with its statistics, as soon as it is done.

    Raises:
        CheckpointError: If a file cannot be read to its end, or a type is not decoded.
    """
    passes = [
        _passes(readable(checkpoint, place), int(checkpoint.table.parameters[place])) for place in places
    ]
    plan = [place for place, times in zip(places, passes, strict=True) for _ in range(times)]
    columns = checkpoint.table
    total, done = sum(int(columns.bytes[place]) for place in plan), 0
    collector: _Collector | None = None
    left = 0

    def prepare(place: int, raw: Bytes) -> object:
        return _prepared(columns.element(place), int(columns.parameters[place]), raw)

    with reading(checkpoint, plan, prepare) as pieces:
        for piece in pieces:
            element = columns.element(piece.place)
            if collector is None:
                collector = _collector(element, int(columns.parameters[piece.place]))
                left = collector.passes
            collector.add(piece.raw, piece.start * 8 // element.bits, piece.prepared)
            done += len(piece.raw)
            progress(done, total)
            if not piece.last:
                continue
            collector.end_pass()
            left -= 1
            if left == 0:
                yield piece.place, collector.finish()
                collector = None


def _passes(element: ElementType, parameters: int) -> int:
    return 1 if parameters <= SMALL or element.by_table else wide.passes(element)


def _collector(element: ElementType, parameters: int) -> _Collector:
    if parameters <= SMALL:
        return _Small(element)
    return ByPattern(element) if element.by_table else wide.ByHalves(element, parameters)


def _prepared(element: ElementType, parameters: int, raw: Bytes) -> object:
    """Compute of a piece what does not depend on those before it; called by the threads that read."""
    if parameters <= SMALL:
        return np.array(decode(element, raw))  # a copy: the buffer is used again
    return count_patterns(patterns(element, raw), len(table(element.code))) if element.by_table else None


def _summary(
    element: ElementType, ordered: npt.NDArray[np.generic], counts: Int64s, mean: float, std: float
) -> ValueSummary:
    """Summarise finite values in rising order, each with how often it occurs."""
    whole, numbers = element.kind in ("integer", "boolean"), ordered.astype(np.float64)
    low, high = number(ordered[0], whole=whole), number(ordered[-1], whole=whole)
    histogram, count = Histogram.of(low, high), int(counts.sum())
    bins = np.zeros(BINS, np.int64)
    np.add.at(bins, bin_places(numbers, histogram), counts)
    ranks = at_ranks(np.cumsum(counts), quantile_ranks(count))
    return ValueSummary(
        mean,
        std,
        low,
        high,
        quantiles_from(numbers[ranks], count),
        histogram.filled(bins),
        magnitudes_of(magnitude_bins(numbers), counts[numbers != 0]),
    )


class _Small:
    """Sorts a small tensor."""

    passes = 1

    def __init__(self, element: ElementType) -> None:
        self._element = element
        self._blocks: list[npt.NDArray[np.generic]] = []

    def add(self, raw: Bytes, first: int, prepared: object) -> None:
        del raw, first
        self._blocks.append(cast("npt.NDArray[np.generic]", prepared))

    def end_pass(self) -> None:
        pass

    def finish(self) -> Statistics:
        values = np.concatenate(self._blocks)
        nan, infinite = np.isnan(values), np.isinf(values)
        ordered = np.sort(values[~(nan | infinite)])
        summary = None
        if len(ordered):
            numbers = ordered.astype(np.float64)
            with np.errstate(over="ignore", invalid="ignore"):
                mean = float(numbers.mean())
                std = float(np.sqrt(np.square(numbers - mean).mean()))
            summary = _summary(self._element, ordered, np.ones(len(ordered), np.int64), mean, std)
        return Statistics(
            len(values),
            len(values) - int(np.count_nonzero(values)),
            int(nan.sum()),
            int(infinite.sum()),
            tuple(np.flatnonzero(nan)[:MOST_POSITIONS].tolist()),
            tuple(np.flatnonzero(infinite)[:MOST_POSITIONS].tolist()),
            summary,
        )


def count_patterns(codes: npt.NDArray[np.unsignedinteger], size: int) -> Int64s:
    """Count how often each of `size` patterns occurs.

    The first thread counts. Others would only wait for it, so they sort instead, which takes a little
    longer but leaves the interpreter to the others.
    """
    if _counting.acquire(blocking=False):
        try:
            return count_directly(codes, size)
        finally:
            _counting.release()
    return count_by_sorting(codes, size)


def count_directly(codes: npt.NDArray[np.unsignedinteger], size: int) -> Int64s:
    """Count patterns by adding one for each element."""
    counts = np.zeros(size, np.int64)
    indices = np.empty(min(_BLOCK, len(codes)), np.intp)
    for start in range(0, len(codes), _BLOCK):
        block = codes[start : start + _BLOCK]
        here = indices[: len(block)]
        np.copyto(here, block)
        counts += np.bincount(here, minlength=size)
    return counts


def count_by_sorting(codes: npt.NDArray[np.unsignedinteger], size: int) -> Int64s:
    """Count patterns by the lengths of their runs once they are sorted."""
    counts = np.zeros(size, np.int64)
    for start in range(0, len(codes), _SORTED):
        ordered = np.sort(codes[start : start + _SORTED])
        ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
        counts[ordered[ends]] += np.diff(ends, prepend=-1)
    return counts


@dataclass(frozen=True, eq=False)
class _Patterns:
    """The bit patterns of a type: the finite ones from the smallest value to the largest, and the others."""

    size: int
    finite: npt.NDArray[np.intp]
    values: npt.NDArray[np.float64]
    nans: npt.NDArray[np.intp]
    infinities: npt.NDArray[np.intp]

    @classmethod
    @functools.cache
    def of(cls, code: str) -> _Patterns:
        values = table(code)
        order = np.argsort(values, kind="stable")
        order = order[np.isfinite(values[order])]
        return cls(
            len(values),
            order,
            values[order],
            np.flatnonzero(np.isnan(values)),
            np.flatnonzero(np.isinf(values)),
        )


class ByPattern:
    """Counts how often each bit pattern occurs."""

    passes = 1

    def __init__(self, element: ElementType) -> None:
        self._element = element
        self._patterns = _Patterns.of(element.code)
        self._counts = np.zeros(self._patterns.size, np.int64)
        self._first_nans: list[int] = []
        self._first_infinities: list[int] = []

    def add(self, raw: Bytes, first: int, prepared: object) -> None:
        """Take in bytes and their counts; `first` is the place of their first element in the tensor."""
        counts = cast(Int64s, prepared)
        codes = patterns(self._element, raw)
        self._note(self._first_nans, self._patterns.nans, codes, counts, first)
        self._note(self._first_infinities, self._patterns.infinities, codes, counts, first)
        self._counts += counts

    def _note(
        self,
        found: list[int],
        wanted: npt.NDArray[np.intp],
        codes: npt.NDArray[np.unsignedinteger],
        counts: Int64s,
        first: int,
    ) -> None:
        if len(found) < MOST_POSITIONS and counts[wanted].any():
            here = np.flatnonzero(np.isin(codes, wanted))[: MOST_POSITIONS - len(found)]
            found.extend((here + first).tolist())

    def end_pass(self) -> None:
        """One pass is enough."""

    def finish(self) -> Statistics:
        """Return what the counts say."""
        counts = self._counts[self._patterns.finite]
        present = np.flatnonzero(counts)
        values, counts = self._patterns.values[present], counts[present]
        summary = None
        if len(values):
            count = int(counts.sum())
            weights = counts.astype(np.float64)
            mean = inner(values, weights) / count
            std = math.sqrt(inner(np.square(values - mean), weights) / count)
            summary = _summary(self._element, values, counts, mean, std)
        return Statistics(
            int(self._counts.sum()),
            int(counts[values == 0].sum()),
            int(self._counts[self._patterns.nans].sum()),
            int(self._counts[self._patterns.infinities].sum()),
            tuple(self._first_nans),
            tuple(self._first_infinities),
            summary,
        )
