"""A run whose loop is not ours, as far as it is told and steered: events out, commands in."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
import traceback
from types import TracebackType
from typing import Self

import torch

from arc_core.base.errors import ArcError, TrackError
from arc_core.base.text import printable
from arc_core.run.checkpoint_index import checkpoint_id, list_checkpoints
from arc_core.run.declared import Declared
from arc_core.run.declared_json import DECLARED, declared_from_json, declared_to_json
from arc_core.run.directory import RunDirectory
from arc_core.tracking.kept import Kept
from arc_core.tracking.numbers import Carried, Grids, number_of, validation_of
from arc_core.tracking.opening import Beginning, OpenRun, changed_finding, gone_on_from
from arc_core.tracking.settings import LiveSettings, TrackOptions
from arc_core.training.control import Control
from arc_core.training.diagnostics import Finding
from arc_core.training.progress import Progress
from arc_core.training.resuming import replay_settings
from arc_core.training.telemetry import EpochMeans, Pace

POLL_SECONDS = 0.05
COMPLETED, INTERRUPTED, EXITED = "completed", "interrupted", "ended by its program"


class ToldRun:
    """A run that is told and steered, and that saves nothing by itself.

    Args:
        opened: Its directory, log and lock.
        options: How it is told and saved.
        settings: Its own.
        declared: What its steps carry; None takes what it logs.

    Attributes:
        settings: As they are now.
    """

    def __init__(
        self, opened: OpenRun, options: TrackOptions, settings: LiveSettings, declared: Declared | None
    ) -> None:
        self._opened = opened
        self._run, self._events = opened.run, opened.events
        self._options = options
        self.settings = settings
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        self._threads = torch.get_num_threads()
        stored = None if opened.new else declared_from_json(self._run.read().get(DECLARED))
        self._carried = Carried(declared or stored or Declared(), open_ended=declared is None)
        self._kept = Kept({}, settings)
        self._start = Beginning(Progress(options.checkpoint_every, self._carried.declared))
        self._start.progress.checkpoint_minutes = options.checkpoint_minutes
        self._control: Control | None = None
        self._pace = Pace()
        self._stop_asked: str | None = None
        self._told = self._items = 0
        self._walking = self._catching_up = self._best_is_due = False

    @property
    def name(self) -> str:
        """The run's name."""
        return self._run.name

    @property
    def directory(self) -> RunDirectory:
        """The run's directory."""
        return self._run

    @property
    def threads(self) -> int:
        """Of torch."""
        return self._threads

    @property
    def told(self) -> int:
        """The last step that was told."""
        return self._told

    @property
    def step(self) -> int:
        """Steps taken, the one under way included."""
        return self._start.progress.step

    @property
    def epoch(self) -> int:
        """The pass under way, from 0."""
        return self._start.progress.epoch

    def log(
        self,
        step: int,
        *,
        grids: Grids | None = None,
        task: str = "",
        pair: int = 0,
        pairs: int | None = None,
        **numbers: object,
    ) -> None:
        """Tell a step, with its grids every `sample_every` calls.

        A loose number goes into the group `loss` if its name says so, into `learning_rate` as `lr`, into
        `grad_norm` as such, and into `metrics` otherwise; a mapping is a group of its own. Parts of a loss
        with their `total` are drawn as contributions. Tensors of one number are read here.

        Args:
            step: As `steps` gives it; after the last one told.
            grids: By name, each an array, a tensor or a list of rows of colours 0 to 9; or what gives them
                when they are shown. A grid `target` is what the others are held against.
            task: What they are of.
            pair: Which of its pairs.
            pairs: How many items were trained since the last call; counted from the batches where left out.
            numbers: Loose, or groups of them.

        Raises:
            TrackError: If something cannot be told; names it.
        """
        self._began()
        progress = self._start.progress
        self._refuse_step(step)
        groups = self._carried.groups(numbers)
        shown = grids is not None and self._kept.logs % self._options.sample_every == 0
        rows = self._carried.rows(grids) if shown and grids is not None else None
        self._advance(step)
        counted = self._items if pairs is None else int(number_of(pairs, "pairs"))
        if self._carried.declared is not progress.declared:
            self._follow_declared()
            self._run.update(**{DECLARED: declared_to_json(self._carried.declared)})
            self._events.emit("declared", step=step)
        event = self._events.emit(
            "step",
            step=step,
            epoch=progress.epoch,
            batch=progress.batch if self._walking else max(progress.batch - 1, 0),
            pairs=counted,
            pairs_per_second=self._pace.add(counted),
            elapsed_seconds=self._pace.elapsed_seconds,
            **groups,
        )
        progress.means.add(event)
        self._told, self._items, self._kept.logs = step, 0, self._kept.logs + 1
        if rows is not None:
            self._events.emit("sample", step=step, task=printable(task, 100), pair=pair, **rows)

    def _advance(self, step: int, items: int = 1) -> None:
        """Count the steps of a loop that does not go through `steps`, each of so many items."""
        progress = self._start.progress
        ahead = step - progress.step
        self._items += ahead * items
        progress.step, progress.batch = step, progress.batch + ahead

    def _refuse_step(self, step: int) -> None:
        if isinstance(step, bool) or not isinstance(step, int) or step < 1:
            raise TrackError(f"A step is {printable(repr(step), 40)}, but must be a whole number from 1.")
        if (self._walking and step != self.step) or step < self.step:
            raise TrackError(f"Step {step} cannot be told: the run is at step {self.step}.")
        if step == self._told:
            raise TrackError(f"Step {step} is told already: log all numbers of a step in one call.")

    def validated(self, step: int, *, split: str = "validation", **numbers: object) -> bool:
        """Tell a validation; the best one's state is kept by a checkpoint of its own.

        The best has the largest `score`; without one, the most `exact`, then the largest `cell_accuracy`.

        Args:
            step: After which it was made.
            split: What it was made on.
            numbers: `score`, `exact`, `inputs`, `cell_accuracy` and other known ones; any others by name.

        Returns:
            Whether it is the best so far.

        Raises:
            TrackError: If one is no number, or no whole one where it is a count; names it.
        """
        self._began()
        progress = self._start.progress
        if self._catching_up:  # told before the run was resumed
            return False
        found = validation_of(numbers)
        self._events.emit("validation", step=step, split=printable(split, 100), **found.told())
        progress.validated_at = step
        ranked = not (found.score is None and found.exact is None and found.cell_accuracy is None)
        if not (ranked and all(map(math.isfinite, found.mark)) and found.mark > progress.best):
            return False
        progress.best = found.mark
        self._best_is_due = True
        self._mark_best()
        return True

    def _end_epoch(self) -> None:
        progress, seconds = self._start.progress, self._pace.elapsed_seconds
        if progress.means.count:
            means = progress.means.means()
            self._events.emit("epoch", epoch=progress.epoch, seconds=seconds - progress.epoch_began, **means)
        progress.next_epoch(seconds)

    def keeps_going(self) -> bool:
        """Obey commands at a step boundary, and stand still while paused.

        Returns:
            False when the run is to end. A loop that cannot go through `steps` asks this between two batches.
        """
        control = self._began()
        self._obey(control)
        if control.paused and not self._stops(control):
            self._events.emit("paused", step=self.step)
            began = time.monotonic()
            while control.paused and not self._stops(control) and not self._leaves_pause:
                time.sleep(POLL_SECONDS)
                self._obey(control)
            self._pace.leave_out(time.monotonic() - began)
            self._events.emit("unpaused", step=self.step)
        return not self._stops(control)

    def _stops(self, control: Control) -> bool:
        if self._stop_asked is not None:
            control.ask_to_stop(self._stop_asked)
        return control.stop_reason is not None

    def _obey(self, control: Control) -> None:
        control.take()
        while control.checkpoint_requested:
            control.checkpoint_requested = False
            self._save("command")
            control.take()

    @property
    def _leaves_pause(self) -> bool:
        """Whether something else is to be done before it stands still again."""
        return False

    @property
    def _saves(self) -> bool:
        """Whether it can save a checkpoint when it is asked to."""
        return False

    def _save(self, reason: str) -> None:
        """Save a checkpoint, where it can, for `interval`, `epoch`, `command` or `stop`."""

    def _mark_best(self) -> None:
        """Mark the state of now as the best where it is saved already; otherwise that is due."""

    def _save_last(self, *, worth: bool) -> None:
        """Wait for what is being saved at the end, after a last checkpoint where that is worth it."""

    def _began(self) -> Control:
        """Tell that the run begins or goes on, the first time."""
        if self._control is not None:
            return self._control
        run, progress, start = self._run, self._start.progress, self._start
        if not self._saves and list_checkpoints(run.checkpoints):
            raise TrackError(
                f"The run {printable(run.name)} has checkpoints: say by saves, before the first step, what "
                "they are put back into."
            )
        if start.checkpoint is None and (stood := gone_on_from(run, progress.step)) is not None:
            start.supersedes, start.elapsed_seconds = stood
        run.update(**{DECLARED: declared_to_json(self._carried.declared)})
        if start.supersedes is None:
            self._events.emit("run_started", step=progress.step)
        else:
            number = None if start.checkpoint is None else checkpoint_id(start.checkpoint)
            self._events.emit("resumed", step=progress.step, checkpoint=number, supersedes=start.supersedes)
        if self._opened.changed:
            self._warn(changed_finding(self._opened.changed))
        replay_settings(run, self._kept, progress, after=start.supersedes or 0)
        self._pace = Pace(start.elapsed_seconds)
        self._control = Control(run, self._events, self._kept, progress, validates=False, saves=self._saves)
        return self._control

    def _follow_declared(self) -> None:
        """Take the epoch's means of what is declared now."""
        progress = self._start.progress
        self._kept.declared = progress.declared = self._carried.declared
        progress.means = EpochMeans.restored(progress.means.state(), progress.declared)

    def _warn(self, finding: Finding) -> None:
        self._events.emit("warning", **dataclasses.asdict(finding))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(error)

    def close(self, error: BaseException | None = None) -> None:
        """End the run: save what is not saved, tell the end, let go of the lock.

        Args:
            error: What ended it. Its traceback goes into engine.log, and nothing is saved: it may have come
                in the middle of a step.
        """
        with self._opened.held:
            try:
                if error is None:
                    self._began()
            finally:
                self._save_last(worth=error is None)
            self._tell_end(error)

    def _tell_end(self, error: BaseException | None) -> None:
        if self._control is None and self._opened.new:
            self._run.remove()  # nothing was trained, and the name is free again
            return
        reason = self._reason(error)
        if reason is None and error is not None:
            self._opened.log_to_engine("".join(traceback.format_exception(error)))
            return
        self._events.emit("run_finished", reason=reason)
        try:
            self._events.sync()
        except OSError as failure:
            sys.stderr.write(f"Error: The end of the event log is not safely on the disk: {failure}.\n")

    def _reason(self, error: BaseException | None) -> str | None:
        match error:
            case None:
                stopped = None if self._control is None else self._control.stop_reason
                return stopped or self._stop_asked or COMPLETED
            case KeyboardInterrupt():
                return INTERRUPTED
            case SystemExit():
                return EXITED
            case ArcError():
                return str(error)
            case _:
                return None
