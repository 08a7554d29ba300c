"""What the solver's agent is pretrained on: pairs of many tasks, in groups that share a view. No torch.

With learned prompts a group is a single pair; with prompts that are read, its pairs are each other's context.

Everything random is a function of (seed, epoch), so that a resumed run goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from arc_core.data.dataset import cut_by_size
from arc_core.data.grids import NUM_COLORS
from arc_core.data.seen import SeenTasks, fingerprint, held_out
from arc_core.data.tasks import DATASET_NAMES, Pair, Task, load_tasks
from arc_core.data.views import View

GROUP = 4
"""Pairs of a group where prompts are read: each is answered with the three others as context."""

GROUPS_PER_EPOCH = 8
"""Groups of so many pairs of each task in an epoch, at most."""

WINDOW = 32
"""Pairs that a group is chosen from by size."""

FRESH = 2
"""Pairs of each task that are kept for validation, where enough were generated."""

_ORDER_STREAM, _VIEW_STREAM = 21, 22

_AS_IT_IS = View(0, 0, tuple(range(NUM_COLORS)))


@dataclass(frozen=True, eq=False)
class PoolTask:
    """A task with all of its pairs."""

    id: str
    pairs: tuple[Pair, ...]
    """To train on."""
    fresh: tuple[Pair, ...]
    """Never trained on."""


@dataclass(frozen=True)
class ViewGroup:
    """Some pairs of a task under a view."""

    task: int
    """Place in the pool."""
    pairs: tuple[int, ...]
    """Places among the task's pairs."""
    view: View


def without_kept_away(tasks: Sequence[Task]) -> tuple[Task, ...]:
    """The tasks that may be trained on.

    Left out are the held-out list, every task of an evaluation split of ARC-AGI-1 or -2, and whatever
    shares a pair with one of these, under whatever name.
    """
    unusable = set(SeenTasks.of(_kept_away()).overlap(tasks))
    return tuple(task for task in tasks if task.id not in unusable)


def without_evaluated(extra: Mapping[str, Sequence[Pair]]) -> dict[str, list[Pair]]:
    """Generated pairs by task without those that are also pairs of a task that is kept away.

    Whoever made them may have drawn such a pair by chance, or put it under a training task's id.
    """
    tasks = _kept_away()
    prints = SeenTasks.of(tasks).prints
    # Fingerprints of all would take longer than training's first minutes; outlines rule most pairs out.
    outlines = {_outline(pair) for task in tasks for pair in (*task.train, *task.test)}
    return {
        name: [pair for pair in pairs if _outline(pair) not in outlines or fingerprint(pair) not in prints]
        for name, pairs in extra.items()
    }


def _kept_away() -> list[Task]:
    """The tasks that no weights may have seen: the held-out list, and every evaluation split."""
    evaluated = [task for name in DATASET_NAMES for task in load_tasks(name, "evaluation").tasks]
    return [*held_out(load_tasks("arcagi1").tasks), *evaluated]


def _outline(pair: Pair) -> tuple[int, ...]:
    """What two pairs of one fingerprint have in common, and is quickly known: sides and cells not black."""
    grids = [grid for grid in (pair.input, pair.output) if grid is not None]
    sides = [side for grid in grids for side in grid.shape]
    turned = [side for grid in grids for side in grid.shape[::-1]]
    return (*min(sides, turned), *(int(np.count_nonzero(grid)) for grid in grids))


def make_pool(
    tasks: Sequence[Task], extra: Mapping[str, Sequence[Pair]], max_cells: int | None = None
) -> list[PoolTask]:
    """Put each task's own pairs and generated ones together.

    Args:
        tasks: Test pairs count too where their outputs are known.
        extra: Generated pairs by task.
        max_cells: Leave out pairs with a larger grid; None for none.

    Returns:
        The tasks that have a whole group left, in order.
    """

    def usable(pair: Pair) -> bool:
        cells = max(pair.input.size, 0 if pair.output is None else pair.output.size)
        return pair.output is not None and (max_cells is None or cells <= max_cells)

    pool = []
    for task in tasks:
        own = [pair for pair in (*task.train, *task.test) if usable(pair)]
        generated = [pair for pair in extra.get(task.id, ()) if usable(pair)]
        fresh = generated[-FRESH:] if len(generated) >= GROUP + FRESH else []
        pairs = own + generated[: len(generated) - len(fresh)]
        if len(pairs) >= GROUP:
            pool.append(PoolTask(task.id, tuple(pairs), tuple(fresh)))
    return pool


def plan_single_pairs(
    pool: Sequence[PoolTask], *, seed: int, epoch: int, augment: bool = True
) -> list[ViewGroup]:
    """The pairs of an epoch, each a group of its own under one of the eight symmetries.

    As many of each task as `plan_groups` takes. Colours keep their names: a prompt stands for a task's rule
    with its colours.
    """
    rng = np.random.default_rng([_ORDER_STREAM, seed, epoch])
    groups = []
    for number, task in enumerate(pool):
        for place in rng.permutation(len(task.pairs))[: GROUP * GROUPS_PER_EPOCH].tolist():
            view = View(int(rng.integers(8)), 0, _AS_IT_IS.colors) if augment else _AS_IT_IS
            groups.append(ViewGroup(number, (place,), view))
    return groups


def plan_groups(pool: Sequence[PoolTask], *, seed: int, epoch: int, augment: bool = True) -> list[ViewGroup]:
    """The groups of an epoch: every group under a view of its own, its pairs rather alike in size.

    Each task's pairs are shuffled and cut into windows of `WINDOW`, and each window by size into groups:
    generated pairs of a task differ so much in size that most of a batch would be padding otherwise (64%
    of the cells; 46% like this, in batches of 64). Without `augment` every group is shown as it is.
    """
    rng = np.random.default_rng([_ORDER_STREAM, seed, epoch])
    groups = []
    for number, task in enumerate(pool):
        order = rng.permutation(len(task.pairs)).tolist()
        for start in range(0, min(len(order) // GROUP, GROUPS_PER_EPOCH) * GROUP, WINDOW):
            window = order[start : start + WINDOW]
            window.sort(key=lambda place: _largest_side(task.pairs[place]))
            for first in range(0, len(window) - GROUP + 1, GROUP):
                groups.append(
                    ViewGroup(
                        number,
                        tuple(window[first : first + GROUP]),
                        _draw_view(rng) if augment else _AS_IT_IS,
                    )
                )
    return groups


def _largest_side(pair: Pair) -> int:
    return max(*pair.input.shape, *(() if pair.output is None else pair.output.shape))


def _draw_view(rng: np.random.Generator) -> View:
    colors = (0, *(1 + rng.permutation(NUM_COLORS - 1)).tolist())
    return View(int(rng.integers(8)), 0, colors)


def plan_batches(
    groups: Sequence[ViewGroup], pool: Sequence[PoolTask], batch_pairs: int, *, seed: int, epoch: int
) -> list[list[ViewGroup]]:
    """Cut an epoch's groups into batches of like sizes, in random order.

    Args:
        groups: All of as many pairs.
        pool: Their tasks.
        batch_pairs: Pairs of a batch, about: a multiple of those of a group.
        seed: At least 0.
        epoch: Zero-based.
    """
    rng = np.random.default_rng([_VIEW_STREAM, seed, epoch])
    shapes = np.array([_canvas(group, pool[group.task]) for group in groups])
    cut = cut_by_size(rng.permutation(len(groups)), shapes, max(1, batch_pairs // len(groups[0].pairs)))
    return [[groups[place] for place in cut[number]] for number in rng.permutation(len(cut))]


def _canvas(group: ViewGroup, task: PoolTask) -> list[int]:
    """Sides that hold all of a group's inputs, and all of its outputs, under its view."""
    pairs = [task.pairs[place] for place in group.pairs]
    inputs = [pair.input.shape for pair in pairs]
    outputs = [pair.output.shape for pair in pairs if pair.output is not None]
    sides = [max(shape[axis] for shape in shapes) for shapes in (inputs, outputs) for axis in (0, 1)]
    return [sides[i] for i in (1, 0, 3, 2)] if group.view.turned else sides
