"""The epochs of a run, whatever it trains: steps, commands, pauses, checkpoints and validations in turn."""

from __future__ import annotations

import dataclasses
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from arc_core.config import TrainConfig
from arc_core.control import Control
from arc_core.diagnostics import Finding
from arc_core.events import EventWriter
from arc_core.progress import Progress
from arc_core.saving import Saver
from arc_core.telemetry import Pace

PAUSE_POLL_SECONDS = 0.05
B = TypeVar("B")
"""What one batch is planned as."""


class StopRequested(Exception):
    """Raised at a step boundary when the run is to end there."""


class TrainingLoop(ABC, Generic[B]):
    """Goes through the epochs of one run; what a step does is up to its children.

    Attributes:
        config: As resolved.
        events: Where to tell what happens.
        progress: How far the run is.
        saver: Saves its checkpoints.
        control: What it is told meanwhile.
        pace: Its seconds and rate.
    """

    config: TrainConfig
    events: EventWriter
    progress: Progress
    saver: Saver
    control: Control
    pace: Pace

    @abstractmethod
    def plan_epoch(self, epoch: int) -> Sequence[B]:
        """The batches of a 0-based epoch, a function of the configuration and the epoch alone."""

    @abstractmethod
    def train_batch(self, batch: B) -> bool:
        """Train on a batch, count the step and tell it; whether the step was taken, its numbers finite."""

    @abstractmethod
    def validate(self, mask_ratio: float | None = None) -> bool:
        """Validate, and say whether it is the best so far.

        Args:
            mask_ratio: Mean of the epoch, for the advice at its end; None at other times.
        """

    def train(self) -> str:
        """Train to the end, or to where it is told to stop; returns the reason for `run_finished`."""
        try:
            self._check_in()
            while self.progress.epoch < self.config.epochs:
                self._epoch()
            reason = "completed"
        except StopRequested:
            if not self.saver.holds(self.progress):
                self._save("stop")
            reason = self.control.stop_reason or "stopped"
        finally:
            self.saver.close()
        return reason

    def warn(self, finding: Finding) -> None:
        """Tell a warning with its advice."""
        self.events.emit("warning", **dataclasses.asdict(finding))

    def _epoch(self) -> None:
        progress = self.progress
        batches = self.plan_epoch(progress.epoch)
        while progress.batch < len(batches):
            self._step(batches[progress.batch])
            # The last batch's checkpoint is the epoch's, which follows its validation.
            if progress.batch < len(batches):
                if self.saver.is_due(progress):
                    self._save("interval")
                self._check_in()
        means = progress.means.means()
        if not progress.epoch_told:
            seconds = self.pace.elapsed_seconds - progress.epoch_began
            self.events.emit("epoch", epoch=progress.epoch, seconds=seconds, **means)
            progress.epoch_told = True
        improved = self.validate(means["hard_cells"]["mask_ratio"])
        progress.next_epoch(self.pace.elapsed_seconds)
        self._save("epoch", best=improved)
        self._check_in()

    def _step(self, batch: B) -> None:
        progress = self.progress
        applied = self.train_batch(batch)
        progress.skipped_in_a_row = 0 if applied else progress.skipped_in_a_row + 1
        if progress.skipped_in_a_row >= self.config.nan_patience:
            self.control.ask_to_stop(f"{progress.skipped_in_a_row} steps in a row were not finite")

    def go_on_validating(self) -> bool:
        """Take commands between two batches of a validation; False when it is to end there."""
        self.control.take()
        return self.control.stop_reason is None

    def _save(self, reason: str, *, best: bool = False) -> None:
        self.saver.save(self.progress, self.pace, reason, best=best)

    def _check_in(self) -> None:
        """Obey signals and commands at a step boundary, and stand still while paused."""
        self._obey()
        if self.control.paused and self.control.stop_reason is None:
            self.events.emit("paused", step=self.progress.step)
            began = time.monotonic()
            while self.control.paused and self.control.stop_reason is None:
                time.sleep(PAUSE_POLL_SECONDS)
                self._obey()
            self.pace.leave_out(time.monotonic() - began)
            self.events.emit("unpaused", step=self.progress.step)
        if self.control.stop_reason is not None:
            raise StopRequested

    def _obey(self) -> None:
        control = self.control
        control.take()
        while control.checkpoint_requested or control.validation_requested:
            if control.checkpoint_requested:
                control.checkpoint_requested = False
                self._save("command")
            if control.validation_requested:
                control.validation_requested = False
                self.validate()
            control.take()
