"""Evaluations made by hand: real tasks, and answers of which it is known what they are worth."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

import numpy as np

from arc_core.data.grids import Grid
from arc_core.data.kaggle import Attempts, challenges
from arc_core.data.seen import write_blind
from arc_core.data.tasks import Task, load_tasks
from arc_core.evaluation.folder import Assignment, EvalFolder, InputAnswer, TaskAnswer

SOLVED, SECOND, FAILED, SIZE, PARTLY, DAMAGED, PENDING = (
    "0ca9ddb6", "0d3d703e", "3c9b0459", "007bbfb7", "27a28665", "017c7c7b", "00d62c1b",
)  # fmt: skip
"""What becomes of each task in `make_eval`: by the first attempt, by the second, wrong cells, a wrong size,
one of three test inputs, a damaged file, no file."""

TASKS = sorted((SOLVED, SECOND, FAILED, SIZE, PARTLY, DAMAGED, PENDING))
BEGUN = 1_795_000_000


@functools.cache
def _tasks() -> dict[str, Task]:
    return {task.id: task for task in load_tasks("arcagi1").tasks if task.id in TASKS}


def truths(task: str) -> list[Grid]:
    """The outputs of a task."""
    return [pair.output for pair in _tasks()[task].test if pair.output is not None]


def spoilt(grid: Grid, cells: int) -> Grid:
    """The grid with so many of its first cells changed."""
    changed = grid.copy()
    changed.flat[:cells] = (changed.flat[:cells] + 1) % 10
    return changed


def answer(
    task: str,
    attempts: list[tuple[Grid, Grid]],
    confidence: tuple[float, float] = (0.75, 0.25),
    rule: str = "same",
) -> TaskAnswer:
    """Answers with the given attempts."""
    inputs = tuple(InputAnswer(Attempts(*pair), confidence, pair[0], rule) for pair in attempts)
    return TaskAnswer(task, inputs, 120, 4.5, 2, 3)


def assignment(
    tasks: list[str], dataset: str = "arcagi1", seed: int = 0, seen: tuple[str, ...] = ()
) -> Assignment:
    """What is asked."""
    return Assignment(
        dataset=dataset, split="training", tasks=tuple(tasks), seconds_per_task=None, steps_per_task=120,
        seed=seed, device="cpu", settings={"width": 8}, weights=None, weights_sha256=None, seen=seen,
    )  # fmt: skip


def dataset(evals: Path) -> str:
    """The tasks as files beside the folder of evaluations, quicker to read than all of ARC-AGI-1."""
    folder = evals.parent / "tasks"
    if not folder.exists():
        folder.mkdir()
        raw = challenges(_tasks().values())
        for name, task in raw.items():
            for pair, output in zip(task["test"], truths(name), strict=True):
                pair["output"] = output.tolist()
            (folder / f"{name}.json").write_text(json.dumps(task))
    return str(folder)


def make_folder(evals: Path, name: str, asked: Assignment, tasks: list[Task]) -> EvalFolder:
    """An evaluation's folder without answers."""
    folder = EvalFolder(evals / name)
    folder.make(asked)
    write_blind(folder.challenges, tasks)
    os.utime(folder.path / "eval.json", (BEGUN, BEGUN))
    return folder


def make_eval(evals: Path, name: str = "first", *, seed: int = 0) -> EvalFolder:
    """An evaluation that goes on, with one task of every kind."""
    tasks = [_tasks()[task] for task in TASKS]
    folder = make_folder(evals, name, assignment(TASKS, dataset(evals), seed), tasks)
    (right,) = truths(SOLVED)
    folder.write_answer(answer(SOLVED, [(right, spoilt(right, 1))], (0.9, 0.05)))
    (right,) = truths(SECOND)
    folder.write_answer(answer(SECOND, [(spoilt(right, 2), right)], (0.4, 0.3)))
    (right,) = truths(FAILED)
    folder.write_answer(answer(FAILED, [(spoilt(right, 3), spoilt(right, 5))], (0.5, 0.5)))
    (right,) = truths(SIZE)
    folder.write_answer(answer(SIZE, [(right[:6], np.zeros((3, 3), np.int8))], (0.2, 0.1), "ratio"))
    first, *others = truths(PARTLY)
    partly = [(first, spoilt(first, 1)), *((spoilt(grid, 1), spoilt(grid, 1)) for grid in others)]
    folder.write_answer(answer(PARTLY, partly, (0.6, 0.2), "constant"))
    folder.answer_path(DAMAGED).write_text(json.dumps({"task": DAMAGED}))
    return folder


def make_finished(evals: Path, name: str, solved: set[str], *, seed: int = 0) -> EvalFolder:
    """An evaluation of tasks with one test input each, of which these are solved."""
    ids = sorted((SOLVED, SECOND, FAILED, SIZE, DAMAGED))
    tasks = [_tasks()[task] for task in ids]
    folder = make_folder(evals, name, assignment(ids, dataset(evals), seed), tasks)
    for task in ids:
        (right,) = truths(task)
        first = right if task in solved else spoilt(right, 1)
        folder.write_answer(answer(task, [(first, spoilt(right, 2))]))
    return folder
