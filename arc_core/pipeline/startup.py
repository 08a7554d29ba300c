"""Phase 3a of a process: its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from arc_core.base.errors import DataError
from arc_core.data.dataset import ARCDataset, Example, largest_grid
from arc_core.data.generated import load_extra
from arc_core.data.kept_away import without_evaluated, without_kept_away
from arc_core.data.task_folder import parts_of
from arc_core.data.tasks import Pair, Split, Task, TaskSet, load_tasks
from arc_core.pipeline.config import CANVAS, FRESH, PipelineConfig
from arc_core.pipeline.validation import choose_inputs
from arc_core.training.diagnostics import Finding
from arc_core.training.resuming import Warn

MOST_OF_TASK = 32
"""Pairs of a task in an epoch at most, where generated ones are given."""

KEPT_FRESH = 2
"""Generated pairs of a task that are never trained on, so that validations can ask for them."""

ENOUGH = 6
"""Generated pairs of which so many are kept."""


def load_split(config: PipelineConfig, split: Split, warn: Warn) -> TaskSet:
    """Load the tasks of a split as the configuration says, and tell which bad ones were left out.

    Raises:
        DataError: If the data is bad.
    """
    tasks = load_tasks(
        config.dataset,
        split,
        solutions=config.solutions,
        skip_bad_tasks=config.skip_bad_tasks,
        groups=parts_of(config.groups),
    )
    if told := tasks.told_skipped():
        warn(Finding("tasks_skipped", told, "Mend the files; the run goes on without these tasks."))
    return tasks


@dataclass(frozen=True)
class RunData:
    """What a run is trained and validated on.

    Attributes:
        dataset: The training pairs.
        further: Those of them that are no demonstrations, as `ARCDataset` takes them.
        generated: What was read of `extra_data`, by task, pairs that are kept for validation too.
        answered: The test inputs that every validation answers.
        tested: The tasks of these.
    """

    dataset: ARCDataset
    further: Mapping[str, Sequence[Pair]]
    generated: Mapping[str, Sequence[Pair]]
    answered: list[Example]
    tested: tuple[Task, ...]


def training_tasks(config: PipelineConfig, warn: Warn) -> TaskSet:
    """Load the tasks that are trained on.

    Raises:
        DataError: If the data is bad, or no task is left.
    """
    tasks = load_split(config, "training", warn)
    if not config.keep_away:
        return tasks
    kept = without_kept_away(tasks.tasks)
    if not kept:
        raise DataError(f"{config.dataset}: every training task is one that keep_away leaves out.")
    return TaskSet(kept, tasks.skipped, f"{config.dataset} training, without what is evaluated")


def load_data(config: PipelineConfig, warn: Warn) -> RunData:
    """Load the training pairs, the test inputs that every validation answers, and the tasks of these.

    Raises:
        DataError: If the data is bad, or nothing is left to train on.
    """
    tasks = training_tasks(config, warn)
    generated = _generated(config, tasks, warn)
    further, fresh = dict[str, list[Pair]](), list[Task]()
    for task in tasks.tasks:
        trained, kept = _split(generated.get(task.id, ()), config.small_cells)
        own = [pair for pair in task.test if pair.output is not None] if config.keep_away else []
        further[task.id] = [*own, *trained]
        fresh += [replace(task, test=kept)] if kept else []
    dataset = ARCDataset(
        tasks=tasks,
        augment=config.augment,
        recolor=config.planner != CANVAS,  # a task's own prompt stands for its rule with its colours
        seed=config.seed,
        max_context=config.max_context,
        max_cells=config.small_cells,
        max_pairs=config.max_pairs,
        further=further,
        most_of_task=None if config.extra_data is None else MOST_OF_TASK,
    )
    if len(dataset) == 0:
        raise DataError(f"{config.dataset}: no training pair has at most {config.small_cells} cells")
    if config.validate_on == "none":
        return RunData(dataset, further, generated, [], ())
    held = tasks
    if config.validate_on == "evaluation":
        held = load_split(config, "evaluation", warn)
    elif config.validate_on == FRESH:
        held = TaskSet(tuple(fresh))
    tests = ARCDataset(tasks=held, part="test", max_context=config.max_context)
    chosen = choose_inputs(list(tests), config.validation_limit)
    if not chosen:
        warn(_nothing_to_validate(config))
    return RunData(dataset, further, generated, chosen, held.tasks)


def _generated(config: PipelineConfig, tasks: TaskSet, warn: Warn) -> dict[str, list[Pair]]:
    """The generated pairs of tasks that may be trained on."""
    if config.extra_data is None:
        return {}
    extra = load_extra(config.extra_data, {task.id for task in tasks.tasks})
    if told := extra.told():
        advice = "Nothing needs to be done: training goes on with all other pairs."
        warn(Finding("pairs_left_out", told, advice))
    return without_evaluated(extra.pairs) if config.keep_away else extra.pairs


def _split(pairs: Sequence[Pair], max_cells: int | None) -> tuple[list[Pair], tuple[Pair, ...]]:
    """Generated pairs of a task to train on, and those that are never trained on."""
    usable = [pair for pair in pairs if max_cells is None or largest_grid(pair) <= max_cells]
    trained = len(usable) - (KEPT_FRESH if len(usable) >= ENOUGH else 0)
    return usable[:trained], tuple(usable[trained:])


def _nothing_to_validate(config: PipelineConfig) -> Finding:
    if config.validate_on == FRESH:
        return Finding(
            "no_validation",
            f"There are no generated pairs to validate on: that takes {ENOUGH} of a task.",
            "Give generated pairs (--extra-data), or --validate-on none.",
        )
    return Finding(
        "no_validation",
        f"{config.dataset} has no test outputs to validate against.",
        "Give the solutions file (--solutions), or --validate-on none.",
    )


def color_shares(dataset: ARCDataset) -> torch.Tensor:
    """Share of each colour in the demonstrations' outputs, [10]: where the anchor Ĉ starts."""
    outputs = [pair.output for task in dataset.tasks.tasks for pair in task.train if pair.output is not None]
    cells = np.concatenate([output.ravel() for output in outputs])
    counts = torch.from_numpy(np.bincount(cells, minlength=10)).float()
    return counts / counts.sum()
