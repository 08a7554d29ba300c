"""The event log: what the training process tells, one JSON object a line, appended by it alone.

The form of each event is in `arc_core.run.event_forms`; a line becomes one here, where it enters. A line
is written by exactly one `write` on a descriptor opened for appending, and never buffered, so a viewer
sees whole lines and a killed process loses none that could have been seen. A reader takes whole lines
only; it skips and counts what is damaged.
"""

from __future__ import annotations

import json
import os
import stat
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
]

CHUNK_BYTES = 1 << 20
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
            self._offset = _end_of_last_line(path)

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
            block = self._next_block()
            if not block:
                break
            events += self._parsed(block)
        return events

    def __iter__(self) -> Iterator[Event]:
        """Yield what `poll` would return, one event at a time, up to the present end of the log.

        No more than `CHUNK_BYTES` of it are in memory, however long it is. To be followed to its end.

        Raises:
            RunError: If the log is a symbolic link or no regular file.
        """
        for block in self.blocks():
            yield from self._parsed(block)

    def blocks(self) -> Iterator[bytes]:
        """Yield the whole lines up to the present end of the log, not parsed, about a megabyte at a time.

        Raises:
            RunError: If the log is a symbolic link or no regular file, or is closed to this user.
        """
        while block := self._next_block():
            yield block

    def skip_to_tail(self, limit: int) -> None:
        """Leave out all but the whole lines in the last `limit` bytes."""
        fd = _opened(self.path, self._offset)
        if fd is None:
            return
        with os.fdopen(fd, "rb") as file:
            start = os.fstat(fd).st_size - limit
            if start > self._offset:
                file.seek(start - 1)  # a line that begins exactly there is whole
                file.readline()
                self._offset = file.tell()

    def _parsed(self, block: bytes) -> Iterator[Event]:
        for line in block.split(b"\n")[:-1]:
            event = parse_event(line)
            if event is None:
                self.damaged += 1
            else:
                yield event

    def _next_block(self) -> bytes:
        fd = _opened(self.path, self._offset)
        if fd is None:
            return b""
        with os.fdopen(fd, "rb", buffering=0) as file:
            file.seek(self._offset)
            data = file.read(CHUNK_BYTES) or b""
            while b"\n" not in data and (more := file.read(CHUNK_BYTES)):
                data += more
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole


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

    It is read twice, first for its resumes alone, without parsing any other line.

    Args:
        reader: Of the log, from its start; stands at the end afterwards.
    """
    ahead = [*_resumes(reader.path)]
    for event in reader:
        if ahead and event.seq == ahead[0].seq:
            del ahead[0]
        if not ahead or not any(_is_superseded(event, resumed) for resumed in ahead):
            yield event


def _resumes(path: Path) -> Iterator[ResumedEvent]:
    for block in EventReader(path).blocks():
        if b"resumed" in block:
            for line in block.split(b"\n"):
                if b"resumed" in line and isinstance(event := parse_event(line), ResumedEvent):
                    yield event


def _opened(path: Path, beyond: int) -> int | None:
    """Open a log that has more than so many bytes; None for one that has not, or that is not there."""
    try:
        found = path.lstat()
        if stat.S_ISREG(found.st_mode) and found.st_size <= beyond:
            return None
        return open_regular(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"Cannot read {printable(str(path))}: {error.strerror}.") from None


def _end_of_last_line(path: Path) -> int:
    """Return where in a log the next line will begin."""
    fd = _opened(path, 0)
    if fd is None:
        return 0
    try:
        end = os.fstat(fd).st_size
        while end > 0:
            begin = max(end - CHUNK_BYTES, 0)
            if found := os.pread(fd, end - begin, begin).rfind(b"\n") + 1:
                return begin + found
            end = begin
        return 0
    finally:
        os.close(fd)


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
