"""A run's events as the lines of the console's log."""

from __future__ import annotations

from dataclasses import dataclass

from arc_core.run.events import Event
from arc_tui.runs.fields import number, text, whole
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
    """Return the line that tells of an event, or None for steps, samples and what is unknown."""
    told = _told(event)
    if told is None:
        return None
    return LogEntry(event["seq"], number(event, "time"), event["type"], *told)


def _told(event: Event) -> tuple[str, str] | None:
    kind = event["type"]
    match kind:
        case "epoch":
            return "text", epoch_line(event)
        case "validation":
            return "text", validation_line(event)
        case "checkpoint" if event.get("phase") == "requested":
            return "muted", f"Checkpoint {whole(event, 'id'):05d} requested at step {whole(event, 'step'):,}"
        case "checkpoint":
            style = {"verified": "good", "failed": "error"}.get(str(event.get("phase")), "muted")
            return style, checkpoint_line(event)
        case "command_applied" if event.get("command") == "set":
            return "good", f"Applied: {change_text(event)}"
        case "command_applied":
            return "good", f"Command {text(event, 'command')} applied"
        case "warning":
            return "warning", warning_line(event)
        case _:
            told = sentence(event, f"{whole(event, 'step'):,}")
            style = "warning" if kind in ("paused", "command_rejected") else "good"
            return None if told is None else (style, told)
