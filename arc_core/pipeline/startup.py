"""Phases 1 and 3a of a process: its device and its data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import cast

import torch

from arc_core.base.errors import DataError, PreflightError
from arc_core.data.dataset import ARCDataset, Example, TaskSet, load_tasks
from arc_core.data.seen import SeenTasks
from arc_core.data.tasks import Pair
from arc_core.pipeline.validation import choose_inputs
from arc_core.run.config import TrainConfig
from arc_core.run.directory import SEEN, RunDirectory
from arc_core.training.data_changes import digest_of
from arc_core.training.diagnostics import Finding
from arc_core.training.resuming import Warn

MOST_LISTED = 10


def choose_device(name: str) -> torch.device:
    """Resolve `auto`, and refuse a GPU that is not there.

    Raises:
        PreflightError: If the device is not on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise PreflightError(
            f"device {name!r} is not here: torch sees {torch.cuda.device_count()} GPUs; use auto or cpu"
        )
    return device


def load_data(config: TrainConfig, warn: Warn) -> tuple[ARCDataset, list[Example]]:
    """Load the training pairs, and the test inputs that every validation answers.

    Raises:
        DataError: If the data is bad, or nothing is left to train on.
    """
    tasks = load_tasks(
        config.dataset, "training", solutions=config.solutions, skip_bad_tasks=config.skip_bad_tasks
    )
    warn_of_skipped(tasks, warn)
    dataset = ARCDataset(
        tasks=tasks,
        augment=config.augment,
        seed=config.seed,
        max_context=config.max_context,
        max_cells=config.small_cells,
        max_pairs=config.max_pairs,
    )
    if len(dataset) == 0:
        raise DataError(f"{config.dataset}: no training pair has at most {config.small_cells} cells")
    if config.validate_on == "none":
        return dataset, []
    held = tasks
    if config.validate_on == "evaluation":
        held = load_tasks(
            config.dataset, "evaluation", solutions=config.solutions, skip_bad_tasks=config.skip_bad_tasks
        )
        warn_of_skipped(held, warn)
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
    return dataset, chosen


def warn_of_skipped(tasks: TaskSet, warn: Warn) -> None:
    """Tell which tasks were left out because they are bad."""
    if told := tasks.told_skipped():
        warn(Finding("tasks_skipped", told, "Mend the files; the run goes on without these tasks."))


def seen_so_far(run: RunDirectory, tasks: TaskSet) -> SeenTasks:
    """What a run has been trained on once it has begun to train on these tasks, for run.json.

    A run may go on with other data, and a branch goes on from what another run has learned: what was seen
    stays seen.

    Raises:
        DataError: If run.json does not say it as it was written.
    """
    content = run.read()
    if SEEN not in content:
        return SeenTasks.of(tasks.tasks)
    before = SeenTasks.from_json(content[SEEN], run.name)
    known = cast("dict[str, object]", content.get("dataset", {})).get("sha256") == tasks.sha256
    return before if known else before | SeenTasks.of(tasks.tasks)


def color_shares(dataset: ARCDataset) -> torch.Tensor:
    """Share of each colour in the demonstrations' outputs, [10]: where the anchor Ĉ starts."""
    counts = torch.zeros(10)
    for task in dataset.tasks.tasks:
        for pair in task.train:
            if pair.output is not None:
                counts += torch.bincount(torch.tensor(pair.output).flatten().long(), minlength=10)
    return counts / counts.sum()


def validation_print(inputs: Iterable[tuple[str, int, tuple[Pair, ...]]]) -> str:
    """Identity of what validations answer, hex: marks count beside each other only under the same one.

    Args:
        inputs: Of each its task, its place in it, and all pairs that count: shown ones and its own.
    """
    digest = hashlib.sha256()
    for task, place, pairs in inputs:
        digest.update(f"{task!a} {place} {digest_of(pairs)}\n".encode())
    return digest.hexdigest()
