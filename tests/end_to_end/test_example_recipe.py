"""The example's recipe, installed from its wheel beside ours: trained, steered, killed, resumed and shown."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command import environment, training
from piloting import console, text_of, until
from raw_events import Line, counting, read_lines
from small_run import NOT_MEASURED, write_tasks
from terminal import Terminal
from wheels import ROOT, built, installed

from arc_core.run.checkpoint_index import list_checkpoints
from arc_core.run.directory import RunDirectory

EXAMPLE = ROOT / "docs" / "examples" / "recursive_planner"
OPTIONS = [
    *(
        "--recipe",
        "recursive_planner",
        "--headless",
        "--device",
        "cpu",
        "--epochs",
        "2",
        "--dataset",
        "tasks",
    ),
    *("--batch-size", "2", "--checkpoint-every", "3", "--set", "width=160", "--set", "sample_every=2"),
    *("--set", "answers=4", "--set", "amp=off"),
]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a new environment with both wheels."""
    names = ("pyproject.toml", "README.md", "recursive_planner")
    example = built(EXAMPLE, names, tmp_path_factory.mktemp("example"))
    return installed(tmp_path_factory.mktemp("installed") / "venv", wheel, example)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs are, and tasks of grids large enough for steps to take a while."""
    made = tmp_path_factory.mktemp("planner")
    write_tasks(made / "tasks")
    return made


def trained(programs: Path, folder: Path, name: str, *options: str) -> RunDirectory:
    done = subprocess.run(
        [programs / "arc-tui", "train", *options, "--name", name],
        cwd=folder, env=environment(folder), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return RunDirectory(folder / "runs" / name)


@pytest.fixture(scope="module")
def whole(programs: Path, folder: Path) -> RunDirectory:
    """A run that nothing interrupts."""
    return trained(programs, folder, "whole", *OPTIONS)


@pytest.fixture(scope="module")
def interrupted(programs: Path, folder: Path) -> RunDirectory:
    """A run that is paused, killed in mid-step, and resumed."""

    def say(*words: str) -> None:
        subprocess.run([programs / "arc-tui", *words], cwd=folder, env=environment(folder), check=True)

    with training(folder, "parts", *OPTIONS, "--name", "parts", command=programs / "arc-tui") as living:
        living.until_step(2)
        say("pause", "parts")
        living.until(lambda event: event["type"] == "paused")
        say("resume", "parts")
        living.until(lambda event: event["type"] == "unpaused")
        step = living.until_step(5)
        pace = step["elapsed_seconds"] / step["step"]
        time.sleep(pace / 2)
        os.kill(living.engine, signal.SIGKILL)
        assert living.end() == 1
    return trained(programs, folder, "parts", "--resume", "parts", "--headless")


def told(run: RunDirectory, *kinds: str) -> list[Line]:
    left_out = NOT_MEASURED - {"type"} | {"seconds"}
    counted = [event for event in counting(read_lines(run.events)) if event["type"] in kinds]
    return [{name: value for name, value in event.items() if name not in left_out} for event in counted]


def test_after_a_pause_and_a_kill_in_mid_step_it_comes_to_the_same_bits(
    whole: RunDirectory, interrupted: RunDirectory
) -> None:
    kinds = [event["type"] for event in read_lines(interrupted.events)]
    assert {"paused", "unpaused", "resumed"} <= set(kinds)
    last = kinds.index("resumed")
    assert kinds[last - 1] != "run_finished", "the process was killed"
    mine, theirs = (list_checkpoints(run.checkpoints)[-1] for run in (interrupted, whole))
    files = sorted(path.name for path in theirs.glob("*.safetensors"))
    assert files == ["mean.safetensors", "model.safetensors", "optimizer.safetensors", "rng.safetensors"]
    assert [name for name in files if (mine / name).read_bytes() != (theirs / name).read_bytes()] == []
    assert len(told(whole, "step")) == 12
    for kind in ("step", "sample", "validation", "epoch"):
        assert told(interrupted, kind) == told(whole, kind), kind


def test_the_browser_opens_its_checkpoint(programs: Path, folder: Path, whole: RunDirectory) -> None:
    done = subprocess.run(
        [programs / "arc-tui", "inspect", "checkpoint", "whole", "--plain"],
        cwd=folder, env=environment(folder), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in ("model", "mean", "optimizer"):
        assert name in done.stdout


@pytest.mark.parametrize("size", [(120, 40), (200, 60)])
async def test_the_console_shows_its_groups_and_grids(whole: RunDirectory, size: tuple[int, int]) -> None:
    async with console(whole, size=size) as (app, pilot):
        await until(pilot, lambda: "answer 1" in text_of(app))
        shown = text_of(app)
        for word in ("answer 4", "total", "first answer", "last answer", "target", "model"):
            assert word in shown, word
        for word in ("reward", "z anchor", "lm "):
            assert word not in shown, word


def test_a_terminal_shows_its_groups_and_grids(programs: Path, folder: Path, whole: RunDirectory) -> None:
    opened = Terminal(folder, "attach", "whole", command=programs / "arc-tui")
    opened.until("answer 1")
    shown = opened.until("last answer")
    assert "exact" in shown
    opened.press("q")
    assert opened.ended() == 0
    assert opened.is_sane()
