"""A run whose folder is deleted or moved while somebody looks at it."""

import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from live_run import living
from piloting import console, text_of, until
from recordings import console_events, make_run

from arc_core.base.errors import RunError
from arc_core.run.directory import RunDirectory, is_gone
from arc_tui.commands import status, steer
from arc_tui.commands.headless import PlainOutput
from arc_tui.commands.training import train_here
from arc_tui.console.app import ConsoleApp
from arc_tui.console.main import MainScreen
from arc_tui.runs import asking
from arc_tui.runs.engine import Outcome
from arc_tui.runs.starting import conclude
from arc_tui.runs.state import Phase

GONE = "The run recorded is gone: its folder was deleted or moved."


def _delete(run: RunDirectory) -> None:
    shutil.rmtree(run.path)


def _move(run: RunDirectory) -> None:
    run.path.rename(run.path.with_name("elsewhere"))


@pytest.mark.parametrize("remove", [_delete, _move])
@pytest.mark.parametrize("trained", [True, False], ids=["living", "ended"])
async def test_console_says_that_the_run_is_gone_and_keeps_what_it_shows(
    remove: Callable[[RunDirectory], None], trained: bool, tmp_path: Path
):
    with living(tmp_path) as live:
        if not trained:
            live.emit("run_finished", reason="completed")
            live.release()
        async with console(live.run) as (app, pilot):
            step = app.session.state.step
            remove(live.run)
            await until(pilot, lambda: "✗ GONE: the run's folder was deleted or moved" in text_of(app))
            assert app.session.phase is (Phase.STOPPED if trained else Phase.FINISHED)
            assert app.session.state.step == step
            assert isinstance(app.screen, MainScreen)  # no word of a crash
            for key in ("p", "c", "v", "e", "s", "k"):
                app.main.tell("")
                await pilot.press(key)
                await until(pilot, lambda: "✗ The run recorded is gone" in text_of(app))
                assert isinstance(app.screen, MainScreen)
            await pilot.press("question_mark")
            await until(pilot, lambda: not isinstance(app.screen, MainScreen))


async def test_folder_that_is_closed_is_not_taken_for_gone(tmp_path: Path):
    run = make_run(tmp_path, console_events())
    assert not is_gone(run)
    run.path.chmod(0)
    try:
        assert not is_gone(run)
    finally:
        run.path.chmod(0o700)
    _delete(run)
    assert is_gone(run)


async def test_console_that_is_left_afterwards_says_nothing_untrue(tmp_path: Path):
    run = make_run(tmp_path, console_events())
    async with console(run) as (app, pilot):
        _delete(run)
        await until(pilot, lambda: app.session.gone)
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)
    assert isinstance(app, ConsoleApp)
    assert app.failed is False


@pytest.mark.parametrize("engine", [False, True], ids=["events", "engine"])
def test_following_a_log_ends_when_the_run_is_gone(engine: bool, tmp_path: Path):
    shown: list[str] = []
    with living(tmp_path) as live:
        live.run.engine_log.write_text("a line\n")
        deleted = threading.Event()

        def watch(line: str, style: str = "") -> None:
            if not shown:
                _delete(live.run)
                deleted.set()
            shown.append(line)

        output = PlainOutput(sys.stdout)
        output.line = watch  # type: ignore[method-assign]
        follow = status.show_engine_log if engine else status.show_events
        with pytest.raises(RunError, match=GONE):
            follow(live.run, output, following=True)
    assert deleted.is_set()


def test_waiting_for_an_answer_ends_when_the_run_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with living(tmp_path) as live:
        monkeypatch.setattr(asking, "send", lambda *_: _delete(live.run) or "id")
        with pytest.raises(RunError, match=GONE):
            steer.pause(live.run.name, runs_dir=live.run.path.parent)


def test_headless_training_says_that_its_run_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)

    def engine(run: RunDirectory) -> list[str]:
        code = "import shutil, sys, time; shutil.rmtree(sys.argv[1]); time.sleep(1)"
        return [sys.executable, "-c", code, str(run.path)]

    with pytest.raises(RunError, match="The run recorded is gone"):
        train_here({"name": "recorded"}, None, engine)
    assert capsys.readouterr().out.count(f"{GONE} Its process goes on without it; Ctrl+C ends it.") == 1


def test_process_that_ended_with_its_run_is_not_said_to_have_crashed(tmp_path: Path):
    run = make_run(tmp_path, console_events())
    _delete(run)
    launch = type("Launch", (), {"run": run})
    with pytest.raises(RunError, match=GONE):
        conclude(launch, Outcome(returncode=1), lambda _: None)  # type: ignore[arg-type]
