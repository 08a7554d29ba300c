"""The folder of an evaluation: what is asked, what each task's answers are, and what comes of them. No torch.

evals/NAME/           0700
  eval.json           what is asked: tasks, budget, seed, settings, weights, what these have seen
  challenges.json     the tasks without test outputs, all that the solving processes read of them
  pace.json           what a step costs on this machine, measured once
  answers/ID.json     one a task, written whole: a task that has one is done, or has failed for good
  claims/             held locked while the pace is measured, and while the evaluation runs
  events.jsonl        how the adaptation goes, where a single task is watched
  worker_N.log        what the solving processes print
  submission.json, results.json     written when every task is done
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from arc_core.base.errors import RunError
from arc_core.base.files import open_regular, read_json_object, write_json_atomic
from arc_core.base.paths import exists, expanded, is_file, matching, modified, refusal
from arc_core.base.text import full_name, printable
from arc_core.data.grids import Grid, from_rows, to_rows
from arc_core.data.kaggle import BLANK, Attempts
from arc_core.data.sizes import NO_RULE
from arc_core.data.tasks import Task
from arc_core.run.directory import LATEST
from arc_core.run.presets import SOLVER, SYSTEMS

PACE = "pace"
WHOLE = "evaluation"
"""What may be claimed."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Assignment:
    """What is asked; two evaluations with the same one give the same answers on the same build and pace."""

    dataset: str
    """As `--dataset` names it."""
    split: str
    tasks: tuple[str, ...]
    """Ids, in order."""
    seconds_per_task: float | None
    """Budget of a task in seconds; None where steps are given."""
    steps_per_task: int | None
    """Training steps of a task; None where seconds are given."""
    seed: int
    device: str
    """`cpu` or `cuda`."""
    settings: dict[str, Any]
    """Of what solves, all of them."""
    weights: str | None
    """The file of the starting weights, or the pipeline's checkpoint; None for random ones."""
    weights_sha256: str | None
    """Of that file, or of the checkpoint's manifest."""
    seen: tuple[str, ...]
    """Ids of the tasks that these were trained on, by id or by content; empty for an honest evaluation."""
    system: str = SOLVER
    """What solves: the solver's agent, or the whole pipeline."""

    @property
    def transductive(self) -> str:
        """What was learned from the evaluated tasks' demonstrations, in words."""
        if self.seen:
            return f"the weights were trained on {len(self.seen)} of these tasks"
        if self.steps_per_task == 0:
            return "nothing was learned from the evaluated tasks"
        return "each task's own demonstrations were trained on for that task alone (test-time training)"

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Read what eval.json holds.

        Raises:
            RunError: If it is something else.
        """
        try:
            found = cls(**{**content, "tasks": tuple(content["tasks"]), "seen": tuple(content["seen"])})
        except (KeyError, TypeError):
            found = None
        if found is None or not all(isinstance(x, str) for x in (found.dataset, *found.tasks, *found.seen)):
            raise RunError("eval.json is not as it was written.")
        if found.system not in SYSTEMS:
            raise RunError(
                f"eval.json asks for a system {printable(str(found.system), 40)}, which there is not."
            )
        if found.system == SOLVER:  # what earlier versions began with one start goes on with one
            return replace(found, settings={"max_starts": 1, **found.settings})
        return found

    def to_json(self) -> dict[str, Any]:
        """For eval.json."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class InputAnswer:
    """The answers to one test input."""

    attempts: Attempts
    confidence: tuple[float, float]
    """Share of the votes for each."""
    single: Grid
    """The answer of the task's own view alone, without votes."""
    size_rule: str


@dataclass(frozen=True, eq=False)
class TaskAnswer:
    """What a solving process leaves of a task."""

    task: str
    inputs: tuple[InputAnswer, ...]
    steps: int
    """Training steps."""
    seconds: float
    """Of the processor, or of the clock on a GPU."""
    fit: int
    """Demonstrations that the last weights answer exactly."""
    demonstrations: int
    failure: str | None = None
    """Why nothing was answered, in words; None where something was."""

    @classmethod
    def without_attempts(cls, task: Task, failure: str) -> Self:
        """What stands for the answers of a task that could not be solved; it counts as not solved."""
        blank = InputAnswer(Attempts(BLANK, BLANK), (0.0, 0.0), BLANK, NO_RULE)
        return cls(task.id, (blank,) * len(task.test), 0, 0.0, 0, len(task.train), failure)

    def to_json(self) -> dict[str, Any]:
        """For answers/ID.json; grids are rows of digits."""
        return {
            "task": self.task,
            "inputs": [
                {
                    "attempts": [to_rows(x.attempts.first), to_rows(x.attempts.second)],
                    "confidence": list(x.confidence),
                    "single": to_rows(x.single),
                    "size_rule": x.size_rule,
                }
                for x in self.inputs
            ],
            "steps": self.steps,
            "seconds": self.seconds,
            "fit": self.fit,
            "demonstrations": self.demonstrations,
            **({} if self.failure is None else {"failure": self.failure}),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any], where: str) -> Self:
        """Read what `to_json` gave.

        Raises:
            RunError: If it is something else.
            DataError: If a grid is none.
        """
        try:
            failure = content.get("failure")
            inputs = tuple(
                InputAnswer(
                    Attempts(*(_grid(rows, where, failure) for rows in entry["attempts"])),
                    (float(entry["confidence"][0]), float(entry["confidence"][1])),
                    _grid(entry["single"], where, failure),
                    str(entry["size_rule"]),
                )
                for entry in content["inputs"]
            )
            return cls(
                task=str(content["task"]),
                inputs=inputs,
                seconds=float(content["seconds"]),
                failure=None if failure is None else str(failure),
                **{name: int(content[name]) for name in ("steps", "fit", "demonstrations")},
            )
        except (KeyError, TypeError, ValueError, IndexError, OverflowError):
            raise RunError(f"{printable(where)} is not as it was written.") from None


@dataclass(frozen=True)
class EvalFolder:
    """An evaluation's folder and the places in it."""

    path: Path

    @property
    def challenges(self) -> Path:
        """The tasks without test outputs."""
        return self.path / "challenges.json"

    @property
    def pace(self) -> Path:
        """What a step costs here."""
        return self.path / "pace.json"

    @property
    def submission(self) -> Path:
        """Kaggle's submission."""
        return self.path / "submission.json"

    @property
    def results(self) -> Path:
        """The scores."""
        return self.path / "results.json"

    @property
    def events(self) -> Path:
        """What the solver of a single task tells while it adapts."""
        return self.path / "events.jsonl"

    def make(self, assignment: Assignment) -> None:
        """Make the folder; challenges.json is written by whoever has the tasks.

        Raises:
            RunError: If it cannot be made.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True)
            for name in ("answers", "claims"):
                (self.path / name).mkdir(mode=0o700)
        except OSError as error:
            raise RunError(f"Cannot make the folder {printable(str(self.path))}: {error.strerror}.") from None
        write_json_atomic(self.path / "eval.json", assignment.to_json())

    def assignment(self) -> Assignment:
        """Read what is asked.

        Raises:
            RunError: If the folder is no evaluation's, or eval.json is damaged.
        """
        return Assignment.from_json(read_json_object(self.path / "eval.json"))

    def answer_path(self, task: str) -> Path:
        """Where a task's answers are once it is done."""
        return self.path / "answers" / f"{_file_name(task)}.json"

    def pending(self, tasks: Sequence[str]) -> list[str]:
        """The tasks that have no answers yet."""
        return [task for task in tasks if not exists(self.answer_path(task))]

    def write_answer(self, answer: TaskAnswer) -> None:
        """Keep a task's answers: whole, or not at all."""
        write_json_atomic(self.answer_path(answer.task), answer.to_json())

    def failures(self, tasks: Sequence[str]) -> list[str]:
        """The tasks that have failed for good."""
        done = set(tasks) - set(self.pending(tasks))
        return [task for task in tasks if task in done and self.answer(task).failure is not None]

    def forget_failures(self, tasks: Sequence[str]) -> None:
        """Make the tasks pending again that have failed for good."""
        for task in self.failures(tasks):
            self.answer_path(task).unlink()

    def answer(self, task: str) -> TaskAnswer:
        """Read a task's answers.

        Raises:
            RunError: If there are none, or the file is damaged.
            DataError: If a grid is none.
        """
        path = self.answer_path(task)
        return TaskAnswer.from_json(read_json_object(path), f"answers/{path.name}")

    @contextmanager
    def claim(self, name: str, *, wait: bool = False) -> Iterator[bool]:
        """Hold a claim while the block runs; the system lets go of it when the process ends, however it does.

        Args:
            name: `PACE` or `WHOLE`.
            wait: Wait for whoever holds it.

        Yields:
            Whether it is held; False only without `wait`.
        """
        fd = open_regular(self.path / "claims" / name, os.O_RDWR | os.O_CREAT)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                held = True
            except BlockingIOError:
                held = False
            yield held
        finally:
            os.close(fd)

    def answers(self) -> dict[str, TaskAnswer]:
        """Read the answers of every task.

        Raises:
            RunError: If one is missing or damaged.
        """
        return {task: self.answer(task) for task in self.assignment().tasks}


def find_eval(reference: str, evals_dir: Path) -> EvalFolder:
    """Find an evaluation.

    Args:
        reference: Its name or the start of it, its folder, or `latest`.
        evals_dir: The folder of evaluations.

    Raises:
        RunError: If there is none, or several begin so.
    """
    where = printable(str(evals_dir))
    path = expanded(reference)
    for place in (evals_dir, evals_dir / reference, path):
        if reason := refusal(place):
            raise RunError(f"{printable(str(place))} cannot be looked at: {reason}.")
    known = {file.parent.name: file for file in matching(evals_dir, "[!.]*/eval.json")}
    if reference == LATEST:
        readable = [file for name, file in sorted(known.items()) if refusal(file) is None]
        if not readable:
            raise RunError(f"There is no evaluation in {where}.")
        return EvalFolder(max(readable, key=modified).parent.absolute())
    if is_file(path / "eval.json"):
        return EvalFolder(path.absolute())
    name = full_name(reference, known, "evaluations", RunError)
    if name is None:
        raise RunError(f"There is no evaluation {printable(reference, 60)} in {where}.")
    return EvalFolder(known[name].parent.absolute())


def _grid(rows: Sequence[str], where: str, failure: str | None) -> Grid:
    """Read a grid; where nothing was answered there is none."""
    return BLANK if failure is not None and not rows else from_rows(rows, where)


def _file_name(name: str) -> str:
    """A task's id as a file name; ids come from files and may hold anything."""
    return name if _PLAIN.fullmatch(name) else f"id.{hashlib.sha256(name.encode()).hexdigest()}"


def voted(answers: dict[str, TaskAnswer]) -> dict[str, tuple[Attempts, ...]]:
    """The submission of an evaluation."""
    return {task: tuple(x.attempts for x in answer.inputs) for task, answer in answers.items()}
