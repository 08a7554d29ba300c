"""A disk that does not take events, or what a start writes: training goes on, or begins another time."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from disk import BROKEN, FULL, Whole, attempts, check_completed, check_viewer, dataset, told, whole
from harness import Settings, acknowledged, make_run, train_here, window_of
from injection import Strike, fail
from raw_events import read_lines

from arc_core.run.events import EventReader

__all__ = ["dataset", "whole"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are named by /proc")


@pytest.mark.parametrize("half", [False, True], ids=["nothing written", "half written"])
@pytest.mark.parametrize("error", [FULL, BROKEN], ids=["full", "broken"])
def test_an_event_that_cannot_be_written_comes_later_in_its_order(
    tmp_path: Path, dataset: Path, whole: dict[str, Whole], error: int, half: bool
) -> None:
    """Every first event of its kind, and every third step, meets an error or finds room for a part only."""
    run = make_run(tmp_path, "run", dataset)
    struck: set[str] = set()

    def decide(operation: str, number: int) -> Strike | None:
        if not operation.startswith("write event"):
            return None
        if number != 1 and not (operation == "write event step" and number % 3 == 0):
            return None
        struck.add(operation)
        return Strike("half" if half else "before", error)

    train_here(run, decide, Settings(run.path))
    events = check_completed(run, whole["set"])
    assert struck == {f"write event {e['type']} {e.get('phase', '')}".strip() for e in events}
    check_viewer(EventReader(run.events), events)


def test_a_part_of_an_event_that_cannot_be_taken_back_is_one_damaged_line_and_no_lost_event(
    tmp_path: Path, dataset: Path, whole: dict[str, Whole]
) -> None:
    run = make_run(tmp_path, "run", dataset)

    def decide(operation: str, number: int) -> Strike | None:
        if operation == "ftruncate events.jsonl":
            return Strike("before", BROKEN)
        return Strike("half", FULL) if (operation, number) == ("write event step", 4) else None

    train_here(run, decide)
    check_viewer(EventReader(run.events), check_completed(run, whole["plain"]), damaged=1)


def test_training_goes_on_while_no_event_can_be_written(
    tmp_path: Path, dataset: Path, whole: dict[str, Whole]
) -> None:
    """From the second checkpoint to the fourth; what is saved meanwhile is not called so."""
    run = make_run(tmp_path, "run", dataset)
    taken, full = 0, False
    visible: dict[int, int] = {}

    def decide(operation: str, number: int) -> Strike | None:
        nonlocal full
        # The request itself must wait: a checkpoint written before the next event has nothing to wait for.
        full |= operation == "write event checkpoint requested" and taken == 1
        return Strike("before", FULL) if operation.startswith("write event") and full and taken < 4 else None

    def observe(when: str, operation: str, number: int) -> None:
        nonlocal taken
        if (when, operation) == ("before", "take snapshot"):
            taken = number
            visible[taken] = len(read_lines(run.events))

    train_here(run, decide, observe)
    events = check_completed(run, whole["plain"])
    assert visible[2] == visible[3] == visible[4] < len(events)
    assert sum(event["type"] == "step" for event in events[visible[3] :]) > 3
    phases = [told(attempt) for attempt in attempts(events)]
    failed = ["requested", "failed", "checkpoint_failed"]
    assert [phase == failed for phase in phases] == [number in (1, 2) for number in range(len(phases))]
    check_viewer(EventReader(run.events), events)


def test_a_setting_that_cannot_be_synced_is_applied_and_training_goes_on(
    tmp_path: Path, dataset: Path, whole: dict[str, Whole]
) -> None:
    run = make_run(tmp_path, "run", dataset)
    train_here(run, fail(BROKEN, "fsync events.jsonl", 1), Settings(run.path))
    events = check_completed(run, whole["set"])
    assert acknowledged(events).keys() == {"agent_lr", "checkpoint_every"}
    warnings = [event for event in events if event.get("code") == "log_not_synced"]
    assert len(warnings) == 1
    assert os.strerror(BROKEN) in warnings[0]["message"]


def test_a_log_whose_end_cannot_be_synced_is_told_by_the_exit_code(
    tmp_path: Path, dataset: Path, whole: dict[str, Whole], capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path, "run", dataset)
    ended = False

    def decide(operation: str, number: int) -> Strike | None:
        nonlocal ended
        ended |= operation == "write event run_finished"
        return Strike("before", BROKEN) if ended and operation == "fsync events.jsonl" else None

    train_here(run, decide, code=1)
    check_completed(run, whole["plain"])
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert os.strerror(BROKEN) in said


# The start


def test_a_fault_at_any_call_of_a_start_costs_that_start_at_most(
    tmp_path: Path, dataset: Path, whole: dict[str, Whole]
) -> None:
    operations = [name for name in whole["plain"].operations if window_of(name) == "start"]
    faults = [fail(error, name) for name in operations for error in (FULL, BROKEN)]
    assert len(faults) > 15
    run = make_run(tmp_path, "run", dataset)
    for fault in faults:
        before = run.events.read_bytes() if run.events.exists() else b""
        with contextlib.suppress(OSError):
            train_here(run, stop_at_once(fault), code=None)
        after = run.events.read_bytes() if run.events.exists() else b""
        assert after.startswith(before)
        assert run.read()["config"]["dataset"] == str(dataset)
    train_here(run)
    check_completed(run, whole["plain"])
    assert list(run.path.rglob(".tmp-*")) == []


def stop_at_once(fault: Any) -> Any:
    """A start that survives its fault is asked to end before its first step, which costs less."""

    def decide(operation: str, number: int) -> Strike | None:
        if operation == "list commands":
            signal.raise_signal(signal.SIGTERM)
        return fault(operation, number)

    return decide


def test_a_run_json_that_cannot_be_written_is_refused_in_a_sentence(tmp_path: Path, dataset: Path) -> None:
    run = make_run(tmp_path, "run", dataset)
    before = run.run_json.read_bytes()
    for name in ("write run.json", "fsync run.json", "replace run.json"):
        train_here(run, fail(FULL, name), code=2)
        reason = read_lines(run.events)[-1]["reason"]
        assert reason == f"Cannot write {run.run_json}: {os.strerror(FULL)}."
        assert run.run_json.read_bytes() == before
        assert list(run.path.rglob(".tmp-*")) == []
