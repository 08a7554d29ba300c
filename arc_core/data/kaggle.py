"""Kaggle's three files of ARC: challenges without test outputs, their solutions, and a submission. No torch.

challenges   {task id: {"train": [{"input": grid, "output": grid}, ...], "test": [{"input": grid}, ...]}}
solutions    {task id: [grid, ...]}                                   one grid for each test input
submission   {task id: [{"attempt_1": grid, "attempt_2": grid}, ...]} one entry for each test input
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from arc_core.base.errors import DataError
from arc_core.base.text import printable
from arc_core.data.grids import Grid, freeze, parse_grid
from arc_core.data.task_folder import read_json
from arc_core.data.tasks import Task

ATTEMPTS = ("attempt_1", "attempt_2")

BLANK: Grid = freeze(np.zeros((0, 0), dtype=np.int8))
"""An attempt that was not made: it equals no output, so it is wrong."""


@dataclass(frozen=True, eq=False)
class Attempts:
    """The two answers to one test input; both count alike, the first alone counts for pass@1."""

    first: Grid
    """int8 [h, w]; `BLANK` where it was not made."""
    second: Grid
    """int8 [h', w']; may equal the first, or be `BLANK`."""

    @property
    def blank(self) -> int:
        """How many of the two were not made."""
        return sum(not grid.size for grid in (self.first, self.second))


Submission = Mapping[str, tuple[Attempts, ...]]
"""Task id -> attempts for each of its test inputs, in their order."""


def challenges(tasks: Iterable[Task]) -> dict[str, Any]:
    """The challenges file of some tasks; test outputs are left out."""
    return {
        task.id: {
            "train": [
                {"input": pair.input.tolist(), "output": cast(Grid, pair.output).tolist()}
                for pair in task.train
            ],
            "test": [{"input": pair.input.tolist()} for pair in task.test],
        }
        for task in tasks
    }


def solutions(tasks: Iterable[Task]) -> dict[str, Any]:
    """The solutions file of some tasks.

    Raises:
        DataError: If a test output is not known.
    """
    return {task: [grid.tolist() for grid in grids] for task, grids in known_outputs(tasks).items()}


def submission(answers: Submission) -> dict[str, Any]:
    """The content of submission.json."""
    return {
        task: [
            {name: grid.tolist() for name, grid in zip(ATTEMPTS, (a.first, a.second), strict=True)}
            for a in attempts
        ]
        for task, attempts in answers.items()
    }


def read_submission(path: Path) -> dict[str, tuple[Attempts, ...]]:
    """Read and check a submission.

    Args:
        path: A submission.json.

    Returns:
        The attempts of every task in it; `BLANK` for one that is missing, null, [] or [[]].

    Raises:
        DataError: For anything else that Kaggle's form does not allow; names file, task, input and cell.
    """
    return parse_submission(read_json(path), printable(str(path)))


def parse_submission(content: object, place: str) -> dict[str, tuple[Attempts, ...]]:
    """Check a submission as `read_submission` does, which has been read already from `place`."""
    if not isinstance(content, dict):
        raise DataError(f"{place} is no submission: it must be an object of task ids.")
    entries = cast("dict[str, object]", content)
    return {task: _attempts(raw, f"{place}: task {printable(task)}") for task, raw in entries.items()}


def _attempts(raw: object, where: str) -> tuple[Attempts, ...]:
    if not isinstance(raw, list) or not raw:
        raise DataError(f"{where} must be a list with one entry for each of its test inputs.")
    found = []
    for number, entry in enumerate(cast("list[object]", raw)):
        here = f"{where}, test input {number} (zero-based)"
        if entry is None:
            found.append(Attempts(BLANK, BLANK))
            continue
        if not isinstance(entry, dict):
            raise DataError(f"{here} must be an object with attempt_1 and attempt_2.")
        attempts = cast("dict[str, object]", entry)
        if foreign := sorted(attempts.keys() - set(ATTEMPTS)):
            raise DataError(f"{here} has {printable(foreign[0], 60)}: two attempts are allowed.")
        found.append(Attempts(*(_attempt(attempts.get(name), f"{here}, {name}") for name in ATTEMPTS)))
    return tuple(found)


def _attempt(raw: object, where: str) -> Grid:
    blank = raw is None or (isinstance(raw, list) and all(row == [] for row in cast("list[object]", raw)))
    return BLANK if blank else parse_grid(raw, where)


def read_solutions(path: Path, skipped: list[str] | None = None) -> dict[str, list[Grid]]:
    """Read and check a solutions file.

    Args:
        path: Kaggle's `..._solutions.json`.
        skipped: Takes a sentence about each bad task, which is left out then; None refuses the first.

    Returns:
        For each task the outputs of its test inputs, in order.

    Raises:
        DataError: If it is no such file; names file, task and cell.
    """
    place = printable(str(path))
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        raise DataError(f"{place} is no solutions file: it must map task ids to lists of grids.")
    found: dict[str, list[Grid]] = {}
    for task, grids in cast("dict[str, object]", content).items():
        try:
            found[task] = _solution(grids, f"{place}: task {printable(task)}")
        except DataError as error:
            if skipped is None:
                raise type(error)(f"{error} --skip-bad-tasks goes on without it.") from None
            skipped.append(str(error))
    if not found:
        raise DataError(f"{place} holds no solution that can be used.")
    return found


def _solution(grids: object, where: str) -> list[Grid]:
    if not isinstance(grids, list) or not grids:
        raise DataError(f"{where}: its solutions must be a list of grids, one for each test input.")
    return [
        parse_grid(grid, f"{where}, solution {number} (zero-based)")
        for number, grid in enumerate(cast("list[object]", grids))
    ]


def known_outputs(tasks: Iterable[Task]) -> dict[str, list[Grid]]:
    """The outputs of the test inputs of tasks that come with them.

    Raises:
        DataError: If one is not known.
    """
    found: dict[str, list[Grid]] = {}
    for task in tasks:
        outputs = [pair.output for pair in task.test if pair.output is not None]
        if len(outputs) != len(task.test):
            raise DataError(f"Task {printable(task.id)} has a test input whose output is not known.")
        found[task.id] = outputs
    return found


def with_known_outputs(tasks: Iterable[Task]) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
    """Part tasks into those that can be scored, as all of their test outputs are known, and the others."""
    parts: tuple[list[Task], list[Task]] = ([], [])
    for task in tasks:
        parts[any(pair.output is None for pair in task.test)].append(task)
    return tuple(parts[0]), tuple(parts[1])
