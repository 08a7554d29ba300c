"""What a batch of events holds for a run's history, taken out ahead, so that adding it is quick."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from arc_core.base.text import printable
from arc_core.run.event_forms import Event, ResumedEvent, StepEvent
from arc_tui.runs.marks import Mark, nonfinite_mark
from arc_tui.runs.steps import NumberRow, StepTable, joined, number_row, table_of_rows

LONGEST_RULE = 2000
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Place:
    """Where the log had come to: the last step so far, and its rule sentence."""

    step: int
    rule: str | None


@dataclass(frozen=True)
class Told:
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
        table: The numbers of the steps.
        nonfinite: Steps in which a number was not finite.
        told: All other events, in the order of the log.
        resumes: The resumes among them.
        end: Where the log had come to at the end of the stretch; None without a step or resume.
    """

    table: StepTable
    nonfinite: tuple[Mark, ...]
    told: tuple[Told, ...]
    resumes: tuple[Resume, ...]
    end: Place | None


def digested(events: Iterable[Event]) -> Digest:
    """Return what a stretch of the log holds."""
    builder = DigestBuilder()
    for event in events:
        builder.add(event)
    return builder.build()


class DigestBuilder:
    """Takes in events one by one, in the order of the log, and keeps nothing else of the steps."""

    def __init__(self) -> None:
        self._rows: list[NumberRow] = []
        self._tables: list[StepTable] = []
        self._nonfinite: list[Mark] = []
        self._told: list[Told] = []
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
        self._told.append(Told(event, self._place()))

    def build(self) -> Digest:
        """Return what was taken in."""
        self._pack()
        return Digest(
            joined(self._tables),
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
        row = number_row(event)
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
            self._tables.append(table_of_rows(self._rows))
            self._rows = []


def safe_rule(rule: str | None) -> str | None:
    """Return a rule sentence as it may be printed."""
    return None if rule is None else printable(rule, LONGEST_RULE)
