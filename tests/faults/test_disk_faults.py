"""A disk that is full or fails: nothing is called saved that is not, and training goes on unchanged."""

from __future__ import annotations

import contextlib
import errno
import gc
import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness import VARIANTS, Outcome, Settings, acknowledged, make_run, train_here, window_of, write_dataset
from injection import Strike, fail

from arc_core.checkpoint_index import checkpoint_id, list_checkpoints, newest_intact
from arc_core.commands import send
from arc_core.events import Event, EventReader, read_events
from arc_core.rundir import RunDirectory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are named by /proc")

FULL, BROKEN = errno.ENOSPC, errno.EIO
FAULTS_IN_A_RUN = 5
GOOD_AT_FIRST = 3
"""Checkpoints before the first fault: then there is something to prune."""


@dataclass(frozen=True)
class Fault:
    """A call that fails while one checkpoint is written.

    Attributes:
        operation: Its name.
        error: The errno.
        half: Whether a write takes half of its bytes first.
    """

    operation: str
    error: int
    half: bool = False

    def __str__(self) -> str:
        return f"{errno.errorcode[self.error]}{' half' * self.half} {self.operation}"


class EverySecondCheckpoint:
    """Asks for a checkpoint after each step and lets every second one meet a fault.

    What was on the disk before a fault is compared with what is there once the checkpoint has failed.
    """

    def __init__(self, run: RunDirectory, faults: list[Fault]) -> None:
        self._run = run
        self._faults = faults
        self._taken = 0
        self._halved = False
        self._before: dict[Path, str] = {}
        self.struck: list[Fault] = []

    @property
    def _fault(self) -> Fault | None:
        """What the checkpoint that is being written is to meet."""
        return fault_of(self._taken - 1, self._faults)

    def decide(self, operation: str, number: int) -> Strike | None:
        fault = self._fault
        if fault is None or operation != fault.operation:
            return None
        if fault in self.struck:  # the first reads back only empty the cache, whose failure does not matter
            return Strike("before", fault.error) if operation.startswith("read back") else None
        if fault.half and not self._halved:
            self._halved = True
            return Strike("half", fault.error)
        self._halved = False
        self.struck.append(fault)
        return Strike("before", fault.error)

    def observe(self, when: str, operation: str, number: int) -> None:
        match when, operation:
            case "after", "write event step":
                send(self._run.commands, "checkpoint")
            case "before", "take snapshot":
                self._taken += 1
                self._before = digests(self._run)
            case "after", "write event checkpoint failed":
                assert digests(self._run) == self._before, f"{self._fault} touched a good checkpoint"


def fault_of(attempt: int, faults: list[Fault]) -> Fault | None:
    """The fault that a checkpoint, counted from 0, is to meet; the first three meet none."""
    number, odd = divmod(attempt - GOOD_AT_FIRST, 2)
    return faults[number] if not odd and 0 <= number < len(faults) else None


def digests(run: RunDirectory) -> dict[Path, str]:
    """Digest of every file of every finished checkpoint."""
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for checkpoint in list_checkpoints(run.checkpoints)
        for path in checkpoint.rglob("*")
        if path.is_file()
    }


@dataclass(frozen=True)
class Whole:
    """An uninterrupted run on a good disk: what it came to, and every call that it made."""

    outcome: Outcome
    operations: list[str]


MakeRun = Callable[..., RunDirectory]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "dataset")


@pytest.fixture(scope="module")
def whole(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Whole]:
    """For each variant."""
    found = {}
    for variant, (sets, settings) in VARIANTS.items():
        run = make_run(tmp_path_factory.mktemp("whole"), variant, dataset, **settings)
        done = train_here(run, observe=Settings(run.path) if sets else None)
        found[variant] = Whole(Outcome.of(run), sorted(done.counts))
    return found


def attempts(events: list[Event]) -> list[list[Event]]:
    """The events of each checkpoint, in order, with the warnings that they brought."""
    found: list[list[Event]] = []
    for event in events:
        if event["type"] == "checkpoint" and event["phase"] == "requested":
            found.append([])
        if event["type"] == "checkpoint" or event.get("code", "").startswith("checkpoint_"):
            found[-1].append(event)
    return found


def told(attempt: list[Event]) -> list[str]:
    return [event.get("phase") or event["code"] for event in attempt]


EXPECTED = {
    "file": ["requested", "failed", "checkpoint_failed"],
    "manifest": ["requested", "failed", "checkpoint_failed"],
    "rename": ["requested", "failed", "checkpoint_failed"],
    "event": ["requested", "failed", "checkpoint_failed"],
    "read back": ["requested", "saved", "failed", "checkpoint_failed"],
    "hint": ["requested", "saved", "verified"],
    "prune": ["requested", "saved", "verified", "checkpoint_untidy"],
}
"""What is told of a checkpoint that meets a fault, by the window of the fault."""


def faults_of(operations: list[str]) -> list[Fault]:
    """ENOSPC at each call that needs room, and EIO at each that touches the disk."""
    found: list[Fault] = []
    for operation in operations:
        if window_of(operation) not in EXPECTED or operation.startswith(("write event", "mkdir checkpoints")):
            continue
        if "best" in operation:
            continue  # which only some checkpoints are
        verb = re.sub("^(hint|prune|read back) ", "", operation).split()[0]
        if verb in ("create", "write", "mkdir", "link"):
            found.append(Fault(operation, FULL))
        if verb == "write":
            found.append(Fault(operation, FULL, half=True))
        if verb != "list" and not operation.startswith("prune read"):
            found.append(Fault(operation, BROKEN))
    return found


def check_completed(run: RunDirectory, whole: Whole) -> list[Event]:
    """Hold a run that met faults against the uninterrupted one; returns its events."""
    events = read_events(run.events)
    assert events[-1]["reason"] == "completed"
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert Outcome.of(run) == whole.outcome
    return events


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("variant", ["plain", "frozen"])
def test_a_fault_at_any_call_of_a_checkpoint_costs_that_checkpoint_at_most(
    tmp_path: Path, dataset: Path, whole: dict[str, Whole], variant: str
) -> None:
    good = whole[variant]
    faults = faults_of(good.operations)
    if variant == "frozen":
        faults = [fault for fault in faults if fault.operation.startswith("link")]
        assert len(faults) == 2
    else:
        assert {window_of(fault.operation) for fault in faults} == EXPECTED.keys()
        assert len(faults) > 80
    while faults:
        chosen, faults = faults[:FAULTS_IN_A_RUN], faults[FAULTS_IN_A_RUN:]
        run = make_run(tmp_path, f"{variant}-{len(faults)}", dataset, **VARIANTS[variant][1])
        plan = EverySecondCheckpoint(run, chosen)
        train_here(run, plan.decide, plan.observe)
        assert plan.struck == chosen, "a fault was never met"
        events = check_completed(run, good)
        for number, attempt in enumerate(attempts(events)):
            check_attempt(attempt, fault_of(number, chosen))
        assert newest_intact(run.checkpoints) == (list_checkpoints(run.checkpoints)[-1], [])
        train_here(run)  # the next start
        assert list(run.path.rglob(".tmp-*")) == []


def check_attempt(attempt: list[Event], fault: Fault | None) -> None:
    expected = ["requested", "saved", "verified"]
    if fault is not None and not fault.operation.startswith("link"):
        expected = EXPECTED[window_of(fault.operation)]
    assert told(attempt) == expected, str(fault)
    for event in attempt:
        if event.get("phase") == "failed":
            assert fault is not None
            assert os.strerror(fault.error) in event["reason"], str(fault)


# The event log


def check_viewer(viewer: EventReader, events: list[Event], damaged: int = 0) -> None:
    told: list[Event] = []
    while batch := viewer.poll():
        told += batch
    assert told == events
    assert viewer.damaged == damaged


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
    taken = 0
    visible: dict[int, int] = {}

    def decide(operation: str, number: int) -> Strike | None:
        return Strike("before", FULL) if operation.startswith("write event") and 2 <= taken < 4 else None

    def observe(when: str, operation: str, number: int) -> None:
        nonlocal taken
        if (when, operation) == ("before", "take snapshot"):
            taken = number
            visible[taken] = len(read_events(run.events))

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
        reason = read_events(run.events)[-1]["reason"]
        assert reason == f"Cannot write {run.run_json}: {os.strerror(FULL)}."
        assert run.run_json.read_bytes() == before
        assert list(run.path.rglob(".tmp-*")) == []


# A real file system without room


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own in memory, of 48 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield place
    gc.collect()  # an exception that a test met may hold a file open
    subprocess.run(["umount", str(place)], check=True)


class Filler:
    """Takes up all room of a disk but so much, and gives it back."""

    def __init__(self, disk: Path) -> None:
        self._file = disk / "filler"

    def fill(self, spare: int = 0) -> None:
        with self._file.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(65_536))
        with self._file.open("r+b") as file:
            file.truncate(max(0, self._file.stat().st_size - spare))

    def clear(self) -> None:
        self._file.unlink(missing_ok=True)


@pytest.mark.parametrize("spare", [0, 6 << 20], ids=["full within a file", "too little room"])
def test_a_disk_without_room_costs_checkpoints_and_nothing_else(
    small_disk: Path, tmp_path: Path, dataset: Path, whole: dict[str, Whole], spare: int
) -> None:
    """From the third checkpoint to the fourth there is no room; with none at all, for events neither."""
    run = make_run(small_disk, "run", dataset)
    filler = Filler(small_disk)
    taken = 0
    before: dict[Path, str] = {}
    strike = "take snapshot" if spare else "create checkpoint/optimizer.safetensors"

    def observe(when: str, operation: str, number: int) -> None:
        nonlocal taken
        if when == "after":
            return
        if operation == "take snapshot":
            taken = number
            if taken == 4:
                assert before
                assert before.items() <= digests(run).items()
                filler.clear()
        if operation == strike and taken == 3 and not before:
            before.update(digests(run))
            filler.fill(spare)

    train_here(run, observe=observe)
    events = check_completed(run, whole["plain"])
    check_viewer(EventReader(run.events), events)
    phases = [told(attempt) for attempt in attempts(events)]
    assert phases[:2] == [["requested", "saved", "verified"]] * 2
    assert phases[2] == ["requested", "failed", "checkpoint_failed"]
    assert phases[3:] == [["requested", "saved", "verified"]] * (len(phases) - 3)
    reason = next(event["reason"] for event in attempts(events)[2] if event.get("phase") == "failed")
    assert ("MB of disk are free" if spare else os.strerror(FULL)) in reason
    assert list(run.path.rglob(".tmp-*")) == []


def test_a_disk_that_stays_full_ends_the_run_and_a_resume_completes_it(
    small_disk: Path, dataset: Path, whole: dict[str, Whole]
) -> None:
    run = make_run(small_disk, "run", dataset)
    filler = Filler(small_disk)

    def observe(when: str, operation: str, number: int) -> None:
        if (when, operation, number) == ("before", "take snapshot", 3):
            filler.fill()

    train_here(run, observe=observe, code=1)
    good, rejected = newest_intact(run.checkpoints)
    assert good is not None
    assert rejected == []
    verified = [e["id"] for e in read_events(run.events) if e.get("phase") == "verified"]
    assert checkpoint_id(good) == verified[-1]
    filler.clear()
    train_here(run)
    events = check_completed(run, whole["plain"])
    assert [event["checkpoint"] for event in events if event["type"] == "resumed"] == [verified[-1]]
    assert list(run.path.rglob(".tmp-*")) == []
