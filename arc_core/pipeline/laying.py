"""Step 1 for a planner on the outputs' canvas: where each pair's output lies over its input.

Where an output lies is told by rules that fit the demonstrations (`arc_core.data.sizes`). They are looked for
once a task, when its first pair is asked for: finding objects takes longer than a training step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from arc_core.data.dataset import Example
from arc_core.data.grids import Grid
from arc_core.data.sizes import Placement, Size
from arc_core.data.tasks import Pair, Task
from arc_core.data.views import make_views
from arc_core.pipeline.canvas import CanvasBatch, Item, pack
from arc_core.pipeline.padding import FEW_SIDES
from arc_core.pipeline.placed_task import PlacedTask

_AS_IT_IS = make_views(1, (0,), symmetries=False)


class Layouts:
    """Lays out pairs of tasks.

    Args:
        tasks: Their test outputs are not looked at.
        further: As `ARCDataset` takes them.
    """

    def __init__(self, tasks: Iterable[Task], further: Mapping[str, Sequence[Pair]] | None = None) -> None:
        self._tasks = {task.id: task for task in tasks}
        self._further = further or {}
        self._placed: dict[str, PlacedTask] = {}
        self._places: dict[tuple[str, int], Placement] = {}

    def known_size(self, example: Example) -> Size | None:
        """The size that rules give the output of a test input shown as it is; None where no rule fits."""
        placements = self._task(example.task_id).queries[example.pair_index].placements
        return placements[0].size if placements else None

    def lay(
        self,
        examples: Sequence[Example],
        sizes: Sequence[Size | None] | None = None,
        sides: Sequence[int] = FEW_SIDES,
    ) -> CanvasBatch:
        """Lay out examples.

        Args:
            examples: Training pairs with their targets, or test inputs, whose targets are not looked at.
            sizes: Of the outputs of test inputs in the task's own orientation; None takes what the rules say,
                and where they say nothing the input's.
            sides: That canvases may have.
        """
        given = sizes or [None] * len(examples)
        return pack([self._item(*one) for one in zip(examples, given, strict=True)], sides)

    def task(self, name: str) -> Task:
        """A task without its test outputs."""
        return self._task(name).task

    def _task(self, task: str) -> PlacedTask:
        found = self._placed.get(task)
        if found is None:
            found = self._placed[task] = PlacedTask(self._tasks[task].without_test_outputs(), _AS_IT_IS)
        return found

    def _item(self, example: Example, size: Size | None) -> Item:
        placed, symmetry = self._task(example.task_id), example.symmetry
        view = (symmetry, 0)
        if example.part == "train":
            pair = self._training_pair(placed, example)
            placement = self._training_place(placed, example).under(symmetry, _size(pair.input))
            return Item(example.input, example.target, placement, placed.copies, view)
        query = placed.queries[example.pair_index]
        own = _size(query.input)
        placement = Placement(own if size is None else size)
        if size is None and query.placements:
            placement = query.placements[0]
        return Item(example.input, None, placement.under(symmetry, own), placed.copies, view)

    def _training_pair(self, placed: PlacedTask, example: Example) -> Pair:
        own, index = placed.task.train, example.pair_index
        return own[index] if index < len(own) else self._further[example.task_id][index - len(own)]

    def _training_place(self, placed: PlacedTask, example: Example) -> Placement:
        key = example.task_id, example.pair_index
        found = self._places.get(key)
        if found is None:
            pair = self._training_pair(placed, example)
            if pair.output is None:
                raise ValueError(f"task {example.task_id}: a training pair needs an output")
            found = self._places[key] = placed.place(pair.input, pair.output)
        return found


def _size(grid: Grid) -> Size:
    return grid.shape[0], grid.shape[1]
