"""How far a run is: what a checkpoint's state.json keeps beside the models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from arc_core.base.errors import CheckpointError
from arc_core.checkpoints.form import require_form
from arc_core.run.checkpoint_index import STATE
from arc_core.training.telemetry import EpochMeans
from arc_core.training.trained_pairs import TrainedPairs

LATER = ("trained", "validated_on", "schedule")
"""Entries that checkpoints of earlier versions lack, all of them or none."""


@dataclass
class Progress:
    """The loop's own state.

    Attributes:
        checkpoint_every: Steps between checkpoints; may be changed while training.
        checkpoint_minutes: Minutes between checkpoints, instead of steps; None counts steps.
        step: Steps taken.
        epoch: 0-based epoch of the next step.
        batch: 0-based batch of the next step in its epoch, as it is counted under the present batch size.
        trained: The pairs that the epoch has been trained on; None where a checkpoint tells the batch alone.
        means: Running means of the epoch.
        best: The best validation's (exact inputs, cell accuracy); empty before the first.
        validated_on: Identity of what the best was measured on; empty where that is not known.
        validated_at: Step of the last validation; None before the first.
        skipped_in_a_row: Steps that were skipped for a number that is not finite, up to now.
        epoch_told: Whether the epoch's event has been sent; it may end by a stop while it is validated.
        epoch_began: Seconds that the run had been trained for when the epoch began.
    """

    checkpoint_every: int
    step: int = 0
    epoch: int = 0
    batch: int = 0
    means: EpochMeans = field(default_factory=EpochMeans)
    best: tuple[float, ...] = ()
    validated_at: int | None = None
    skipped_in_a_row: int = 0
    epoch_told: bool = False
    epoch_began: float = 0.0
    checkpoint_minutes: float | None = None
    trained: TrainedPairs | None = field(default_factory=TrainedPairs)
    validated_on: str = ""

    @property
    def position(self) -> dict[str, int]:
        """Where the next step is."""
        return {"step": self.step, "epoch": self.epoch, "batch": self.batch}

    def next_epoch(self, elapsed_seconds: float) -> None:
        """Go to the first batch of the next epoch."""
        self.epoch, self.batch, self.means = self.epoch + 1, 0, EpochMeans()
        self.epoch_told, self.epoch_began = False, elapsed_seconds
        self.trained = TrainedPairs()

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "position": self.position,
            "means": self.means.state(),
            "best": list(self.best),
            "validated_at": self.validated_at,
            "checkpoint_every": self.checkpoint_every,
            "checkpoint_minutes": self.checkpoint_minutes,
            "skipped_in_a_row": self.skipped_in_a_row,
            "epoch_told": self.epoch_told,
            "epoch_began": self.epoch_began,
            "trained": (self.trained or TrainedPairs()).state(),
            "validated_on": self.validated_on,
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Progress:
        """From a checkpoint.

        Raises:
            CheckpointError: If anything is missing or of another kind.
        """
        form, later = cls(1).state(), any(name in state for name in LATER)
        if later:
            form |= {"schedule": {}}
        else:
            form = {name: part for name, part in form.items() if name not in LATER}
        require_form(state, form, STATE)
        require_form(state["means"]["sums"], EpochMeans.form() if state["means"]["count"] else {}, STATE)
        if len(state["best"]) not in (0, 2):
            raise CheckpointError(f"{STATE}: best has {len(state['best'])} entries, not 2")
        try:
            at, minutes = state["validated_at"], state["checkpoint_minutes"]
            return cls(
                **{name: int(value) for name, value in state["position"].items()},
                means=EpochMeans.restored(state["means"]),
                best=tuple(float(value) for value in state["best"]),
                validated_at=None if at is None else int(at),
                checkpoint_every=int(state["checkpoint_every"]),
                checkpoint_minutes=None if minutes is None else float(minutes),
                skipped_in_a_row=int(state["skipped_in_a_row"]),
                epoch_told=bool(state["epoch_told"]),
                epoch_began=float(state["epoch_began"]),
                trained=TrainedPairs.restored(state["trained"]) if later else None,
                validated_on=str(state["validated_on"]) if later else "",
            )
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"{STATE} is damaged: {error}") from None

    def metrics(self) -> dict[str, Any]:
        """What is shown beside a checkpoint."""
        metrics: dict[str, Any] = {"step": self.step}
        if self.means.count:
            means = self.means.means()
            metrics |= {
                "loss": means["loss"]["combined"],
                "cell_accuracy": means["accuracy"]["cell"],
                "exact": means["accuracy"]["exact"],
            }
            if (reward := means["reward"]["total"]) is not None:
                metrics["reward"] = reward
        if self.best:
            metrics |= {"best_validation_exact": self.best[0], "best_validation_cell_accuracy": self.best[1]}
        return metrics
