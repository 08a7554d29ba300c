"""Draws the pictures of docs/tour.md: the apps as they are, on runs that were real.

    PYTHONPATH=tests:tests/tui .venv/bin/python tests/recorded/pictures.py FOLDER

The console, a task that is solved and the list of runs show what was recorded here; checkpoint, comparison
and evaluation are made for the pictures, by runs of a few batches and an evaluation of eight tasks, in about
two minutes. `make docs` draws them whenever it builds the site: they are in no commit and never out of date.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from live_run import living
from raw_events import read_lines, typed
from recordings import RECORDED, events_until_step, killed_events, make_run
from textual.pilot import Pilot

from arc_core.data.seen import choose_tasks
from arc_core.data.tasks import load_tasks
from arc_core.evaluation.folder import TaskAnswer, find_eval
from arc_core.run.directory import open_run
from arc_tui.console.app import ConsoleApp
from arc_tui.console.options import Options
from arc_tui.inspect.app import InspectApp
from arc_tui.inspect.tensors.source import open_checkpoint
from arc_tui.results.app import ResultsApp
from arc_tui.results.evaluations import open_results
from arc_tui.solve.app import SolveApp
from arc_tui.ui.app import BaseApp
from arc_tui.ui.screen import JobScreen

ARC_TUI = Path(sys.executable).with_name("arc-tui")
TRAIN = "train --headless --device cpu --epochs 1 --max-batches 10 --checkpoint-every 2 --dataset arcagi1"
SWEEP = (
    "queue add --name lr --grid agent_lr=1e-4,1e-2 --seeds 2 --device cpu --epochs 2 --max-batches 10 "
    "--dataset arcagi1 --set validation_inputs=8 --set checkpoint_every=1000 --runs-dir sweep"
)
EVAL = "eval --held-out --limit 8 --seconds-per-task 1 --device cpu"
WIDE, TALL = (150, 44), (110, 32)
MOMENT_SECONDS = 0.3
"""Nothing changes any more when a screen has been the same for so long."""

Make = Callable[[], BaseApp]


async def picture(make: Make, size: tuple[int, int], *keys: str) -> str:
    """Open an app, press keys, and return what is on the screen as SVG."""
    app = make()
    async with app.run_test(size=size) as pilot:
        await _settled(app, pilot)
        for key in keys:
            await pilot.press(key)
            await _settled(app, pilot)
        return app.export_screenshot(title="arc-tui")


async def _settled(app: BaseApp, pilot: Pilot) -> None:
    """Wait until nothing is computed and the screen stays as it is."""
    before = ""
    while True:
        await pilot.pause(MOMENT_SECONDS)
        screen = app.screen
        now = "" if isinstance(screen, JobScreen) and screen.job is not None else app.export_screenshot()
        if now and now == before:
            return
        before = now


@contextlib.contextmanager
def trained(folder: Path) -> Iterator[Path]:
    """The newest checkpoint of a run; an evaluation and a sweep are made beside it, in a folder."""
    for command in (f"{TRAIN} --name tour", f"{EVAL} --name tour", SWEEP, "queue run --runs-dir sweep"):
        subprocess.run([ARC_TUI, *command.split()], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    with contextlib.chdir(folder):
        yield max((folder / "runs" / "tour" / "checkpoints").glob("checkpoint_*"))


def solving() -> SolveApp:
    """A task that has been solved, as its process told it."""
    answer = TaskAnswer.from_json(json.loads((RECORDED / "solve_answer.json").read_text()), "recorded")
    (task,) = choose_tasks(load_tasks("arcagi1").tasks, ids=[answer.task])
    events = [typed(read_lines(RECORDED / "solve.jsonl"))]
    return SolveApp(task, "arcagi1 training", lambda: (events.pop() if events else [], answer))


async def draw(target: Path) -> None:
    """Draw every picture into a folder."""
    with tempfile.TemporaryDirectory() as place, trained(Path(place)) as checkpoint:
        runs = Path("runs")
        make_run(runs, killed_events(), "killed", torn=True)
        make_run(runs, name="whole")
        with living(runs, events_until_step(57)) as live:

            def console() -> ConsoleApp:
                return ConsoleApp(live.run, Options(str(runs)))

            def sweep() -> ConsoleApp:
                return ConsoleApp(open_run(Path("sweep"), "lr-1"), Options("sweep"))

            def browser() -> InspectApp:
                return InspectApp(open_checkpoint(str(checkpoint), Path("runs")), Path("runs"))

            def results() -> ResultsApp:
                return ResultsApp([open_results(find_eval("tour", Path("evals")))], Path("evals"))

            wanted: dict[str, tuple[Make, tuple[int, int], tuple[str, ...]]] = {
                "console": (console, WIDE, ()),
                "grids": (console, TALL, ("3", "+")),
                "cursor": (console, TALL, ("1", "+", *["left"] * 13)),
                "runs": (console, TALL, ("r",)),
                "comparison": (sweep, TALL, ("r", "a", "c", "down")),
                "keys": (console, WIDE, ("?",)),
                "checkpoint": (browser, WIDE, ("a", *["down"] * 5)),
                "tensor": (browser, TALL, ("slash", *"embed", "enter", "enter")),
                "drift": (browser, TALL, ("k",)),
                "solve": (solving, WIDE, ()),
                "results": (results, WIDE, ()),
            }
            target.mkdir(parents=True, exist_ok=True)
            for name, (make, size, keys) in wanted.items():
                svg = await picture(make, size, *keys)
                (target / f"{name}.svg").write_text(svg, encoding="utf-8")
                print(target / f"{name}.svg", flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(draw(Path(sys.argv[1]).absolute()))
