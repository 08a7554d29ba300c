"""The numbers of an event by dotted names, as tables and trackers take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeGuard, cast


def flat(content: Mapping[str, object]) -> dict[str, int | float]:
    """Return the numbers of an event and of the groups in it by dotted name; `seq` is only the log's."""
    found: dict[str, int | float] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            for part, number in cast("dict[str, object]", value).items():
                if _is_number(number):
                    found[f"{name}.{part}"] = number
        elif _is_number(value) and name != "seq":
            found[name] = value
    return found


def _is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a number, and not NaN: as that a validation's number reads that was null."""
    return (type(value) is float and value == value) or type(value) is int
