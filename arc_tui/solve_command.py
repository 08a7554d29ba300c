"""`arc-tui solve`: one task adapted to before your eyes, then two answers for each of its test inputs."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from arc_core.dataset_files import DATASET_NAMES, Split, Task, load_tasks
from arc_core.errors import DataError
from arc_core.evaluation import EvalFolder, TaskAnswer
from arc_core.events import Event, EventReader
from arc_core.grids import Grid, from_rows
from arc_core.kaggle import ATTEMPTS
from arc_core.scoring import same_grid
from arc_core.text import printable
from arc_tui.eval_command import Asked, assign
from arc_tui.evaluate import Command, Workers, follow, hand_out, watched_process
from arc_tui.grid_text import Picture, rows_of_pictures
from arc_tui.headless_lines import duration, number, whole
from arc_tui.themes import load_theme

SEEN = "The weights were trained on this task: what they say of it is no measure of them."

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
    path = Path(name).expanduser()
    if dataset is None and path.is_file():
        tasks = load_tasks(path).tasks
        if len(tasks) != 1:
            raise DataError(
                f"{printable(name)} holds {len(tasks)} tasks: name one, and the file as --dataset."
            )
        return Found(tasks[0], str(path.absolute()), "training")
    places = DATASET_NAMES if dataset is None else (dataset,)
    for place in places:
        single = Path(place).expanduser().is_file()
        for split in SPLITS[:1] if single else SPLITS:
            for task in load_tasks(place, split).tasks:
                if task.id == name:
                    return Found(task, place, split)
    raise DataError(f"There is no task {printable(name, 60)} in {' or '.join(map(printable, places))}.")


def solve(asked: Asked, found: Found, *, as_json: bool, command: Command = watched_process) -> None:
    """Solve one task and show its answers: as grids in a terminal, else as JSON.

    Args:
        asked: Budget, seed, weights and settings.
        found: The task; its test outputs are not given to the process that solves it.
        as_json: Whether JSON is wanted in a terminal too.
        command: Gives the command line of the solving process.

    Raises:
        ArcError: If anything about the input is refused.
    """
    assignment = assign(asked, [found.task])
    console = Console(markup=False, highlight=False)
    shown = console.is_terminal and not as_json
    with _scratch() as path:
        folder = EvalFolder(path / "solve")
        hand_out(folder, assignment, [found.task])
        with Workers(folder, 1, command) as workers:
            if shown:
                with Live(console=console, refresh_per_second=4) as live:
                    watcher = _Watcher(folder, found.task, console.width)
                    follow(folder, workers, lambda answer, left: None, lambda: live.update(watcher.view()))
                    live.update(watcher.view())
            else:
                follow(folder, workers, lambda answer, left: None)
        answer = folder.answer(found.task.id)
    if shown:
        for line in answer_lines(found.task, answer, console.width):
            console.print(line)
        if assignment.seen:
            console.print(SEEN)
    else:
        console.out(json.dumps(answer_json(found.task, answer) | {"seen": bool(assignment.seen)}))


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
        "solved": _solved(task, answer),
        "steps": answer.steps,
        "seconds": answer.seconds,
        "fit": [answer.fit, answer.demonstrations],
    }


def _solved(task: Task, answer: TaskAnswer) -> bool | None:
    outputs = [pair.output for pair in task.test]
    if any(output is None for output in outputs):
        return None
    return all(
        any(same_grid(grid, cast(Grid, output)) for grid in (x.attempts.first, x.attempts.second))
        for x, output in zip(answer.inputs, outputs, strict=True)
    )


def answer_lines(task: Task, answer: TaskAnswer, width: int) -> list[Text]:
    """The answers as grids, beside the input and, once all is said, judged where the output is known."""
    colours = load_theme().grid
    lines: list[Text] = []
    for index, (pair, x) in enumerate(zip(task.test, answer.inputs, strict=True)):
        pictures = [Picture(f"test input {index}", pair.input)]
        for name, grid, confidence in zip(
            ("first", "second"), (x.attempts.first, x.attempts.second), x.confidence, strict=True
        ):
            judged = "" if pair.output is None else (" right" if same_grid(grid, pair.output) else " wrong")
            pictures.append(Picture(f"{name} {confidence:.0%}{judged}", grid, pair.output))
        lines += [Text(), *rows_of_pictures(pictures, colours, width)]
    solved = _solved(task, answer)
    verdict = {None: "not known whether solved", True: "solved", False: "not solved"}[solved]
    summary = (
        f"{printable(task.id, 40)}: {verdict}; {answer.steps} steps in {answer.seconds:.1f} s,"
        f" fits {answer.fit} of {answer.demonstrations} demonstrations"
    )
    return [*lines, Text(), Text(summary)]


class _Watcher:
    """What is shown while the solving process adapts.

    Args:
        folder: Its folder.
        task: With its demonstrations.
        width: Columns of the terminal.
    """

    def __init__(self, folder: EvalFolder, task: Task, width: int) -> None:
        self._reader = EventReader(folder.events)
        self._task = task
        self._width = width
        self._colours = load_theme().grid
        self._last: Event | None = None

    def view(self) -> Group:
        """How far it is and what it predicts now."""
        for event in self._reader.poll():
            if event.get("type") == "adaptation":
                self._last = event
        if self._last is None:
            return Group(Text(f"{printable(self._task.id, 40)}: the solving process is starting"))
        return Group(*adaptation_lines(self._task, self._last, self._colours, self._width))


def adaptation_lines(task: Task, event: Event, colours: tuple[str, ...], width: int) -> list[Text]:
    """An `adaptation` event as text: a line of numbers, and what inputs become now."""
    exact = event.get("exact")
    right = sum(cast("list[bool]", exact)) if isinstance(exact, list) else 0
    head = (
        f"{printable(task.id, 40)}  step {whole(event, 'step')} of {whole(event, 'steps')}"
        f"  loss {number(event, 'loss'):.4f}  fits {right} of {len(task.train)}"
        f"  {duration(number(event, 'seconds'))}"
    )
    pictures = [
        Picture(f"demonstration {index}", grid, pair.output)
        for index, (grid, pair) in enumerate(zip(_grids(event, "demonstrations"), task.train, strict=False))
    ]
    pictures += [Picture(f"test {index}", grid) for index, grid in enumerate(_grids(event, "queries"))]
    return [Text(head), *rows_of_pictures(pictures, colours, width)]


def _grids(event: Event, name: str) -> list[Grid]:
    return [from_rows(cast("list[str]", rows)) for rows in cast("list[object]", event.get(name, []))]
