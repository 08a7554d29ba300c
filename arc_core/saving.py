"""Step 11 as the trainer uses it: a checkpoint with its events; a failure is told and training goes on."""

from __future__ import annotations

import time
from pathlib import Path

from arc_core.checkpoint import ModelPersistence
from arc_core.checkpoint_index import list_checkpoints, next_id, read_state, size_of
from arc_core.diagnostics import Finding
from arc_core.errors import CheckpointError
from arc_core.events import EventWriter
from arc_core.progress import Progress
from arc_core.startup import Warn
from arc_core.system import ArcSystem
from arc_core.telemetry import Pace


class Saver:
    """Saves checkpoints of one run.

    Args:
        persistence: Where and how many.
        events: Where each phase is told.
        threads: Of torch, recorded for an exact resume.
        warn: Tells a warning.
    """

    def __init__(self, persistence: ModelPersistence, events: EventWriter, threads: int, warn: Warn) -> None:
        self._persistence = persistence
        self._events = events
        self._threads = threads
        self._warn = warn

    def holds(self, progress: Progress) -> bool:
        """Whether the newest checkpoint is of this very position."""
        saved = list_checkpoints(self._persistence.directory)
        return bool(saved) and read_state(saved[-1]).get("position") == progress.position

    def save(self, system: ArcSystem, progress: Progress, pace: Pace, reason: str, *, best: bool) -> None:
        """Save, verify and prune.

        Args:
            system: The models.
            progress: The loop's state.
            pace: Knows the seconds trained.
            reason: `interval`, `epoch`, `command` or `stop`, for the event.
            best: Whether to keep it as the best.
        """
        number = next_id(self._persistence.directory)
        last_seq = self._events.last_seq
        began = time.monotonic()

        def tell(phase: str, why: str = reason, size: int | None = None) -> None:
            seconds = None if phase == "requested" else time.monotonic() - began
            self._events.emit(
                "checkpoint",
                id=number,
                step=progress.step,
                phase=phase,
                reason=why,
                bytes=size,
                seconds=seconds,
            )

        def saved(path: Path) -> None:
            self._events.sync()  # what the checkpoint follows on must not be lost after it
            tell("saved", size=size_of(path))

        tell("requested")
        state = {
            **progress.state(),
            "system": system.state(),
            "elapsed_seconds": pace.elapsed_seconds,
            "threads": self._threads,
            "saved_at": time.time(),
            "last_seq": last_seq,
        }
        models = (system.agent, system.qwen, system.memory, system.efe_loss, system.policy, system.optimizer)
        try:
            path = self._persistence.save_checkpoint(
                *models, progress.epoch, progress.batch, progress.metrics(), state, saved
            )
        except (OSError, CheckpointError) as error:
            tell("failed", why=str(error))
            self._warn(
                Finding(
                    "checkpoint_failed",
                    f"Checkpoint {number} of step {progress.step} could not be saved: {error}.",
                    "Training goes on and the last good checkpoint stays; make room on the disk.",
                )
            )
            return
        tell("verified", size=size_of(path))
        if best:
            self._persistence.mark_best(path)
        self._persistence.prune()
