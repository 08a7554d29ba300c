"""What a console tells when nobody looks, and when it fails itself."""

import signal
from pathlib import Path

import pytest
from live_run import living
from piloting import console, until
from recordings import make_run

from arc_tui.commands.attach import _leave
from arc_tui.console.app import ConsoleApp
from arc_tui.console.options import Options
from arc_tui.runs.state import Phase
from arc_tui.ui.crash_report import write_report
from arc_tui.ui.settings import Settings
from arc_tui.ui.terminal import RESTORE_TITLE, SAVE_TITLE, Terminal


class Recorder:
    def __init__(self, settings: Settings) -> None:
        self.written = ""
        self.rings = 0
        self.terminal = Terminal(settings, self._write, self._ring, {})

    def _write(self, text: str) -> None:
        self.written += text

    def _ring(self) -> None:
        self.rings += 1


def test_title_shows_state_progress_and_name_and_is_given_back():
    recorder = Recorder(Settings())
    recorder.terminal.open()
    for _ in range(2):
        recorder.terminal.show("demo", Phase.RUNNING, 0.123)
    recorder.terminal.close()
    assert recorder.written == f"{SAVE_TITLE}\x1b]0;running 12% demo\x07{RESTORE_TITLE}"


def test_hostile_name_cannot_end_the_title():
    recorder = Recorder(Settings())
    recorder.terminal.show("x\x07\x1b]52;c;aGk=\x07", Phase.PAUSED, None)
    assert recorder.written.count("\x07") == recorder.written.count("\x1b") == 1


def test_title_and_bell_can_be_turned_off():
    recorder = Recorder(Settings(title=False, bell=False))
    recorder.terminal.open()
    recorder.terminal.show("demo", Phase.RUNNING, None)
    recorder.terminal.tell("demo", "has crashed", wanted=True)
    recorder.terminal.close()
    assert (recorder.written, recorder.rings) == ("", 0)


def test_bell_rings_only_for_what_is_wanted():
    recorder = Recorder(Settings())
    recorder.terminal.tell("demo", "has crashed", wanted=False)
    recorder.terminal.tell("demo", "has crashed", wanted=True)
    assert recorder.rings == 1


def test_report_holds_the_traceback_as_text_and_is_private(tmp_path: Path):
    try:
        raise ValueError("\x1b]52;c;aGk=\x07 of a run")
    except ValueError as error:
        path = write_report(error, "80x24, MainScreen", tmp_path / "state")
    assert path is not None
    text = path.read_text()
    assert "80x24, MainScreen" in text
    assert "ValueError: \\x1b]52;c;aGk=\\x07 of a run" in text
    assert "\x1b" not in text
    assert path.stat().st_mode & 0o777 == 0o600


def test_report_that_cannot_be_written_is_left_out(tmp_path: Path):
    (tmp_path / "state").write_text("in the way")
    assert write_report(ValueError("x"), "", tmp_path / "state") is None


async def fail(app: ConsoleApp) -> None:
    """Let something go wrong that nobody catches."""
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.session.known)
        app.call_later(lambda: 1 / 0)
        await until(pilot, lambda: not app.is_running)


async def test_failure_of_the_console_is_reported_and_the_run_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with living(tmp_path / "runs") as live:
        app = ConsoleApp(live.run, Options("runs"))
        with pytest.raises(ZeroDivisionError):
            await fail(app)
        assert _leave(app) == 1
        assert live.commands() == []
    (report,) = (tmp_path / "state" / "arc-tui").iterdir()
    assert "ZeroDivisionError" in report.read_text()
    said = capsys.readouterr()
    assert [*said.err.splitlines(), *said.out.splitlines()] == [
        f"Error: The console has failed; the report is {report}.",
        "Run recorded goes on in the background.",
        "To watch it: arc-tui attach recorded",
        "To stop it: arc-tui stop recorded",
    ]


async def test_signal_ends_the_console_with_its_number(tmp_path: Path):
    async with console(make_run(tmp_path)) as (app, pilot):
        app._end_by_signal(signal.SIGTERM)
        await until(pilot, lambda: not app.is_running)
    assert _leave(app) == 128 + signal.SIGTERM
