"""What happened at a step of a run, as it is marked on a chart's axis."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import cast

from arc_core.base.text import printable
from arc_core.run.events import Event
from arc_tui.runs.fields import number, text, whole
from arc_tui.runs.sentences import change_text, exact_share, origin


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


def mark_of(event: Event, step: int) -> Mark | None:
    """Return the mark that an event leaves, or None for one that leaves none.

    Args:
        event: The event.
        step: The step after which it came, for events that do not name theirs.
    """
    told = _told(event)
    if told is None:
        return None
    kind, words = told
    if "step" in event:
        step = whole(event, "step")
    return Mark(kind, step, event["seq"], number(event, "time"), words)


def nonfinite_mark(step: Event) -> Mark | None:
    """Return the mark of a step in which a number was not finite, or None if all were."""
    names: object = step.get("nonfinite")
    if not isinstance(names, list) or not names:
        return None
    safe = tuple(printable(str(name), 60) for name in cast("list[object]", names)[:50])
    words = f"not finite: {', '.join(safe[:3])}" + (f" and {len(safe) - 3} more" if len(safe) > 3 else "")
    return Mark(MarkKind.NAN, whole(step, "step"), step["seq"], number(step, "time"), words, safe)


def _told(event: Event) -> tuple[MarkKind, str] | None:
    match event["type"]:
        case "checkpoint" if event.get("phase") == "verified":
            return MarkKind.CHECKPOINT, f"checkpoint {whole(event, 'id'):05d}"
        case "checkpoint" if event.get("phase") == "failed":
            return MarkKind.CHECKPOINT_FAILED, f"checkpoint failed: {text(event, 'reason')}"
        case "validation":
            cells = number(event, "cell_accuracy")
            return MarkKind.VALIDATION, f"validation {exact_share(event)}, {cells:.4f} of cells"
        case "command_applied" if event.get("command") == "set":
            return MarkKind.RATE, change_text(event)
        case "warning":
            return MarkKind.WARNING, text(event, "message")
        case "resumed":
            return MarkKind.RESUME, f"resumed{origin(event)}"
        case "epoch":
            return MarkKind.EPOCH, f"end of epoch {whole(event, 'epoch')}"
        case _:
            return None
