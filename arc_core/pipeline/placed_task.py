"""A task as the solver works on it: every view of it, every pair placed, ready to be packed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from arc_core.data.grids import MAX_SIDE, Grid
from arc_core.data.sizes import NO_RULE, Placement, Size, SizeRule, fitting_rules
from arc_core.data.tasks import Task
from arc_core.data.views import View
from arc_core.pipeline.canvas import Item, likeness

MOST_SIZES = 2
"""Sizes tried for one output: there are two attempts."""


@dataclass(frozen=True, eq=False)
class TaskQuery:
    """A test input."""

    input: Grid
    placements: tuple[Placement, ...]
    """Where rules put its output, the most trusted first, two at most; empty where no rule fits."""
    size_rule: str
    """Family of the first; `none` where no rule fits."""


class PlacedTask:
    """A task under its views.

    Args:
        task: Its test outputs are not looked at.
        views: The first is the task as it is.
    """

    def __init__(self, task: Task, views: Sequence[View]) -> None:
        self.task = task
        self.views = tuple(views)
        placers = [_placer(task, rule) for rule in fitting_rules(task.train)]
        self.queries = tuple(_query(pair.input, placers) for pair in task.test)
        # The demonstrations' outputs are placed as that of the first test input is.
        placer = max(
            (p for p in placers if self.queries[0].placements and p.places(self.queries[0])),
            key=lambda p: p.likeness,
            default=_placer(task, None),
        )
        self.copies = placer.copies
        self._placer = placer
        self._demonstrations = [
            [
                Item(
                    view.apply(pair.input),
                    view.apply(output),
                    placer.place(pair.input, output).under(view.symmetry, _size(pair.input)),
                    copies=placer.copies,
                    view=(view.symmetry, view.color_map),
                )
                for pair in task.train
                if (output := pair.output) is not None
            ]
            for view in views
        ]

    def place(self, before: Grid, after: Grid) -> Placement:
        """Where a pair of the task has its output, by the rule that places the others'."""
        placed = self._placer.place(before, after)
        return placed if placed.size == _size(after) else Placement(_size(after))

    def demonstrations(self, view: int) -> list[Item]:
        """The demonstrations under a view, by its number."""
        return list(self._demonstrations[view])

    def query_item(self, query: int, placement: Placement, view: int) -> Item:
        """A test input under a view, its output placed as said in the task's own orientation."""
        seen, grid = self.views[view], self.queries[query].input
        return Item(
            seen.apply(grid),
            None,
            placement.under(seen.symmetry, _size(grid)),
            self.copies,
            (seen.symmetry, seen.color_map),
        )

    def canvas_cells(self) -> int:
        """Cells of the largest output among the demonstrations' canvases, padding included."""
        sizes = [item.placement.size for item in self._demonstrations[0]]
        inputs = [item.input.shape for item in self._demonstrations[0]]
        largest = [max(size[axis] for size in sizes) for axis in (0, 1)]
        largest_input = [max(size[axis] for size in inputs) for axis in (0, 1)]
        return max(largest[0] * largest[1], largest_input[0] * largest_input[1])


@dataclass(frozen=True)
class _Placer:
    """A rule that places outputs, and how much these then resemble their inputs."""

    rule: SizeRule | None
    copies: int
    likeness: float

    def places(self, query: TaskQuery) -> bool:
        """Whether it gives a query's most trusted size."""
        placed = None if self.rule is None else self.rule.place(query.input)
        return placed is not None and placed.size == query.placements[0].size

    def place(self, before: Grid, after: Grid) -> Placement:
        placed = None if self.rule is None else self.rule.place(before)
        return Placement(_size(after)) if placed is None else placed


def _placer(task: Task, rule: SizeRule | None) -> _Placer:
    plain = _Placer(rule, 0, 0.0)
    shares = np.mean(
        [
            likeness(pair.input, pair.output, plain.place(pair.input, pair.output))
            for pair in task.train
            if pair.output is not None
        ],
        axis=0,
    )
    best = int(shares.argmax())
    return _Placer(rule, best, float(shares[best]))


def _query(grid: Grid, placers: Sequence[_Placer]) -> TaskQuery:
    """A test input with its two most trusted sizes; of rules that give the same size, the likeliest place."""
    order: dict[Size, list[tuple[_Placer, Placement]]] = {}
    for placer in placers:
        placed = None if placer.rule is None else placer.rule.place(grid)
        if placed is not None and all(1 <= side <= MAX_SIDE for side in placed.size):
            order.setdefault(placed.size, []).append((placer, placed))
    best = [max(found, key=lambda pair: pair[0].likeness) for found in order.values()][:MOST_SIZES]
    family = next(iter(order.values()))[0][0].rule if order else None
    return TaskQuery(grid, tuple(placed for _, placed in best), family.family if family else NO_RULE)


def _size(grid: Grid) -> Size:
    return grid.shape[0], grid.shape[1]
