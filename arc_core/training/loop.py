"""The epochs of a run, whatever it trains: steps, commands, pauses, checkpoints and validations in turn."""

from __future__ import annotations

import dataclasses
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from arc_core.checkpoints.persistence import CheckpointFolder
from arc_core.data.tasks import Pair, TaskSet
from arc_core.run.config import TrainConfig
from arc_core.run.course import Timeline
from arc_core.run.directory import RunDirectory
from arc_core.run.events import EventWriter
from arc_core.training.control import Control
from arc_core.training.data_changes import (
    describe_tasks,
    require_places,
    seen_so_far,
    validation_print,
    what_differs,
)
from arc_core.training.diagnostics import Finding
from arc_core.training.preflight import Plan, choose_device, refuse_what_cannot_fit
from arc_core.training.progress import PairKey, Progress, TrainedPairs
from arc_core.training.resuming import (
    Start,
    Trainable,
    checkpoint_to_resume,
    hold_best_to,
    live_settings,
    options_changed,
    schedule_jumps,
    start_or_resume,
)
from arc_core.training.saving import Saver
from arc_core.training.telemetry import Pace, Validation

PAUSE_POLL_SECONDS = 0.05
B = TypeVar("B")
"""What one batch is planned as."""

S = TypeVar("S", bound=Trainable)
"""What is trained."""


class StopRequested(Exception):
    """Raised at a step boundary when the run is to end there."""


class TrainingLoop(ABC, Generic[B, S]):
    """Begins or resumes a run and goes through its epochs; what a step does is up to its children.

    Args:
        run: The run directory, whose lock is held.
        config: As resolved.
        events: Where to tell what happens.

    Attributes:
        device: Where it computes.
        source: The checkpoint that the run goes on from; None where it begins.
        system: What is trained.
        progress: How far the run is.
        saver: Saves its checkpoints.
        control: What it is told meanwhile.
        pace: Its seconds and rate.
    """

    system: S
    progress: Progress
    saver: Saver
    control: Control
    pace: Pace

    def __init__(self, run: RunDirectory, config: TrainConfig, events: EventWriter) -> None:
        self.run = run
        self.config = config
        self.events = events
        self.threads = config.threads or torch.get_num_threads()
        torch.set_num_threads(self.threads)
        self.device = choose_device(config.device)
        self.source = checkpoint_to_resume(run, self.warn)
        if self.source is not None:
            require_places(config, run)

    def begin(
        self,
        plan: Plan,
        build: Callable[[Path | None], S],
        tasks: TaskSet,
        validated_on: Iterable[tuple[str, int, tuple[Pair, ...]]],
        generated: Mapping[str, Mapping[str, Any]] | None = None,
        **noted: Any,
    ) -> None:
        """Build the models, fresh or from the checkpoint; tell where the run begins and what differs.

        Args:
            plan: What lies ahead, of a run that begins; goes into run.json.
            build: Makes the models, see `start_or_resume`.
            tasks: What it is trained on.
            validated_on: The inputs that validations answer, as `validation_print` takes them; may be none.
            generated: What run.json is to keep of further data, by entry.
            noted: What else it is to keep.

        Raises:
            PreflightError: If memory or disk is too small.
        """
        run, config = self.run, self.config
        refuse_what_cannot_fit(plan, self.device, run.path)
        inputs = list(validated_on)
        self.validates = bool(inputs)
        data = {"dataset": describe_tasks(tasks), **(generated or {})}
        noted["seen"] = seen_so_far(run, tasks).to_json()
        persistence = CheckpointFolder(run.checkpoints, keep=config.keep_checkpoints)
        persistence.clean()
        start = start_or_resume(run, config, self.source, build, self.threads, self.warn)
        self.system, self.progress = start.system, start.progress
        steps = self._steps_of_the_run(plan.batches_per_epoch, start.then)
        self.system.schedule = dataclasses.replace(self.system.schedule, total_steps=steps)
        known = run.read()
        differs = {entry: what_differs(known.get(entry), now) for entry, now in data.items()}
        run.update(plan=dataclasses.replace(plan, total_steps=steps).as_dict(), **data, **noted)
        start.tell(run, self.events)
        held = None
        if start.checkpoint is not None:
            persistence.link_from(start.checkpoint)
            persistence.given_up = Timeline.of(run).given_up_checkpoints(run.checkpoints)
            held = self.progress.position
            self._tell_what_differs(start, differs)
        if self.validates:
            answered = validation_print(inputs)
            reset = hold_best_to(self.progress, answered, start.then, config, any(differs.values()))
            if reset is not None:
                self.warn(reset)
        self.saver = Saver(persistence, self.system, self.events, self.threads, self.warn, held)
        self.control = Control(run, self.events, self.system, self.progress, validates=self.validates)
        self.pace = Pace(start.elapsed_seconds)

    def _tell_what_differs(self, start: Start[S], differs: Mapping[str, str]) -> None:
        """Tell of settings, data and a schedule that are not what the checkpoint was trained with."""
        rate = self.system.base_rates()["agent_lr"]
        jump = schedule_jumps(start.schedule, self.system.schedule, self.progress.step, rate)
        live = live_settings(self.system, self.progress)
        for finding in (options_changed(start.then, self.config, start.live, live), jump):
            if finding is not None:
                self.warn(finding)
        for entry, what in differs.items():
            if what:
                self.warn(
                    Finding(
                        "data_changed",
                        f"The {entry} is not what the run was trained on before: {what}.",
                        "The run goes on with what is there now; put the data back to go on as before.",
                    )
                )

    def _steps_of_the_run(self, batches_per_epoch: int, then: TrainConfig) -> int:
        """Steps taken and to come: no multiple of an epoch's where the batch size has changed."""
        progress = self.progress
        if progress.epoch >= self.config.epochs:
            return progress.step
        if progress.trained is None:  # an older checkpoint counts batches, of the size that it had then
            planned = self.plan_epoch(progress.epoch, batch_size=then.batch_size)[: progress.batch]
            progress.trained = TrainedPairs(since={key for batch in planned for key in self.keys_of(batch)})
        later = self.config.epochs - progress.epoch - 1
        return progress.step + len(self._rest_of_epoch()) + later * batches_per_epoch

    def _rest_of_epoch(self) -> Sequence[B]:
        """The batches still to train in this epoch: of its plan, or a new one where it is another now."""
        progress, most = self.progress, self.config.max_batches
        trained = progress.trained = progress.trained or TrainedPairs()
        whole = plan = self.plan_epoch(progress.epoch)
        if trained.before:
            plan = self.plan_epoch(progress.epoch, trained.before)
        batches = min(len(whole), most or len(whole))
        done = trained.followed([list(self.keys_of(batch)) for batch in plan])
        if done is not None:
            progress.batch = progress.batch if trained.before else done
            return plan[done:][: max(0, batches - progress.batch)]
        trained.replan()
        rest = self.plan_epoch(progress.epoch, trained.before)
        if most is not None:
            rest = rest[: max(0, most - progress.batch)]
        progress.batch = max(0, batches - len(rest))  # so that the epoch's last batch has the last number
        return rest

    @abstractmethod
    def plan_epoch(
        self, epoch: int, left_out: Collection[PairKey] = (), batch_size: int | None = None
    ) -> Sequence[B]:
        """The batches of a 0-based epoch, a function of the settings, the data and the arguments alone.

        Args:
            epoch: 0-based.
            left_out: Pairs that it has been trained on already.
            batch_size: Pairs of a batch; None takes the setting.
        """

    @abstractmethod
    def keys_of(self, batch: B) -> Iterable[PairKey]:
        """The pairs of a batch."""

    @abstractmethod
    def train_batch(self, batch: B) -> bool:
        """Train on a batch and `tell_step`; whether the step was taken, its numbers finite."""

    def tell_step(
        self, pairs: int, numbers: Mapping[str, Any], sample: Callable[[], Mapping[str, Any]]
    ) -> None:
        """Count a step and tell it.

        Args:
            pairs: How many it was trained on.
            numbers: Of its event, beside its place in the run and its pace.
            sample: Gives the grids of one of its pairs, which are told every so often.
        """
        progress, rate = self.progress, self.pace.add(pairs)
        progress.step += 1
        event = self.events.emit(
            "step",
            **progress.position,
            pairs=pairs,
            pairs_per_second=rate,
            elapsed_seconds=self.pace.elapsed_seconds,
            **numbers,
        )
        progress.batch += 1
        progress.means.add(event)
        if progress.step % self.config.sample_every == 0 or progress.step == 1:
            self.events.emit("sample", step=progress.step, **sample())

    @abstractmethod
    def answer_validation(self) -> Validation:
        """Answer the inputs and score them; raises StopRequested when told to stop meanwhile."""

    def advise(self, found: Validation, mask_ratio: float) -> Iterable[Finding]:
        """What a validation at the end of an epoch gives reason to say, with the epoch's mean mask ratio."""
        return ()

    def validate(self, mask_ratio: float | None = None) -> bool:
        """Validate if there is anything to validate on, and say whether it is the best so far.

        Args:
            mask_ratio: Mean of the epoch, for the advice at its end; None at other times.
        """
        if not self.validates:
            return False
        began, progress = time.monotonic(), self.progress
        found = self.answer_validation()
        split = "evaluation" if self.config.validate_on == "evaluation" else "training"
        self.events.emit("validation", step=progress.step, split=split, **dataclasses.asdict(found))
        progress.validated_at = progress.step
        for finding in () if mask_ratio is None else self.advise(found, mask_ratio):
            self.warn(finding)
        self.pace.leave_out(time.monotonic() - began)
        mark = (float(found.exact), found.cell_accuracy)
        improved = mark > progress.best
        progress.best = max(mark, progress.best)
        return improved

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
        batches = self._rest_of_epoch()
        for number, batch in enumerate(batches, 1):
            self._step(batch)
            # The last batch's checkpoint is the epoch's, which follows its validation.
            if number < len(batches):
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
        if progress.trained is not None:
            progress.trained.since.update(self.keys_of(batch))
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
