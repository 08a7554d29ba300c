"""What happened at a step of a run, as it is marked on a chart's axis."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from arc_core.base.text import printable
from arc_core.run import event_forms as forms
from arc_tui.runs.sentences import change_text, origin, validation_words


class MarkKind(enum.StrEnum):
    """Kinds of marks; `mark.` and the value is the name of the style."""

    CHECKPOINT = "checkpoint"
    CHECKPOINT_FAILED = "checkpoint_failed"
    VALIDATION = "validation"
    RATE = "rate"
    NAN = "nan"
    WARNING = "warning"
    RESUME = "resume"
    EPOCH = "epoch"


GLYPHS = {
    MarkKind.CHECKPOINT: "◆",
    MarkKind.CHECKPOINT_FAILED: "◇",
    MarkKind.VALIDATION: "▲",
    MarkKind.RATE: "↕",
    MarkKind.NAN: "×",
    MarkKind.WARNING: "!",
    MarkKind.RESUME: "↻",
    MarkKind.EPOCH: "┼",
}
"""A glyph for each kind, as colour is never alone."""

PLAIN_GLYPHS = {
    MarkKind.CHECKPOINT: "C",
    MarkKind.CHECKPOINT_FAILED: "F",
    MarkKind.VALIDATION: "V",
    MarkKind.RATE: "R",
    MarkKind.NAN: "x",
    MarkKind.WARNING: "!",
    MarkKind.RESUME: "@",
    MarkKind.EPOCH: "+",
}
"""The same in ASCII."""


@dataclass(frozen=True)
class Mark:
    """Something that happened.

    Attributes:
        kind: What it was.
        step: The step after which it happened, or that it happened in.
        seq: Number of the event.
        time: When, in seconds since the epoch; NaN where the event does not say.
        text: What to say of it, safe to print.
        names: Of numbers that were not finite, their dotted names, safe to print.
    """

    kind: MarkKind
    step: int
    seq: int
    time: float
    text: str
    names: tuple[str, ...] = ()


def mark_of(event: forms.Event, step: int) -> Mark | None:
    """Return the mark that an event leaves, or None for one that leaves none.

    Args:
        event: The event.
        step: The step after which it came, for events that do not name theirs.
    """
    told = _told(event)
    if told is None:
        return None
    if isinstance(event, forms.CheckpointEvent | forms.ValidationEvent | forms.ResumedEvent):
        step = event.step
    return Mark(told[0], step, event.seq, event.time, told[1])


def nonfinite_mark(step: forms.StepEvent) -> Mark | None:
    """Return the mark of a step in which a number was not finite, or None if all were."""
    if not step.nonfinite:
        return None
    safe = tuple(printable(str(name), 60) for name in step.nonfinite[:50])
    words = f"not finite: {', '.join(safe[:3])}" + (f" and {len(safe) - 3} more" if len(safe) > 3 else "")
    return Mark(MarkKind.NAN, step.step, step.seq, step.time, words, safe)


def _told(event: forms.Event) -> tuple[MarkKind, str] | None:
    match event:
        case forms.CheckpointEvent(phase="verified"):
            return MarkKind.CHECKPOINT, f"checkpoint {event.id:05d}"
        case forms.CheckpointEvent(phase="failed"):
            return MarkKind.CHECKPOINT_FAILED, f"checkpoint failed: {event.reason}"
        case forms.ValidationEvent():
            return MarkKind.VALIDATION, f"validation {validation_words(event)}"
        case forms.CommandAppliedEvent(command="set"):
            return MarkKind.RATE, change_text(event)
        case forms.WarningEvent():
            return MarkKind.WARNING, event.message
        case forms.ResumedEvent():
            return MarkKind.RESUME, f"resumed{origin(event)}"
        case forms.EpochEvent():
            return MarkKind.EPOCH, f"end of epoch {event.epoch}"
        case _:
            return None
