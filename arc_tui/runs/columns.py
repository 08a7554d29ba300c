"""Which numbers of a run's steps are kept, in which order, and how they are taken out of a line."""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, cast

from arc_core.run.declared import Declared
from arc_core.run.event_forms import STEP

_PLACE = ("step", "batch")
"""Where a step stands, which is no curve."""

OF_EVERY_STEP = tuple(name for name, kind in STEP.items() if kind in (int, float) and name not in _PLACE)
"""Numbers that every step has, in no group."""

MISSING = sys.float_info.max
"""Stands among a step's numbers for one that the event does not have, as against one that is null."""


class Columns:
    """The numbers of a step by dotted name; equal ones are one object.

    Attributes:
        names: Their dotted names, those of every step first, then those that the run declares, by group.
        row_of: The place of each among them.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.row_of: Mapping[str, int] = {name: row for row, name in enumerate(names)}
        parted = [name.rpartition(".") for name in names]
        self._runs = [
            (group, [own for *_, own in run])
            for group, run in itertools.groupby(parted, lambda part: part[0])
        ]
        self._single = _getter(self._runs[0][1])
        self._getters = tuple((group, _getter(own)) for group, own in self._runs[1:])

    @staticmethod
    def of(declared: Declared) -> Columns:
        """Return those of a run that declares this."""
        return _columns((*OF_EVERY_STEP, *declared.names))

    def __len__(self) -> int:
        return len(self.names)

    def with_those_of(self, other: Columns) -> Columns:
        """Return these, and behind them what only the other has."""
        if other is self:
            return self
        return _columns(tuple(dict.fromkeys((*self.names, *other.names))))

    def values_of(self, line: dict[str, Any]) -> list[Any]:
        """Take the numbers out of a step's line, in this order; they are not checked.

        Returns:
            None for a number that was not finite, `MISSING` for one that the line does not have.
        """
        try:
            values = [*self._single(line)]
            for group, numbers in self._getters:
                values += numbers(line[group])
        except (KeyError, TypeError, AttributeError, IndexError):
            values = self._one_by_one(line)
        named: object = line.get("nonfinite")
        if isinstance(named, list) and None in values:
            # A null that is not named there is a number that the run does not have.
            known = zip(self.names, values, strict=True)
            values = [MISSING if v is None and name not in named else v for name, v in known]
        return values

    def _one_by_one(self, line: dict[str, Any]) -> list[Any]:
        found: list[Any] = []
        for group, names in self._runs:
            part: object = line.get(group) if group else line
            values = cast("dict[str, object]", part) if isinstance(part, dict) else {}
            found += [usable(values[name]) if name in values else MISSING for name in names]
        return found


@functools.lru_cache(64)
def _columns(names: tuple[str, ...]) -> Columns:
    return Columns(names)


def usable(value: object) -> float | None:
    """Return a number, None for null, `MISSING` for what is neither."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return MISSING
    try:
        return float(value)
    except OverflowError:
        return MISSING


def _getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) == 1:
        name = names[0]
        return lambda group: (group[name],)
    return cast("Callable[[Any], tuple[Any, ...]]", itemgetter(*names))
