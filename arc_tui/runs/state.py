"""What a run's events add up to: pure functions from a state and an event to the next state.

Whoever shows a run reduces its events here: the commands of the command line from a log as it stands,
a console batch by batch. The log does not tell that a process was killed: `observed` adds that.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from arc_core.run.commands import SETTABLE
from arc_core.run.directory import stored_config
from arc_core.run.events import Event
from arc_tui.runs.fields import number, text, whole

KEPT_WARNINGS = 50
COMPLETED = "completed"
"""Reason of a run that has trained all its epochs."""


class Phase(enum.StrEnum):
    """What a run is doing, or how it ended."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    SAVING = "saving"
    STOPPED = "stopped"
    CRASHED = "crashed"
    FINISHED = "finished"


@dataclass(frozen=True)
class ValidationResult:
    """One validation; better is more exact inputs, then more exact cells."""

    step: int
    exact: int
    inputs: int
    cell_accuracy: float
    event: Event | None = None

    @property
    def mark(self) -> tuple[int, float]:
        """What validations are compared by."""
        return self.exact, self.cell_accuracy if math.isfinite(self.cell_accuracy) else -1.0


@dataclass(frozen=True)
class SavedCheckpoint:
    """A checkpoint that is on the disk; `bytes` is None where the log does not say."""

    id: int
    step: int
    verified: bool
    bytes: int | None = None


@dataclass(frozen=True)
class Warned:
    """A warning that the run gave."""

    time: float
    code: str
    message: str
    advice: str


@dataclass(frozen=True)
class RunState:
    """A run as its events tell it.

    Attributes:
        activity: What the process was last known to do, saving aside; how it ended if it has.
        saving: Whether a checkpoint is being written.
        reason: What the process said when it ended; None while it has not.
        epoch: 0-based epoch of the last step.
        step: The last step that counts; 0 before the first.
        last_step: The event of that step; None before the first, and between a resume and the next step.
        last_epoch: The event of the last epoch that ended; None again once a resume has taken it back.
        validations: All of them that count, oldest first.
        last_checkpoint: The newest one that is on the disk.
        paused_at: When training came to stand still, in seconds since the epoch; None while it does not.
        warnings: The last of them, oldest first.
        settings: Values of the settings that can change during a run.
        set_at: When run.json got its value of a setting; what was set before that no longer counts.
        best_since: Number of the event after which validations count for the best.
        starts: Processes that have trained the run.
        updated: Time of the last event, in seconds since the epoch; None before the first.
        seq: Number of the last event.
    """

    activity: Phase = Phase.STARTING
    saving: bool = False
    reason: str | None = None
    epoch: int = 0
    step: int = 0
    last_step: Event | None = None
    last_epoch: Event | None = None
    validations: tuple[ValidationResult, ...] = ()
    last_checkpoint: SavedCheckpoint | None = None
    paused_at: float | None = None
    warnings: tuple[Warned, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict[str, object])
    set_at: Mapping[str, float] = field(default_factory=dict[str, float])
    best_since: float = 0.0
    starts: int = 0
    updated: float | None = None
    seq: int = 0

    @property
    def phase(self) -> Phase:
        """The one word for what the run is doing."""
        return Phase.SAVING if self.saving else self.activity

    @property
    def ended(self) -> bool:
        """Whether no process trains the run."""
        return self.activity in (Phase.STOPPED, Phase.CRASHED, Phase.FINISHED)

    @property
    def last_validation(self) -> Event | None:
        """The event of the last validation that counts."""
        return self.validations[-1].event if self.validations else None

    @property
    def best_validation(self) -> ValidationResult | None:
        """The best validation that counts, the earlier of two equal ones."""
        counting = (
            v for v in self.validations if v.event is None or number(v.event, "seq") > self.best_since
        )
        return max(counting, key=lambda found: found.mark, default=None)


def initial(run_json: Mapping[str, Any]) -> RunState:
    """Return the state of a run before its first event, with the settings that run.json gives it."""
    values = stored_config(run_json)
    settings = {name: values[name] for name in SETTABLE if name in values}
    set_at: dict[str, float] = {}
    changes: object = run_json.get("changes")
    for change in cast("list[object]", changes) if isinstance(changes, list) else []:
        if isinstance(change, dict):
            entry = cast("dict[str, Any]", change)
            set_at[str(entry.get("key"))] = number(entry, "time")
    return RunState(settings=settings, set_at=set_at)


def apply(state: RunState, event: Event) -> RunState:
    """Return the state after one more event; one of unknown type changes only `seq` and `updated`."""
    seq, at = event.get("seq"), number(event, "time")
    state = dataclasses.replace(
        state,
        seq=seq if isinstance(seq, int) else state.seq,
        updated=at if math.isfinite(at) else state.updated,
    )
    handler = _HANDLERS.get(str(event.get("type")))
    return handler(state, event) if handler is not None else state


def reduce(events: Iterable[Event], start: RunState | None = None) -> RunState:
    """Return the state after all of the events."""
    state = start if start is not None else RunState()
    for event in events:
        state = apply(state, event)
    return state


def observed(state: RunState, *, alive: bool) -> RunState:
    """Bring a state from the log together with whether a process holds the run's lock.

    A dead run whose log has no end crashed; a living one whose log has ended is starting again.
    """
    if alive and state.ended:
        return dataclasses.replace(state, activity=Phase.STARTING, saving=False, reason=None)
    if not alive and not state.ended:
        return dataclasses.replace(state, activity=Phase.CRASHED, saving=False)
    return state


def _on_start(state: RunState, event: Event) -> RunState:
    del event
    return dataclasses.replace(
        state, activity=Phase.RUNNING, saving=False, reason=None, starts=state.starts + 1
    )


def _on_resumed(state: RunState, event: Event) -> RunState:
    """Take back what came after the checkpoint that the run goes on from."""
    step, identity = whole(event, "step"), event.get("checkpoint")
    saved = state.last_checkpoint
    if isinstance(identity, int) and (saved is None or saved.step > step or saved.id != identity):
        saved = SavedCheckpoint(identity, step, verified=True)
    elif identity is None:
        saved = None
    counts = number(event, "supersedes")
    return dataclasses.replace(
        _on_start(state, event),
        step=step,
        last_step=_if_counts(state.last_step, counts),
        last_epoch=_if_counts(state.last_epoch, counts),
        validations=tuple(found for found in state.validations if _if_counts(found.event, counts)),
        last_checkpoint=saved,
        best_since=state.best_since if state.best_since <= counts else 0.0,
    )


def _if_counts(event: Event | None, last_that_counts: float) -> Event | None:
    return event if event is not None and number(event, "seq") <= last_that_counts else None


def _on_step(state: RunState, event: Event) -> RunState:
    # A step follows at most one save, and none follows a pause: whatever was going on is over.
    activity = Phase.PAUSING if state.activity is Phase.PAUSING else Phase.RUNNING
    return dataclasses.replace(
        state,
        activity=activity,
        saving=False,
        step=whole(event, "step"),
        epoch=whole(event, "epoch"),
        last_step=event,
        starts=max(state.starts, 1),
    )


def _on_epoch(state: RunState, event: Event) -> RunState:
    return dataclasses.replace(state, last_epoch=event)


def _on_validation(state: RunState, event: Event) -> RunState:
    found = ValidationResult(
        whole(event, "step"),
        whole(event, "exact"),
        whole(event, "inputs"),
        number(event, "cell_accuracy"),
        event,
    )
    return dataclasses.replace(state, validations=(*state.validations, found))


def _on_checkpoint(state: RunState, event: Event) -> RunState:
    phase = event.get("phase")
    if phase not in ("saved", "verified"):
        return dataclasses.replace(state, saving=phase == "requested")
    size = event.get("bytes")
    found = SavedCheckpoint(
        whole(event, "id"),
        whole(event, "step"),
        verified=phase == "verified",
        bytes=size if isinstance(size, int) else None,
    )
    return dataclasses.replace(state, saving=not found.verified, last_checkpoint=found)


def _on_paused(state: RunState, event: Event) -> RunState:
    at = number(event, "time")
    return dataclasses.replace(
        state,
        activity=Phase.PAUSED,
        step=whole(event, "step"),
        paused_at=at if math.isfinite(at) else None,
    )


def _on_unpaused(state: RunState, event: Event) -> RunState:
    del event
    return dataclasses.replace(state, activity=Phase.RUNNING, paused_at=None)


def _on_command(state: RunState, event: Event) -> RunState:
    command, new = event.get("command"), event.get("new")
    if command == "pause" and not state.ended:
        return dataclasses.replace(state, activity=Phase.PAUSING)
    if command == "resume" and state.activity is Phase.PAUSING:
        return dataclasses.replace(state, activity=Phase.RUNNING)
    if command != "set" or not isinstance(new, dict):
        return state
    at = number(event, "time")
    values = {
        name: value
        for name, value in cast("dict[str, object]", new).items()
        if not at < state.set_at.get(name, -math.inf)
    }
    return dataclasses.replace(state, settings={**state.settings, **values})


def _on_warning(state: RunState, event: Event) -> RunState:
    found = Warned(
        number(event, "time"), str(event.get("code")), text(event, "message"), text(event, "advice")
    )
    # Validations on other inputs count no more beside those that follow.
    since = number(event, "seq") if found.code == "best_reset" else state.best_since
    return dataclasses.replace(state, best_since=since, warnings=(*state.warnings, found)[-KEPT_WARNINGS:])


def _on_finished(state: RunState, event: Event) -> RunState:
    reason = text(event, "reason")
    activity = Phase.FINISHED if reason == COMPLETED else Phase.STOPPED
    return dataclasses.replace(state, activity=activity, saving=False, reason=reason)


_HANDLERS: dict[str, Callable[[RunState, Event], RunState]] = {
    "run_started": _on_start,
    "resumed": _on_resumed,
    "step": _on_step,
    "epoch": _on_epoch,
    "validation": _on_validation,
    "checkpoint": _on_checkpoint,
    "paused": _on_paused,
    "unpaused": _on_unpaused,
    "command_applied": _on_command,
    "warning": _on_warning,
    "run_finished": _on_finished,
}
