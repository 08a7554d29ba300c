"""What the tests of a failing disk share: runs on a good disk, and what is told of each checkpoint."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import VARIANTS, Settings, make_run, train_here, write_dataset
from outcome import Outcome
from raw_events import Line, read_lines, typed

from arc_core.run.checkpoint_index import list_checkpoints
from arc_core.run.directory import RunDirectory
from arc_core.run.event_forms import Event
from arc_core.run.events import EventReader

FULL, BROKEN = errno.ENOSPC, errno.EIO


@dataclass(frozen=True)
class Whole:
    """An uninterrupted run on a good disk: what it came to, and every call that it made."""

    outcome: Outcome
    operations: list[str]


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "dataset")


@pytest.fixture(scope="session")
def whole(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Whole]:
    """For each variant."""
    found = {}
    for variant, (sets, settings) in VARIANTS.items():
        run = make_run(tmp_path_factory.mktemp("whole"), variant, dataset, **settings)
        done = train_here(run, observe=Settings(run.path) if sets else None)
        found[variant] = Whole(Outcome.of(run), sorted(done.counts))
    return found


def attempts(events: list[Line]) -> list[list[Line]]:
    """The events of each checkpoint, in order, with the warnings that they brought."""
    found: list[list[Line]] = []
    for event in events:
        if event["type"] == "checkpoint" and event["phase"] == "requested":
            found.append([])
        if event["type"] == "checkpoint" or event.get("code", "").startswith("checkpoint_"):
            found[-1].append(event)
    return found


def told(attempt: list[Line]) -> list[str]:
    return [event.get("phase") or event["code"] for event in attempt]


def digests(run: RunDirectory) -> dict[Path, str]:
    """Digest of every file of every finished checkpoint."""
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for checkpoint in list_checkpoints(run.checkpoints)
        for path in checkpoint.rglob("*")
        if path.is_file()
    }


def check_completed(run: RunDirectory, whole: Whole) -> list[Line]:
    """Hold a run that met faults against the uninterrupted one; returns its events."""
    events = read_lines(run.events)
    assert events[-1]["reason"] == "completed"
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert Outcome.of(run) == whole.outcome
    return events


def check_viewer(viewer: EventReader, events: list[Line], damaged: int = 0) -> None:
    told: list[Event] = []
    while batch := viewer.poll():
        told += batch
    assert told == typed(events)
    assert viewer.damaged == damaged
