"""Phases 3 and 4: the epochs of a run, from wherever its directory says it is."""

from __future__ import annotations

import dataclasses
import time

import torch

from arc_core.batch import collate
from arc_core.checkpoint import ModelPersistence
from arc_core.config import TrainConfig
from arc_core.control import Control
from arc_core.data import Example, plan_batches
from arc_core.diagnostics import Diagnostics, Finding
from arc_core.evaluate import predict, score
from arc_core.events import EventWriter
from arc_core.preflight import plan_run, refuse_what_cannot_fit
from arc_core.rundir import RunDirectory
from arc_core.saving import Saver
from arc_core.startup import choose_device, load_data, start_or_resume
from arc_core.step import training_step
from arc_core.telemetry import Pace, sample_fields, step_fields
from arc_core.timeline import Timeline

PAUSE_POLL_SECONDS = 0.05
SMALLEST_VALIDATION_BATCH = 8


class StopRequested(Exception):
    """Raised at a step boundary when the run is to end there."""


class Trainer:
    """Trains one run.

    Args:
        run: The run directory, whose lock is held.
        config: As resolved.
        events: Where to tell what happens.
    """

    def __init__(self, run: RunDirectory, config: TrainConfig, events: EventWriter) -> None:
        self.config = config
        self.events = events
        device = choose_device(config.device)
        threads = config.threads or torch.get_num_threads()
        torch.set_num_threads(threads)
        self.dataset, self.validation_set = load_data(config, self.warn)
        batches = -(-len(self.dataset) // config.batch_size)
        batches = min(batches, config.max_batches or batches)
        plan = plan_run(config, len(self.dataset), batches, device, threads)
        refuse_what_cannot_fit(plan, device, run.path)
        run.update(plan=plan.as_dict())
        persistence = ModelPersistence(run.checkpoints, keep=config.keep_checkpoints)
        persistence.clean()
        start = start_or_resume(
            run, config, self.dataset, device, threads, plan.total_steps, events, self.warn
        )
        self.system, self.progress = start.system, start.progress
        tasks = self.dataset.tasks
        run.update(
            dataset={"name": tasks.name, "tasks": len(tasks), "sha256": tasks.sha256},
            language_model=self.system.qwen.language_model.identity,
        )
        held = None
        if start.checkpoint is not None:
            persistence.link_from(start.checkpoint)
            persistence.given_up = Timeline.of(run).given_up_checkpoints(run.checkpoints)
            held = self.progress.position
        self.saver = Saver(persistence, self.system, events, threads, self.warn, held)
        self.diagnostics = Diagnostics(config.lm_train != "frozen", config.refine)
        self.control = Control(run, events, self.system, self.progress, validates=bool(self.validation_set))
        self.pace = Pace(start.elapsed_seconds)

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
        batches = plan_batches(
            self.dataset,
            self.config.batch_size,
            seed=self.config.seed,
            epoch=progress.epoch,
            max_batches=self.config.max_batches,
        )
        while progress.batch < len(batches):
            chosen = batches[progress.batch]
            self._step([self.dataset.example(index, progress.epoch) for index in chosen])
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
        improved = self._validate(means["hard_cells"]["mask_ratio"])
        progress.next_epoch(self.pace.elapsed_seconds)
        self._save("epoch", best=improved)
        self._check_in()

    def _step(self, examples: list[Example]) -> None:
        progress = self.progress
        batch = collate(examples).to(self.system.device)
        result = training_step(self.system, batch, progress.epoch, progress.step + 1)
        progress.step += 1
        rate = self.pace.add(len(batch))
        fields = step_fields(result, batch, self.system.precision, rate, self.pace.elapsed_seconds)
        event = self.events.emit(
            "step", step=progress.step, epoch=progress.epoch, batch=progress.batch, **fields
        )
        progress.batch += 1
        progress.means.add(event)
        if progress.step % self.config.sample_every == 0 or progress.step == 1:
            self.events.emit("sample", step=progress.step, **sample_fields(result, batch))
        for finding in self.diagnostics.after_step(progress.step, result):
            self.warn(finding)
        progress.skipped_in_a_row = 0 if result.applied else progress.skipped_in_a_row + 1
        if progress.skipped_in_a_row >= self.config.nan_patience:
            self.control.ask_to_stop(f"{progress.skipped_in_a_row} steps in a row were not finite")

    def _validate(self, mask_ratio: float | None = None) -> bool:
        """Validate, and say whether it is the best so far.

        Args:
            mask_ratio: Mean of the epoch, for the advice at its end; None at other times.
        """
        if not self.validation_set:
            return False
        began = time.monotonic()
        size = max(self.config.batch_size, SMALLEST_VALIDATION_BATCH)
        answers = predict(self.system, self.validation_set, size, self._go_on_validating)
        if len(answers) < len(self.validation_set):
            raise StopRequested
        found = score(self.validation_set, answers)
        progress = self.progress
        split = "evaluation" if self.config.validate_on == "evaluation" else "training"
        self.events.emit("validation", step=progress.step, split=split, **dataclasses.asdict(found))
        progress.validated_at = progress.step
        if mask_ratio is not None:
            weight = self.system.size_warmup.get_size_loss_weight(progress.epoch)
            for finding in self.diagnostics.after_validation(progress.epoch, weight, mask_ratio, found):
                self.warn(finding)
        self.pace.leave_out(time.monotonic() - began)
        mark = (float(found.exact), found.cell_accuracy)
        improved = mark > progress.best
        progress.best = max(mark, progress.best)
        return improved

    def _go_on_validating(self) -> bool:
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
                self._validate()
            control.take()
