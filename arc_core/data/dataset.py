"""Examples to train on, their augmentation, and which of them go into one batch (seed, 3a and step 1).

Everything random here is a pure function of (seed, epoch, index) or (seed, epoch): a resumed run needs no
state of this module to go on where it was.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from arc_core.data.grids import NUM_COLORS, Grid, dihedral, freeze, permute_colors
from arc_core.data.tasks import Pair, Split, Task, TaskSet, load_tasks

Part = Literal["train", "test"]

DEFAULT_MAX_CONTEXT = 6
"""Demonstrations shown at most. Only 1% of ARC-AGI tasks have more; the cap bounds what one of them costs."""

WINDOW_BATCHES = 128
"""Batches that are cut from one window of shuffled examples: large enough that many in it are alike in size,
small enough that the pairs of one task, which are alike too, are seldom in one batch."""

# Keep the random streams apart: NumPy pads seeds with zeros, so [7] and [7, 0] are one stream.
_EXAMPLE_STREAM, _BATCH_STREAM = 1, 2


@dataclass(frozen=True, eq=False)
class Example:
    """An input to be solved, and the demonstrations that say how. Its grids are read-only."""

    task_id: str
    pair_index: int
    """Zero-based place of the input in its part of the task."""
    part: Part
    """Which of the task's lists the input comes from."""
    context: tuple[Pair, ...]
    """Demonstrations to learn the rule from, never the input's own pair; may be empty."""
    input: Grid
    """int8 [H, W]."""
    target: Grid | None
    """int8 [H', W'], what the input becomes; None where it is not known."""
    symmetry: int = 0
    """Under which it is shown, 0..7."""


class ARCDataset:
    """The pairs of a set of tasks, each with its task's other demonstrations as context.

    A train pair is shown with the task's *other* train pairs, a test pair with all of them, so training and
    test see the same kind of thing. It has the methods that torch's map-style datasets have, without torch: a
    `DataLoader` takes it with `collate_fn=arc_core.pipeline.batch.collate`.

    Args:
        source: Where the tasks are, see `load_tasks`; ignored when `tasks` is given.
        split: `training` or `evaluation`.
        part: Which pairs are the inputs to solve: the tasks' `train` or `test` pairs.
        augment: Show each example under a random symmetry and renaming of colours, see `augment_example`.
        recolor: Whether augmentation renames colours.
        seed: Of the augmentation, at least 0.
        solutions: Kaggle's solutions file, see `load_tasks`.
        skip_bad_tasks: Leave bad tasks out instead of failing; `tasks.skipped` lists them.
        tasks: Tasks that are loaded already.
        max_context: Demonstrations shown at most; None for all. With augmentation a new random choice in
            each epoch, without it the first ones.
        max_cells: Leave out pairs with a grid of more cells; None for none.
        max_pairs: Keep the first so many pairs; None for all.
        further: More pairs by their task's id, to train on beside its demonstrations, with these as context.
        most_of_task: Pairs of a task in one epoch at most, others in each; None for all.

    Raises:
        DataError: For anything wrong with the data; the sentence names file, task and cell.
        ValueError: If `part`, `seed` or `max_context` is outside what is said above.
    """

    def __init__(
        self,
        source: str | Path = "arcagi2",
        split: Split = "training",
        *,
        part: Part = "train",
        augment: bool = False,
        recolor: bool = True,
        seed: int = 42,
        solutions: str | Path | None = None,
        skip_bad_tasks: bool = False,
        tasks: TaskSet | None = None,
        max_context: int | None = DEFAULT_MAX_CONTEXT,
        max_cells: int | None = None,
        max_pairs: int | None = None,
        further: Mapping[str, Sequence[Pair]] | None = None,
        most_of_task: int | None = None,
    ):
        if part not in ("train", "test"):
            raise ValueError(f"part must be train or test, not {part!r}")
        if seed < 0:
            raise ValueError(f"seed must be at least 0, not {seed}")
        if max_context is not None and max_context < 0:
            raise ValueError(f"max_context must be at least 0 or None, not {max_context}")
        if tasks is None:
            tasks = load_tasks(source, split, solutions=solutions, skip_bad_tasks=skip_bad_tasks)
        self.tasks = tasks
        self.part: Part = part
        self.augment = augment
        self.recolor = recolor
        self.seed = seed
        self.max_context = max_context
        self.most_of_task = most_of_task
        self._further = further or {}
        self._places = [
            (task, number)
            for task in tasks.tasks
            for number, pair in enumerate(self._pairs_of(task))
            if max_cells is None or largest_grid(pair) <= max_cells
        ][:max_pairs]  # index -> task and pair
        self._sides = np.array([_sides_of(self._pair(index)) for index in range(len(self))], np.int8)
        self._turns: tuple[int | None, npt.NDArray[np.int8]] = None, np.zeros(0, dtype=np.int8)

    def key(self, index: int) -> tuple[str, int]:
        """The task of an example, and its place among the task's pairs."""
        task, number = self._places[index]
        return task.id, number

    @property
    def task_ids(self) -> list[str]:
        """The tasks that have an example, in order."""
        return list(dict.fromkeys(task.id for task, _ in self._places))

    def thinned(self, order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The first `most_of_task` examples of each task, in an order of all."""
        if self.most_of_task is None:
            return order
        met = Counter[str]()
        kept = list[int]()
        for index in order.tolist():
            task = self._places[index][0].id
            met[task] += 1
            if met[task] <= self.most_of_task:
                kept.append(index)
        return np.array(kept, dtype=np.int64)

    def _pairs_of(self, task: Task) -> tuple[Pair, ...]:
        return task.test if self.part == "test" else (*task.train, *self._further.get(task.id, ()))

    def _pair(self, index: int) -> Pair:
        task, number = self._places[index]
        own = task.train if self.part == "train" else task.test
        return own[number] if number < len(own) else self._further[task.id][number - len(own)]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Example:
        """The example as epoch 0 shows it."""
        return self.example(index, epoch=0)

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def example(self, index: int, epoch: int) -> Example:
        """One example as one epoch shows it.

        Args:
            index: Which one; negative counts from the end.
            epoch: Zero-based; matters only with augmentation.

        Returns:
            The example: a pure function of the tasks, (seed, epoch, index) and the constructor's settings.

        Raises:
            IndexError: If there is no such example.
            ValueError: If `epoch` is negative.
        """
        task, number = self._places[index]
        pair = self._pair(index)
        context = task.train
        if self.part == "train":
            context = context[:number] + context[number + 1 :]
        if not self.augment:
            context = context[: self.max_context]
            return Example(task.id, number, self.part, context, pair.input, pair.output)
        symmetry, permutation, rng = self._draw(index, epoch)
        order = rng.permutation(len(context))[: self.max_context].tolist()
        shown = Example(task.id, number, self.part, tuple(context[i] for i in order), pair.input, pair.output)
        return augment_example(shown, symmetry, permutation if self.recolor else np.arange(NUM_COLORS))

    def _draw(self, index: int, epoch: int) -> tuple[int, npt.NDArray[np.int64], np.random.Generator]:
        """The example's symmetry 0..7, its colour permutation [10], and the generator to go on with."""
        symmetry, rng = self._symmetry(index, epoch)
        permutation = np.arange(NUM_COLORS)
        permutation[1:] = 1 + rng.permutation(NUM_COLORS - 1)
        return symmetry, permutation, rng

    def _symmetry(self, index: int, epoch: int) -> tuple[int, np.random.Generator]:
        """Its symmetry alone, and the generator that the rest is drawn from."""
        if epoch < 0:
            raise ValueError(f"epoch must be at least 0, not {epoch}")
        rng = np.random.default_rng([_EXAMPLE_STREAM, self.seed, epoch, index % len(self)])
        return int(rng.integers(8)), rng

    def _turned(self, indices: npt.NDArray[np.int64], epoch: int) -> npt.NDArray[np.bool_]:
        """Whether examples are shown with their sides swapped; kept, as an epoch is planned several times."""
        if self._turns[0] != epoch:
            self._turns = epoch, np.full(len(self), -1, dtype=np.int8)
        turns = self._turns[1]
        for index in indices[turns[indices] < 0].tolist():
            turns[index] = self._symmetry(index, epoch)[0] % 2
        return turns[indices] == 1

    def shapes(self, epoch: int = 0, among: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.int64]:
        """The sides of examples without making them.

        Args:
            epoch: The epoch whose augmentation counts: a quarter turn swaps the sides.
            among: Which ones; None for all.

        Returns:
            int64 [N, 4]: input height and width, target height and width (0, 0 where it is not known).

        Raises:
            ValueError: If `epoch` is negative.
        """
        indices = np.arange(len(self)) if among is None else among
        shapes = self._sides.reshape(-1, 4)[indices].astype(np.int64)
        if self.augment:
            turned = self._turned(indices, epoch)
            shapes[turned] = shapes[turned][:, [1, 0, 3, 2]]
        return shapes


def _sides_of(pair: Pair) -> tuple[int, ...]:
    """Sides of input and output, 0 where there is none."""
    return pair.input.shape + ((0, 0) if pair.output is None else pair.output.shape)


def largest_grid(pair: Pair) -> int:
    """Cells of the larger grid of a pair."""
    return max(pair.input.size, 0 if pair.output is None else pair.output.size)


def augment_example(example: Example, symmetry: int, permutation: npt.NDArray[np.integer]) -> Example:
    """The same example under a symmetry of the square and other colours.

    Both are applied to context, input and target alike, so what holds between them still holds. The dataset
    draws permutations that leave colour 0 as it is: in ARC 0 is the background, that which is empty, and
    most rules treat it apart from the nine others, which stand for each other freely; evaluation never
    renames it either, and the features count on it.

    Args:
        example: The example.
        symmetry: 0..7, see `arc_core.data.grids.DIHEDRAL_NAMES`.
        permutation: [10], the new colour of each old one.

    Returns:
        A new example with read-only grids.

    Raises:
        ValueError: If `symmetry` or `permutation` is no such thing.
    """

    def move(grid: Grid) -> Grid:
        return freeze(permute_colors(dihedral(grid, symmetry), permutation))

    def move_known(grid: Grid | None) -> Grid | None:
        return None if grid is None else move(grid)

    return Example(
        example.task_id,
        example.pair_index,
        example.part,
        tuple(Pair(move(pair.input), move_known(pair.output)) for pair in example.context),
        move(example.input),
        move_known(example.target),
        symmetry,
    )


def plan_batches(
    dataset: ARCDataset,
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    max_batches: int | None = None,
    left_out: Collection[tuple[str, int]] = (),
) -> list[list[int]]:
    """Which examples each batch of an epoch holds, alike in size so that little is padded.

    The examples are shuffled and cut into windows of `WINDOW_BATCHES` batches; each window is cut by size
    into batches, and all batches are shuffled. The plan depends on the arguments alone: a resumed run makes
    it again and goes on at any batch of it.

    Args:
        dataset: What to plan for.
        batch_size: Examples a batch; one batch of the epoch has fewer if they do not come out even.
        seed: At least 0.
        epoch: Zero-based.
        max_batches: Keep only the first so many of the shuffled batches; None for all.
        left_out: Keys of the examples to leave out, see `ARCDataset.key`.

    Returns:
        Batches of indices; without `max_batches` each index that is shown in the epoch and not left out is in
        exactly one.

    Raises:
        ValueError: If `batch_size` or `max_batches` is below 1, or `seed` or `epoch` is negative.
    """
    if batch_size < 1 or (max_batches is not None and max_batches < 1):
        raise ValueError(f"batch_size and max_batches must be at least 1, not {batch_size} and {max_batches}")
    rng = np.random.default_rng([_BATCH_STREAM, seed, epoch])
    order = dataset.thinned(rng.permutation(len(dataset)))
    if left_out:
        order = order[[dataset.key(index) not in left_out for index in order.tolist()]]
    shapes = dataset.shapes(epoch, order)
    window = batch_size * WINDOW_BATCHES
    places = np.arange(len(order))
    batches = [
        order[batch].tolist()
        for start in range(0, len(order), window)
        for batch in cut_by_size(places[start : start + window], shapes, batch_size)
    ]
    batches = [batches[i] for i in rng.permutation(len(batches))]
    return batches[:max_batches]


def cut_by_size(
    indices: npt.NDArray[np.int64], shapes: npt.NDArray[np.int64], batch_size: int
) -> list[list[int]]:
    """Halve `indices` along the side that varies most until each piece is a batch.

    All four sides have to be alike within a batch. Sorting by the number of cells alone makes batches of
    equal areas and unequal sides: on ARC-AGI-2 it pads 0.35 of the cells where this pads 0.19 (batches of 8).
    """
    if len(indices) <= batch_size:
        return [indices.tolist()] if len(indices) else []
    sides = shapes[indices]  # [N, sides]
    widest = int(sides.std(axis=0).argmax())
    indices = indices[np.argsort(sides[:, widest], kind="stable")]  # stable: ties stay shuffled
    middle = -(-len(indices) // batch_size) // 2 * batch_size  # whole batches, so only the last is short
    return [
        *cut_by_size(indices[:middle], shapes, batch_size),
        *cut_by_size(indices[middle:], shapes, batch_size),
    ]
