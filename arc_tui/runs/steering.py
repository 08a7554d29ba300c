"""What the user has asked of a run, from the command sent to what came of it; no Textual.

The command line and the console both go by it. The log answers: `command_applied` or `command_rejected` by
the command's id, then the events of what was asked. Until then a request is shown as it stands, so that a key
press is answered at once.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from arc_core.run import event_forms as forms
from arc_core.run.commands import TOO_OLD
from arc_tui.runs.sentences import applied_lines, checkpoint_line, going_on, sentence, validation_words

MOST_SENDS = 3
"""A process that is just starting rejects what was sent before it listened; that is sent again."""


class RequestStage(enum.StrEnum):
    """How far a request is."""

    SENT = "sent"
    APPLIED = "applied"
    DONE = "done"
    REJECTED = "rejected"
    FAILED = "failed"


OPEN = (RequestStage.SENT, RequestStage.APPLIED)
"""Stages of a request whose end is still to come."""


@dataclass(frozen=True)
class Request:
    """One command on its way.

    Attributes:
        id: Of the command, as it was last sent.
        command: One of `arc_core.run.commands.COMMANDS`.
        args: For `set`, the new values.
        stage: How far it is.
        note: What came of it so far, in one line; empty while nothing has.
        sends: How often it was sent.
        checkpoint: The id of the checkpoint that it asked for; None before the run names it.
    """

    id: str
    command: str
    args: Mapping[str, object] = field(default_factory=dict[str, object])
    stage: RequestStage = RequestStage.SENT
    note: str = ""
    sends: int = 1
    checkpoint: int | None = None

    @property
    def line(self) -> str:
        """The request in one line for the user."""
        match self.stage:
            case RequestStage.SENT:
                return f"{_ASKED[self.command]} requested"
            case RequestStage.REJECTED:
                return f"{_ASKED[self.command]} rejected: {self.note}"
            case _:
                return self.note or f"{_ASKED[self.command]} accepted"


_ASKED = {
    "pause": "Pause",
    "resume": "Resume",
    "checkpoint": "Checkpoint",
    "validate": "Validation",
    "stop": "Stop",
    "set": "Change",
}


class Requests:
    """Keeps the requests that are open.

    Attributes:
        to_resend: Rejected by a process that had only just begun: to be sent again and handed to `resent`.
    """

    def __init__(self) -> None:
        self._open: dict[str, Request] = {}
        self.to_resend: list[Request] = []

    @property
    def open(self) -> tuple[Request, ...]:
        """The requests whose end is still to come, oldest first."""
        return tuple(self._open.values())

    def is_open(self, command: str) -> bool:
        """Whether such a command is on its way."""
        return any(request.command == command for request in self._open.values())

    def unanswered(self, command: str) -> bool:
        """Whether such a command was sent and the run has not answered it yet."""
        return any(r.command == command and r.stage is RequestStage.SENT for r in self._open.values())

    def sent(self, identity: str, command: str, args: Mapping[str, object]) -> Request:
        """Note a command that has just been sent."""
        request = Request(identity, command, dict(args))
        self._open[identity] = request
        return request

    def resent(self, request: Request, identity: str) -> None:
        """Note that a request was sent again under another id."""
        self.to_resend.remove(request)
        self._open[identity] = dataclasses.replace(
            request, id=identity, stage=RequestStage.SENT, sends=request.sends + 1
        )

    def take(self, events: Iterable[forms.Event]) -> list[Request]:
        """Follow what the run answers.

        Returns:
            The requests that got further, each as it stands after its event, in their order.
        """
        moved: list[Request] = []
        for event in events:
            if not self._open:
                break
            for request in tuple(self._open.values()):
                after = _moved(request, event)
                if after is None:
                    continue
                too_old = isinstance(event, forms.CommandRejectedEvent) and event.reason == TOO_OLD
                if too_old and after.sends < MOST_SENDS:
                    del self._open[request.id]
                    self.to_resend.append(request)
                    continue
                moved.append(after)
                if after.stage in OPEN:
                    self._open[request.id] = after
                else:
                    del self._open[request.id]
        return moved

    def abandon(self) -> list[Request]:
        """End what is open, as the process that it was sent to has ended; returns it."""
        ended = [
            _now(r, RequestStage.FAILED, f"{_ASKED[r.command]}: the process ended first")
            for r in self._open.values()
            if r.command != "stop"
        ]
        self._open.clear()
        return ended


def _moved(request: Request, event: forms.Event) -> Request | None:
    """Return the request after an event that concerns it; None for any other event."""
    if request.stage is RequestStage.SENT:
        return _answered(request, event)
    match request.command, event:
        case "checkpoint", forms.CheckpointEvent():
            return _checkpoint_moved(request, event)
        case "pause", forms.PausedEvent():
            return _now(request, RequestStage.DONE, sentence(event, ",") or "")
        case "resume", (forms.UnpausedEvent() | forms.StepEvent()):
            return _now(request, RequestStage.DONE, going_on(event, ","))
        case "pause", forms.CommandAppliedEvent(command="resume"):
            return _now(request, RequestStage.FAILED, "Another command let it go on")
        case "validate", forms.ValidationEvent():
            return _now(request, RequestStage.DONE, f"Validated: {validation_words(event)}")
        case "stop", forms.RunFinishedEvent():
            return _now(request, RequestStage.DONE, f"Ended: {event.reason}")
        case _:
            return None


def _answered(request: Request, event: forms.Event) -> Request | None:
    match event:
        case forms.CommandRejectedEvent(id=request.id):
            return _now(request, RequestStage.REJECTED, event.reason)
        case forms.CommandAppliedEvent(id=request.id) if request.command == "set":
            return _now(request, RequestStage.DONE, "; ".join(applied_lines(event)))
        case forms.CommandAppliedEvent(id=request.id):
            return _now(request, RequestStage.APPLIED, _UNDER_WAY.get(request.command, ""))
        case _:
            return None


def _now(request: Request, stage: RequestStage, note: str) -> Request:
    return dataclasses.replace(request, stage=stage, note=note)


_UNDER_WAY = {
    "pause": "Pausing at the next step",
    "validate": "Validating",
    "stop": "Stopping: the run is saved first",
}


def _checkpoint_moved(request: Request, event: forms.CheckpointEvent) -> Request | None:
    if request.checkpoint is None and event.phase == "requested":
        note = f"Checkpoint {event.id:05d} requested"
        return dataclasses.replace(request, checkpoint=event.id, note=note)
    if event.id != request.checkpoint:
        return None
    stages = {"verified": RequestStage.DONE, "failed": RequestStage.FAILED}
    return _now(request, stages.get(event.phase, RequestStage.APPLIED), checkpoint_line(event))
