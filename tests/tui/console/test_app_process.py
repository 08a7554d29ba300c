"""The console and the process that it started: refused, crashed, left running, started again."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from piloting import text_of, until
from recordings import console_run_json, killed_events, make_run

from arc_core.base.errors import ConfigError, RunError
from arc_core.base.text import cause
from arc_core.run.directory import RunDirectory, create_run, is_alive, lock_holder
from arc_tui.commands import attach
from arc_tui.console.app import ConsoleApp
from arc_tui.console.dialogs import CrashScreen
from arc_tui.console.options import Options
from arc_tui.runs.engine import Supervisor
from arc_tui.runs.starting import conclude, prepare
from arc_tui.runs.state import Phase
from arc_tui.ui.dialog import ConfirmScreen

FAKE = str(Path(__file__).parents[1] / "fake_engine.py")


@contextlib.contextmanager
def supervised(run: RunDirectory, behaviour: str) -> Iterator[tuple[ConsoleApp, Supervisor]]:
    """A console whose run is trained by the fake engine, which is ended with the test."""
    supervisor = Supervisor(lambda run: [sys.executable, FAKE, behaviour, str(run.path)])
    app = ConsoleApp(run, Options(str(run.path.parent)), supervisor)
    try:
        yield app, supervisor
    finally:
        if supervisor.running and (pid := lock_holder(run)):
            os.kill(pid, signal.SIGKILL)
        if supervisor.process is not None:
            supervisor.process.wait()


@pytest.fixture
def new_run(tmp_path: Path) -> RunDirectory:
    return create_run(tmp_path / "runs", "demo", console_run_json())


async def test_console_that_is_left_leaves_its_process_running(new_run: RunDirectory):
    with supervised(new_run, "obey") as (app, supervisor):
        supervisor.start(new_run)
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: app.session.state.step > 2)
            await pilot.press("q")
            await until(pilot, lambda: not app.is_running)
        assert supervisor.running
        assert is_alive(new_run)


async def test_run_that_is_stopped_ends_its_process_and_the_console_stays(new_run: RunDirectory):
    with supervised(new_run, "obey") as (app, supervisor):
        supervisor.start(new_run)
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: app.session.state.step > 2)
            await pilot.press("s")
            await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
            await pilot.press("y")
            await until(pilot, lambda: app.session.phase is Phase.STOPPED and not supervisor.running)
            assert app.is_running
        assert supervisor.finish().returncode == 0


async def test_refused_input_closes_the_console_with_the_sentence(new_run: RunDirectory):
    with supervised(new_run, "refuse") as (app, supervisor):
        supervisor.start(new_run)
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: not app.is_running)
        assert app.refused
        assert supervisor.finish().refusal == "The dataset nowhere is neither a name\\x1b[2J nor a folder."


async def test_a_process_that_gives_up_after_a_step_says_why_and_its_run_stays(tmp_path: Path):
    folder = tmp_path / "runs"
    launch = prepare({"runs_dir": str(folder), "name": "demo", "dataset": "arcagi1"}, None, ["arc-tui"])
    with supervised(launch.run, "give-up") as (app, supervisor):
        supervisor.start(launch.run)
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: "Process 1 of 2 was killed by SIGKILL." in text_of(app))
            assert not app.refused
            await pilot.press("q")
            await until(pilot, lambda: not app.is_running)
        with pytest.raises(RunError, match="was killed by SIGKILL"):
            conclude(launch, supervisor.finish(), lambda _: None)
    assert launch.run.events.exists()


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [("crash", "with exit code 3"), ("killed", "killed by SIGKILL, perhaps for want of memory")],
)
async def test_crash_says_how_the_process_ended(new_run: RunDirectory, behaviour: str, told: str):
    with supervised(new_run, behaviour) as (app, supervisor):
        supervisor.start(new_run)
        async with app.run_test(size=(140, 40)) as pilot:
            await until(pilot, lambda: isinstance(app.screen, CrashScreen) and told in text_of(app))
            assert "an engine speaks \\x1b[31m" in text_of(app)
            assert "arc-tui train --resume demo" in text_of(app)


async def test_crashed_run_is_started_again_from_the_console(tmp_path: Path):
    run = make_run(tmp_path / "runs", killed_events())
    with supervised(run, "obey") as (app, supervisor):
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: app.session.phase is Phase.CRASHED)
            await pilot.press("p")
            await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
            assert "A new one goes on from checkpoint" in text_of(app)
            await pilot.press("y")
            await until(pilot, lambda: app.session.phase is Phase.RUNNING and app.session.state.step > 0)
            assert supervisor.running
        assert is_alive(run)


def test_cause_names_exit_code_and_signal():
    assert cause(3) == "with exit code 3"
    assert cause(-signal.SIGSEGV) == "killed by SIGSEGV"
    assert cause(-signal.SIGKILL) == "killed by SIGKILL, perhaps for want of memory"


def test_attach_without_a_terminal_names_the_command_that_needs_none(new_run: RunDirectory):
    with pytest.raises(
        ConfigError, match="attach needs a terminal; without one, use arc-tui logs demo --follow"
    ):
        attach.attach(new_run.name, runs_dir=new_run.path.parent)


def test_unknown_theme_is_refused_and_the_new_run_is_gone(tmp_path: Path):
    flags = {"name": "demo", "runs_dir": str(tmp_path / "runs")}
    with pytest.raises(ConfigError, match="There is no theme arc-drak; did you mean arc-dark"):
        attach.train_in_console(flags, None, "arc-drak")
    assert list((tmp_path / "runs").iterdir()) == []
