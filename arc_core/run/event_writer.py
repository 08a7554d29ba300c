"""The writing side of the event log; `arc_core.run.events` says what the log is, and offers both sides."""

from __future__ import annotations

import errno
import json
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from arc_core.base.files import open_regular

MOST_WAITING_BYTES = 64 << 20
"""Events that wait in memory while the log cannot be written; beyond this, writing one is an error."""

SYNC_SECONDS = 1.0
"""Least time between two syncs that nobody asked for."""


class EventWriter:
    """Appends events to a log; may be shared by threads.

    A torn last line, left by a process that was killed within a write, is cut off first: no reader
    has taken it. The caller holds the run's lock.

    An event that cannot be written, as on a full disk, waits in memory and is written before the next
    one, so that training goes on and the log keeps its order.
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
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._torn = False
        self._unsynced = False
        self._sync_error: OSError | None = None
        self._closing = threading.Event()
        self._syncer: threading.Thread | None = None
        self._fd = open_regular(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        _cut_torn_line(self._fd)

    @property
    def last_seq(self) -> int:
        """Number of the last event emitted."""
        return self._seq

    def emit(self, kind: str, /, **values: Any) -> dict[str, Any]:
        """Write one event.

        Args:
            kind: Its type.
            values: Its fields, of JSON types; numbers that are not finite become null and are named
                in `nonfinite`.

        Returns:
            The event as written, or as it will be once the log can be written again.

        Raises:
            ValueError: If a field has a name that the writer itself fills.
            OSError: If the log could not be written for so long that too much waits.
        """
        reserved = values.keys() & {"type", "seq", "time", "nonfinite"}
        if reserved:
            raise ValueError(f"the writer fills {sorted(reserved)}")
        nonfinite: list[str] = []
        body = {name: _finite(value, name, nonfinite) for name, value in values.items()}
        if nonfinite or kind == "step":
            body["nonfinite"] = nonfinite
        with self._lock:
            event: dict[str, Any] = {"type": kind, "seq": self._seq + 1, "time": self._clock(), **body}
            line = json.dumps(event, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
            error = self._write_waiting() or self._write(line)
            if error is not None:
                if self._waiting_bytes + len(line) > MOST_WAITING_BYTES:
                    raise error
                self._waiting.append(line)
                self._waiting_bytes += len(line)
            self._seq += 1
        return event

    def sync(self) -> None:
        """Wait until everything emitted is on the disk.

        Raises:
            OSError: If it is not, or could not be synced at some time since the last call.
        """
        with self._lock:
            error, self._sync_error = self._write_waiting() or self._sync_error, None
            self._unsynced = False
        if error is not None:
            raise error
        os.fsync(self._fd)

    def keep_synced(self, seconds: float = SYNC_SECONDS) -> None:
        """Sync from a thread of its own, at most once in so many seconds, until the log is closed."""
        self._syncer = threading.Thread(target=self._sync_now_and_then, args=(seconds,), daemon=True)
        self._syncer.start()

    def close_syncer(self) -> None:
        """End the thread of `keep_synced`."""
        self._closing.set()
        if self._syncer is not None:
            self._syncer.join()
            self._syncer = None

    def close(self) -> None:
        """Close the log; emitting afterwards is an error."""
        self.close_syncer()
        if self._fd >= 0:
            with self._lock:
                self._write_waiting()
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _sync_now_and_then(self, seconds: float) -> None:
        while not self._closing.wait(seconds):
            if not self._unsynced:
                continue
            self._unsynced = False
            try:
                os.fsync(self._fd)
            except (
                OSError
            ) as error:  # the system tells it once: the next `sync` must not say that all is well
                self._sync_error = error

    def _write_waiting(self) -> OSError | None:
        """Write what waits, in its order; return what stopped it."""
        while self._waiting:
            if (error := self._write(self._waiting[0])) is not None:
                return error
            self._waiting_bytes -= len(self._waiting.popleft())
        return None

    def _write(self, line: bytes) -> OSError | None:
        """Write a line by one `write`, whole or not at all; return what stopped it."""
        if self._torn:  # a part that could not be taken back becomes a damaged line of its own
            line = b"\n" + line
        try:
            written = os.write(self._fd, line)
        except OSError as error:
            return error
        if written != len(line):
            try:
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
            except OSError:
                self._torn = True
            return OSError(errno.ENOSPC, "The event log has no room for another event")
        self._torn = False
        self._unsynced = True
        return None


class UnwrittenEvents(EventWriter):
    """Takes the events of a run's further processes, of which its first tells what all of them do."""

    def __init__(self) -> None:
        self._seq = 0

    def emit(self, kind: str, /, **values: Any) -> dict[str, Any]:
        """Return the event, which is written nowhere."""
        return {"type": kind, **values}

    def sync(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


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
