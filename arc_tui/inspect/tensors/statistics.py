"""Statistics of tensors, exact whatever their size, in memory that does not depend on it.

Types of at most 16 bits are counted by bit pattern: 65,536 counts know everything. Wider ones take two
passes or, where numbers have 8 bytes, four: see `arc_tui.inspect.tensors.wide`. Small tensors are sorted.

All but the counts are over finite values alone. Quantiles are interpolated as numpy does by default; the
standard deviation is that of the values at hand (divided by their number, not by one less).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from arc_tui.inspect.tensors import wide
from arc_tui.inspect.tensors.binning import (
    BINS,
    MOST_POSITIONS,
    Histogram,
    Statistics,
    ValueSummary,
    bin_places,
    magnitude_bins,
    magnitudes_of,
    number,
    quantile_ranks,
    quantiles_from,
)
from arc_tui.inspect.tensors.dtypes import ElementType, decode, patterns, table
from arc_tui.inspect.tensors.narrow import ByPattern, count_patterns
from arc_tui.inspect.tensors.pieces import Bytes, readable, reading
from arc_tui.inspect.tensors.source import Checkpoint
from arc_tui.ui.cancelled import Progress, untold

SMALL = 1 << 16
"""Elements up to which a tensor is sorted as a whole."""


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
    return ByPattern(element) if element.by_table else _Wide(element, parameters)


def _prepared(element: ElementType, parameters: int, raw: Bytes) -> object:
    """Compute of a piece what does not depend on those before it; called by the threads that read."""
    if parameters <= SMALL:
        return np.array(decode(element, raw))  # a copy: the buffer is used again
    return count_patterns(patterns(element, raw), len(table(element.code))) if element.by_table else None


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
        whole = self._element.kind in ("integer", "boolean")
        ordered = np.sort(values[~(nan | infinite)])
        numbers = ordered.astype(np.float64)
        summary = None
        if len(ordered):
            low, high = number(ordered[0], whole=whole), number(ordered[-1], whole=whole)
            with np.errstate(over="ignore", invalid="ignore"):
                mean = float(numbers.mean())
                std = float(np.sqrt(np.square(numbers - mean).mean()))
            histogram = Histogram.of(low, high)
            counts = np.bincount(bin_places(numbers, histogram), minlength=BINS)
            summary = ValueSummary(
                mean,
                std,
                low,
                high,
                quantiles_from(ordered[quantile_ranks(len(ordered))].astype(np.float64), len(ordered)),
                histogram.filled(counts),
                magnitudes_of(magnitude_bins(numbers), None),
            )
        return Statistics(
            len(values),
            len(values) - int(np.count_nonzero(values)),
            int(nan.sum()),
            int(infinite.sum()),
            tuple(np.flatnonzero(nan)[:MOST_POSITIONS].tolist()),
            tuple(np.flatnonzero(infinite)[:MOST_POSITIONS].tolist()),
            summary,
        )


class _Wide:
    """Refines order statistics from pass to pass; `arc_tui.inspect.tensors.wide` does the work."""

    def __init__(self, element: ElementType, parameters: int) -> None:
        self._element = element
        self._parameters = parameters
        self._moments = wide.FirstPass(element)
        self._refinement: wide.Refinement | None = None
        self.passes = wide.passes(element)

    def add(self, raw: Bytes, first: int, prepared: object) -> None:
        del prepared
        values = decode(self._element, raw)
        if self._refinement is None:
            self._moments.add(values, first)
        else:
            self._refinement.add(values)

    def end_pass(self) -> None:
        if self._refinement is None:
            self._refinement = wide.Refinement(self._moments)
        self._refinement.end_pass()

    def finish(self) -> Statistics:
        moments, refinement = self._moments, self._refinement
        assert refinement is not None
        summary = None
        if moments.finite:
            summary = ValueSummary(
                moments.mean,
                moments.std,
                moments.low,
                moments.high,
                quantiles_from(refinement.values(), moments.finite),
                refinement.histogram,
                moments.magnitudes(),
            )
        return Statistics(
            self._parameters,
            moments.zeros,
            moments.nans,
            moments.infinities,
            tuple(moments.first_nans),
            tuple(moments.first_infinities),
            summary,
        )
