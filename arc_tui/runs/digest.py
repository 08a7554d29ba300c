"""What a batch of events holds for a run's history, taken out ahead, so that adding it is quick.

The numbers of its steps become columns, once and cheaply; everything else is told event by event.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from arc_core.base.text import printable
from arc_core.run.declared import Declared
from arc_core.run.event_forms import Event, ResumedEvent, StepEvent
from arc_tui.runs.columns import MISSING, Columns, usable
from arc_tui.runs.marks import Mark, nonfinite_mark

LONGEST_RULE = 2000
_ROWS_AT_ONCE = 256

MOST_STEPS = 1 << 31
"""A step beyond this comes from a damaged log and is left out."""

LARGEST, SMALLEST = 3e38, 1e-37
"""Larger numbers are kept as this, smaller ones as 0: what is stored is single precision."""

NumberRow = tuple[int, int, list[Any]]
"""Step and seq of an event, and its numbers in the order of its columns; they are not checked yet."""


@dataclass(frozen=True)
class StepTable:
    """Numbers of n steps, in the order of the log.

    Attributes:
        columns: What the rows of `values` and `bad` are.
        steps: [n] int64.
        seqs: [n] int64, numbers of the events.
        values: [len(columns), n] float64; NaN where `bad`, or where the event lacks the number.
        bad: [len(columns), n] bool, where the event has null in place of a number that was not finite.
    """

    columns: Columns
    steps: NDArray[np.int64]
    seqs: NDArray[np.int64]
    values: NDArray[np.float64]
    bad: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.steps)

    def select(self, keep: NDArray[Any]) -> StepTable:
        """Return the steps that an index or a mask picks."""
        return StepTable(
            self.columns, self.steps[keep], self.seqs[keep], self.values[:, keep], self.bad[:, keep]
        )

    def laid_out(self, columns: Columns) -> StepTable:
        """Return the same steps in other columns, these among them; NaN where this has no such number."""
        if columns is self.columns:
            return self
        values, bad = np.full((len(columns), len(self)), np.nan), np.zeros((len(columns), len(self)), bool)
        rows = [columns.row_of[name] for name in self.columns.names]
        values[rows], bad[rows] = self.values, self.bad
        return StepTable(columns, self.steps, self.seqs, values, bad)


def step_table(events: Sequence[StepEvent], columns: Columns) -> StepTable:
    """Take the numbers out of step events; an event without a usable step is left out."""
    return table_of_rows(
        [row for event in events if (row := number_row(event, columns)) is not None], columns
    )


def table_of_rows(rows: Sequence[NumberRow], columns: Columns) -> StepTable:
    """Make a table of rows from `number_row`."""
    if not rows:
        empty = np.zeros((len(columns), 0))
        return StepTable(columns, np.zeros(0, np.int64), np.zeros(0, np.int64), empty, empty.astype(bool))
    try:
        numbers = np.array([row[2] for row in rows], dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError, OverflowError):  # a damaged log may hold anything in a number's place
        numbers = np.array([[usable(value) for value in row[2]] for row in rows], dtype=np.float64)
    values = np.ascontiguousarray(numbers.T)
    missing = values == MISSING
    bad = ~np.isfinite(values)
    values[bad | missing] = np.nan
    np.clip(values, -LARGEST, LARGEST, out=values)
    values[np.abs(values) < SMALLEST] = 0.0
    place = np.array([row[:2] for row in rows], dtype=np.int64)
    return StepTable(columns, place[:, 0].copy(), place[:, 1].copy(), values, bad)


def joined(tables: Sequence[StepTable], columns: Columns) -> StepTable:
    """Put tables of the same columns behind each other."""
    if not tables:
        return table_of_rows([], columns)
    return StepTable(
        columns,
        np.concatenate([table.steps for table in tables]),
        np.concatenate([table.seqs for table in tables]),
        np.concatenate([table.values for table in tables], axis=1),
        np.concatenate([table.bad for table in tables], axis=1),
    )


def number_row(event: StepEvent, columns: Columns) -> NumberRow | None:
    """Take the numbers out of a step event.

    Returns:
        None for an event without a usable step.
    """
    line, seq = cast("dict[str, Any]", event.fields), event.seq
    step = line.get("step")
    if type(step) is not int or not (0 < step <= MOST_STEPS and 0 <= seq < 1 << 62):
        return None
    return step, seq, columns.values_of(line)


@dataclass(frozen=True)
class Place:
    """Where the log had come to: the last step so far, and its rule sentence."""

    step: int
    rule: str | None


@dataclass(frozen=True)
class Placed:
    """An event that is no step.

    Attributes:
        event: The event.
        place: Where it stands; None if no step comes before it in the batch.
    """

    event: Event
    place: Place | None


@dataclass(frozen=True)
class Resume:
    """Which earlier events a `resumed` takes back."""

    seq: int
    supersedes: float
    step: int


@dataclass(frozen=True)
class Digest:
    """Events of a stretch of the log.

    Attributes:
        declared: What its steps and samples carry.
        table: The numbers of the steps.
        nonfinite: Steps in which a number was not finite.
        told: All other events, in the order of the log.
        resumes: The resumes among them.
        end: Where the log had come to at the end of the stretch; None without a step or resume.
    """

    declared: Declared
    table: StepTable
    nonfinite: tuple[Mark, ...]
    told: tuple[Placed, ...]
    resumes: tuple[Resume, ...]
    end: Place | None


def digested(events: Iterable[Event], declared: Declared) -> Digest:
    """Return what a stretch of the log holds.

    Args:
        events: Events in the order of the log.
        declared: What steps and samples carry.
    """
    builder = DigestBuilder(declared)
    for event in events:
        builder.add(event)
    return builder.build()


class DigestBuilder:
    """Takes in events one by one, in the order of the log, and keeps nothing else of the steps.

    Args:
        declared: What steps and samples carry.
    """

    def __init__(self, declared: Declared) -> None:
        self._declared = declared
        self._columns = Columns.of(declared)
        self._rows: list[NumberRow] = []
        self._tables: list[StepTable] = []
        self._nonfinite: list[Mark] = []
        self._told: list[Placed] = []
        self._resumes: list[Resume] = []
        self._end: Place | None = None
        self._newest: StepEvent | None = None
        """The last step, while `_end` does not tell of it yet."""

    def add(self, event: Event) -> None:
        """Take in one event."""
        if isinstance(event, StepEvent):
            self._add_step(event)
            return
        if isinstance(event, ResumedEvent):
            if math.isfinite(event.supersedes):
                self._resumes.append(Resume(event.seq, event.supersedes, event.step))
            self._end, self._newest = Place(event.step, None), None
        self._told.append(Placed(event, self._place()))

    def build(self) -> Digest:
        """Return what was taken in."""
        self._pack()
        return Digest(
            self._declared,
            joined(self._tables, self._columns),
            tuple(self._nonfinite),
            tuple(self._told),
            tuple(self._resumes),
            self._place(),
        )

    def _place(self) -> Place | None:
        """Return where the log has come to."""
        if self._newest is not None:
            self._end, self._newest = Place(self._newest.step, self._newest.rule), None
        return self._end

    def _add_step(self, event: StepEvent) -> None:
        row = number_row(event, self._columns)
        if row is None:
            return
        self._newest = event
        if event.fields.get("nonfinite") and (mark := nonfinite_mark(event)) is not None:
            self._nonfinite.append(mark)
        self._rows.append(row)
        if len(self._rows) >= _ROWS_AT_ONCE:  # in small pieces, so that other threads are not held up
            self._pack()

    def _pack(self) -> None:
        if self._rows:
            self._tables.append(table_of_rows(self._rows, self._columns))
            self._rows = []


def safe_rule(rule: str | None) -> str | None:
    """Return a rule sentence as it may be printed."""
    return None if rule is None else printable(rule, LONGEST_RULE)
