"""`arc-tui solve`: one task adapted to before your eyes, then two answers for each of its test inputs.

What reads grids or draws is imported where it is used: completion waits neither for numpy nor for Textual.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arc_core.base.errors import RunError
from arc_core.base.extras import require
from arc_core.base.text import printable
from arc_tui.commands.options import (
    RUNS_DIR,
    SECONDS_PER_TASK,
    Device,
    RunsDir,
    Seed,
    SkipBadTasks,
    SolverSettings,
    TaskName,
    TaskSource,
    Theme,
    assigned,
)
from arc_tui.commands.output import echo, echo_error, has_terminal, print_rows

if TYPE_CHECKING:
    from arc_core.data.finding import FoundTask
    from arc_core.data.tasks import Task
    from arc_core.evaluation.folder import EvalFolder, TaskAnswer
    from arc_core.evaluation.supervising import Command, Workers
    from arc_core.run.event_forms import Event
    from arc_tui.commands.evaluation import Asked
    from arc_tui.drawing.rows import Row
    from arc_tui.solve.app import Poll
    from arc_tui.ui.settings import Settings

LEFT = 130
"""Exit code where the user has left before there were answers, as after Ctrl+C."""

SEEN = "The weights were trained on this task: what they say of it is no measure of them."

SOLVED = {"solved": True, "failed": False}
"""What became of an answered task, as JSON says it; null where the outputs are not known."""


def solve(
    task: TaskName,
    dataset: TaskSource = None,
    skip_bad_tasks: SkipBadTasks = False,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="S", min=0.1, help="Budget in seconds of the processor.")
    ] = SECONDS_PER_TASK,
    steps: Annotated[
        int | None, typer.Option("--steps", metavar="N", min=0, help="Training steps, instead of seconds.")
    ] = None,
    seed: Seed = 0,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="default|none|FILE|RUN|USER/REPO",
            help="What to start from: the package's, random, a file, what a run has learned, or the hub's.",
        ),
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
    device: Device = None,
    assignments: SolverSettings = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in a terminal too.")] = False,
    theme: Theme = None,
) -> None:
    """Solve one task by training on its demonstrations.

    Shows two answers with their confidence.
    """
    from arc_core.data.finding import find_task
    from arc_core.solver.weights_file import default_weights
    from arc_tui.commands.evaluation import Asked
    from arc_tui.runs.evaluating import CPU

    require("Solving", "train")
    found = find_task(task, dataset, skip_bad_tasks=skip_bad_tasks, show=echo_error)
    asked = Asked(
        dataset=found.dataset,
        split=found.split,
        tasks=[found.task.id],
        seconds_per_task=seconds,
        steps_per_task=steps,
        seed=seed,
        device=device or CPU,
        weights=weights or default_weights(),
        settings=assigned(assignments),
        runs_dir=runs_dir,
        allow_seen=True,  # nothing is scored
    )
    raise typer.Exit(solve_task(asked, found, as_json=as_json, theme=theme))


def solve_task(
    asked: Asked,
    found: FoundTask,
    *,
    as_json: bool,
    theme: str | None = None,
    command: Command | None = None,
) -> int:
    """Solve one task and show its answers: on a screen in a terminal, else as JSON.

    Args:
        asked: Budget, seed, weights and settings.
        found: The task; its test outputs are not given to the process that solves it.
        as_json: Whether JSON is wanted in a terminal too.
        theme: Name of the screen's theme; None takes the user's own.
        command: Gives the command line of the solving process; None is that of the package.

    Returns:
        The exit code; `LEFT` where the screen was left before there were answers.

    Raises:
        ArcError: If anything about the input is refused.
    """
    from arc_core.evaluation.folder import EvalFolder
    from arc_core.evaluation.supervising import FolderDesk, Workers, follow, watched_process
    from arc_tui.commands.evaluation import assign
    from arc_tui.runs.evaluating import hand_out
    from arc_tui.ui.settings import load_settings

    settings = load_settings() if has_terminal() and not as_json else None
    assignment = assign(asked, [found.task])
    with _scratch() as path:
        folder = EvalFolder(path / "solve")
        hand_out(folder, assignment, [found.task])
        device = "cuda:0" if asked.device == "cuda" else asked.device
        desk = FolderDesk(folder, most_deaths=1)
        with Workers(folder, [device], desk, command or watched_process) as workers:
            if settings is not None:
                own = replace(settings, theme=theme or settings.theme)
                return _on_screen(found, folder, workers, own, seen=bool(assignment.seen))
            follow(folder, workers, lambda answer, left: None)
        answer = _answer(folder, found.task)
    place = {"dataset": found.dataset, "split": found.split, "seen": bool(assignment.seen)}
    sys.stdout.write(json.dumps(answer_json(found.task, answer) | place) + "\n")
    return 0


def _on_screen(
    found: FoundTask, folder: EvalFolder, workers: Workers, settings: Settings, *, seen: bool
) -> int:
    from arc_tui.solve.app import SolveApp
    from arc_tui.ui.app import ended

    place = f"{printable(found.dataset, 60)} {found.split}"
    poll = _poll(found.task, folder, workers)
    note = SEEN if seen else ""
    app = SolveApp(found.task, place, poll, settings.theme, settings.keys, note=note)
    answer = app.run()
    if app.problem is not None:
        raise app.problem
    if code := ended(app, echo_error):
        return code
    if answer is None:
        echo(f"{printable(found.task.id, 40)} was left before it was answered.")
        return LEFT
    print_rows(answer_rows(found.task, answer, shutil.get_terminal_size().columns))
    if seen:
        echo(SEEN)
    return 0


def _poll(task: Task, folder: EvalFolder, workers: Workers) -> Poll:
    """Return what gives the screen the events that are new, and the answers once they are there."""
    from arc_core.run.events import EventReader

    reader = EventReader(folder.events)

    def poll() -> tuple[list[Event], TaskAnswer | None]:
        answered = not folder.pending([task.id])  # before looking, so that the last events are seen
        events: list[Event] = list(reader)
        if answered:
            return events, _answer(folder, task)
        workers.step(0.0)
        return events, None

    return poll


def _answer(folder: EvalFolder, task: Task) -> TaskAnswer:
    answer = folder.answer(task.id)
    if answer.failure is not None:
        raise RunError(f"{printable(task.id, 40)} could not be solved: {answer.failure}.")
    return answer


@contextmanager
def _scratch() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="arc-tui-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def answer_json(task: Task, answer: TaskAnswer) -> dict[str, Any]:
    """The answers for programs; `solved` is null where the outputs are not known."""
    from arc_core.data.kaggle import ATTEMPTS
    from arc_tui.results.evaluations import TaskResult

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
        "solved": SOLVED.get(TaskResult(task, answer).state),
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
    from arc_tui.drawing.groups import scrolled_rows
    from arc_tui.results.evaluations import TaskResult
    from arc_tui.results.groups import input_groups

    result = TaskResult(task, answer)
    verdict = {"solved": "solved", "failed": "not solved"}.get(result.state, "not known whether solved")
    summary = (
        f"{printable(task.id, 40)}: {verdict}; {answer.steps} steps in {answer.seconds:.1f} s,"
        f" fits {answer.fit} of {answer.demonstrations} demonstrations"
    )
    return [*scrolled_rows(input_groups(result), cells, digits=True), [], [(summary, "")]]
