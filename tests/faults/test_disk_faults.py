"""A disk that is full or fails: nothing is called saved that is not, and training goes on unchanged."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from disk import BROKEN, FULL, Whole, attempts, check_completed, check_viewer, dataset, digests, told, whole
from harness import VARIANTS, make_run, train_here, window_of
from injection import Strike
from raw_events import Line, read_lines

from arc_core.run.checkpoint_index import checkpoint_id, list_checkpoints, newest_intact
from arc_core.run.commands import send
from arc_core.run.directory import RunDirectory
from arc_core.run.events import EventReader

__all__ = ["dataset", "whole"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are named by /proc")

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


def check_attempt(attempt: list[Line], fault: Fault | None) -> None:
    expected = ["requested", "saved", "verified"]
    if fault is not None and not fault.operation.startswith("link"):
        expected = EXPECTED[window_of(fault.operation)]
    assert told(attempt) == expected, str(fault)
    for event in attempt:
        if event.get("phase") == "failed":
            assert fault is not None
            assert os.strerror(fault.error) in event["reason"], str(fault)


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
    verified = [e["id"] for e in read_lines(run.events) if e.get("phase") == "verified"]
    assert checkpoint_id(good) == verified[-1]
    filler.clear()
    train_here(run)
    events = check_completed(run, whole["plain"])
    assert [event["checkpoint"] for event in events if event["type"] == "resumed"] == [verified[-1]]
    assert list(run.path.rglob(".tmp-*")) == []
