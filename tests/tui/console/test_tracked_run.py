"""The console on a run whose loop is not ours: its numbers, its grids, its settings."""

import itertools
import threading
from pathlib import Path

import pytest
from piloting import console, text_of, until

import arc_core
from arc_core.run.commands import send
from arc_core.run.directory import RunDirectory
from arc_core.tracking.tracked import TrackedRun
from arc_tui.runs.state import Phase


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Forty steps of a loop with three parts of a loss, two other numbers and grids."""
    folder = tmp_path_factory.mktemp("tracked")
    grids = {"input": [[1, 2], [3, 4]], "prediction": [[5, 6], [7, 8]], "target": [[5, 6], [7, 9]]}
    with arc_core.track("trm", {"lr": 1e-3, "width": 64}, runs_dir=folder) as run:
        for step, _ in run.steps([0] * 40):
            parts = {"cross_entropy": 2 / step, "halting": 0.5, "total": 2 / step + 0.5}
            run.log(step, loss=parts, solved=step / 40, lr=1e-3, grids=grids, task="0ca9ddb6")
        run.validated(run.step, score=0.75, tta=3.0)
    return run.directory


async def test_console_shows_its_parts_its_numbers_and_its_grids(run: RunDirectory):
    async with console(run, (200, 60)) as (app, pilot):
        await until(pilot, lambda: "cross entropy" in text_of(app))
        shown = text_of(app)
        for expected in ("halting", "solved", "0ca9ddb6", "prediction", "target", "trm"):
            assert expected in shown, shown
        for foreign in ("EFE", "threshold", "reward", "nan "):
            assert foreign not in shown, shown


def train(run: TrackedRun) -> None:
    """Go on until the run is told to stop, slowly enough for a console."""
    between = threading.Event()
    with run:
        for step, _ in run.steps(itertools.repeat(0)):
            run.log(step, loss=1 / step)
            between.wait(0.01)


async def test_key_pauses_it_where_it_is(tmp_path: Path):
    run = arc_core.track("live", runs_dir=tmp_path)
    loop = threading.Thread(target=train, args=[run])
    loop.start()
    try:
        async with console(run.directory) as (app, pilot):
            await until(pilot, lambda: app.session.state.step > 0)
            await pilot.press("p")
            await until(pilot, lambda: "Paused at step" in text_of(app))
            assert app.session.state.phase is Phase.PAUSED
    finally:
        send(run.directory.commands, "stop")
        loop.join()
