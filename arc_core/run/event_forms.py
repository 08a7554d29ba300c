"""The form of every event: one dataclass each, of which reading a line and checking it derive.

Beside its own fields every event has `type`, `seq` (rising by one, never restarted) and `time`
(seconds since the epoch). A number that was not finite is null in the file, and its dotted name
stands in `nonfinite`; a step always has that list, other events only when it is not empty. What groups
of numbers steps and epochs carry, and what grids samples do, the run declares (`run.declared`). In
earlier versions a number of a part that the run did not have was null, and not in that list.

Reading never fails on a field: a damaged number reads as NaN, a damaged count as 0, a missing text as
the empty one, anything else as None or empty. Texts are safe to print once they are read. Where the
file's form is not the type that is read, `Annotated` names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from arc_core.base.loose import listed, mapping, number, whole
from arc_core.base.text import printable

STEP: dict[str, object] = {
    "step": int,
    "epoch": int,
    "batch": int,
    "pairs": int,
    "pairs_per_second": float,
    "elapsed_seconds": float,
    "nonfinite": list[str],
}
"""The fields of every step as the file has them, each with its type; its groups stand beside them."""

EPOCH: dict[str, object] = {"epoch": int, "seconds": float, "pairs": float, "pairs_per_second": float}
"""The fields of every epoch, likewise."""

VALIDATION: dict[str, object] = {
    "step": int,
    "split": str,
    "inputs": int,
    "cell_accuracy": float,
    "exact": int,
    "tasks": int,
    "tasks_solved": int,
    "accuracy_delta": float,
    "size_accuracy": float,
    "copy_cell_accuracy": float,
    "black_cell_accuracy": float,
    "score": float,
    "numbers": dict,
}
"""The fields of a validation, all but the first two only where they are measured. `exact` and `tasks_solved`
are counts, out of `inputs` and `tasks`; the accuracies are shares; `numbers` holds what else was measured."""

RULE = "rule"
"""A sentence that a step may tell of what it was trained on."""


@dataclass(frozen=True, slots=True)
class Event:
    """What every event tells: its number, and when it was written (NaN where the line does not say)."""

    seq: int
    time: float


@dataclass(frozen=True, slots=True)
class UnknownEvent(Event):
    """An event of a kind that this version does not know."""

    kind: str
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class MeasuredEvent(Event):
    """An event of many numbers, which are read by their dotted names, like `loss.risk`."""

    fields: Mapping[str, object]
    """The whole line."""

    @property
    def epoch(self) -> int:
        """The epoch, from 0."""
        return whole(self.fields, "epoch")

    @property
    def nonfinite(self) -> list[object]:
        """Dotted names of the numbers that were not finite; not yet safe to print."""
        return listed(self.fields, "nonfinite")

    def number(self, dotted: str) -> float:
        """Return a number; NaN where it is null or missing."""
        return number(self.fields, dotted)

    def count(self, dotted: str) -> int:
        """Return a count; 0 where it is null or missing."""
        return whole(self.fields, dotted)

    def group(self, name: str) -> Mapping[str, object]:
        """Return the numbers of a group as the line has them; empty where it has no such group."""
        return mapping(self.fields, name) or {}


@dataclass(frozen=True, slots=True)
class StepEvent(MeasuredEvent):
    """One optimizer step: `step` from 1 and never restarted, `epoch` from 0, `batch` from 0 in its epoch."""

    fields: Annotated[Mapping[str, object], STEP]

    @property
    def step(self) -> int:
        """Its number."""
        return whole(self.fields, "step")

    @property
    def batch(self) -> int:
        """Its place in the epoch."""
        return whole(self.fields, "batch")

    @property
    def rule(self) -> str | None:
        """The sentence that the language model was given; not yet safe to print."""
        rule = self.fields.get("rule")
        return rule if isinstance(rule, str) else None


@dataclass(frozen=True, slots=True)
class EpochEvent(MeasuredEvent):
    """The end of an epoch: means of its steps' numbers and the seconds it took."""

    fields: Annotated[Mapping[str, object], EPOCH]


@dataclass(frozen=True, slots=True)
class ValidationEvent(MeasuredEvent):
    """What a validation found; a run tells what of `VALIDATION` it measures.

    The best validation has the largest score, where validations have one, else the most exact inputs, then
    the most right cells. A count that is missing reads as 0, a share as NaN.
    """

    fields: Annotated[Mapping[str, object], VALIDATION]

    @property
    def step(self) -> int:
        """The step that it followed."""
        return whole(self.fields, "step")

    @property
    def split(self) -> str:
        """What the inputs are of; safe to print."""
        split = self.fields.get("split")
        return printable(split, 100) if isinstance(split, str) else ""

    @property
    def inputs(self) -> int:
        """How many inputs were answered."""
        return whole(self.fields, "inputs")

    @property
    def exact(self) -> int:
        """How many of them are right in every cell."""
        return whole(self.fields, "exact")

    @property
    def cell_accuracy(self) -> float:
        """Share of right cells."""
        return number(self.fields, "cell_accuracy")

    def has(self, name: str) -> bool:
        """Whether it tells a number, finite or not."""
        return name in self.fields


@dataclass(frozen=True, slots=True)
class SampleEvent(Event):
    """One training pair as it is seen and solved; the grids are not checked yet."""

    step: int
    task: str
    pair: int
    grids: Annotated[Mapping[str, object], {}]
    """By name, each a list of rows, each row a string of digits."""


@dataclass(frozen=True, slots=True)
class EvidenceEvent(Event):
    """What parts of the run do, as its recipe judges it: objects of `name`, `work`, `value` and `reason`."""

    step: int
    lines: list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class DeclaredEvent(Event):
    """What the run's steps carry has changed; run.json has it."""

    step: int


@dataclass(frozen=True, slots=True)
class CheckpointEvent(Event):
    """A checkpoint on its way; `reason` says why it failed, or why it was asked for."""

    id: int
    step: int
    phase: Annotated[str, Literal["requested", "saved", "verified", "failed"]]
    reason: Annotated[str, str | None]
    bytes: int | None
    seconds: Annotated[float, float | None]


@dataclass(frozen=True, slots=True)
class RunStartedEvent(Event):
    """The first process of a run begins, after `step` steps (0)."""

    step: int


@dataclass(frozen=True, slots=True)
class ResumedEvent(Event):
    """A later process goes on; `supersedes` is the seq of the last event that still counts."""

    step: int
    checkpoint: int | None
    supersedes: Annotated[float, int]
    """NaN where the line does not say: then it takes nothing back."""


@dataclass(frozen=True, slots=True)
class PausedEvent(Event):
    """Training stands still."""

    step: int


@dataclass(frozen=True, slots=True)
class UnpausedEvent(Event):
    """Training goes on."""

    step: int


@dataclass(frozen=True, slots=True)
class CommandAppliedEvent(Event):
    """`old` and `new` are what a `set` changed, by name; null for the other commands."""

    id: str
    command: str
    old: Mapping[str, object] | None
    new: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class CommandRejectedEvent(Event):
    """A command that changed nothing."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class WarningEvent(Event):
    """Something looks wrong; `code` is stable, `advice` says what to do."""

    code: str
    message: str
    advice: str


@dataclass(frozen=True, slots=True)
class RunFinishedEvent(Event):
    """The process ends of its own will; if it refused its input, `reason` is the sentence for the user."""

    reason: str


@dataclass(frozen=True, slots=True)
class AdaptationEvent(Event):
    """How far the solver of one task is, and what inputs become now: grids as lists of rows of digits."""

    task: str
    step: int
    steps: int
    loss: float
    seconds: float
    exact: list[bool]
    demonstrations: list[list[str]]
    queries: list[list[str]]
    start: int | None
    """Which agent of the task this is, from 1, and how many there are to be; None in earlier versions."""
    starts: int | None


EVENT_TYPES: dict[str, type[Event]] = {
    "run_started": RunStartedEvent,
    "resumed": ResumedEvent,
    "step": StepEvent,
    "epoch": EpochEvent,
    "validation": ValidationEvent,
    "sample": SampleEvent,
    "evidence": EvidenceEvent,
    "declared": DeclaredEvent,
    "checkpoint": CheckpointEvent,
    "paused": PausedEvent,
    "unpaused": UnpausedEvent,
    "command_applied": CommandAppliedEvent,
    "command_rejected": CommandRejectedEvent,
    "warning": WarningEvent,
    "run_finished": RunFinishedEvent,
    "adaptation": AdaptationEvent,
}

NOTED = (RunStartedEvent, ResumedEvent, DeclaredEvent)
"""Events before which the training process notes something in run.json."""

KINDS = {form: kind for kind, form in EVENT_TYPES.items()}


def kind_of(event: Event) -> str:
    """Return the event's type as the file writes it, safe to print."""
    return event.kind if isinstance(event, UnknownEvent) else KINDS[type(event)]
