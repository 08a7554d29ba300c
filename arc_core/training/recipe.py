"""What a recipe is: everything of a run that is not the loop's. The seed's pipeline is the first of them.

A recipe has data, models, a step and a validation. The loop has the rest: process, lock, events, commands,
checkpoints, exact resume, pauses, saving beside the training, schedules, and what to do about a step that is
not finite.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch

from arc_core.data.tasks import TaskSet
from arc_core.run.config import TrainConfig
from arc_core.run.declared import Declared
from arc_core.run.evidence import Evidence
from arc_core.training.diagnostics import Finding
from arc_core.training.preflight import Estimate
from arc_core.training.progress import PairKey, Progress
from arc_core.training.ranks import ALONE, Ranks
from arc_core.training.resuming import Trainable, Warn
from arc_core.training.telemetry import Nested, Validation

B = TypeVar("B")
"""What one batch is planned as."""


@dataclass(frozen=True)
class SampledPair:
    """One pair as it was seen and solved.

    Attributes:
        grids: By their declared names: arrays, tensors or lists of rows of colours 0 to 9.
        task: Id of its task; empty where there is none.
        pair: Its place among the task's pairs.
    """

    grids: Mapping[str, Any]
    task: str = ""
    pair: int = 0


@dataclass(frozen=True)
class Step:
    """What one step did.

    Attributes:
        pairs: How many pairs it was trained on.
        numbers: By declared group, each numbers by name.
        applied: Whether the optimizers stepped, its numbers finite.
        sample: Gives a pair of the batch, which is shown every so often; None where there is none.
        rule: A sentence about what was trained on.
        findings: What looks wrong.
        evidence: What parts of the run do; told as often as samples are.
    """

    pairs: int
    numbers: Mapping[str, Mapping[str, Any]]
    applied: bool = True
    sample: Callable[[], SampledPair] | None = None
    rule: str | None = None
    findings: Iterable[Finding] = ()
    evidence: Sequence[Evidence] = ()


@dataclass(frozen=True)
class Data:
    """What a run is trained and validated on.

    Attributes:
        tasks: ARC tasks that it is trained on, of which run.json keeps the digests; None for other data.
        validated_on: Identity of what validations answer, as by `validation_print`; empty for nothing.
        generated: What run.json keeps of further data, by entry, as by `describe_pairs`.
    """

    tasks: TaskSet | None = None
    validated_on: str = ""
    generated: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])


class Recipe(ABC, Generic[B]):
    """What a run trains and how.

    The loop calls `declared`, `load`, `estimate` and `build` once and in this order, then `plan_epoch`,
    `step` and `validate`. What it must be able to go on from lies in the models that `build` makes: a recipe
    itself keeps nothing between two steps that a later step depends on.

    Args:
        config: The run's settings, of the class `Config`.
        device: Where to compute.
        warn: Tells a warning.

    Attributes:
        models: What `build` made.
        ranks: The processes that train together; `batch_size` is of each, and a batch of all.
    """

    Config: ClassVar[type[TrainConfig]] = TrainConfig
    """Its settings: a dataclass of `arc_core.base.options.option` fields over the common ones."""

    MEMORY_ADVICE: ClassVar[str] = (
        "Take a smaller batch (--batch-size), or try the first batches alone (--max-batches 100)."
    )
    """What to do where memory runs out."""

    SEVERAL: ClassVar[bool] = False
    """Whether `step` and `validate` share their work among the processes of `ranks`."""

    models: Any
    ranks: Ranks = ALONE

    def __init__(self, config: TrainConfig, device: torch.device, warn: Warn) -> None:
        self.config: Any = config
        self.device = device
        self.warn = warn

    @abstractmethod
    def load(self) -> Data:
        """Load what it is trained and validated on; raises DataError where that is bad."""

    @abstractmethod
    def declared(self) -> Declared:
        """What its steps and samples carry."""

    def estimate(self, checkpoint: Path | None) -> Estimate | None:
        """What it will need of memory and disk, from its settings alone; None where it cannot tell.

        Args:
            checkpoint: What the run goes on from; None where it begins.
        """
        del checkpoint
        return None

    @abstractmethod
    def build(self, checkpoint: Path | None) -> Trainable:
        """Make the models, or restore them with their optimizers; torch's generators are seeded by then.

        `arc_core.training.models.Models` serves most recipes.

        Args:
            checkpoint: The folder to restore them from; None where the run begins.

        Raises:
            CheckpointError: If anything in it is missing or does not fit; names it.
        """

    def noted(self, run_json: Mapping[str, Any]) -> Mapping[str, Any]:
        """What run.json is to keep of the models, by entry; called when they are built.

        Args:
            run_json: What it holds so far.
        """
        del run_json
        return {}

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
        """The pairs of a batch: for each its task's id and its place among the task's pairs."""

    @abstractmethod
    def step(self, batch: B, at: Progress) -> Step:
        """Train on a batch.

        Args:
            batch: One of `plan_epoch`.
            at: How far the run is: `at.step` steps were taken before this one, `at.epoch` is its epoch.
        """

    def validate(self, go_on: Callable[[], bool]) -> Validation | None:
        """Answer what is validated on, and score it.

        Args:
            go_on: To be asked now and then; False when the validation is to end there.

        Returns:
            What was found; None if it was to end.

        Raises:
            NotImplementedError: In a recipe that has something to validate on and does not say how.
        """
        raise NotImplementedError

    def advise(self, found: Validation, means: Nested, epoch: int) -> Iterable[Finding]:
        """What a validation at the end of a 0-based epoch gives reason to say, with the epoch's means."""
        del found, means, epoch
        return ()
