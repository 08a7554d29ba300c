"""A checkpoint that is browsed, with what has been found out about it so far."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from arc_tui.inspect.tensors.binning import Statistics
from arc_tui.inspect.tensors.search import Finder, TensorQuery
from arc_tui.inspect.tensors.source import Checkpoint
from arc_tui.inspect.tensors.training import TrainingState, read_training
from arc_tui.inspect.tensors.tree import Tree


class Browsed:
    """A checkpoint, its tree, and the statistics that have been computed.

    Args:
        checkpoint: The checkpoint.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.table = checkpoint.table
        self.statistics: dict[int, Statistics] = {}
        self.whole = Tree(checkpoint.table)
        self._finder = Finder(checkpoint.table, self._odd)

    @functools.cached_property
    def training(self) -> TrainingState | None:
        """Where training stood; None for a checkpoint that is not ours."""
        return read_training(self.checkpoint)

    def found(self, query: TensorQuery) -> list[int]:
        """Return the places of the tensors that match."""
        return self._finder.find(query)

    def tree(self, places: Sequence[int] | None) -> Tree:
        """Return the tree of some tensors; None for all."""
        return self.whole if places is None else Tree(self.checkpoint.table, places)

    def unread(self, places: Sequence[int]) -> list[int]:
        """Return those whose statistics can be computed and are not yet, in the order of the files."""
        table = self.checkpoint.table
        wanted = {p for p in places if p not in self.statistics and table.element(p).kind != "unread"}
        return [place for place in self.checkpoint.by_layout.tolist() if place in wanted]

    def _odd(self, place: int) -> frozenset[str]:
        found = self.statistics.get(place)
        if found is None:
            return frozenset()
        return frozenset(name for name, n in (("nan", found.nans), ("inf", found.infinities)) if n)
