"""Phases 3 and 4: the epochs of a run, from wherever its directory says it is."""

from __future__ import annotations

import dataclasses
import time

import torch

from arc_core.batch import FEW_SIDES, collate
from arc_core.checkpoint import ModelPersistence
from arc_core.config import TrainConfig
from arc_core.control import Control
from arc_core.data import plan_batches
from arc_core.diagnostics import Diagnostics
from arc_core.evaluate import predict, score
from arc_core.events import EventWriter
from arc_core.loop import StopRequested, TrainingLoop
from arc_core.preflight import plan_run, refuse_what_cannot_fit
from arc_core.rundir import RunDirectory
from arc_core.saving import Saver
from arc_core.startup import choose_device, load_data, seen_so_far, start_or_resume
from arc_core.step import training_step
from arc_core.telemetry import Pace, sample_fields, step_fields
from arc_core.timeline import Timeline

SMALLEST_VALIDATION_BATCH = 8


class Trainer(TrainingLoop[list[int]]):
    """Trains the whole pipeline.

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
            seen=seen_so_far(run, tasks).to_json(),
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

    def plan_epoch(self, epoch: int) -> list[list[int]]:
        """Which examples each batch of an epoch holds."""
        return plan_batches(
            self.dataset,
            self.config.batch_size,
            seed=self.config.seed,
            epoch=epoch,
            max_batches=self.config.max_batches,
        )

    def train_batch(self, batch: list[int]) -> bool:
        """Train on the examples of a batch."""
        progress = self.progress
        examples = [self.dataset.example(index, progress.epoch) for index in batch]
        pairs = collate(examples, FEW_SIDES).to(self.system.device)
        result = training_step(self.system, pairs, progress.epoch, progress.step + 1)
        progress.step += 1
        rate = self.pace.add(len(pairs))
        fields = step_fields(result, pairs, self.system.precision, rate, self.pace.elapsed_seconds)
        event = self.events.emit(
            "step", step=progress.step, epoch=progress.epoch, batch=progress.batch, **fields
        )
        progress.batch += 1
        progress.means.add(event)
        if progress.step % self.config.sample_every == 0 or progress.step == 1:
            self.events.emit("sample", step=progress.step, **sample_fields(result, pairs))
        for finding in self.diagnostics.after_step(progress.step, result):
            self.warn(finding)
        return result.applied

    def validate(self, mask_ratio: float | None = None) -> bool:
        """Answer the validation set, see `TrainingLoop.validate`."""
        if not self.validation_set:
            return False
        began = time.monotonic()
        size = max(self.config.batch_size, SMALLEST_VALIDATION_BATCH)
        answers = predict(self.system, self.validation_set, size, self.go_on_validating)
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
