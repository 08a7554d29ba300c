"""What became of an evaluation: each task's answers beside its outputs, which only a browser looks up."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from arc_core.base.errors import ArcError, DataError
from arc_core.base.files import read_json_object
from arc_core.base.paths import Stamp, exists, expanded, is_dir, is_file, matching, modified, stamp
from arc_core.base.text import first_of, printable
from arc_core.data.answers import read_answers
from arc_core.data.grids import Grid
from arc_core.data.kaggle import known_outputs
from arc_core.data.scoring import Report, cell_accuracy, same_grid, score
from arc_core.data.seen import choose_tasks
from arc_core.data.tasks import Split, Task, load_tasks
from arc_core.evaluation.folder import Assignment, EvalFolder, InputAnswer, TaskAnswer, find_eval
from arc_core.evaluation.outcome import asked_tasks
from arc_tui.results.others import Published, PublishedAnswer, published_answer

MOST_REMEMBERED = 4096
"""Summaries of evaluations that are not read again while nothing of them changes."""


class State(StrEnum):
    """What became of a task."""

    SOLVED = "solved"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Answered, but its outputs are not known here."""
    PENDING = "pending"
    DAMAGED = "damaged"


@dataclass(frozen=True, eq=False)
class TaskResult:
    """A task and its answers.

    Attributes:
        task: With what is known of its test outputs.
        answer: The answers; None where there are none, or none that can be read.
        problem: Why they cannot be read; None where nothing is wrong.
    """

    task: Task
    answer: TaskAnswer | PublishedAnswer | None = None
    problem: str | None = None

    @property
    def id(self) -> str:
        """The task's id."""
        return self.task.id

    @property
    def failure(self) -> str | None:
        """Why there are no attempts to show, in words; None where there are, or may still be."""
        return self.problem if self.answer is None else self.answer.failure

    @property
    def effort(self) -> TaskAnswer | None:
        """What the answers cost and how they fit; None where that is not known."""
        return self.answer if isinstance(self.answer, TaskAnswer) else None

    @functools.cached_property
    def solved_by(self) -> tuple[int | None, ...]:
        """For each test input the first attempt that is right, 1 or 2; 0 for neither, None if not known."""
        return () if self.answer is None else tuple(map(_solved_by, self.answer.inputs, self.truths))

    @property
    def truths(self) -> tuple[Grid | None, ...]:
        """The output of each test input; None where it is not known."""
        return tuple(pair.output for pair in self.task.test)

    @property
    def state(self) -> State:
        """What became of it."""
        if self.problem is not None:
            return State.DAMAGED
        if self.answer is None:
            return State.PENDING
        if None in self.solved_by:
            return State.UNKNOWN
        return State.SOLVED if all(self.solved_by) else State.FAILED

    @property
    def size_rules(self) -> tuple[str, ...]:
        """The rule that gave each test input's output size; empty without answers."""
        return () if self.answer is None else tuple(x.size_rule for x in self.answer.inputs)

    @property
    def confidence(self) -> float:
        """Share of the votes for the first attempt, as a mean over the test inputs; NaN without answers."""
        return _mean([] if self.answer is None else [x.confidence[0] for x in self.answer.inputs])

    @functools.cached_property
    def cells(self) -> float:
        """Share of right cells of the better attempt, as a mean over the test inputs; NaN if not known."""
        if self.answer is None or any(truth is None for truth in self.truths):
            return math.nan
        found = zip(self.answer.inputs, cast("tuple[Grid, ...]", self.truths), strict=True)
        return _mean([max(cell_accuracy(grid, truth) for grid in both(x)) for x, truth in found])


@dataclass(frozen=True, eq=False)
class EvalResults:
    """An evaluation, finished or not.

    Attributes:
        folder: Where it is; of answers of others that folder or file.
        assignment: What was asked.
        tasks: In the order of their ids.
        notes: What the reader should know, one sentence each.
        title: What it is called beside others; empty for the name of its folder.
    """

    folder: EvalFolder
    assignment: Assignment | Published
    tasks: tuple[TaskResult, ...]
    notes: tuple[str, ...] = ()
    title: str = ""

    @property
    def name(self) -> str:
        """What it is called, safe to print."""
        return self.title or printable(self.folder.path.name, 60)

    @property
    def done(self) -> int:
        """Tasks that have answers, readable or not."""
        return sum(found.state is not State.PENDING for found in self.tasks)

    @property
    def finished(self) -> bool:
        """Whether every task has answers."""
        return self.done == len(self.tasks)

    def count(self, state: State) -> int:
        """How many tasks are so."""
        return sum(found.state is state for found in self.tasks)

    @functools.cached_property
    def report(self) -> Report | None:
        """The scores of the tasks that are done; None where none can be scored."""
        scored = [found for found in self.tasks if found.state in (State.SOLVED, State.FAILED)]
        answers = {found.id: found.answer for found in scored if found.answer is not None}
        if not answers:
            return None
        voted = {task: tuple(x.attempts for x in answer.inputs) for task, answer in answers.items()}
        report = score(voted, known_outputs(found.task for found in scored))
        # The rule is the one that the solver says it went by, which costs nothing to look up.
        return Report(
            tuple(
                dataclasses.replace(x, size_rule=answers[x.task].inputs[x.index].size_rule)
                for x in report.inputs
            )
        )


@dataclass(frozen=True)
class EvalSummary:
    """An evaluation at a glance.

    Attributes:
        path: Its folder.
        dataset: What it is over, and which split, safe to print; empty where `problem` says why.
        tasks: How many are asked.
        done: How many have answers.
        solved: How many are solved; None until the evaluation is scored.
        begun: Seconds since the epoch.
        problem: Why it cannot be read; None if it can.
    """

    path: Path
    dataset: str
    tasks: int
    done: int
    solved: int | None
    begun: float
    problem: str | None = None


def both(answer: InputAnswer) -> tuple[Grid, Grid]:
    """Return the two attempts."""
    return answer.attempts.first, answer.attempts.second


def list_evals(evals_dir: Path) -> list[EvalSummary]:
    """List the evaluations in a folder, the newest first; a folder that is not there holds none."""
    found = [_summary(path.parent) for path in matching(evals_dir, "[!.]*/eval.json")]
    return sorted(found, key=lambda one: (-one.begun, one.path.name))


def open_results(folder: EvalFolder) -> EvalResults:
    """Read an evaluation as far as it is.

    Where its dataset cannot be read any more, the evaluation's own copy of the tasks, which holds no test
    output, stands in for it, and a note says so.

    Raises:
        ArcError: If it is none, or its files are damaged.
    """
    assignment = folder.assignment()
    notes: list[str] = []
    try:
        tasks = asked_tasks(assignment)
    except ArcError as error:
        notes.append(f"The outputs are not known: {error}")
        tasks = choose_tasks(load_tasks(folder.challenges).tasks, ids=assignment.tasks)
    if assignment.seen:
        notes.append(f"The weights were trained on {len(assignment.seen)} of these tasks.")
    found = EvalResults(folder, assignment, tuple(TaskResult(task) for task in tasks), tuple(notes))
    return newer(found)


def open_any(name: str, evals_dir: Path, dataset: str, split: Split) -> EvalResults:
    """Read an evaluation, or answers that others have published.

    Args:
        name: An evaluation as `find_eval` takes it, or the file or folder of answers as `read_answers` does.
        evals_dir: The folder of evaluations.
        dataset: What answers of others are held against, as `load_tasks` takes it.
        split: Which split of it.

    Raises:
        ArcError: If it is neither, files are damaged, or the dataset has none of the answered tasks.
    """
    path = expanded(name)
    if not name or not exists(path) or is_file(path / "eval.json") or is_file(evals_dir / name / "eval.json"):
        return open_results(find_eval(name, evals_dir))
    answers = read_answers(path)
    asked = load_tasks(dataset, split, skip_bad_tasks=True)
    submission = answers.of_inputs({task.id: len(task.test) for task in asked.tasks})
    tasks = [task for task in asked.tasks if task.id in submission]
    foreign = sorted(submission.keys() - {task.id for task in tasks})
    if not tasks:
        answered = f"of {len(foreign):,} answered tasks none ({first_of(foreign)})" if foreign else "no task"
        raise DataError(
            f"{printable(name)}: {answered} is in {asked.name}; --dataset and --split name another."
        )
    found: list[TaskResult] = []
    for task in tasks:
        attempts = submission[task.id]
        if len(attempts) == len(task.test):
            found.append(TaskResult(task, published_answer(task, answers, attempts)))
        else:
            told = f"It has {len(attempts)} answers to {len(task.test)} test inputs."
            found.append(TaskResult(task, None, told))
    notes = [answers.told()] if answers.unusable else []
    if foreign:
        notes.append(f"{len(foreign):,} answered tasks are not in {asked.name}: {first_of(foreign)}.")
    if missing := len(asked) - len(tasks):
        notes.append(f"{missing:,} of {len(asked):,} tasks of {asked.name} are not answered.")
    published = Published(answers.layout, dataset, split, tuple(task.id for task in tasks))
    return EvalResults(EvalFolder(path.absolute()), published, tuple(found), tuple(notes))


def newer(results: EvalResults) -> EvalResults:
    """Read the answers that have come since; returns what was given where there are none."""
    answers = results.folder.path / "answers"
    there = {path.name for path in matching(answers, "*.json")} if is_dir(answers) else set[str]()
    tasks = tuple(
        _read(results.folder, found.task)
        if found.state is State.PENDING and results.folder.answer_path(found.id).name in there
        else found
        for found in results.tasks
    )
    return results if tasks == results.tasks else dataclasses.replace(results, tasks=tasks)


def _read(folder: EvalFolder, task: Task) -> TaskResult:
    try:
        answer = folder.answer(task.id)
    except ArcError as error:
        return TaskResult(task, None, str(error))
    if len(answer.inputs) != len(task.test):
        told = f"It has {len(answer.inputs)} answers to {len(task.test)} test inputs."
        return TaskResult(task, None, told)
    return TaskResult(task, answer)


def _summary(path: Path) -> EvalSummary:
    folder = EvalFolder(path)
    places = (path / "eval.json", path / "answers", folder.results)
    return _read_summary(path, tuple(stamp(place) for place in places))


@functools.lru_cache(maxsize=MOST_REMEMBERED)
def _read_summary(path: Path, stamps: tuple[Stamp | None, ...]) -> EvalSummary:
    """Read an evaluation's summary; `stamps` tell whether the one that was read last still holds."""
    del stamps
    folder = EvalFolder(path)
    begun = modified(path / "eval.json")
    try:
        assignment = folder.assignment()
        done = len(assignment.tasks) - len(folder.pending(assignment.tasks))
        solved = _solved(read_json_object(folder.results)) if exists(folder.results) else None
    except ArcError as error:
        return EvalSummary(path, "", 0, 0, None, begun, str(error))
    dataset = printable(f"{assignment.dataset} {assignment.split}", 60)
    return EvalSummary(path, dataset, len(assignment.tasks), done, solved, begun)


def _solved(results: dict[str, Any]) -> int | None:
    """Read how many tasks are solved from results.json; None where it does not say."""
    value: object = results
    for name in ("scores", "tasks_solved", "pass_2", "count"):
        value = cast("dict[str, object]", value).get(name) if isinstance(value, dict) else None
    return value if isinstance(value, int) else None


def _solved_by(answer: InputAnswer, truth: Grid | None) -> int | None:
    if truth is None:
        return None
    return next((place for place, grid in enumerate(both(answer), 1) if same_grid(grid, truth)), 0)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
