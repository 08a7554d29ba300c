"""Phases 3 and 4: the epochs of a run, from wherever its directory says it is."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

from arc_core.checkpoints.snapshot import LANGUAGE_MODEL
from arc_core.data.dataset import plan_batches
from arc_core.data.tasks import Pair
from arc_core.pipeline.batch import FEW_SIDES, collate
from arc_core.pipeline.config import PipelineConfig
from arc_core.pipeline.diagnostics import Diagnostics
from arc_core.pipeline.persistence import ModelPersistence
from arc_core.pipeline.preflight import plan_run
from arc_core.pipeline.startup import color_shares, load_data
from arc_core.pipeline.step import sample_fields, step_fields, training_step
from arc_core.pipeline.system import ArcSystem, language_model_of
from arc_core.pipeline.validation import predict, score
from arc_core.run.directory import RunDirectory
from arc_core.run.events import EventWriter
from arc_core.training.diagnostics import Finding
from arc_core.training.loop import StopRequested, TrainingLoop
from arc_core.training.progress import PairKey
from arc_core.training.telemetry import Validation

SMALLEST_VALIDATION_BATCH = 8


class Trainer(TrainingLoop[list[int], ArcSystem]):
    """Trains the whole pipeline.

    Args:
        run: The run directory, whose lock is held.
        config: As resolved.
        events: Where to tell what happens.
    """

    config: PipelineConfig  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, run: RunDirectory, config: PipelineConfig, events: EventWriter) -> None:
        super().__init__(run, config, events)
        self.dataset, self.validation_set = load_data(config, self.warn)
        batches = -(-len(self.dataset) // config.batch_size)
        batches = min(batches, config.max_batches or batches)
        # A checkpoint holds its language model, so the one that the run began with need not be there.
        lm = None if self.source is None else str(self.source / LANGUAGE_MODEL)
        plan = plan_run(config, len(self.dataset), batches, self.device, self.threads, lm)
        answered = (
            (e.task_id, e.pair_index, (*e.context, Pair(e.input, e.target))) for e in self.validation_set
        )
        self.begin(plan, self._build, self.dataset.tasks, answered)
        run.update(language_model=self._language_model_identity())
        self.diagnostics = Diagnostics(config.lm_train != "frozen", config.refine)

    def _build(self, path: Path | None) -> ArcSystem:
        """Make the models; from a checkpoint everything, its language model and tokenizer included."""
        config = self.config
        if path is None:
            system = ArcSystem(config, self.device)
            system.efe_loss.set_anchor(color_shares(self.dataset))
            return system
        system = ArcSystem(config, self.device, language_model=language_model_of(path, config))
        ModelPersistence(path.parent).load_checkpoint(
            path, system.agent, system.qwen, system.memory, system.efe_loss, system.policy, system.optimizer
        )
        return system

    def _language_model_identity(self) -> dict[str, Any]:
        """What run.json says of the language model; a checkpoint does not know the hub's commit."""
        identity = self.system.qwen.language_model.identity
        before = cast("dict[str, Any]", self.run.read().get("language_model") or {})
        if identity["commit"] is None and before.get("name") == identity["name"]:
            identity["commit"] = before.get("commit")
        return identity

    def plan_epoch(
        self, epoch: int, left_out: Collection[PairKey] = (), batch_size: int | None = None
    ) -> list[list[int]]:
        """Which examples each batch of an epoch holds."""
        size = batch_size or self.config.batch_size
        return plan_batches(self.dataset, size, seed=self.config.seed, epoch=epoch, left_out=left_out)

    def keys_of(self, batch: list[int]) -> list[PairKey]:
        """The pairs of a batch."""
        return [self.dataset.key(index) for index in batch]

    def train_batch(self, batch: list[int]) -> bool:
        """Train on the examples of a batch."""
        progress = self.progress
        examples = [self.dataset.example(index, progress.epoch) for index in batch]
        pairs = collate(examples, FEW_SIDES).to(self.system.device)
        result = training_step(self.system, pairs, progress.epoch, progress.step + 1)
        fields = step_fields(result, pairs, self.system.precision)
        self.tell_step(len(pairs), fields, lambda: sample_fields(result, pairs))
        for finding in self.diagnostics.after_step(progress.step, result):
            self.warn(finding)
        return result.applied

    def answer_validation(self) -> Validation:
        """Answer the validation set, see `TrainingLoop.answer_validation`."""
        size = max(self.config.batch_size, SMALLEST_VALIDATION_BATCH)
        answers = predict(self.system, self.validation_set, size, self.go_on_validating)
        if len(answers) < len(self.validation_set):
            raise StopRequested
        return score(self.validation_set, answers)

    def advise(self, found: Validation, mask_ratio: float) -> list[Finding]:
        """See `Diagnostics.after_validation`."""
        epoch = self.progress.epoch
        weight = self.system.size_warmup.get_size_loss_weight(epoch)
        return self.diagnostics.after_validation(epoch, weight, mask_ratio, found)
