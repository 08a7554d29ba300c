"""Statistics of types of at most 16 bits: how often each bit pattern occurs, which tells everything."""

from __future__ import annotations

import functools
import math
import threading
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

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
from arc_tui.inspect.tensors.dtypes import ElementType, patterns, table
from arc_tui.inspect.tensors.pieces import Bytes

_BLOCK = 1 << 18
"""Elements counted at once: their indices, 8 bytes each, and the counts stay in the cache."""


_SORTED = 1 << 20
"""Elements sorted at once: so many that the distinct ones among them are few."""

_counting = threading.Lock()
"""Held by the thread that counts by `bincount`, which keeps the interpreter to itself."""


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
            whole = self._element.kind in ("integer", "boolean")
            count = int(counts.sum())
            weights = counts.astype(np.float64)
            mean = inner(values, weights) / count
            std = math.sqrt(inner(np.square(values - mean), weights) / count)
            low, high = number(values[0], whole=whole), number(values[-1], whole=whole)
            histogram = Histogram.of(low, high)
            bins = np.zeros(BINS, np.int64)
            np.add.at(bins, bin_places(values, histogram), counts)
            ranks = at_ranks(np.cumsum(counts), quantile_ranks(count))
            summary = ValueSummary(
                mean,
                std,
                low,
                high,
                quantiles_from(values[ranks], count),
                histogram.filled(bins),
                magnitudes_of(magnitude_bins(values), counts[values != 0]),
            )
        return Statistics(
            int(self._counts.sum()),
            int(counts[values == 0].sum()),
            int(self._counts[self._patterns.nans].sum()),
            int(self._counts[self._patterns.infinities].sum()),
            tuple(self._first_nans),
            tuple(self._first_infinities),
            summary,
        )
