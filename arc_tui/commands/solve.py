"""`arc-tui solve`: one task adapted to before your eyes, then two answers for each of its test inputs."""

from __future__ import annotations

import json
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from arc_core.base.errors import DataError, RunError
from arc_core.base.text import printable
from arc_core.data.kaggle import ATTEMPTS
from arc_core.data.seen import first_of
from arc_core.data.task_folder import look_at
from arc_core.data.tasks import DATASET_NAMES, Split, Task, TaskSet, load_splits, load_tasks
from arc_core.evaluation.folder import EvalFolder, TaskAnswer
from arc_core.run.events import Event, EventReader
from arc_tui.commands.eval import Asked, assign
from arc_tui.drawing.grid_text import text_of
from arc_tui.drawing.groups import scrolled_rows
from arc_tui.drawing.rows import Row
from arc_tui.looks.themes import colourless, load_theme
from arc_tui.results.evaluations import State, TaskResult
from arc_tui.results.groups import input_groups
from arc_tui.runs.evaluating import Command, Workers, follow, hand_out, watched_process
from arc_tui.runs.starting import has_terminal
from arc_tui.ui.settings import load_settings

if TYPE_CHECKING:
    from arc_tui.solve.app import Poll

LEFT = 130
"""Exit code where the user has left before there were answers, as after Ctrl+C."""

SEEN = "The weights were trained on this task: what they say of it is no measure of them."

SOLVED = {State.SOLVED: True, State.FAILED: False, State.UNKNOWN: None}
"""What became of an answered task, as JSON says it."""


@dataclass(frozen=True, eq=False)
class Found:
    """A task and where it is from."""

    task: Task
    dataset: str
    split: Split


def find_task(
    name: str,
    dataset: str | None,
    *,
    skip_bad_tasks: bool = False,
    show: Callable[[str], None] = lambda line: None,
) -> Found:
    """Find a task.

    Args:
        name: A file that holds one task, or an id.
        dataset: Where to look for an id, as `--dataset` takes it; None looks in ARC-AGI-1 and -2.
        skip_bad_tasks: Look among the tasks that can be read.
        show: Shows a line about those that cannot.

    Raises:
        DataError: If there is no such task, or the file holds several.
    """
    path, mode = look_at(name)
    if dataset is None and stat.S_ISREG(mode):
        loaded = load_tasks(path, skip_bad_tasks=skip_bad_tasks)
        _tell_skipped(loaded, show)
        if len(loaded) != 1:
            ids = first_of([task.id for task in loaded.tasks])
            raise DataError(
                f"{printable(name)} holds {len(loaded)} tasks: name one of {ids}, and the file as --dataset."
            )
        return Found(loaded.tasks[0], str(path.absolute()), "training")
    places = DATASET_NAMES if dataset is None else (dataset,)
    for place in places:
        for loaded in load_splits(place, skip_bad_tasks=skip_bad_tasks):
            _tell_skipped(loaded, show)
            for task in loaded.tasks:
                if task.id == name:
                    return Found(task, place, loaded.split)
    raise DataError(f"There is no task {printable(name, 60)} in {' or '.join(map(printable, places))}.")


def _tell_skipped(tasks: TaskSet, show: Callable[[str], None]) -> None:
    if told := tasks.told_skipped():
        show(printable(told))


def solve(
    asked: Asked,
    found: Found,
    *,
    as_json: bool,
    show_error: Callable[[str], None],
    theme: str | None = None,
    command: Command = watched_process,
) -> int:
    """Solve one task and show its answers: on a screen in a terminal, else as JSON.

    Args:
        asked: Budget, seed, weights and settings.
        found: The task; its test outputs are not given to the process that solves it.
        as_json: Whether JSON is wanted in a terminal too.
        show_error: Shows a line on standard error.
        theme: Name of the screen's theme; None takes the user's own.
        command: Gives the command line of the solving process.

    Returns:
        The exit code; `LEFT` where the screen was left before there were answers.

    Raises:
        ArcError: If anything about the input is refused.
    """
    assignment = assign(asked, [found.task])
    with _scratch() as path:
        folder = EvalFolder(path / "solve")
        hand_out(folder, assignment, [found.task])
        with Workers(folder, 1, command) as workers:
            if has_terminal() and not as_json:
                return _on_screen(found, folder, workers, theme, show_error, seen=bool(assignment.seen))
            follow(folder, workers, lambda answer, left: None)
        answer = folder.answer(found.task.id)
    sys.stdout.write(json.dumps(answer_json(found.task, answer) | {"seen": bool(assignment.seen)}) + "\n")
    return 0


def _on_screen(
    found: Found,
    folder: EvalFolder,
    workers: Workers,
    theme: str | None,
    show_error: Callable[[str], None],
    *,
    seen: bool,
) -> int:
    from arc_tui.solve.app import SolveApp
    from arc_tui.ui.app import ended  # here, as Textual is not needed where JSON is printed

    place = f"{printable(found.dataset, 60)} {found.split}"
    poll = _poll(found.task, folder, workers)
    app = SolveApp(found.task, place, poll, theme or load_settings().theme, note=SEEN if seen else "")
    answer = app.run()
    if app.problem is not None:
        raise app.problem
    if code := ended(app, show_error):
        return code
    console = Console(markup=False, highlight=False, emoji=False)
    if answer is None:
        console.print(f"{printable(found.task.id, 40)} was left before it was answered.")
        return LEFT
    theme_shown = load_theme().without_colour() if colourless() else load_theme()
    for row in answer_rows(found.task, answer, console.width):
        console.print(text_of(row, theme_shown), soft_wrap=True)
    if seen:
        console.print(SEEN)
    return 0


def _poll(task: Task, folder: EvalFolder, workers: Workers) -> Poll:
    """Return what gives the screen the events that are new, and the answers once they are there."""
    reader = EventReader(folder.events)

    def poll() -> tuple[list[Event], TaskAnswer | None]:
        alive = workers.alive  # before looking, so that the last answers are seen
        answered = not folder.pending([task.id])
        events = list[Event]()
        while batch := reader.poll():
            events += batch
        if answered:
            return events, folder.answer(task.id)
        workers.raise_failure()
        if not alive:
            raise RunError("The solving process ended and left the task undone.")
        return events, None

    return poll


@contextmanager
def _scratch() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="arc-tui-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def answer_json(task: Task, answer: TaskAnswer) -> dict[str, Any]:
    """The answers for programs; `solved` is null where the outputs are not known."""
    return {
        "task": task.id,
        "answers": [
            {
                **{
                    name: grid.tolist()
                    for name, grid in zip(ATTEMPTS, (x.attempts.first, x.attempts.second), strict=True)
                },
                "confidence": list(x.confidence),
                "size_rule": x.size_rule,
            }
            for x in answer.inputs
        ],
        "solved": SOLVED[TaskResult(task, answer).state],
        "steps": answer.steps,
        "seconds": answer.seconds,
        "fit": [answer.fit, answer.demonstrations],
    }


def answer_rows(task: Task, answer: TaskAnswer, cells: int) -> list[Row]:
    """Draw the answers as grids, judged where the output is known.

    Args:
        task: With what is known of its outputs.
        answer: The answers.
        cells: Width.
    """
    result = TaskResult(task, answer)
    verdict = {None: "not known whether solved", True: "solved", False: "not solved"}[SOLVED[result.state]]
    summary = (
        f"{printable(task.id, 40)}: {verdict}; {answer.steps} steps in {answer.seconds:.1f} s,"
        f" fits {answer.fit} of {answer.demonstrations} demonstrations"
    )
    return [*scrolled_rows(input_groups(result), cells, digits=True), [], [(summary, "")]]
