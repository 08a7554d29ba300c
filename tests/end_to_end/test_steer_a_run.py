"""A run that is steered by `arc-tui` commands from outside, as a user would do it."""

import csv
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import ARC_TUI, PATIENCE_SECONDS, SMALL, end_engine, environment
from raw_events import LogReader, counting, read_lines

from arc_core.run.checkpoint_index import list_checkpoints, problems_of
from arc_core.run.directory import RunDirectory, is_alive, lock_holder

OPTIONS = [*SMALL, "--dataset", "arcagi1", "--epochs", "1000", "--max-batches", "8"]


class User:
    """Somebody in a folder with one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = RunDirectory(folder / "runs" / "mine")

    def asks(self, *words: str, code: int = 0) -> str:
        """Run a command, which must end with this exit code, and return what it says."""
        done = subprocess.run(
            [ARC_TUI, *words],
            cwd=self.folder,
            env=environment(self.folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def steps(self) -> list[dict]:
        return [event for event in read_lines(self.run.events) if event["type"] == "step"]


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    one = User(tmp_path)
    yield one
    end_engine(one.run)


def test_run_is_detached_steered_released_resumed_exported_and_deleted(user: User):
    said = user.asks("train", "--detach", *OPTIONS, "--name", "mine")
    assert "Run mine goes on in the background." in said
    assert is_alive(user.run)

    said = user.asks("pause")
    paused_at = int(said.split("Paused at step ")[1])
    events = LogReader(user.run.events, from_end=True)
    said = user.asks("set", "mine", "agent_lr=5e-4", "checkpoint_every=1000")
    assert said == "agent_lr: 1e-05 is now 0.0005\ncheckpoint_every: 50 is now 1000\n"
    assert f"verified at step {paused_at} " in user.asks("checkpoint", "mi")
    assert problems_of(list_checkpoints(user.run.checkpoints)[-1]) == []
    assert f"[Validation at step {paused_at}]" in user.asks("validate")
    assert "pause: Training is paused already." in user.asks("pause", code=2)
    known = json.loads(user.asks("status", "--json"))
    assert (known["state"], known["alive"], known["step"]) == ("paused", True, paused_at)
    assert known["process"] == lock_holder(user.run)
    assert "in use by process" in user.asks("delete", "mine", "--yes", code=2)
    assert "step" not in {event["type"] for event in events.poll()}, "no step is taken during a pause"

    assert f"Going on at step {paused_at}" in user.asks("resume")
    said = user.asks("pause", "--release")
    assert "arc-tui resume mine" in said
    assert not is_alive(user.run)
    after = next(step for step in user.steps() if step["step"] == paused_at + 1)
    assert after["learning_rate"]["agent"] == 5e-4
    released_at = user.steps()[-1]["step"]
    assert "no process trains it" in user.asks("checkpoint", code=2)
    assert json.loads(user.asks("runs", "--json"))[0]["state"] == "stopped"

    assert f"Resumed at step {released_at} from checkpoint" in user.asks("resume", "mine")
    assert "Finished: stopped by a command" in user.asks("stop")
    assert not is_alive(user.run)
    assert json.loads(user.asks("status", "--json"))["settings"]["agent_lr"] == 5e-4

    user.asks("export", "--csv", "numbers.csv")
    with (user.folder / "numbers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    kept = [e for e in counting(read_lines(user.run.events)) if e["type"] == "step"]
    assert [float(row["loss.combined"]) for row in rows] == [step["loss"]["combined"] for step in kept]
    assert "Paused at step" in user.asks("logs")

    user.asks("delete", "mine", "--yes")
    assert not user.run.path.exists()


def test_detached_run_that_is_refused_says_why_and_leaves_no_run(user: User):
    said = user.asks("train", "--detach", "--dataset", "nowhere", "--name", "mine", code=2)
    assert said.splitlines()[-1].startswith("Error: ")
    assert "nowhere" in said
    assert not user.run.path.exists()
