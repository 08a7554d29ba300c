"""The epochs of a run, whatever it trains: steps, commands, pauses, checkpoints and validations in turn."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from arc_core.base.errors import ConfigError, DataError, RecipeError
from arc_core.base.other_load import OtherLoad
from arc_core.base.text import first_of, printable
from arc_core.checkpoints.persistence import CheckpointFolder
from arc_core.data.grids import rows_of
from arc_core.data.tasks import TaskSet
from arc_core.run.config import TrainConfig
from arc_core.run.course import Timeline
from arc_core.run.declared import Declared
from arc_core.run.declared_json import DECLARED, declared_to_json
from arc_core.run.directory import SEEN, RunDirectory
from arc_core.run.event_forms import RULE
from arc_core.run.events import EventWriter
from arc_core.training.control import Control
from arc_core.training.data_changes import describe_tasks, require_places, seen_so_far, what_differs
from arc_core.training.diagnostics import Finding, skipped_step
from arc_core.training.limits import limit_reached, refuse_unmeasured
from arc_core.training.preflight import Plan, choose_device, refuse_what_cannot_fit
from arc_core.training.progress import TrainedPairs, rest_of_epoch
from arc_core.training.ranks import ALONE, Ranks
from arc_core.training.recipe import Data, Recipe, SampledPair, Step
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
from arc_core.training.telemetry import Nested, Pace
from arc_core.training.threads import take_threads

PAUSE_POLL_SECONDS = 0.05


class StopRequested(Exception):
    """Raised at a step boundary when the run is to end there."""


class TrainingLoop:
    """Begins or resumes a run and goes through its epochs; what a step does is up to its recipe.

    Args:
        run: The run directory, whose lock is held.
        config: As resolved.
        events: Where to tell what happens.
        recipe: What is trained.
        ranks: The processes that train it together.
        load: What other programs take, watched from the start of the process; None begins now.

    Attributes:
        recipe: What is trained.
        device: Where it computes.
        source: The checkpoint that the run goes on from; None where it begins.
        system: The models.
        progress: How far the run is.
        saver: Saves its checkpoints.
        control: What it is told meanwhile.
        pace: Its seconds and rate.
    """

    def __init__(
        self,
        run: RunDirectory,
        config: TrainConfig,
        events: EventWriter,
        recipe: type[Recipe[Any]],
        ranks: Ranks = ALONE,
        load: OtherLoad | None = None,
    ) -> None:
        self.run = run
        self.config = config
        self.events = events
        self.ranks = ranks
        if not (ranks.alone or recipe.SEVERAL):
            raise RecipeError(f"The recipe {printable(config.recipe)} trains in one process: --processes 1.")
        self.device = choose_device(config.device, ranks.world)
        self.source = checkpoint_to_resume(run, self.warn, ranks)
        if self.source is not None:
            require_places(config, run)
        self.threads, self._watch = take_threads(config.threads, self.source, ranks, load, self.warn)
        self.recipe = recipe(config, self.device, self.warn)
        self.recipe.ranks = ranks
        self.declared = self._declared()
        self._not_noted: TaskSet | None = None
        self._begin(self.recipe.load())

    def _declared(self) -> Declared:
        try:
            return self.recipe.declared()
        except ConfigError as error:
            raise RecipeError(f"The recipe {printable(self.config.recipe)} cannot be used: {error}") from None

    def _begin(self, data: Data) -> None:
        """Build the models, fresh or from the checkpoint; tell where the run begins and what differs.

        Raises:
            PreflightError: If memory or disk is too small.
        """
        run, config, recipe = self.run, self.config, self.recipe
        batches = recipe.plan_epoch(0)[: config.max_batches]
        pairs = sum(len(list(recipe.keys_of(batch))) for batch in batches)
        estimate = recipe.estimate(self.source)
        world = self.ranks.world
        plan = Plan.of(estimate, pairs, len(batches), config, str(self.device), self.threads, world)
        refuse_what_cannot_fit(plan, self.device, run.path)
        kept = dict(data.generated)
        noted = {DECLARED: declared_to_json(self.declared)}
        if data.tasks is not None:
            kept["dataset"] = describe_tasks(data.tasks)
            if self.source is None and SEEN not in run.read():
                self._not_noted = data.tasks
            else:
                noted[SEEN] = seen_so_far(run, data.tasks).to_json()
        start = start_or_resume(
            run, config, self.source, recipe.build, self.declared, self.threads, self.warn, world.count
        )
        self.system, self.progress = start.system, start.progress
        recipe.models = start.system
        steps = self._steps_of_the_run(plan.batches_per_epoch, start.then)
        self.system.schedule = dataclasses.replace(self.system.schedule, total_steps=steps)
        known = run.read()
        differs = {entry: what_differs(known.get(entry), now) for entry, now in kept.items()}
        whole = dataclasses.replace(plan, total_steps=steps).as_dict()
        self.ranks.agree()  # all have read what the first one changes now
        persistence = CheckpointFolder(run.checkpoints, keep=config.keep_checkpoints)
        if self.ranks.first:
            persistence.clean()
            run.update(plan=whole, **kept, **noted, **recipe.noted(known))
            start.tell(run, self.events)
        held = None
        if start.checkpoint is not None:
            if self.ranks.first:
                persistence.link_from(start.checkpoint)
                persistence.given_up = Timeline.of(run).given_up_checkpoints(run.checkpoints)
            held = self.progress.position
            self._tell_what_differs(start, differs)
        self.validates = bool(data.validated_on)
        refuse_unmeasured(config, validates=self.validates)
        if self.validates:
            reset = hold_best_to(self.progress, data.validated_on, start.then, config, any(differs.values()))
            if reset is not None:
                self.warn(reset)
        self.saver = Saver(persistence, self.system, self.events, self.threads, self.warn, held, self.ranks)
        self.control = Control(
            run, self.events, self.system, self.progress, validates=self.validates, ranks=self.ranks
        )
        self.pace = Pace(start.elapsed_seconds)

    def _tell_what_differs(self, start: Start[Trainable], differs: Mapping[str, str]) -> None:
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
            planned = self.recipe.plan_epoch(progress.epoch, batch_size=then.batch_size)[: progress.batch]
            progress.trained = TrainedPairs(
                since={key for batch in planned for key in self.recipe.keys_of(batch)}
            )
        later = self.config.epochs - progress.epoch - 1
        return (
            progress.step
            + len(rest_of_epoch(self.progress, self.recipe, self.config.max_batches))
            + later * batches_per_epoch
        )

    def validate(self, means: Nested | None = None) -> bool:
        """Validate if there is anything to validate on, and say whether it is the best so far.

        Args:
            means: Of the epoch, for the advice at its end; None at other times.
        """
        if not self.validates:
            return False
        began, progress = time.monotonic(), self.progress
        found = self.recipe.validate(self._go_on_validating)
        if found is None:
            raise StopRequested
        split = "evaluation" if self.config.validate_on == "evaluation" else "training"
        self.events.emit("validation", step=progress.step, split=split, **found.told())
        for finding in () if means is None else self.recipe.advise(found, means, progress.epoch):
            self.warn(finding)
        self.pace.leave_out(time.monotonic() - began)
        return progress.validated(found.mark)

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
        batches = rest_of_epoch(self.progress, self.recipe, self.config.max_batches)
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
        due = (progress.epoch + 1) % self.config.validate_every == 0
        improved = self.validate(means) if due or progress.epoch + 1 == self.config.epochs else False
        progress.next_epoch(self.pace.elapsed_seconds)
        self._save("epoch", best=improved)
        self._check_in()

    def _step(self, batch: Any) -> None:
        progress = self.progress
        step = self.recipe.step(batch, progress)
        self._tell_step(step)
        if progress.trained is not None:
            progress.trained.since.update(self.recipe.keys_of(batch))
        progress.skipped_in_a_row = 0 if step.applied else progress.skipped_in_a_row + 1
        if progress.skipped_in_a_row >= self.config.nan_patience:
            self.control.ask_to_stop(f"{progress.skipped_in_a_row} steps in a row were not finite")

    def _tell_step(self, step: Step) -> None:
        """Count a step and tell it, with what looks wrong and with a sample every so often.

        Raises:
            RecipeError: If it carries what is not declared.
        """
        progress, rate = self.progress, self.pace.add(step.pairs)
        if refusal := self.declared.refusal(step.numbers):
            raise self._unfit(f"in step {progress.step + 1} {refusal}")
        progress.step += 1
        event = self.events.emit(
            "step",
            **progress.position,
            pairs=step.pairs,
            pairs_per_second=rate,
            elapsed_seconds=self.pace.elapsed_seconds,
            **step.numbers,
            **({} if step.rule is None else {RULE: step.rule}),
        )
        progress.batch += 1
        progress.means.add(event)
        shown = progress.step % self.config.sample_every == 0 or progress.step == 1
        if shown and step.sample is not None:
            self._tell_sample(step.sample())
        if shown and step.evidence:
            lines = [dataclasses.asdict(line) for line in step.evidence]
            self.events.emit("evidence", step=progress.step, lines=lines)
        if not step.applied:
            self.warn(skipped_step(progress.step, step.numbers))
        held_up = self._watch and self._watch.after_step(step.pairs)
        for finding in (*step.findings, *([] if held_up is None else [held_up])):
            self.warn(finding)

    def _tell_sample(self, sample: SampledPair) -> None:
        known = {grid.name for grid in self.declared.grids}
        if foreign := sorted(sample.grids.keys() - known):
            there = first_of(sorted(known)) or "none"
            raise self._unfit(
                f"its sample has the grid {printable(foreign[0])}, which is not declared; declared: {there}"
            )
        try:
            rows = {name: rows_of(grid, f"the grid {name}") for name, grid in sample.grids.items()}
        except DataError as error:
            raise self._unfit(f"the sample of step {self.progress.step} cannot be shown: {error}") from None
        self.events.emit("sample", step=self.progress.step, task=sample.task, pair=sample.pair, **rows)

    def _unfit(self, why: str) -> RecipeError:
        return RecipeError(
            f"The recipe {printable(self.config.recipe)} cannot be trained: {why.rstrip('.')}."
        )

    def _go_on_validating(self) -> bool:
        """Take commands between two batches of a validation; False when it is to end there."""
        self.control.take()
        return self.control.stop_reason is None

    def _save(self, reason: str, *, best: bool = False) -> None:
        if self._not_noted is not None:
            self._note_seen(self._not_noted)
        self.saver.save(self.progress, self.pace, reason, best=best)

    def _note_seen(self, tasks: TaskSet) -> None:
        """Write down what a new run is trained on, before its first checkpoint is there.

        Of many tasks that takes seconds, for which the first step is not kept waiting.
        """
        began = time.monotonic()
        if self.ranks.first:
            self.run.update(**{SEEN: seen_so_far(self.run, tasks).to_json()})
        self._not_noted = None
        self.pace.leave_out(time.monotonic() - began)

    def _check_in(self) -> None:
        """Obey limits, signals and commands at a step boundary, and stand still while paused."""
        reached = limit_reached(self.config, self.progress, self.pace.elapsed_seconds)
        if reached is not None and self.ranks.first:
            self.control.ask_to_stop(reached)
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
