"""How far a run is, and which pairs its epoch has been trained on: what state.json keeps beside the models.

A plan of batches follows from the settings: with another batch size on resuming it is another plan, and a
place in the old one means nothing in it. What was trained means the same in both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from arc_core.base.errors import CheckpointError
from arc_core.checkpoints.form import require_form
from arc_core.run.checkpoint_index import STATE
from arc_core.run.declared import Declared
from arc_core.training.telemetry import EpochMeans

PairKey = tuple[str, int]
"""A task's id, and the 0-based place of a pair among its pairs."""


@dataclass
class TrainedPairs:
    """The pairs that an epoch has been trained on.

    Attributes:
        before: Under plans that are followed no more.
        since: Under the present plan, which leaves out those before.
    """

    before: set[PairKey] = field(default_factory=set)
    since: set[PairKey] = field(default_factory=set)

    def replan(self) -> None:
        """Begin a plan of what is left."""
        self.before, self.since = self.before | self.since, set()

    def followed(self, plan: Sequence[Iterable[PairKey]]) -> int | None:
        """How many batches of a plan have been trained; None if something else was."""
        seen: set[PairKey] = set()
        for count, batch in enumerate(plan):
            if len(seen) >= len(self.since):
                return count if seen == self.since else None
            seen.update(batch)
        return len(plan) if seen == self.since else None

    def state(self) -> dict[str, Any]:
        """For a checkpoint: each task with its pairs before and since, as hexadecimal bits by place."""
        bits: dict[str, list[int]] = {}
        for place, keys in enumerate((self.before, self.since)):
            for task, pair in keys:
                bits.setdefault(task, [0, 0])[place] |= 1 << pair
        return {
            "pairs": len(self.before) + len(self.since),
            "tasks": {task: [f"{part:x}" for part in parts] for task, parts in sorted(bits.items())},
        }

    @classmethod
    def restored(cls, state: object) -> TrainedPairs:
        """From a checkpoint.

        Raises:
            CheckpointError: If anything is missing or of another kind.
        """
        require_form(state, {"pairs": 0, "tasks": {}}, STATE, "trained")
        saved = cast("dict[str, Any]", state)
        tasks: Mapping[str, object] = saved["tasks"]
        require_form(tasks, {task: ["", ""] for task in tasks}, STATE, "trained.tasks")
        try:
            sets = [
                {(task, pair) for task, parts in tasks.items() for pair in _places(cast("Any", parts)[part])}
                for part in (0, 1)
            ]
        except ValueError as error:
            raise CheckpointError(f"{STATE}: trained.tasks is damaged: {error}") from None
        if len(sets[0]) + len(sets[1]) != saved["pairs"]:
            raise CheckpointError(
                f"{STATE}: trained.tasks does not hold the {saved['pairs']} pairs it should"
            )
        return cls(*sets)


def _places(bits: str) -> list[int]:
    number = int(bits, 16)
    if number < 0:
        raise ValueError(f"{bits} is below 0")
    return [place for place in range(number.bit_length()) if number >> place & 1]


LATER = ("trained", "validated_on", "schedule")
"""Entries that checkpoints of earlier versions lack, all of them or none."""


@dataclass
class Progress:
    """The loop's own state.

    Attributes:
        checkpoint_every: Steps between checkpoints; may be changed while training.
        declared: What steps carry; no part of the state.
        checkpoint_minutes: Minutes between checkpoints, instead of steps; None counts steps.
        step: Steps taken.
        epoch: 0-based epoch of the next step.
        batch: 0-based batch of the next step in its epoch, as it is counted under the present batch size.
        trained: The pairs that the epoch has been trained on; None where a checkpoint tells the batch alone.
        means: Running means of the epoch.
        best: The best validation's (exact inputs, cell accuracy), or (score, cell accuracy, 1); empty before
            the first.
        validated_on: Identity of what the best was measured on; empty where that is not known.
        validated_at: Step of the last validation; None before the first.
        without_best: Validations in a row up to now that were no new best.
        skipped_in_a_row: Steps that were skipped for a number that is not finite, up to now.
        epoch_told: Whether the epoch's event has been sent; it may end by a stop while it is validated.
        epoch_began: Seconds that the run had been trained for when the epoch began.
    """

    checkpoint_every: int
    declared: Declared
    step: int = 0
    epoch: int = 0
    batch: int = 0
    means: EpochMeans = field(init=False)
    best: tuple[float, ...] = ()
    validated_at: int | None = None
    without_best: int = 0
    skipped_in_a_row: int = 0
    epoch_told: bool = False
    epoch_began: float = 0.0
    checkpoint_minutes: float | None = None
    trained: TrainedPairs | None = field(default_factory=TrainedPairs)
    validated_on: str = ""

    def __post_init__(self) -> None:
        """Begin the epoch's means."""
        self.means = EpochMeans(self.declared)

    @property
    def position(self) -> dict[str, int]:
        """Where the next step is."""
        return {"step": self.step, "epoch": self.epoch, "batch": self.batch}

    def next_epoch(self, elapsed_seconds: float) -> None:
        """Go to the first batch of the next epoch."""
        self.epoch, self.batch, self.means = self.epoch + 1, 0, EpochMeans(self.declared)
        self.epoch_told, self.epoch_began = False, elapsed_seconds
        self.trained = TrainedPairs()

    def validated(self, mark: tuple[float, ...]) -> bool:
        """Take note of a validation; whether it is the best so far."""
        improved = mark > self.best
        self.best = max(mark, self.best)
        self.validated_at, self.without_best = self.step, 0 if improved else self.without_best + 1
        return improved

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "position": self.position,
            "means": self.means.state(),
            "best": list(self.best),
            "validated_at": [self.validated_at, self.without_best],
            "checkpoint_every": self.checkpoint_every,
            "checkpoint_minutes": self.checkpoint_minutes,
            "skipped_in_a_row": self.skipped_in_a_row,
            "epoch_told": self.epoch_told,
            "epoch_began": self.epoch_began,
            "trained": (self.trained or TrainedPairs()).state(),
            "validated_on": self.validated_on,
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any], declared: Declared) -> Progress:
        """From a checkpoint.

        Raises:
            CheckpointError: If anything is missing or of another kind.
        """
        form, later = cls(1, declared).state(), any(name in state for name in LATER)
        if later:
            form |= {"schedule": {}}
        else:
            form = {name: part for name, part in form.items() if name not in LATER}
        if not isinstance(state.get("validated_at"), list):  # before patience it was the step alone
            form["validated_at"] = None
        require_form(state, form, STATE)
        sums = EpochMeans.form(declared) if state["means"]["count"] else {}
        require_form(state["means"]["sums"], sums, STATE)
        if len(state["best"]) not in (0, 2, 3):
            raise CheckpointError(f"{STATE}: best has {len(state['best'])} entries, not 2 or 3")
        try:
            at, minutes = state["validated_at"], state["checkpoint_minutes"]
            at, without_best = at if isinstance(at, list) else (at, 0)
            found = cls(
                declared=declared,
                **{name: int(value) for name, value in state["position"].items()},
                best=tuple(float(value) for value in state["best"]),
                validated_at=None if at is None else int(at),
                without_best=int(without_best),
                checkpoint_every=int(state["checkpoint_every"]),
                checkpoint_minutes=None if minutes is None else float(minutes),
                skipped_in_a_row=int(state["skipped_in_a_row"]),
                epoch_told=bool(state["epoch_told"]),
                epoch_began=float(state["epoch_began"]),
                trained=TrainedPairs.restored(state["trained"]) if later else None,
                validated_on=str(state["validated_on"]) if later else "",
            )
            found.means = EpochMeans.restored(state["means"], declared)
            return found
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"{STATE} is damaged: {error}") from None

    def metrics(self) -> dict[str, Any]:
        """What is shown beside a checkpoint."""
        metrics: dict[str, Any] = {"step": self.step}
        means = self.means.means()
        for label, dotted in self.declared.metrics.items():
            group, _, name = dotted.partition(".")
            if (mean := means.get(group, {}).get(name)) is not None:
                metrics[label] = mean
        if self.best:
            what = "score" if len(self.best) == 3 else "exact"
            metrics |= {
                f"best_validation_{what}": self.best[0],
                "best_validation_cell_accuracy": self.best[1],
            }
        return metrics


class PlansEpochs(Protocol):
    """What plans an epoch's batches, see `Recipe`."""

    def plan_epoch(self, epoch: int, left_out: Collection[PairKey] = ()) -> Sequence[Any]:
        """The batches of an epoch."""
        ...

    def keys_of(self, batch: Any) -> Iterable[PairKey]:
        """The pairs of a batch."""
        ...


def rest_of_epoch(progress: Progress, recipe: PlansEpochs, most: int | None) -> Sequence[Any]:
    """The batches still to train in an epoch: of its plan, or of a new one where it is another now.

    Args:
        progress: How far the run is; its batch is counted anew under a new plan.
        recipe: Plans the epoch.
        most: Batches of an epoch; None is all.
    """
    trained = progress.trained = progress.trained or TrainedPairs()
    whole = plan = recipe.plan_epoch(progress.epoch)
    if trained.before:
        plan = recipe.plan_epoch(progress.epoch, trained.before)
    batches = min(len(whole), most or len(whole))
    done = trained.followed([list(recipe.keys_of(batch)) for batch in plan])
    if done is not None:
        progress.batch = progress.batch if trained.before else done
        return plan[done:][: max(0, batches - progress.batch)]
    trained.replan()
    rest = recipe.plan_epoch(progress.epoch, trained.before)
    if most is not None:
        rest = rest[: max(0, most - progress.batch)]
    progress.batch = max(0, batches - len(rest))  # so that the epoch's last batch has the last number
    return rest
