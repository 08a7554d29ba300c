"""Step 11 as the trainer uses it: a snapshot at a step boundary, written beside the training.

Taking the snapshot is all that training waits for. A thread writes, verifies and prunes; its writes and
digests run outside Python's lock. A failure is told as an event, and training goes on.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil

from arc_core.base.errors import CheckpointError
from arc_core.checkpoints.persistence import CheckpointFolder
from arc_core.checkpoints.snapshot import Moment, Snapshot, SnapshotTaker
from arc_core.run.checkpoint_index import next_id, size_of
from arc_core.run.events import EventWriter
from arc_core.run.provenance import describe_build
from arc_core.training.diagnostics import Finding
from arc_core.training.optimizer import Schedule
from arc_core.training.progress import Progress
from arc_core.training.ranks import ALONE, Ranks
from arc_core.training.telemetry import Pace

LARGEST_COPY = 0.5
"""Share of the free memory that a snapshot may take; training waits for the writing of a larger one."""

WRITER_NICENESS = 5
"""How much the writing thread stands back behind training, where the system has that for threads."""


class Saveable(Protocol):
    """Models that a run trains."""

    schedule: Schedule

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of them beside their tensors."""
        ...

    def snapshot_taker(self) -> SnapshotTaker:
        """What takes snapshots of them."""
        ...


class Saver:
    """Saves checkpoints of one run.

    Args:
        persistence: Where and how many.
        system: What is saved.
        events: Where each phase is told.
        threads: Of torch, recorded for an exact resume.
        warn: Tells a warning; may be called by the writing thread.
        held: Position of the checkpoint that the run was resumed from; None if it was not.
        ranks: The processes of the run, of which the first saves.
    """

    def __init__(
        self,
        persistence: CheckpointFolder,
        system: Saveable,
        events: EventWriter,
        threads: int,
        warn: Callable[[Finding], None],
        held: Mapping[str, int] | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self._persistence = persistence
        self._system = system
        self._events = events
        self._threads = threads
        self._ranks = ranks
        self._warn = warn
        self._held = held
        self._taker = system.snapshot_taker()
        self._sharded = self._taker.sharded
        self._writer = ThreadPoolExecutor(1, "checkpoint", _stand_back)
        self._writing: Future[None] | None = None
        self._owed = False
        self._last = time.monotonic()

    def holds(self, progress: Progress) -> bool:
        """Whether a checkpoint of this very position is on the disk; waits for one that is being written."""
        self.wait()
        return self._as_the_first(self._held == progress.position)

    def is_due(self, progress: Progress) -> bool:
        """Whether the interval is over; while a checkpoint is still being written the next one waits."""
        if progress.checkpoint_minutes is not None:
            self._owed |= time.monotonic() - self._last >= 60.0 * progress.checkpoint_minutes
        else:
            self._owed |= progress.step % progress.checkpoint_every == 0
        return self._as_the_first(self._owed and (self._writing is None or self._writing.done()))

    def _as_the_first(self, found: bool) -> bool:
        """What the first process has found, where all must do the same: those that hold parts of tensors."""
        return bool(self._ranks.agree("yes" * found)[0]) if self._sharded else found

    def save(self, progress: Progress, pace: Pace, reason: str, *, best: bool = False) -> None:
        """Take a snapshot and have it written; waits for an earlier one to be written first.

        Called in every process, of which the first alone writes.

        Args:
            progress: The loop's state.
            pace: Knows the seconds trained.
            reason: `interval`, `epoch`, `command` or `stop`, for the events.
            best: Whether to keep it as the best.
        """
        if not self._ranks.first:
            if self._sharded:
                self._taker.give_parts()
            return
        self.wait()
        self._owed, self._last = False, time.monotonic()
        number = next_id(self._persistence.directory)
        job = _Job(self._events, self._persistence, self._warn, number, progress.step, reason, best)
        state = {
            **progress.state(),
            "system": self._system.state(),
            "schedule": asdict(self._system.schedule),
            "elapsed_seconds": pace.elapsed_seconds,
            "threads": self._threads,
            # A checkpoint that names none, as those of earlier versions, is of one process.
            **({} if self._ranks.alone else {"processes": self._ranks.count}),
            "build": describe_build(),
            "saved_at": time.time(),
            "last_seq": self._events.last_seq,
        }
        job.tell("requested")
        try:
            copied = self._taker.bytes < LARGEST_COPY * psutil.virtual_memory().available
            snapshot = self._taker.take(
                Moment(number, progress.epoch, progress.batch, progress.metrics(), state), copy=copied
            )
        except CheckpointError as error:
            job.fail(error)
            return
        position = progress.position

        def write() -> None:
            if job.run(snapshot):
                self._held = position

        self._writing = self._writer.submit(write)
        if not copied:
            self.wait()

    def wait(self) -> None:
        """Wait for the checkpoint that is being written; a bug that it met is raised here."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def close(self) -> None:
        """Wait for what is being written and end the writing thread."""
        try:
            self.wait()
        finally:
            self._writer.shutdown()


@dataclass(frozen=True)
class _Job:
    """One checkpoint on its way, told phase by phase."""

    events: EventWriter
    persistence: CheckpointFolder
    warn: Callable[[Finding], None]
    number: int
    step: int
    reason: str
    best: bool
    began: float = field(default_factory=time.monotonic)

    def tell(self, phase: str, reason: str | None = None, size: int | None = None) -> None:
        """Emit the event of a phase."""
        self.events.emit(
            "checkpoint",
            id=self.number,
            step=self.step,
            phase=phase,
            reason=reason or self.reason,
            bytes=size,
            seconds=None if phase == "requested" else time.monotonic() - self.began,
        )

    def run(self, snapshot: Snapshot) -> bool:
        """Write, verify and prune; whether the checkpoint is on the disk and verified."""

        def saved(path: Path) -> None:
            self.events.sync()  # what the checkpoint follows on must not be lost after it
            self.tell("saved", size=size_of(path))

        try:
            path = self.persistence.write(snapshot, saved)
        except (OSError, CheckpointError) as error:
            self.fail(error)
            return False
        self.tell("verified", size=size_of(path))
        self._tidy(lambda: self.persistence.mark_best(path) if self.best else None)
        self._tidy(self.persistence.prune)
        return True

    def fail(self, error: Exception) -> None:
        """Tell that it came to nothing."""
        self.tell("failed", str(error))
        self.warn(
            Finding(
                "checkpoint_failed",
                f"Checkpoint {self.number} of step {self.step} could not be saved: {error}.",
                "Training goes on and the last good checkpoint stays; see to the room on the disk.",
            )
        )

    def _tidy(self, work: Callable[[], object]) -> None:
        """Do what comes after a good checkpoint; its failure costs only disk space."""
        try:
            work()
        except OSError as error:
            self.warn(
                Finding(
                    "checkpoint_untidy",
                    f"Checkpoint {self.number} is saved, but tidying up after it failed: {error}.",
                    "Older checkpoints may take up room; nothing is lost.",
                )
            )


def _stand_back() -> None:
    with suppress(OSError, AttributeError):
        # On Linux a thread has a niceness of its own; elsewhere this would be the whole process's.
        if os.uname().sysname == "Linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), WRITER_NICENESS)
