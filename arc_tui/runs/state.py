"""What a run's events add up to: pure functions from a state and an event to the next state.

Whoever shows a run reduces its events here: the commands of the command line from a log as it stands,
a console batch by batch. The log does not tell that a process was killed: `observed` adds that.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from arc_core.base.loose import listed, number
from arc_core.run import event_forms as forms
from arc_core.run.commands import changeable
from arc_core.run.directory import stored_config

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
    """One validation; better is a larger score, or else more exact inputs, then more exact cells."""

    step: int
    exact: int
    inputs: int
    cell_accuracy: float
    event: forms.ValidationEvent | None = None
    score: float = math.nan

    @property
    def counted(self) -> bool:
        """Whether it has counted the exact inputs."""
        return not math.isfinite(self.score) if self.event is None else self.event.has("exact")

    @property
    def short(self) -> float:
        """The one number that says most of it."""
        return self.score if math.isfinite(self.score) else self.cell_accuracy

    @property
    def mark(self) -> tuple[float, float]:
        """What validations are compared by."""
        first = self.score if math.isfinite(self.score) else float(self.exact)
        return first, self.cell_accuracy if math.isfinite(self.cell_accuracy) else -1.0


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
        last_evidence: What the run last told of its parts' work; likewise.
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
    last_step: forms.StepEvent | None = None
    last_epoch: forms.EpochEvent | None = None
    last_evidence: forms.EvidenceEvent | None = None
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
    def last_validation(self) -> forms.ValidationEvent | None:
        """The event of the last validation that counts."""
        return self.validations[-1].event if self.validations else None

    @property
    def best_validation(self) -> ValidationResult | None:
        """The best validation that counts, the earlier of two equal ones."""
        counting = (v for v in self.validations if v.event is None or v.event.seq > self.best_since)
        return max(counting, key=lambda found: found.mark, default=None)


def initial(run_json: Mapping[str, Any]) -> RunState:
    """Return the state of a run before its first event, with the settings that run.json gives it."""
    values = stored_config(run_json)
    settings = {name: values[name] for name in changeable(values) if name in values}
    set_at: dict[str, float] = {}
    for change in listed(run_json, "changes"):
        if isinstance(change, dict):
            entry = cast("dict[str, Any]", change)
            set_at[str(entry.get("key"))] = number(entry, "time")
    return RunState(settings=settings, set_at=set_at)


def apply(state: RunState, event: forms.Event) -> RunState:
    """Return the state after one more event; one of unknown type changes only `seq` and `updated`."""
    return dataclasses.replace(state, **_applied(state, event))


def _applied(state: RunState, event: forms.Event) -> dict[str, Any]:
    """Return what one more event changes, by name."""
    updated = event.time if math.isfinite(event.time) else state.updated
    return _changed(state, event) | {"seq": event.seq, "updated": updated}


def _changed(state: RunState, event: forms.Event) -> dict[str, Any]:
    """Return what an event changes beside, by name."""
    match event:
        case forms.StepEvent():
            # A step follows at most one save, and none follows a pause: whatever was going on is over.
            return {
                "activity": Phase.PAUSING if state.activity is Phase.PAUSING else Phase.RUNNING,
                "saving": False,
                "step": event.step,
                "epoch": event.epoch,
                "last_step": event,
                "starts": max(state.starts, 1),
            }
        case forms.RunStartedEvent():
            return _started(state)
        case forms.ResumedEvent():
            return _resumed(state, event)
        case forms.EpochEvent():
            return {"last_epoch": event}
        case forms.EvidenceEvent():
            return {"last_evidence": event}
        case forms.ValidationEvent():
            cells, score = event.cell_accuracy, event.number("score")
            found = ValidationResult(event.step, event.exact, event.inputs, cells, event, score)
            return {"validations": (*state.validations, found)}
        case forms.CheckpointEvent(phase="saved" | "verified"):
            saved = SavedCheckpoint(event.id, event.step, event.phase == "verified", event.bytes)
            return {"saving": not saved.verified, "last_checkpoint": saved}
        case forms.CheckpointEvent():
            return {"saving": event.phase == "requested"}
        case forms.PausedEvent():
            at = event.time if math.isfinite(event.time) else None
            return {"activity": Phase.PAUSED, "step": event.step, "paused_at": at}
        case forms.UnpausedEvent():
            return {"activity": Phase.RUNNING, "paused_at": None}
        case forms.CommandAppliedEvent():
            return _commanded(state, event)
        case forms.WarningEvent():
            warned = Warned(event.time, event.code, event.message, event.advice)
            # Validations on other inputs count no more beside those that follow.
            since = float(event.seq) if event.code == "best_reset" else state.best_since
            return {"best_since": since, "warnings": (*state.warnings, warned)[-KEPT_WARNINGS:]}
        case forms.RunFinishedEvent(reason=reason):
            activity = Phase.FINISHED if reason == COMPLETED else Phase.STOPPED
            return {"activity": activity, "saving": False, "reason": reason}
        case _:
            return {}


def reduce(events: Iterable[forms.Event], start: RunState | None = None) -> RunState:
    """Return the state after all of the events."""
    state = dataclasses.replace(start if start is not None else RunState())
    for event in events:  # in place, as nobody else has this copy yet: making a state is slower
        vars(state).update(_applied(state, event))
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


def _started(state: RunState) -> dict[str, Any]:
    return {"activity": Phase.RUNNING, "saving": False, "reason": None, "starts": state.starts + 1}


def _resumed(state: RunState, event: forms.ResumedEvent) -> dict[str, Any]:
    """Take back what came after the checkpoint that the run goes on from."""
    saved, counts = state.last_checkpoint, event.supersedes
    if event.checkpoint is None:
        saved = None
    elif saved is None or saved.step > event.step or saved.id != event.checkpoint:
        saved = SavedCheckpoint(event.checkpoint, event.step, verified=True)
    step, epoch, evidence = state.last_step, state.last_epoch, state.last_evidence
    return _started(state) | {
        "step": event.step,
        "last_step": step if step is not None and step.seq <= counts else None,
        "last_epoch": epoch if epoch is not None and epoch.seq <= counts else None,
        "last_evidence": evidence if evidence is not None and evidence.seq <= counts else None,
        "validations": tuple(v for v in state.validations if v.event is not None and v.event.seq <= counts),
        "last_checkpoint": saved,
        "best_since": state.best_since if state.best_since <= counts else 0.0,
    }


def _commanded(state: RunState, event: forms.CommandAppliedEvent) -> dict[str, Any]:
    if event.command == "pause" and not state.ended:
        return {"activity": Phase.PAUSING}
    if event.command == "resume" and state.activity is Phase.PAUSING:
        return {"activity": Phase.RUNNING}
    if event.command != "set" or event.new is None:
        return {}
    values = {
        name: value for name, value in event.new.items() if not event.time < state.set_at.get(name, -math.inf)
    }
    return {"settings": {**state.settings, **values}}
