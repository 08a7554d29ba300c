"""The event log: what the training process tells, one JSON object a line, appended by it alone.

The form of each event is in `arc_core.event_types`. A line is written by exactly one `write` on a
descriptor opened for appending, and never buffered, so a viewer sees whole lines and a killed process
loses none that could have been seen. A reader takes whole lines only; it skips and counts what is
damaged.
"""

from __future__ import annotations

import errno
import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, cast

from arc_core.event_types import EVENT_TYPES, Event, validate_event
from arc_core.safe_files import open_regular

__all__ = [
    "EVENT_TYPES",
    "Event",
    "EventReader",
    "EventWriter",
    "drop_superseded",
    "next_seq",
    "parse_event",
    "read_events",
    "read_tail",
    "validate_event",
]

CHUNK_BYTES = 4 << 20
"""Most that one poll reads, unless a single line is longer."""

_OF_A_STEP = frozenset({"step", "sample", "validation", "epoch", "paused", "unpaused"})
"""Events that tell of training itself, which a resume takes back."""


class EventWriter:
    """Appends events to a log; may be shared by threads.

    A torn last line, left by a process that was killed within a write, is cut off first: no reader
    has taken it. The caller holds the run's lock.
    """

    def __init__(self, path: Path, start_seq: int = 1, clock: Callable[[], float] = time.time) -> None:
        """Open the log, and create it if need be (mode 0600).

        Args:
            path: The run's events.jsonl.
            start_seq: Number of the first event written; `next_seq(path)` for a log that goes on.
            clock: Tells the seconds since the epoch.

        Raises:
            RunError: If the path is a symbolic link or no regular file.
        """
        self._seq = start_seq - 1
        self._clock = clock
        self._lock = threading.Lock()
        self._fd = open_regular(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        _cut_torn_line(self._fd)

    @property
    def last_seq(self) -> int:
        """Number of the last event written."""
        return self._seq

    def emit(self, kind: str, /, **values: Any) -> Event:
        """Write one event.

        Args:
            kind: Its type.
            values: Its fields, of JSON types; numbers that are not finite become null and are named
                in `nonfinite`.

        Returns:
            The event as written.

        Raises:
            ValueError: If a field has a name that the writer itself fills.
            OSError: If the log cannot be written; nothing is left behind and no number is used up.
        """
        reserved = values.keys() & {"type", "seq", "time", "nonfinite"}
        if reserved:
            raise ValueError(f"the writer fills {sorted(reserved)}")
        nonfinite: list[str] = []
        body = {name: _finite(value, name, nonfinite) for name, value in values.items()}
        if nonfinite or kind == "step":
            body["nonfinite"] = nonfinite
        with self._lock:
            event: Event = {"type": kind, "seq": self._seq + 1, "time": self._clock(), **body}
            line = json.dumps(event, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
            written = os.write(self._fd, line)
            if written != len(line):
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
                raise OSError(errno.ENOSPC, "The event log has no room for another event")
            self._seq += 1
        return event

    def sync(self) -> None:
        """Wait until everything written is on the disk."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Close the log; emitting afterwards is an error."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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
            RunError: If the log is a symbolic link or no regular file.
        """
        events: list[Event] = []
        while not events:
            lines = self._next_lines()
            if not lines:
                break
            for line in lines:
                event = parse_event(line)
                if event is None:
                    self.damaged += 1
                else:
                    events.append(event)
        return events

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

    def _next_lines(self) -> list[bytes]:
        try:
            if self.path.lstat().st_size <= self._offset:
                return []
            fd = open_regular(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return []
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
    reader = EventReader(path)
    events: list[Event] = []
    while batch := reader.poll():
        events += batch
    return events


def read_tail(path: Path, limit: int) -> list[Event]:
    """Read the events in the last `limit` bytes of a log, so that a long one costs no more than a short one.

    Raises:
        RunError: If the log is a symbolic link or no regular file.
    """
    reader = EventReader(path)
    reader.skip_to_tail(limit)
    events: list[Event] = []
    while batch := reader.poll():
        events += batch
    return events


def next_seq(path: Path) -> int:
    """Return the number that the next event of this log gets."""
    return max((event["seq"] for event in read_events(path)), default=0) + 1


def drop_superseded(events: Iterable[Event]) -> list[Event]:
    """Leave out what later resumes took back.

    A `resumed` event names the last event that still counts. Events of training itself between that
    one and the resume are dropped, and so are checkpoints of steps beyond the one resumed from. What
    the user did or was told (commands, warnings, starts and ends) stays.
    """
    kept: list[Event] = []
    for event in events:
        if event["type"] == "resumed":
            kept = [earlier for earlier in kept if not _is_superseded(earlier, event)]
        kept.append(event)
    return kept


def _is_superseded(event: Event, resumed: Event) -> bool:
    if event["type"] == "checkpoint":
        return event["step"] > resumed["step"]
    return event["type"] in _OF_A_STEP and event["seq"] > resumed["supersedes"]


def _finite(value: object, name: str, nonfinite: list[str]) -> object:
    """Return `value` with every number that is not finite replaced by None and its name noted."""
    if isinstance(value, float) and not math.isfinite(value):
        nonfinite.append(name)
        return None
    if isinstance(value, dict):
        items = cast("dict[str, object]", value).items()
        return {key: _finite(item, f"{name}.{key}", nonfinite) for key, item in items}
    if isinstance(value, list | tuple):
        items = enumerate(cast("list[object]", value))
        return [_finite(item, f"{name}.{index}", nonfinite) for index, item in items]
    return value


def parse_event(line: bytes) -> Event | None:
    """Read a line of a log; None for one that is torn or damaged."""
    try:
        event: object = _DECODER.decode(line.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict):
        return None
    fields = cast(Event, event)
    whole = isinstance(fields.get("type"), str) and type(fields.get("seq")) is int
    return fields if whole else None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _cut_torn_line(fd: int) -> None:
    size = end = os.fstat(fd).st_size
    while end > 0:
        start = max(end - 65_536, 0)
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(fd, end)
