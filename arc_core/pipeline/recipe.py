"""The recipe `pipeline`: phases 3 and 4 of the seed's whole system."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

from arc_core.checkpoints.snapshot import LANGUAGE_MODEL
from arc_core.data.dataset import plan_batches
from arc_core.data.tasks import Pair
from arc_core.pipeline.batch import Batch, collate
from arc_core.pipeline.canvas_step import canvas_step
from arc_core.pipeline.compiling import ONE_SIDE, compile_system, is_compiled, not_compiled
from arc_core.pipeline.config import CANVAS, PipelineConfig
from arc_core.pipeline.declared import declared_by
from arc_core.pipeline.diagnostics import Diagnostics
from arc_core.pipeline.laying import Layouts
from arc_core.pipeline.moving import to_device
from arc_core.pipeline.outcome import sample_of, step_numbers
from arc_core.pipeline.padding import FEW_SIDES, GridBatch
from arc_core.pipeline.preflight import estimate_run
from arc_core.pipeline.sharding import refuse_what_shards_cannot, shard
from arc_core.pipeline.startup import color_shares, load_data
from arc_core.pipeline.step import training_step
from arc_core.pipeline.system import ArcSystem, language_model_of
from arc_core.pipeline.validation import predict, predict_on_canvas, score
from arc_core.pipeline.whole import Whole
from arc_core.run.config import TrainConfig
from arc_core.run.declared import Declared
from arc_core.training.data_changes import describe_pairs, validation_print
from arc_core.training.diagnostics import Finding
from arc_core.training.preflight import Estimate
from arc_core.training.progress import PairKey, Progress
from arc_core.training.ranks import ALONE
from arc_core.training.recipe import Data, Recipe, Step
from arc_core.training.telemetry import Nested, Validation

SMALLEST_VALIDATION_BATCH = 8


class PipelineRecipe(Recipe[list[int]]):
    """Trains the whole pipeline."""

    Config: ClassVar[type[TrainConfig]] = PipelineConfig
    SEVERAL: ClassVar[bool] = True
    MEMORY_ADVICE: ClassVar[str] = (
        "Take a smaller batch (--batch-size), try the first batches alone (--max-batches 100), or a smaller "
        "language model (--lm tiny, --lm-train frozen)."
    )

    config: PipelineConfig
    models: ArcSystem

    def load(self) -> Data:
        """Load the training pairs, and the test inputs that validations answer."""
        config = self.config
        data = load_data(config, self.warn)
        self.dataset, self.validation_set = data.dataset, data.answered
        self.diagnostics = Diagnostics(config.lm_train != "frozen", config.refine)
        self.on_canvas = config.planner == CANVAS
        trained = self.dataset.tasks.tasks
        self.layouts = Layouts(trained, data.further)
        # Apart where the tests are others, of tasks whose ids may be the same.
        self.test_layouts = self.layouts if data.tested is trained else Layouts(data.tested)
        answered = [
            (e.task_id, e.pair_index, (*e.context, Pair(e.input, e.target))) for e in self.validation_set
        ]
        generated = data.generated
        kept = {"extra_data": describe_pairs(str(config.extra_data), generated)} if generated else {}
        return Data(self.dataset.tasks, validation_print(answered) if answered else "", kept)

    def declared(self) -> Declared:
        """What its steps and samples carry."""
        return declared_by(self.config.to_dict())

    def estimate(self, checkpoint: Path | None) -> Estimate:
        """What it will need; a checkpoint holds its language model, so the run's first need not be there."""
        lm = None if checkpoint is None else str(checkpoint / LANGUAGE_MODEL)
        tasks, processes = len(self.dataset.task_ids), self.ranks.count
        return estimate_run(self.config, len(self.dataset), self.device, lm, tasks, processes)

    def build(self, checkpoint: Path | None) -> ArcSystem:
        """Make the models; from a checkpoint everything, its language model and tokenizer included."""
        config = self.config
        tasks = self.dataset.task_ids if self.on_canvas else []
        language_model = language_model_of(checkpoint, config)
        if self.sharded:
            shard(language_model, self.ranks, self.device)
        system = ArcSystem(config, self.device, language_model=language_model, tasks=tasks)
        if self.sharded:
            refuse_what_shards_cannot(config, system.precision)
        if checkpoint is None:
            system.efe_loss.set_anchor(color_shares(self.dataset))
        else:
            system.models.load(checkpoint)
        if config.lm_recompute:
            system.qwen.recompute_language()
        if is_compiled(config, self.device):
            compile_system(system)
        elif config.compile:
            self.warn(not_compiled(self.device))
        system.join(self.ranks)
        return system

    @property
    def sides(self) -> Sequence[int]:
        """That the canvases of steps may have."""
        return ONE_SIDE if is_compiled(self.config, self.device) else FEW_SIDES

    @property
    def sharded(self) -> bool:
        """Whether each process holds a part of the language model."""
        return self.config.lm_sharding == "full" and not self.ranks.alone

    def noted(self, run_json: Mapping[str, Any]) -> Mapping[str, Any]:
        """What run.json says of the language model; a checkpoint does not know the hub's commit."""
        identity = self.models.qwen.language_model.identity
        before = cast("dict[str, Any]", run_json.get("language_model") or {})
        if identity["commit"] is None and before.get("name") == identity["name"]:
            identity["commit"] = before.get("commit")
        return {"language_model": identity}

    def plan_epoch(
        self, epoch: int, left_out: Collection[PairKey] = (), batch_size: int | None = None
    ) -> list[list[int]]:
        """Which examples each batch of an epoch holds."""
        size = (batch_size or self.config.batch_size) * self.config.accumulate * self.ranks.count
        return plan_batches(self.dataset, size, seed=self.config.seed, epoch=epoch, left_out=left_out)

    def keys_of(self, batch: list[int]) -> list[PairKey]:
        """The pairs of a batch."""
        return [self.dataset.key(index) for index in batch]

    def step(self, batch: list[int], at: Progress) -> Step:
        """Train on the examples of a batch."""
        system = self.models
        places = self.ranks.mine(len(batch)) or range(1)
        size = self.config.batch_size
        parts = [places[start : start + size] for start in range(0, len(places), size)]
        whole = None
        if len(parts) > 1 or not self.ranks.alone:
            whole = self._whole(batch, at.epoch, places)
        batches = (self._pairs([batch[place] for place in part], at.epoch) for part in parts)
        pairs = next(batches)
        train = canvas_step if self.on_canvas else training_step
        later = (some.to(system.device) for some in batches)
        result = train(system, pairs.to(system.device), at.epoch, at.step + 1, whole, later)
        if result.applied:
            system.move_mean(at.step + 1)
        return Step(
            len(batch),
            step_numbers(result, system.precision),
            result.applied,
            lambda: sample_of(result, pairs),
            pairs.prompt_inputs.rules[0],
            self.diagnostics.after_step(result),
        )

    def _pairs(self, indices: Sequence[int], epoch: int) -> Batch:
        """Some examples, padded, on the host."""
        examples = [self.dataset.example(index, epoch) for index in indices]
        canvas = self.layouts.lay(examples, sides=self.sides) if self.on_canvas else None
        return collate(examples, self.sides, canvas)

    def _whole(self, batch: list[int], epoch: int, places: range) -> Whole:
        """The batch, of which this process has a share."""
        # Memory and prompt term alone look at the targets of pairs that are computed elsewhere.
        asked = batch if self.config.memory or self.config.lambda_prompt else batch[:1]
        targets = [self.dataset.example(index, epoch).target for index in asked]
        outcomes = GridBatch.pad([target for target in targets if target is not None], self.sides)
        counted = len(self.ranks.mine(len(batch)))
        return Whole(self.keys_of(batch), to_device(outcomes, self.device), places, counted, self.ranks)

    def validate(self, go_on: Callable[[], bool]) -> Validation | None:
        """Answer the validation set, see `Recipe.validate`."""
        size = max(self.config.batch_size, SMALLEST_VALIDATION_BATCH)
        # All hold the language model together, so all go through it as often.
        ranks = ALONE if self.sharded else self.ranks
        if self.on_canvas:
            system = self.models.averaged()
            answers = predict_on_canvas(system, self.test_layouts, self.validation_set, size, go_on, ranks)
        else:
            answers = predict(self.models, self.validation_set, size, go_on, ranks)
        return score(self.validation_set, answers) if len(answers) == len(self.validation_set) else None

    def advise(self, found: Validation, means: Nested, epoch: int) -> Iterable[Finding]:
        """See `Diagnostics.after_validation`."""
        weight = self.models.size_warmup.get_size_loss_weight(epoch)
        ratio = means.get("hard_cells", {}).get("mask_ratio", 0.0)
        return self.diagnostics.after_validation(epoch, weight, ratio, found)
