"""Statistics of types wider than 16 bits, exact and in bounded memory, in as many passes as they have halves.

The first pass counts the upper 16 bits of every number and gathers moments. An order statistic then lies in a
known one of 65,536 ranges; each further pass counts the next 16 bits within the few ranges that matter, so
that after the last every bit is known.
"""

from __future__ import annotations

import math
import sys

import numpy as np
import numpy.typing as npt

from arc_tui.inspect.tensors.binning import (
    BINS,
    MOST_POSITIONS,
    SMALLEST_MAGNITUDE,
    Floats,
    Histogram,
    Magnitudes,
    Statistics,
    ValueSummary,
    at_ranks,
    bin_places,
    inner,
    magnitudes_of,
    quantile_ranks,
    quantiles_from,
)
from arc_tui.inspect.tensors.dtypes import ElementType, decode
from arc_tui.inspect.tensors.pieces import Bytes

_BLOCK = 1 << 16
"""Elements whose moments are taken at once, so that their float64 copies stay in the cache."""
_COUNTED = 1 << 18
"""Elements counted at once: more than there are counts, which have to be added up each time."""
_HALVES = 1 << 16

Int64s = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.generic]

assert sys.byteorder == "little", "the upper half of a number is taken from its last bytes"


def passes(element: ElementType) -> int:
    """Return how often a tensor of this type is read; magnitudes of complex numbers are 4 bytes wide."""
    return 2 if element.kind == "complex" else element.bits // 16


class FirstPass:
    """The first pass: counts, moments, extremes, and how often each upper half occurs."""

    def __init__(self, element: ElementType) -> None:
        self.is_float = element.kind in ("float", "complex")
        self.signed = element.code != "U32" and element.code != "U64"
        self.halves = passes(element)
        self.upper = np.zeros(_HALVES, np.int64)
        self.finite = self.zeros = self.nans = self.infinities = 0
        self.first_nans: list[int] = []
        self.first_infinities: list[int] = []
        self.low: float = math.inf
        self.high: float = -math.inf
        self.mean = 0.0
        self._squares = 0.0
        self._exponents = np.zeros(65, np.int64)  # of integers, which are below 2**64
        self._indices = np.empty(_COUNTED, np.intp)
        keys = np.arange(_HALVES)
        shift = 7 if self.halves == 2 else 4
        self._exponent_of_key = (keys >> shift) & (0xFF if self.halves == 2 else 0x7FF)
        self.odd_keys = (self._exponent_of_key == self._exponent_of_key.max()) & self.is_float
        """[65536] whether an upper half belongs to NaN or infinity."""
        self._odd = np.flatnonzero(self.odd_keys)

    @property
    def std(self) -> float:
        """Standard deviation of the finite values."""
        return math.sqrt(self._squares / self.finite) if self.finite else math.nan

    def add(self, values: Numbers, first: int) -> None:
        """Take in values; `first` is the place of the first of them in the tensor."""
        self.zeros += len(values) - int(np.count_nonzero(values))
        for start in range(0, len(values), _COUNTED):
            block = values[start : start + _COUNTED]
            indices = self._indices[: len(block)]
            np.copyto(indices, upper_halves(block, self.halves))
            counts = np.bincount(indices, minlength=_HALVES)
            self.upper += counts
            if counts[self._odd].any():
                block = self._without_odd(block, first + start)
            for at in range(0, len(block), _BLOCK):
                self._add_finite(block[at : at + _BLOCK])

    def _without_odd(self, values: Numbers, first: int) -> Numbers:
        """Count NaN and infinities and leave them out."""
        nan, infinite = np.isnan(values), np.isinf(values)
        self.nans += int(nan.sum())
        self.infinities += int(infinite.sum())
        for found, here in ((self.first_nans, nan), (self.first_infinities, infinite)):
            places = np.flatnonzero(here)[: MOST_POSITIONS - len(found)]
            found.extend((places + first).tolist())
        return values[~(nan | infinite)]

    def _add_finite(self, values: Numbers) -> None:
        low, high = values.min().item(), values.max().item()
        self.low, self.high = min(self.low, low), max(self.high, high)
        numbers = values.astype(np.float64)
        if not self.is_float:
            exponents = np.frexp(numbers[numbers != 0])[1] - 1
            self._exponents += np.bincount(exponents, minlength=len(self._exponents))
        with np.errstate(over="ignore", invalid="ignore"):
            self._merge(numbers)

    def _merge(self, numbers: Floats) -> None:
        """Join the moments of a block to those before it, each around its own mean."""
        count, mean = len(numbers), float(numbers.mean())
        numbers -= mean
        squares = inner(numbers, numbers)
        total, step = self.finite + count, mean - self.mean
        self._squares += squares + step * step * self.finite * count / total
        self.mean += step * count / total
        self.finite = total

    def magnitudes(self) -> Magnitudes:
        """Count absolute values by powers of two."""
        if not self.is_float:
            present = np.flatnonzero(self._exponents)
            return magnitudes_of(present, self._exponents[present])
        exponents = np.maximum(
            self._exponent_of_key - (127 if self.halves == 2 else 1023), SMALLEST_MAGNITUDE
        )
        counts = np.where(self.odd_keys, 0, self.upper)
        tiny = exponents == SMALLEST_MAGNITUDE
        found = np.zeros(int(exponents.max()) - SMALLEST_MAGNITUDE + 1, np.int64)
        np.add.at(found, exponents[~tiny] - SMALLEST_MAGNITUDE, counts[~tiny])
        found[0] = int(counts[tiny].sum()) - self.zeros
        present = np.flatnonzero(found)
        return magnitudes_of(present + SMALLEST_MAGNITUDE, found[present])


class Refinement:
    """The further passes: the bits below the upper half of the values at the wanted ranks, and the histogram.

    Args:
        moments: The first pass, finished.
    """

    def __init__(self, moments: FirstPass) -> None:
        self._moments = moments
        self._bits = 16 * moments.halves
        self._unsigned = np.dtype(f"<u{moments.halves * 2}")
        self._known = 0
        self.histogram = Histogram.of(moments.low, moments.high) if moments.finite else Histogram(0.0, 0.0)
        self._bins = np.zeros(BINS, np.int64)
        ranks = quantile_ranks(moments.finite) if moments.finite else np.zeros(0, np.int64)
        self._prefixes = np.zeros(len(ranks), np.uint64)
        self._ranks = ranks
        self._counts: dict[int, Int64s] = {0: np.where(moments.odd_keys, 0, moments.upper)}
        self._hit = np.zeros(_HALVES, np.bool_)

    def add(self, values: Numbers) -> None:
        """Take in values of one further pass."""
        if not len(self._ranks):
            return
        keys = upper_halves(values, self._moments.halves)
        if self._known == 16:  # the second pass: the range is known now
            odd = self._moments.nans or self._moments.infinities
            self._bin(values[~self._moments.odd_keys[keys]] if odd else values)
        chosen = values[self._hit[keys]].view(self._unsigned)
        shift = self._bits - self._known
        upper = chosen >> shift
        lower = ((chosen >> (shift - 16)) & 0xFFFF).astype(np.intp)
        for prefix, counts in self._counts.items():
            counts += np.bincount(lower[upper == prefix], minlength=_HALVES)

    def _bin(self, values: Numbers) -> None:
        for start in range(0, len(values), _BLOCK):
            places = bin_places(values[start : start + _BLOCK].astype(np.float64), self.histogram)
            self._bins += np.bincount(places, minlength=BINS)

    def end_pass(self) -> None:
        """Settle the next 16 bits of every wanted rank."""
        longer = np.zeros_like(self._prefixes)
        for prefix, counts in self._counts.items():
            wanted = self._prefixes == prefix
            order = self._order(prefix)
            cumulative = np.cumsum(counts[order])
            places = at_ranks(cumulative, self._ranks[wanted])
            before = np.where(places > 0, cumulative[places - 1], 0)
            self._ranks[wanted] -= before
            longer[wanted] = (prefix << 16) + order[places].astype(np.uint64)
        self._prefixes = longer
        self._known += 16
        if self._known == 32:
            self.histogram = self.histogram.filled(self._bins)
        if self._known == 16:
            self._hit[self._prefixes.astype(np.intp)] = True
        self._counts = {int(prefix): np.zeros(_HALVES, np.int64) for prefix in np.unique(self._prefixes)}

    def _order(self, prefix: int) -> npt.NDArray[np.intp]:
        """Return the 65,536 next 16 bits from the smallest number to the largest."""
        ascending = np.arange(_HALVES)
        if self._known == 0:
            if not self._moments.signed:
                return ascending
            positive, negative = ascending[: _HALVES // 2], ascending[_HALVES // 2 :]
            return np.concatenate([negative[::-1] if self._moments.is_float else negative, positive])
        negative = self._moments.is_float and prefix >> (self._known - 1)
        return ascending[::-1] if negative else ascending

    def values(self) -> Floats:
        """Return the values at `quantile_ranks`, after the last pass."""
        kind = {True: "f", False: "i" if self._moments.signed else "u"}[self._moments.is_float]
        stored = np.dtype(f"<{kind}{self._moments.halves * 2}")
        return self._prefixes.astype(self._unsigned).view(stored).astype(np.float64)


class ByHalves:
    """Refines order statistics from pass to pass."""

    def __init__(self, element: ElementType, parameters: int) -> None:
        self._element = element
        self._parameters = parameters
        self._moments = FirstPass(element)
        self._refinement: Refinement | None = None
        self.passes = passes(element)

    def add(self, raw: Bytes, first: int, prepared: object) -> None:
        """Take in bytes of this pass; `first` is the place of their first element in the tensor."""
        del prepared
        values = decode(self._element, raw)
        if self._refinement is None:
            self._moments.add(values, first)
        else:
            self._refinement.add(values)

    def end_pass(self) -> None:
        """Settle what the pass has told."""
        if self._refinement is None:
            self._refinement = Refinement(self._moments)
        self._refinement.end_pass()

    def finish(self) -> Statistics:
        """Return what all passes have told."""
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


def upper_halves(values: Numbers, halves: int) -> npt.NDArray[np.uint16]:
    """Return the upper 16 bits of each number."""
    return np.ascontiguousarray(values).view(np.uint16)[halves - 1 :: halves]
