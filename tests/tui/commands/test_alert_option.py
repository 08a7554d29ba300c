"""`--alert` on the command line, and the address of the settings."""

import sys
from pathlib import Path

import fake_engine
import pytest
import typer
from alert_server import serving
from live_run import living
from recordings import make_run

from arc_core.run.directory import RunDirectory, open_run
from arc_tui import cli
from arc_tui.alerts.starting import LOG
from arc_tui.commands import attach as attach_command
from arc_tui.commands.training import train_here
from arc_tui.console.app import ConsoleApp


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


def main(*arguments: str) -> object:
    with pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))
    return caught.value.code


def train(behaviour: str, alert: str | None, **flags: object) -> int:
    command = [sys.executable, fake_engine.__file__, behaviour]
    return train_here({"name": "demo", **flags}, None, lambda run: [*command, str(run.path)], alert=alert)


def write_settings(folder: Path, text: str) -> None:
    path = folder / "config/arc-tui/config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_train_sends_the_end_before_it_returns_and_run_json_keeps_no_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with serving() as server:
        monkeypatch.setattr(sys, "argv", ["arc-tui", "train", "--alert", server.url])
        assert train("whole", server.url) == 0
        assert server.titles == ["demo has ended"]
        assert server.posted[0].body.startswith("All 1 epochs done. Step 20, epoch 0. Best validation, at")
    run = open_run(tmp_path / "runs", "demo")
    assert run.read()["argv"] == ["arc-tui", "train", "--alert", "..."]
    for path in run.path.rglob("*"):
        assert path.is_dir() or server.url.encode() not in path.read_bytes()


def test_a_crash_is_told_to_the_address_of_the_settings_unless_it_is_not_wanted(tmp_path: Path):
    with serving() as server:
        write_settings(tmp_path, f'alert = "{server.url}"\non_finish = false\n')
        assert train("crash", None) == 1
        assert server.titles == ["demo has crashed"]
        assert train("whole", None, name="b") == 0
        assert server.titles == ["demo has crashed"]


def test_a_bad_address_is_refused_before_a_run_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main("train", "--headless", "--alert", "ntfy.sh/s3cr3t") == 2
    assert main("train", "--headless", "--alert", "https://hooks.slack.com/services/s3cr3t") == 2
    assert main("train", "--headless", "--alert", "env:NOT_THERE") == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("Error: An alert's address is https://HOST/...")
    assert told[1].startswith("Error: The address at hooks.slack.com holds a secret")
    assert told[2] == "Error: The environment has no NOT_THERE, which is to hold the address of alerts."
    assert len(told) == 3
    assert "s3cr3t" not in "".join(told)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("alive", "options", "sent"), [(True, {}, True), (True, {"replay": 1.0}, False), (False, {}, False)]
)
def test_attach_has_alerts_sent_of_a_living_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alive: bool, options: dict[str, float], sent: bool
):
    monkeypatch.setattr(attach_command, "has_terminal", lambda: True)
    monkeypatch.setattr(ConsoleApp, "run", lambda self: None)

    def opened(run: RunDirectory, url: str) -> bool:
        with pytest.raises(BaseException, match="0"):  # Typer's exit
            attach_command.attach(run.name, runs_dir=run.path.parent, alert=url, **options)
        return (run.path / LOG).exists()

    with serving() as server:
        if not alive:
            assert opened(make_run(tmp_path), server.url) is sent
            return
        with living(tmp_path) as live:
            assert opened(live.run, server.url) is sent
            live.emit("run_finished", reason="completed")
        if sent:
            server.wait_for(1)


def test_who_only_looks_starts_no_alerts_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(attach_command, "has_terminal", lambda: True)
    monkeypatch.setattr(ConsoleApp, "run", lambda self: None)
    write_settings(tmp_path, 'alert = "http://127.0.0.1:9/topic"\non_finish = false\n')
    with living(tmp_path / "runs") as live:
        for read_only, begun in ((True, False), (False, True)):
            with pytest.raises(typer.Exit):
                attach_command.attach(live.run.name, read_only=read_only, runs_dir=live.run.path.parent)
            assert (live.run.path / LOG).exists() is begun
        live.emit("run_finished", reason="completed")  # so that the watcher ends, which has nothing to send
