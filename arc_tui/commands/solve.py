"""`arc-tui solve`: one task adapted to before your eyes, then two answers for each of its test inputs."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from arc_core.base.errors import RunError
from arc_core.base.text import printable
from arc_core.data.finding import FoundTask
from arc_core.data.kaggle import ATTEMPTS
from arc_core.data.tasks import Task
from arc_core.evaluation.folder import EvalFolder, TaskAnswer
from arc_core.run.event_forms import Event
from arc_core.run.events import EventReader
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


def solve(
    asked: Asked,
    found: FoundTask,
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
    place = {"dataset": found.dataset, "split": found.split, "seen": bool(assignment.seen)}
    sys.stdout.write(json.dumps(answer_json(found.task, answer) | place) + "\n")
    return 0


def _on_screen(
    found: FoundTask,
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
