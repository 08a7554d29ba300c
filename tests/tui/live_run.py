"""A run that a test trains by hand: its lock is held, its events are written one by one."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

from raw_events import Line
from recordings import events_until_step, make_run

from arc_core.run.commands import Command, CommandInbox
from arc_core.run.directory import RunDirectory, RunLock
from arc_core.run.events import EventWriter, next_seq

START = 1_800_000_000.0
"""When a run begins that has no events yet; each event of a test comes a second after the one before."""


class LiveRun:
    """Stands in for the training process of a run."""

    def __init__(self, run: RunDirectory, writer: EventWriter, lock: RunLock) -> None:
        self.run = run
        self.emit = writer.emit
        self.release = lock.release
        self._inbox = CommandInbox(run.commands, started_at=time.time() - 60)

    def commands(self) -> list[Command]:
        """Take what a console has asked."""
        return self._inbox.poll()

    def step(self, like: Line, **changes: object) -> Line:
        """Write a step like another one."""
        fields = {k: v for k, v in like.items() if k not in ("type", "seq", "time", "nonfinite")}
        return self.emit("step", **(fields | changes))


@contextlib.contextmanager
def living(folder: Path, events: list[Line] | None = None, name: str = "recorded") -> Iterator[LiveRun]:
    """Make a run that a process trains; up to step 40 unless other events are given."""
    past = events if events is not None else events_until_step(40)
    run = make_run(folder, past, name)
    clock = itertools.count(past[-1]["time"] + 1 if past else START)
    with RunLock(run) as lock, EventWriter(run.events, next_seq(run.events), lambda: next(clock)) as writer:
        yield LiveRun(run, writer, lock)
