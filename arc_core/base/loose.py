"""Numbers of a JSON object that may be damaged: what is missing or of a wrong type never raises."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast


def number(content: Mapping[str, object], dotted: str) -> float:
    """Return a number by its dotted name; NaN where it is null or missing."""
    value: object = content
    for part in dotted.split("."):
        value = cast("dict[str, object]", value).get(part) if isinstance(value, dict) else None
    try:
        return float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:  # a damaged file may hold an integer of any length
        return math.nan


def whole(content: Mapping[str, object], dotted: str) -> int:
    """Return a count by its dotted name; 0 where it is missing."""
    value = number(content, dotted)
    return int(value) if math.isfinite(value) else 0


def null_at(content: Mapping[str, object], name: str) -> bool:
    """Whether there is null under a dotted name; the parts of a list are named by their place."""
    value: object = content
    for part in name.split("."):
        if isinstance(value, dict) and part in value:
            value = cast("dict[str, object]", value)[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(cast("list[object]", value)):
            value = cast("list[object]", value)[int(part)]
        else:
            return False
    return value is None


def listed(content: Mapping[str, object], name: str) -> list[object]:
    """Return a list; empty where there is none."""
    value = content.get(name)
    return cast("list[object]", value) if isinstance(value, list) else []


def mapping(content: Mapping[str, object], name: str) -> Mapping[str, object] | None:
    """Return an object within it; None where there is none."""
    value = content.get(name)
    return cast("dict[str, object]", value) if isinstance(value, dict) else None
