"""The event log: what the training process tells, one JSON object a line, appended by it alone.

The form of each event is in `arc_core.run.event_forms`; a line becomes one here, where it enters. A line
is written by exactly one `write` on a descriptor opened for appending, and never buffered, so a viewer
sees whole lines and a killed process loses none that could have been seen. A reader takes whole lines
only; it skips and counts what is damaged.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from arc_core.base.errors import RunError
from arc_core.base.files import open_regular
from arc_core.base.paths import bytes_of
from arc_core.base.text import printable
from arc_core.run.event_forms import (
    CheckpointEvent,
    EpochEvent,
    Event,
    EvidenceEvent,
    PausedEvent,
    ResumedEvent,
    SampleEvent,
    StepEvent,
    UnpausedEvent,
    ValidationEvent,
)
from arc_core.run.event_lines import event_of, validate_event
from arc_core.run.event_writer import EventWriter

__all__ = [
    "EventReader",
    "EventWriter",
    "counting_events",
    "drop_superseded",
    "events_after",
    "next_seq",
    "parse_event",
    "read_events",
    "read_tail",
    "validate_event",
    "without_passing_steps",
]

CHUNK_BYTES = 4 << 20
"""Most that one poll reads, unless a single line is longer."""

TAIL_BYTES = 1 << 20
"""First part of a log's end that is read where only the end matters."""

_OF_A_STEP = (
    *(StepEvent, SampleEvent, ValidationEvent, EpochEvent, EvidenceEvent),
    *(PausedEvent, UnpausedEvent),
)
"""Events that tell of training itself, which a resume takes back."""


class EventReader:
    """Follows a log from its start, or from its present end, taking whole lines only."""

    def __init__(self, path: Path, *, from_end: bool = False) -> None:
        """Begin to follow; the log need not exist yet.

        Args:
            path: The run's events.jsonl.
            from_end: Skip what is there already.
        """
        self.path = path
        self.damaged = 0
        """Lines skipped so far because they were torn or damaged."""
        self._offset = 0
        if from_end:
            while self._next_lines():
                pass

    @property
    def offset(self) -> int:
        """Where in the log the next line begins, in bytes."""
        return self._offset

    def poll(self) -> list[Event]:
        """Return the events that have been completed since the last call; empty when there are none.

        A long log arrives in several calls.

        Raises:
            RunError: If the log is a symbolic link or no regular file, or is closed to this user.
        """
        events: list[Event] = []
        while not events:
            lines = self._next_lines()
            if not lines:
                break
            events += self._parsed(lines)
        return events

    def __iter__(self) -> Iterator[Event]:
        """Yield what `poll` would return, one event at a time, up to the present end of the log.

        No more than `CHUNK_BYTES` of it are in memory, however long it is. To be followed to its end.

        Raises:
            RunError: If the log is a symbolic link or no regular file.
        """
        for lines in self.blocks():
            yield from self._parsed(lines)

    def blocks(self) -> Iterator[list[bytes]]:
        """Yield the lines up to the present end of the log, not read, a few thousand at a time."""
        while lines := self._next_lines():
            yield lines

    def skip_to_tail(self, limit: int) -> None:
        """Leave out all but the whole lines in the last `limit` bytes."""
        try:
            fd = open_regular(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return
        with os.fdopen(fd, "rb") as file:
            start = os.fstat(fd).st_size - limit
            if start > self._offset:
                file.seek(start - 1)  # a line that begins exactly there is whole
                file.readline()
                self._offset = file.tell()

    def _parsed(self, lines: list[bytes]) -> Iterator[Event]:
        for line in lines:
            event = parse_event(line)
            if event is None:
                self.damaged += 1
            else:
                yield event

    def _next_lines(self) -> list[bytes]:
        try:
            if self.path.lstat().st_size <= self._offset:
                return []
            fd = open_regular(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RunError(f"Cannot read {printable(str(self.path))}: {error.strerror}.") from None
        with os.fdopen(fd, "rb", buffering=0) as file:
            file.seek(self._offset)
            data = file.read(CHUNK_BYTES) or b""
            while b"\n" not in data and (more := file.read(CHUNK_BYTES)):
                data += more
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.split(b"\n")[:-1]


def read_events(path: Path) -> list[Event]:
    """Read the whole log as it stands; damaged lines are left out.

    Raises:
        RunError: If the log is a symbolic link or no regular file.
    """
    return list(EventReader(path))


def read_tail(path: Path, limit: int) -> list[Event]:
    """Read the events in the last `limit` bytes of a log, so that a long one costs no more than a short one.

    Raises:
        RunError: If the log is a symbolic link or no regular file.
    """
    reader = EventReader(path)
    reader.skip_to_tail(limit)
    return list(reader)


def next_seq(path: Path) -> int:
    """Return the number that the next event of this log gets; reads its end alone."""
    limit = TAIL_BYTES
    while True:
        events = read_tail(path, limit)
        if events or limit >= (bytes_of(path) or 0):
            return max((event.seq for event in events), default=0) + 1
        limit *= 4


def events_after(path: Path, seq: int) -> list[Event]:
    """Read the events with a number above `seq`, which costs no more than what is read."""
    limit = TAIL_BYTES
    while True:
        events = read_tail(path, limit)
        if limit >= (bytes_of(path) or 0) or (events and events[0].seq <= seq):
            return [event for event in events if event.seq > seq]
        limit *= 4


def drop_superseded(events: Iterable[Event]) -> list[Event]:
    """Leave out what later resumes took back.

    A `resumed` event names the last event that still counts. Events of training itself between that
    one and the resume are dropped, and so are checkpoints of steps beyond the one resumed from. What
    the user did or was told (commands, warnings, starts and ends) stays.
    """
    kept: list[Event] = []
    for event in events:
        if isinstance(event, ResumedEvent):
            kept = [earlier for earlier in kept if not _is_superseded(earlier, event)]
        kept.append(event)
    return kept


def counting_events(reader: EventReader) -> Iterator[Event]:
    """Yield what `drop_superseded` keeps of a log as it stands, without ever holding the log.

    It is read twice, first for its resumes: most of its lines are steps, which that passes over.

    Args:
        reader: Of the log, from its start; stands at the end afterwards.
    """
    ahead = [event for event in without_passing_steps(reader.path) if isinstance(event, ResumedEvent)]
    for event in reader:
        if ahead and event.seq == ahead[0].seq:
            del ahead[0]
        if not any(_is_superseded(event, resumed) for resumed in ahead):
            yield event


def without_passing_steps(path: Path) -> Iterator[Event]:
    """Yield the events of a log as it stands, of the steps only those that no other step follows at once.

    What a run's state adds up to hangs on no more than these. A step that another one follows is not even
    read, so that a million steps take seconds.

    Raises:
        RunError: If the log is a symbolic link or no regular file.
    """
    last: Event | None = None
    for lines in EventReader(path).blocks():
        passing: list[bytes] = []
        for line in lines:
            if line.startswith(_STEP):
                passing.append(line)
                continue
            event = parse_event(line)
            if event is None:
                continue
            last, passing = _last_step(passing) or last, []
            if isinstance(event, StepEvent):
                last = event
                continue
            if last is not None:
                yield last
                last = None
            yield event
        last = _last_step(passing) or last
    if last is not None:
        yield last


_STEP = b'{"type":"step",'
"""What the writer begins a step's line with."""


def _last_step(lines: list[bytes]) -> Event | None:
    """Return the last of these steps that is whole."""
    return next((event for line in reversed(lines) if (event := parse_event(line)) is not None), None)


def _is_superseded(event: Event, resumed: ResumedEvent) -> bool:
    if isinstance(event, CheckpointEvent):
        return event.step > resumed.step
    return isinstance(event, _OF_A_STEP) and event.seq > resumed.supersedes


def parse_event(line: bytes) -> Event | None:
    """Read a line of a log; None for one that is torn or damaged."""
    try:
        text = line.strip().decode()
        found, end = _DECODER.raw_decode(text)  # `decode` looks for blanks in Python, which takes longer
    except (ValueError, RecursionError):
        return None
    return event_of(found) if end == len(text) and type(found) is dict else None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
