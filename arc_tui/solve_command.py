"""`arc-tui solve`: one task adapted to before your eyes, then two answers for each of its test inputs."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from arc_core.dataset_files import DATASET_NAMES, Split, Task, load_tasks
from arc_core.errors import DataError, RunError
from arc_core.evaluation import EvalFolder, TaskAnswer
from arc_core.events import Event, EventReader
from arc_core.kaggle import ATTEMPTS
from arc_core.paths import expanded, is_file, refusal
from arc_core.text import printable
from arc_tui.eval_command import Asked, assign
from arc_tui.evaluate import Command, Workers, follow, hand_out, watched_process
from arc_tui.inspect.grid_text import text_of
from arc_tui.inspect.results import State, TaskResult
from arc_tui.inspect.results_groups import input_groups
from arc_tui.launch import has_terminal
from arc_tui.picture_groups import scrolled_rows
from arc_tui.rows import Row
from arc_tui.settings import load_settings
from arc_tui.themes import colourless, load_theme

if TYPE_CHECKING:
    from arc_tui.solve_app import Poll

LEFT = 130
"""Exit code where the user has left before there were answers, as after Ctrl+C."""

SEEN = "The weights were trained on this task: what they say of it is no measure of them."

SOLVED = {State.SOLVED: True, State.FAILED: False, State.UNKNOWN: None}
"""What became of an answered task, as JSON says it."""

SPLITS: tuple[Split, ...] = ("training", "evaluation")


@dataclass(frozen=True, eq=False)
class Found:
    """A task and where it is from."""

    task: Task
    dataset: str
    split: Split


def find_task(name: str, dataset: str | None) -> Found:
    """Find a task.

    Args:
        name: A file that holds one task, or an id.
        dataset: Where to look for an id, as `--dataset` takes it; None looks in ARC-AGI-1 and -2.

    Raises:
        DataError: If there is no such task, or the file holds several.
    """
    path = expanded(name)
    if dataset is None and is_file(path):
        tasks = load_tasks(path).tasks
        if len(tasks) != 1:
            raise DataError(
                f"{printable(name)} holds {len(tasks)} tasks: name one, and the file as --dataset."
            )
        return Found(tasks[0], str(path.absolute()), "training")
    if dataset is None and (reason := refusal(path)):
        raise DataError(f"{printable(name, 500)} cannot be looked at: {reason}.")
    places = DATASET_NAMES if dataset is None else (dataset,)
    for place in places:
        single = is_file(expanded(place))
        for split in SPLITS[:1] if single else SPLITS:
            for task in load_tasks(place, split).tasks:
                if task.id == name:
                    return Found(task, place, split)
    raise DataError(f"There is no task {printable(name, 60)} in {' or '.join(map(printable, places))}.")


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
    from arc_tui.inspect.tool_app import ended  # here, as Textual is not needed where JSON is printed
    from arc_tui.solve_app import SolveApp

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
