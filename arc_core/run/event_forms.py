"""The form of every event: one TypedDict each, exactly as the design lists them, and its check.

Beside its own fields every event has `type`, `seq` (rising by one, never restarted) and `time`
(seconds since the epoch). A number that was not finite is null in the file, and its dotted name
stands in `nonfinite`; a step always has that list, other events only when it is not empty. A number
of a part that the run's recipe does not have is null too, and is not in that list.
"""

from __future__ import annotations

import types
import typing
from typing import Any, Literal, TypedDict, cast

Event = dict[str, Any]
"""An event as read from the file: not yet known to have its form."""


NOT_IN_SOLVER = frozenset(
    f"{group}.{name}"
    for group, names in {
        "loss": ("risk", "ambiguity", "step", "bidirectional", "z_anchor", "prompt"),
        "reward": ("total", "d_acc", "d_size", "d_color", "d_rev"),
        "memory": ("ema", "threshold", "entries", "stored"),
        "grad_norm": ("lm", "memory", "efe_loss", "policy"),
        "learning_rate": ("lm", "memory", "efe_loss", "policy"),
    }.items()
    for name in names
)
"""Numbers of a step that the recipe `solver` does not have: null, and not among the `nonfinite`."""


class Loss(TypedDict):
    """Weighted contributions; the first eight add up to efe_total."""

    risk: float | None
    ambiguity: float | None
    step: float | None
    consistency: float
    bidirectional: float | None
    z_anchor: float | None
    prompt: float | None
    size: float
    efe_total: float
    combined: float


class Reward(TypedDict):
    """Means over the batch; total = d_acc + 0.5 (d_size + d_color + d_rev)."""

    total: float | None
    d_acc: float | None
    d_size: float | None
    d_color: float | None
    d_rev: float | None


class HardCells(TypedDict):
    """Share of cells that the refined prediction has wrong."""

    mask_ratio: float


class Curriculum(TypedDict):
    """Weight of the size term in this epoch."""

    size_weight: float


class Memory(TypedDict):
    """State of the memory after this step; `stored` counts this step's pairs."""

    ema: float | None
    threshold: float | None
    entries: int | None
    stored: int | None


class MemoryMeans(TypedDict):
    """The memory's numbers as means over an epoch."""

    ema: float | None
    threshold: float | None
    entries: float | None
    stored: float | None


class Groups(TypedDict):
    """One number for each parameter group."""

    agent: float
    lm: float | None
    memory: float | None
    efe_loss: float | None
    policy: float | None


class Amp(TypedDict):
    """Mixed precision: the scale is 1.0 where nothing is scaled; skipped_steps counts from the start."""

    dtype: str
    scale: float
    skipped_steps: int


class Accuracy(TypedDict):
    """Of this batch's training predictions, at their own predicted sizes."""

    cell: float
    exact: float


class StepEvent(TypedDict):
    """One optimizer step: `step` from 1 and never restarted, `epoch` from 0, `batch` from 0 in its epoch."""

    step: int
    epoch: int
    batch: int
    pairs: int
    pairs_per_second: float
    elapsed_seconds: float
    loss: Loss
    reward: Reward
    hard_cells: HardCells
    curriculum: Curriculum
    memory: Memory
    grad_norm: Groups
    amp: Amp
    learning_rate: Groups
    accuracy: Accuracy
    rule: str


class EpochEvent(TypedDict):
    """The end of an epoch: means of its steps' numbers and the seconds it took."""

    epoch: int
    seconds: float
    pairs: float
    pairs_per_second: float
    loss: Loss
    reward: Reward
    hard_cells: HardCells
    curriculum: Curriculum
    memory: MemoryMeans
    grad_norm: Groups
    learning_rate: Groups
    accuracy: Accuracy


class ValidationEvent(TypedDict):
    """`exact` and `tasks_solved` are counts, out of `inputs` and `tasks`; the accuracies are shares."""

    step: int
    split: str
    inputs: int
    cell_accuracy: float
    exact: int
    tasks: int
    tasks_solved: int
    accuracy_delta: float
    size_accuracy: float
    copy_cell_accuracy: float
    black_cell_accuracy: float


class SampleEvent(TypedDict):
    """One training pair as it is seen and solved: each grid a list of rows, each row a string of digits."""

    step: int
    task: str
    pair: int
    input: list[str]
    before: list[str]
    after: list[str]
    target: list[str]


class CheckpointEvent(TypedDict):
    """A checkpoint on its way; `reason` says why it failed, or why it was asked for."""

    id: int
    step: int
    phase: Literal["requested", "saved", "verified", "failed"]
    reason: str | None
    bytes: int | None
    seconds: float | None


class RunStartedEvent(TypedDict):
    """The first process of a run begins, after `step` steps (0)."""

    step: int


class ResumedEvent(TypedDict):
    """A later process goes on; `supersedes` is the seq of the last event that still counts."""

    step: int
    checkpoint: int | None
    supersedes: int


class PausedEvent(TypedDict):
    """Training stands still."""

    step: int


class UnpausedEvent(TypedDict):
    """Training goes on."""

    step: int


class CommandAppliedEvent(TypedDict):
    """`old` and `new` are what a `set` changed, by name; null for the other commands."""

    id: str
    command: str
    old: object
    new: object


class CommandRejectedEvent(TypedDict):
    """A command that changed nothing."""

    id: str
    reason: str


class WarningEvent(TypedDict):
    """Something looks wrong; `code` is stable, `advice` says what to do."""

    code: str
    message: str
    advice: str


class RunFinishedEvent(TypedDict):
    """The process ends of its own will; if it refused its input, `reason` is the sentence for the user."""

    reason: str


class AdaptationEvent(TypedDict):
    """How far the solver of one task is, and what inputs become now: grids as lists of rows of digits."""

    task: str
    step: int
    steps: int
    loss: float
    seconds: float
    exact: list[bool]
    demonstrations: list[list[str]]
    queries: list[list[str]]


EVENT_TYPES: dict[str, type[Any]] = {
    "run_started": RunStartedEvent,
    "resumed": ResumedEvent,
    "step": StepEvent,
    "epoch": EpochEvent,
    "validation": ValidationEvent,
    "sample": SampleEvent,
    "checkpoint": CheckpointEvent,
    "paused": PausedEvent,
    "unpaused": UnpausedEvent,
    "command_applied": CommandAppliedEvent,
    "command_rejected": CommandRejectedEvent,
    "warning": WarningEvent,
    "run_finished": RunFinishedEvent,
    "adaptation": AdaptationEvent,
}

_HINTS = {name: typing.get_type_hints(form) for name, form in EVENT_TYPES.items()}
_COMMON: dict[str, object] = {"type": str, "seq": int, "time": float}


def validate_event(event: Event) -> list[str]:
    """Compare an event with its form.

    Args:
        event: An event as read from the file.

    Returns:
        What is wrong, one phrase each; empty for an event of exactly the design's form.
    """
    kind = event.get("type")
    if not isinstance(kind, str) or kind not in _HINTS:
        return [f"type: unknown event {kind!r}"]
    hints: dict[str, object] = {**_COMMON, **_HINTS[kind]}
    if kind == "step" or "nonfinite" in event:
        hints["nonfinite"] = list[str]
    names: object = event.get("nonfinite", [])
    nonfinite = {str(n) for n in cast("list[object]", names)} if isinstance(names, list) else set[str]()
    problems = _check_fields(event, hints, "", nonfinite)
    return problems + [
        f"nonfinite: {name} is not null" for name in sorted(nonfinite) if not _null_at(event, name)
    ]


def _check_fields(event: Event, hints: dict[str, object], prefix: str, nonfinite: set[str]) -> list[str]:
    problems = [f"{prefix}{name}: missing" for name in hints if name not in event]
    problems += [f"{prefix}{name}: not part of the form" for name in event if name not in hints]
    for name, hint in hints.items():
        if name in event:
            problems += _check_value(event[name], hint, f"{prefix}{name}", nonfinite)
    return problems


def _check_value(value: object, hint: object, name: str, nonfinite: set[str]) -> list[str]:
    if typing.is_typeddict(hint):
        if not isinstance(value, dict):
            return [f"{name}: {value!r} is not an object"]
        return _check_fields(cast(Event, value), typing.get_type_hints(hint), f"{name}.", nonfinite)
    if _fits(value, hint) or (value is None and hint is float and name in nonfinite):
        return []
    return [f"{name}: {value!r} is not {getattr(hint, '__name__', hint)}"]


def lacks(event: Event, name: str) -> bool:
    """Whether the run that an event is of has no such number: null, and not because it was not finite."""
    named: object = event.get("nonfinite", [])
    return _null_at(event, name) and not (isinstance(named, list) and name in named)


def _fits(value: object, hint: object) -> bool:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is object:
        return True
    if origin is Literal:
        return value in args
    if origin is types.UnionType:
        return any(_fits(value, arg) for arg in args)
    if origin is list:
        return isinstance(value, list) and all(_fits(v, args[0]) for v in cast("list[object]", value))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, cast("type[Any]", hint))


def _null_at(event: Event, name: str) -> bool:
    value: object = event
    for part in name.split("."):
        if isinstance(value, dict) and part in value:
            value = cast("dict[str, object]", value)[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(cast("list[object]", value)):
            value = cast("list[object]", value)[int(part)]
        else:
            return False
    return value is None
