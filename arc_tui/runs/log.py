"""A run's events as the lines of the console's log."""

from __future__ import annotations

from dataclasses import dataclass

from arc_core.run.event_forms import (
    CheckpointEvent,
    CommandAppliedEvent,
    CommandRejectedEvent,
    EpochEvent,
    Event,
    PausedEvent,
    UnknownEvent,
    ValidationEvent,
    WarningEvent,
    kind_of,
)
from arc_tui.runs.sentences import (
    change_text,
    checkpoint_line,
    epoch_line,
    sentence,
    validation_line,
    warning_line,
)


@dataclass(frozen=True)
class LogEntry:
    """One line of the log.

    Attributes:
        seq: Number of the event.
        time: When, in seconds since the epoch; NaN where the event does not say.
        kind: The event's type.
        style: Name of the style that fits: good, warning, error, muted, text.
        text: The line, safe to print.
    """

    seq: int
    time: float
    kind: str
    style: str
    text: str


def entry_of(event: Event) -> LogEntry | None:
    """Return the line that tells of an event, or None for steps and samples."""
    told = _told(event)
    if told is None:
        return None
    return LogEntry(event.seq, event.time, kind_of(event), *told)


def _told(event: Event) -> tuple[str, str] | None:
    match event:
        case EpochEvent():
            return "text", epoch_line(event)
        case ValidationEvent():
            return "text", validation_line(event)
        case CheckpointEvent(phase="requested"):
            return "muted", f"Checkpoint {event.id:05d} requested at step {event.step:,}"
        case CheckpointEvent():
            return _CHECKPOINT_STYLES.get(event.phase, "muted"), checkpoint_line(event)
        case CommandAppliedEvent(command="set"):
            return "good", f"Applied: {change_text(event)}"
        case CommandAppliedEvent():
            return "good", f"Command {event.command} applied"
        case WarningEvent():
            return "warning", warning_line(event)
        case _:
            told = sentence(event, ",")
            return None if told is None else (_STYLES.get(type(event), "good"), told)


_CHECKPOINT_STYLES = {"verified": "good", "failed": "error"}
_STYLES: dict[type[Event], str] = {
    PausedEvent: "warning",
    CommandRejectedEvent: "warning",
    UnknownEvent: "muted",
}
"""Of events that are not simply good."""
