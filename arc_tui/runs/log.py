"""A run's events as the lines of the console's log."""

from __future__ import annotations

from dataclasses import dataclass

from arc_core.run.events import Event
from arc_tui.runs.fields import checkpoint_line, duration, number, text, whole
from arc_tui.runs.marks import change_text


@dataclass(frozen=True)
class Entry:
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


def entry_of(event: Event) -> Entry | None:
    """Return the line that tells of an event, or None for steps, samples and what is unknown."""
    told = _told(event)
    if told is None:
        return None
    return Entry(event["seq"], number(event, "time"), event["type"], *told)


def _told(event: Event) -> tuple[str, str] | None:
    step = f"step {whole(event, 'step'):,}"
    match event["type"]:
        case "run_started":
            return "good", "Training started"
        case "resumed" if event.get("checkpoint") is None:
            return "good", f"Resumed at {step}"
        case "resumed":
            return "good", f"Resumed at {step} from checkpoint {whole(event, 'checkpoint'):05d}"
        case "paused":
            return "warning", f"Paused at {step}"
        case "unpaused":
            return "good", f"Going on at {step}"
        case "epoch":
            return "text", _epoch_text(event)
        case "validation":
            return "text", _validation_text(event)
        case "checkpoint":
            return _checkpoint_told(event)
        case "command_applied" if event.get("command") == "set":
            return "good", f"Applied: {change_text(event)}"
        case "command_applied":
            return "good", f"Command {text(event, 'command')} applied"
        case "command_rejected":
            return "warning", f"Command rejected: {text(event, 'reason')}"
        case "warning":
            advice = text(event, "advice")
            return "warning", text(event, "message") + (f" Advice: {advice}" if advice else "")
        case "run_finished":
            return "good", f"Finished: {text(event, 'reason')}"
        case _:
            return None


def _epoch_text(event: Event) -> str:
    return (
        f"Epoch {whole(event, 'epoch')}: loss {number(event, 'loss.combined'):.3f}"
        f", EFE {number(event, 'loss.efe_total'):.3f}, reward {number(event, 'reward.total'):+.4f}"
        f", cells {number(event, 'accuracy.cell'):.4f}, {duration(number(event, 'seconds'))}"
    )


def _validation_text(event: Event) -> str:
    return (
        f"Validation at step {whole(event, 'step'):,}: {whole(event, 'exact')}/{whole(event, 'inputs')} exact"
        f", cells {number(event, 'cell_accuracy'):.4f}"
        f" (copy {number(event, 'copy_cell_accuracy'):.4f}, black {number(event, 'black_cell_accuracy'):.4f})"
    )


def _checkpoint_told(event: Event) -> tuple[str, str]:
    match event.get("phase"):
        case "requested":
            return "muted", f"Checkpoint {whole(event, 'id'):05d} requested at step {whole(event, 'step'):,}"
        case "verified":
            return "good", checkpoint_line(event)
        case "failed":
            return "error", checkpoint_line(event)
        case _:
            return "muted", checkpoint_line(event)
