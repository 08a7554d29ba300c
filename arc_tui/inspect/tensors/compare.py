"""Two checkpoints held against each other, tensor by tensor, in pieces."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arc_core.base.errors import CheckpointError
from arc_tui.inspect.tensors.binning import inner
from arc_tui.inspect.tensors.dtypes import ElementType, decode_float64
from arc_tui.inspect.tensors.header_scan import Shape
from arc_tui.inspect.tensors.pieces import Bytes, DataFiles
from arc_tui.inspect.tensors.source import Checkpoint
from arc_tui.ui.cancelled import Progress, untold


@dataclass(frozen=True)
class Reshaped:
    """A tensor that both have, in different shapes."""

    name: str
    before: Shape
    after: Shape


@dataclass(frozen=True)
class Change:
    """How a tensor that both have has changed, over the elements that are finite in both.

    Attributes:
        name: Of the tensor.
        before: Norm before.
        after: Norm after.
        difference: Norm of the difference.
        cosine: Of the angle between both; NaN if one of them is 0.
        largest: Largest absolute difference.
        unequal_nonfinite: Elements that are not finite in one of them and are not the same.
        retyped: The types before and after, where they differ.
    """

    name: str
    before: float
    after: float
    difference: float
    cosine: float
    largest: float
    unequal_nonfinite: int = 0
    retyped: tuple[str, str] | None = None

    @property
    def relative(self) -> float:
        """Norm of the difference over the norm before; infinite if that was 0 and something changed."""
        if self.difference == 0:
            return 0.0
        return self.difference / self.before if self.before else math.inf

    @property
    def is_none(self) -> bool:
        """Whether every element is the same."""
        return self.largest == 0 and not self.unequal_nonfinite


@dataclass(frozen=True)
class Differences:
    """What two tables do not share, and what is left to compare by values.

    Attributes:
        added: Names that only the second has.
        removed: Names that only the first has.
        reshaped: Names that both have in different shapes.
        common: Names to compare, in the first one's order.
        unread: Names that both have in a type that is not decoded.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    reshaped: tuple[Reshaped, ...]
    common: tuple[str, ...]
    unread: tuple[str, ...]


def differences(before: Checkpoint, after: Checkpoint) -> Differences:
    """Compare two checkpoints by their headers alone."""
    here, there = before.places, after.places
    reshaped: list[Reshaped] = []
    common: list[str] = []
    unread: list[str] = []
    for name, place in here.items():
        if name not in there:
            continue
        other = there[name]
        if before.table.shapes[place] != after.table.shapes[other]:
            reshaped.append(Reshaped(name, before.table.shapes[place], after.table.shapes[other]))
        elif "unread" in (before.table.element(place).kind, after.table.element(other).kind):
            unread.append(name)
        else:
            common.append(name)
    return Differences(
        tuple(name for name in after.table.names if name not in here),
        tuple(name for name in before.table.names if name not in there),
        tuple(reshaped),
        tuple(sorted(common, key=here.__getitem__)),
        tuple(unread),
    )


def changes(
    before: Checkpoint,
    after: Checkpoint,
    names: Sequence[str],
    *,
    progress: Progress = untold,
) -> Iterator[Change]:
    """Compare tensors by their values.

    Args:
        before: The first checkpoint.
        after: The second.
        names: Tensors that both have in the same shape.
        progress: Told the elements compared so far and in all, after every block; may call it off.

    Yields:
        One for each name, in order.

    Raises:
        CheckpointError: If a file cannot be read to its end, or a type is not decoded.
    """
    total = sum(int(before.table.parameters[before.places[name]]) for name in names)
    done = 0
    with DataFiles(before) as files, DataFiles(after) as other_files:
        for name in names:
            place, other = before.places[name], after.places[name]
            sums = _Sums()
            count = int(before.table.parameters[place])
            if int(after.table.parameters[other]) != count:
                raise CheckpointError(f"{name} has not equally many elements in both.")
            element, other_element = before.table.element(place), after.table.element(other)
            for one, two in zip(files.blocks(place), other_files.blocks(other), strict=True):
                done += sums.add(element, one, other_element, two)
                progress(done, total)
            retyped = None if element == other_element else (element.label, other_element.label)
            yield sums.change(name, retyped)


class _Sums:
    """Running sums of one comparison."""

    def __init__(self) -> None:
        self._before = self._after = self._product = self._difference = 0.0
        self._largest = 0.0
        self._odd = 0

    def add(self, element: ElementType, one: Bytes, other_element: ElementType, two: Bytes) -> int:
        """Take in a stretch of both and return its elements; equal bytes are not looked at twice."""
        a = decode_float64(element, one)
        if element == other_element and np.array_equal(one, two):
            finite = a[np.isfinite(a)]
            square = inner(finite, finite)
            self._before += square
            self._after += square
            self._product += square
            return len(a)
        b = decode_float64(other_element, two)
        with np.errstate(over="ignore", invalid="ignore"):
            self._add_values(a, b)
        return len(a)

    def _add_values(self, a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> None:
        difference = b - a
        if not math.isfinite(float(difference.sum())):
            kept = np.isfinite(a) & np.isfinite(b)
            same = (a == b) | (np.isnan(a) & np.isnan(b))
            self._odd += int(np.count_nonzero(~kept & ~same))
            a, b, difference = a[kept], b[kept], difference[kept]
            if not len(a):
                return
        self._before += inner(a, a)
        self._after += inner(b, b)
        self._product += inner(a, b)
        self._difference += inner(difference, difference)
        self._largest = max(self._largest, float(np.abs(difference, out=difference).max()))

    def change(self, name: str, retyped: tuple[str, str] | None) -> Change:
        """Return what the sums say."""
        before, after = math.sqrt(self._before), math.sqrt(self._after)
        cosine = _cosine(self._product, before, after)
        difference = math.sqrt(self._difference)
        return Change(name, before, after, difference, cosine, self._largest, self._odd, retyped)


def _cosine(product: float, before: float, after: float) -> float:
    if not before or not after:
        return math.nan
    cosine = product / before / after  # one by one: the product of the norms could leave float64
    return max(-1.0, min(1.0, cosine)) if math.isfinite(cosine) else math.nan


def together(found: Sequence[Change], name: str) -> Change:
    """Return the change of several tensors taken as one long vector."""
    before = math.hypot(*(change.before for change in found))
    after = math.hypot(*(change.after for change in found))
    product = sum(
        change.cosine * change.before * change.after for change in found if math.isfinite(change.cosine)
    )
    return Change(
        name,
        before,
        after,
        math.hypot(*(change.difference for change in found)),
        _cosine(product, before, after),
        max((change.largest for change in found), default=0.0),
        sum(change.unequal_nonfinite for change in found),
    )


def by_change(found: Sequence[Change]) -> list[Change]:
    """Return changes, the largest relative one first."""
    return sorted(found, key=lambda change: (-change.unequal_nonfinite, -change.relative, change.name))
