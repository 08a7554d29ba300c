"""A recipe of an installed package on the command line, and runs of one that is gone again."""

import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from foreign_recipe import NAME, PACKAGE, REFERENCE, install

from arc_core.run.directory import create_run
from arc_core.run.event_writer import EventWriter
from arc_tui import cli
from benchmarks.command_line import asked_by


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def arc_tui(tmp_path: Path):
    """Runs the command in a process that has the package on its path."""
    folder = tmp_path / "site"
    folder.mkdir()
    environment = os.environ | {"PYTHONPATH": str(install(folder))}

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", cli.__name__, *arguments]
        return subprocess.run(command, env=environment | variables, capture_output=True, text=True)

    return run


def _main(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_its_options_are_flags_keys_and_completed(arc_tui):
    done = arc_tui("config", "--recipe", NAME, "--set", "ema=0.5", "--epochs", "3")
    assert done.returncode == 0, done.stderr
    values = tomllib.loads(done.stdout)
    assert (values["epochs"], values["recipe"], values[NAME]["ema"]) == (3, NAME, 0.5)
    assert "lm" not in values
    Path("mine.toml").write_text(done.stdout)
    again = arc_tui("config", "--config", "mine.toml")
    assert again.stdout == done.stdout
    refused = arc_tui("config", "--set", "ema_lr=0.5")
    sentence = "Error: ema_lr is an option of the recipe planner; this run has the recipe pipeline.\n"
    assert (refused.returncode, refused.stderr) == (2, sentence)
    assert arc_tui(**asked_by("bash", "train --recipe p")).stdout.split() == ["pipeline", NAME]
    offered = arc_tui(**asked_by("bash", f"train --recipe {NAME} --set em")).stdout.split()
    assert offered == ["ema=", "ema_lr="]


def test_a_setting_that_its_checkpoints_hang_on_cannot_change(arc_tui):
    _make_run("demo")
    assert arc_tui("config", "--resume", "demo", "--set", "width=16").returncode == 0
    Path("runs/demo/checkpoints/checkpoint_00000").mkdir()
    refused = arc_tui("config", "--resume", "demo", "--set", "width=16")
    sentence = "Error: The checkpoints of demo were trained with width 8 and cannot go on with 16: "
    assert (refused.returncode, refused.stderr.startswith(sentence)) == (2, True)
    assert arc_tui("config", "--resume", "demo", "--set", "ema=0.25").returncode == 0
    assert arc_tui("config", "--resume", "demo", "--recipe", "pipeline").stderr == (
        "Error: The resumed run has the recipe planner; it cannot become pipeline.\n"
    )


def _make_run(name: str) -> None:
    config = {"recipe": NAME, "preset": "tiny", "epochs": 2, "ema": 0.5, "ema_lr": 0.01}
    origin = {"class": REFERENCE, "package": PACKAGE, "version": "0.1"}
    content = {"config": config, "recipe_from": origin, "created": time.time()}
    run = create_run(Path("runs"), name, content)
    with EventWriter(run.events) as events:
        events.emit("run_started", step=0)
        events.emit("run_finished", reason="completed")


@pytest.mark.parametrize(
    "command",
    [["runs"], ["status"], ["logs"], ["report"], ["note", "demo", "words"], ["delete", "demo", "--yes"]],
)
def test_a_run_whose_package_is_gone_is_looked_at_as_any_other(
    command: list[str], capsys: pytest.CaptureFixture[str]
):
    _make_run("demo")
    assert _main(*command) == 0
    assert capsys.readouterr().err == ""


def test_a_run_that_a_loop_of_its_own_tells_of_is_not_trained_by_us(capsys: pytest.CaptureFixture[str]):
    create_run(Path("runs"), "demo", {"config": {"recipe": "track", "lr": 0.1}, "created": time.time()})
    assert _main("resume", "demo") == 2
    sentence = (
        "Error: The run is trained by a program of its own: start that again, with resume=True, to go on.\n"
    )
    assert capsys.readouterr().err == sentence


@pytest.mark.parametrize(
    "command",
    [
        ["resume", "demo"],
        ["train", "--resume", "demo", "--headless"],
        ["train", "--resume", "demo", "--branch", "b", "--headless"],
        ["config", "--resume", "demo"],
    ],
)
def test_a_run_whose_package_is_gone_cannot_be_trained_and_its_package_is_named(
    command: list[str], capsys: pytest.CaptureFixture[str]
):
    _make_run("demo")
    before = Path("runs/demo/run.json").read_bytes()
    assert _main(*command) == 2
    assert capsys.readouterr().err == (
        "Error: The run cannot be trained without its recipe from tiny-planner 0.1 tiny_planner:Planner: "
        "There is no recipe planner; there are pipeline, and any class as package.module:Class.\n"
    )
    assert Path("runs/demo/run.json").read_bytes() == before
    assert [path.name for path in Path("runs").iterdir()] == ["demo"]
