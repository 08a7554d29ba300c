"""A bounded collection: the newest items, and of older ones an even choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_GOLDEN = 2_654_435_769
"""2**32 divided by the golden ratio: multiples of it spread evenly over 32 bits, however many are taken."""


class Thinned(Generic[T]):
    """Items by the number of their event; adding the same number again replaces the item.

    Which items are kept does not depend on the order in which they were added.

    Args:
        newest: How many of the newest are all kept.
        older: How many are kept of those before.
    """

    def __init__(self, newest: int, older: int = 0) -> None:
        self._newest = newest
        self._older = older
        self._items: dict[int, T] = {}
        self._sorted: list[int] | None = []

    def __len__(self) -> int:
        return len(self._order())

    def __iter__(self) -> Iterator[T]:
        """Iterate from the oldest to the newest."""
        return (self._items[seq] for seq in self._order())

    def items(self) -> list[T]:
        """Return what is kept, oldest first."""
        return list(self)

    def add(self, seq: int, item: T) -> None:
        """Add an item."""
        self._items[seq] = item
        self._sorted = None
        if len(self._items) > 2 * (self._newest + self._older) + 64:
            self._thin()

    def drop(self, unwanted: Callable[[int, T], bool]) -> None:
        """Forget items by their number and content."""
        kept = {seq: item for seq, item in self._items.items() if not unwanted(seq, item)}
        if len(kept) < len(self._items):
            self._items, self._sorted = kept, None

    def change(self, changed: Callable[[T], T]) -> None:
        """Put something in the place of every item."""
        self._items = {seq: changed(item) for seq, item in self._items.items()}

    def _order(self) -> list[int]:
        if self._sorted is None:
            self._sorted = self._thin()
        return self._sorted

    def _thin(self) -> list[int]:
        order = sorted(self._items)
        spare = len(order) - self._newest
        if spare > self._older:
            old = sorted(order[:spare], key=lambda seq: seq * _GOLDEN & 0xFFFF_FFFF)
            for seq in old[self._older :]:
                del self._items[seq]
            order = sorted(self._items)
        return order
