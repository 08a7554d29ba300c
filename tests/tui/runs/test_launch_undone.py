"""A start that was refused leaves nothing behind, and a run that was trained is never taken away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from arc_core.base.errors import RunError
from arc_tui.runs.engine import Outcome
from arc_tui.runs.starting import Launch, conclude, prepare

REFUSED = Outcome(returncode=2, reason="Process 1 of 2 was killed")


def launch_in(folder: Path, **flags: object) -> Launch:
    return prepare({"runs_dir": str(folder), "dataset": "arcagi1"} | flags, None, ["arc-tui", "train"])


def tell(launch: Launch, **event: object) -> None:
    """Add an event to a run's log."""
    with launch.run.events.open("a") as log:
        log.write(json.dumps(event, separators=(",", ":")) + "\n")


def train(launch: Launch, seq: int = 1) -> None:
    """Take a step, as the log tells it."""
    tell(launch, type="step", seq=seq, time=1.0, step=seq, epoch=0, batch=seq, pairs=8)


def conclude_as(launch: Launch, outcome: Outcome) -> None:
    with pytest.raises(RunError, match="was killed"):
        conclude(launch, outcome, lambda _: None)


def test_a_new_run_that_was_refused_before_its_first_step_is_gone_again(tmp_path: Path):
    launch = launch_in(tmp_path, name="new")
    tell(launch, type="run_finished", seq=1, time=1.0, reason=REFUSED.reason)
    conclude_as(launch, REFUSED)
    assert not launch.run.path.exists()


def test_a_run_that_was_refused_after_a_step_stays_whoever_counted_its_steps(tmp_path: Path):
    launch = launch_in(tmp_path, name="trained")
    train(launch)
    conclude_as(launch, REFUSED)  # a console has counted none
    assert launch.run.events.exists()
    assert launch.run.run_json.exists()


def test_settings_of_a_resume_are_put_back_only_if_it_took_no_step(tmp_path: Path):
    first = launch_in(tmp_path, name="resumed")
    train(first)
    before = first.run.read()
    for steps in (0, 1):
        again = launch_in(tmp_path, resume="resumed", epochs=7)
        assert again.run.read()["config"]["epochs"] == 7
        if steps:
            train(again, 2)
        conclude_as(again, REFUSED)
        assert (again.run.read() == before) == (steps == 0)
