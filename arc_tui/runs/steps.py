"""The numbers of step events as columns, taken out of the events once and cheaply."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from arc_core.run.event_forms import GROUPS, STEP, StepEvent

MOST_STEPS = 1 << 31
"""A step beyond this comes from a damaged log and is left out."""

LARGEST, SMALLEST = 3e38, 1e-37
"""Larger numbers are kept as this, smaller ones as 0: what is stored is single precision."""

_PLACE = ("step", "batch")
"""Where a step stands, which is no curve."""

_SINGLE = tuple(name for name, kind in STEP.items() if kind in (int, float) and name not in _PLACE)
_GROUPS = {"": _SINGLE, **GROUPS}
"""The numeric fields of a step by their group, those in no group under the empty name."""

NUMBERS = tuple(f"{group}.{name}".lstrip(".") for group, names in _GROUPS.items() for name in names)
"""Dotted names of a step's numbers, in the order of a table's rows."""

NumberRow = tuple[int, int, list[Any]]
"""Step and seq of an event, and its numbers in the order of `NUMBERS`; they are not checked yet."""

ROW_OF = {name: row for row, name in enumerate(NUMBERS)}


@dataclass(frozen=True)
class StepTable:
    """Numbers of n steps, in the order of the log.

    Attributes:
        steps: [n] int64.
        seqs: [n] int64, numbers of the events.
        values: [len(NUMBERS), n] float64; NaN where `bad`, or where the event lacks the number.
        bad: [len(NUMBERS), n] bool, where the event has null in place of a number that was not finite.
    """

    steps: NDArray[np.int64]
    seqs: NDArray[np.int64]
    values: NDArray[np.float64]
    bad: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.steps)

    def select(self, keep: NDArray[Any]) -> StepTable:
        """Return the steps that an index or a mask picks."""
        return StepTable(self.steps[keep], self.seqs[keep], self.values[:, keep], self.bad[:, keep])


def step_table(events: Sequence[StepEvent]) -> StepTable:
    """Take the numbers out of step events; an event without a usable step is left out."""
    return table_of_rows([row for event in events if (row := number_row(event)) is not None])


def table_of_rows(rows: Sequence[NumberRow]) -> StepTable:
    """Make a table of rows from `number_row`."""
    if not rows:
        empty = np.zeros((len(NUMBERS), 0))
        return StepTable(np.zeros(0, np.int64), np.zeros(0, np.int64), empty, empty.astype(bool))
    try:
        numbers = np.array([row[2] for row in rows], dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError, OverflowError):  # a damaged log may hold anything in a number's place
        numbers = np.array([[_usable(value) for value in row[2]] for row in rows], dtype=np.float64)
    values = np.ascontiguousarray(numbers.T)
    missing = values == _MISSING
    bad = ~np.isfinite(values)
    values[bad | missing] = np.nan
    np.clip(values, -LARGEST, LARGEST, out=values)
    values[np.abs(values) < SMALLEST] = 0.0
    place = np.array([row[:2] for row in rows], dtype=np.int64)
    return StepTable(place[:, 0].copy(), place[:, 1].copy(), values, bad)


def joined(tables: Sequence[StepTable]) -> StepTable:
    """Put tables behind each other."""
    if not tables:
        return table_of_rows([])
    return StepTable(
        np.concatenate([table.steps for table in tables]),
        np.concatenate([table.seqs for table in tables]),
        np.concatenate([table.values for table in tables], axis=1),
        np.concatenate([table.bad for table in tables], axis=1),
    )


def number_row(event: StepEvent) -> NumberRow | None:
    """Take the numbers out of a step event.

    Returns:
        None for an event without a usable step.
    """
    line, seq = cast("dict[str, Any]", event.fields), event.seq
    step = line.get("step")
    if type(step) is not int or not (0 < step <= MOST_STEPS and 0 <= seq < 1 << 62):
        return None
    try:
        values = [*_single(line)]
        for group, parts in _GETTERS:
            values += parts(line[group])
    except (KeyError, TypeError, AttributeError, IndexError):
        values = _one_by_one(line)
    named: object = line.get("nonfinite")
    if isinstance(named, list) and None in values:
        # A null that is not named there is a number that the run's recipe does not have.
        known = zip(NUMBERS, values, strict=True)
        values = [_MISSING if v is None and name not in named else v for name, v in known]
    return step, seq, values


def _getter(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) == 1:
        name = names[0]
        return lambda group: (group[name],)
    return cast("Callable[[Any], tuple[Any, ...]]", itemgetter(*names))


_single = _getter(_GROUPS[""])
_GETTERS = tuple((group, _getter(names)) for group, names in _GROUPS.items() if group and names)
_MISSING = sys.float_info.max
"""Stands in a row for a number that the event does not have, as against one that is null."""


def _one_by_one(line: dict[str, Any]) -> list[Any]:
    found: list[Any] = []
    for group, names in _GROUPS.items():
        part: object = line.get(group) if group else line
        values = cast("dict[str, object]", part) if isinstance(part, dict) else {}
        found += [_usable(values[name]) if name in values else _MISSING for name in names]
    return found


def _usable(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _MISSING
    try:
        return float(value)
    except OverflowError:
        return _MISSING
