"""The fields of an event as numbers and texts that are safe to print, and the units they are shown in."""

from __future__ import annotations

import math
from typing import cast

from arc_core.base.text import printable
from arc_core.run.event_forms import Event

NOT_PART = "not part of this recipe"
"""Stands for a number that a run of this recipe does not have."""


def number(event: Event, dotted: str) -> float:
    """Return a number of an event by its dotted name; NaN where it is null or missing."""
    value: object = event
    for part in dotted.split("."):
        value = cast("dict[str, object]", value).get(part) if isinstance(value, dict) else None
    try:
        return float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:  # a damaged log may hold an integer of any length
        return math.nan


def whole(event: Event, dotted: str) -> int:
    """Return a count of an event by its dotted name; 0 where it is missing."""
    value = number(event, dotted)
    return int(value) if math.isfinite(value) else 0


def text(event: Event, name: str) -> str:
    """Return a text field of an event, safe to print."""
    return printable(str(event.get(name, "")), 2000)


def size(count: float) -> str:
    """Write a number of bytes in the unit that fits."""
    if not math.isfinite(count):
        return "size unknown"
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """Write a time span as h:mm:ss; `-:--:--` when it is not known."""
    if not math.isfinite(seconds):
        return "-:--:--"
    total = max(0, round(seconds))
    return f"{total // 3600}:{total // 60 % 60:02d}:{total % 60:02d}"
