"""Phase 3a of a process: its data."""

from __future__ import annotations

import torch

from arc_core.base.errors import DataError
from arc_core.data.dataset import ARCDataset, Example
from arc_core.data.tasks import Split, Task, TaskSet, load_tasks
from arc_core.pipeline.config import CANVAS, PipelineConfig
from arc_core.pipeline.validation import choose_inputs
from arc_core.run.config import TrainConfig
from arc_core.training.diagnostics import Finding
from arc_core.training.resuming import Warn


def load_split(config: TrainConfig, split: Split, warn: Warn) -> TaskSet:
    """Load the tasks of a split as the configuration says, and tell which bad ones were left out.

    Raises:
        DataError: If the data is bad.
    """
    tasks = load_tasks(
        config.dataset, split, solutions=config.solutions, skip_bad_tasks=config.skip_bad_tasks
    )
    if told := tasks.told_skipped():
        warn(Finding("tasks_skipped", told, "Mend the files; the run goes on without these tasks."))
    return tasks


def load_data(config: PipelineConfig, warn: Warn) -> tuple[ARCDataset, list[Example], tuple[Task, ...]]:
    """Load the training pairs, the test inputs that every validation answers, and the tasks of these.

    Raises:
        DataError: If the data is bad, or nothing is left to train on.
    """
    tasks = load_split(config, "training", warn)
    dataset = ARCDataset(
        tasks=tasks,
        augment=config.augment,
        recolor=config.planner != CANVAS,  # a task's own prompt stands for its rule with its colours
        seed=config.seed,
        max_context=config.max_context,
        max_cells=config.small_cells,
        max_pairs=config.max_pairs,
    )
    if len(dataset) == 0:
        raise DataError(f"{config.dataset}: no training pair has at most {config.small_cells} cells")
    if config.validate_on == "none":
        return dataset, [], ()
    held = tasks
    if config.validate_on == "evaluation":
        held = load_split(config, "evaluation", warn)
    tests = ARCDataset(tasks=held, part="test", max_context=config.max_context)
    chosen = choose_inputs(list(tests), config.validation_limit)
    if not chosen:
        warn(
            Finding(
                "no_validation",
                f"{config.dataset} has no test outputs to validate against.",
                "Give the solutions file (--solutions), or --validate-on none.",
            )
        )
    return dataset, chosen, held.tasks


def color_shares(dataset: ARCDataset) -> torch.Tensor:
    """Share of each colour in the demonstrations' outputs, [10]: where the anchor Ĉ starts."""
    counts = torch.zeros(10)
    for task in dataset.tasks.tasks:
        for pair in task.train:
            if pair.output is not None:
                counts += torch.bincount(torch.tensor(pair.output).flatten().long(), minlength=10)
    return counts / counts.sum()
