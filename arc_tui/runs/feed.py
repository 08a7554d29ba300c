"""Reads a run's log for a console: its end first, then what came before, then what is written.

The last stretch of the log is handed over at once, whatever the log's length. Earlier stretches follow,
the newest first, read in small pieces so that the console's own thread is never held up; meanwhile and
afterwards what the training process writes is followed. Everything happens on a thread of the feed's own,
which knows nothing of the console but a function to call.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from arc_core.base.errors import ArcError, RunError
from arc_core.base.files import open_regular
from arc_core.base.loose import number
from arc_core.run.declared import Declared
from arc_core.run.directory import RunDirectory, is_alive, is_gone
from arc_core.run.event_forms import NOTED, Event
from arc_core.run.events import EventReader, parse_event
from arc_core.run.recipes import declaration_of
from arc_tui.runs.digest import Digest, DigestBuilder, digested
from arc_tui.runs.listing import STARTING_SECONDS
from arc_tui.runs.outline import outline
from arc_tui.runs.state import Phase, RunState, initial, observed, reduce

TAIL_BYTES = 1 << 20
"""How much of the log's end comes first."""

BLOCK_BYTES = 4 << 20
"""How much earlier log is read at a time."""

BATCH_SECONDS = 0.1
"""Time between two batches, at least."""

ALIVE_SECONDS = 0.5
"""How often the run's lock is looked at."""

HEAD_START_SECONDS = 0.2
"""Earlier log waits so long, so that the console can paint its first frame undisturbed."""

LEAVING_SECONDS = 5.0
"""How long a process may take to end that has told that it ends."""

GONE = "deleted or moved"
"""Why a run has stopped whose folder is gone."""

PIECE_EVENTS = 128
REST_SECONDS = 0.0005
"""Earlier log is read so many events at a time, and then other threads have their turn."""

STOP_SECONDS = 1.0
"""How long stopping waits at most; the thread ends with the process in any case."""


@dataclass(frozen=True)
class Arrival:
    """What is new of a run.

    Attributes:
        events: In the order of the log; steps are left out of older ones, `digest` has their numbers.
        older: Whether they come right before everything handed over so far, not right after.
        complete: Whether the whole log has been handed over with this batch.
        alive: Whether a process trains the run.
        damaged: Lines left out so far because they were torn or damaged.
        digest: What a `History` takes from the events; None where the history is to take them itself.
        state: What the log adds up to, as far as it is known; exact once `complete`. None where the
            console is to reduce the events itself.
        problem: Why the log cannot be read, as a sentence; None while it can.
        gone: Whether the run has been deleted or moved; nothing follows then.
    """

    events: list[Event]
    older: bool = False
    complete: bool = False
    alive: bool = True
    damaged: int = 0
    digest: Digest | None = None
    state: RunState | None = None
    problem: str | None = None
    gone: bool = False


class EventSource:
    """Where a console has its events from: the log of a run, or a replay of it.

    Args:
        name: Of its thread.
        on_batch: Called with each batch, on the source's thread. It must not wait for the thread that
            stops the source.
    """

    def __init__(self, name: str, on_batch: Callable[[Arrival], None]) -> None:
        self._on_batch = on_batch
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begin to hand over batches, on a thread of the source's own."""
        self._thread.start()

    def stop(self) -> None:
        """Hand over no more, and wait a moment for the thread to end."""
        self._stopped.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(STOP_SECONDS)

    def _work(self) -> None:
        """Hand over all there is, on the source's thread."""
        raise NotImplementedError

    def _hand_over(self, batch: Arrival) -> None:
        if not self._stopped.is_set():
            self._on_batch(batch)


def problem_of(error: ArcError | OSError) -> str:
    """Say in a sentence why a log cannot be read."""
    return str(error) if isinstance(error, ArcError) else f"Cannot read the log: {error.strerror}."


class Feed(EventSource):
    """Follows a run; see the module.

    Args:
        run: The run; its log need not exist yet.
        on_batch: As of `EventSource`.
        clock: Seconds since the epoch.
        tail_bytes: How much of the log's end comes first.
        block_bytes: How much earlier log is handed over at a time.
    """

    def __init__(
        self,
        run: RunDirectory,
        on_batch: Callable[[Arrival], None],
        clock: Callable[[], float] = time.time,
        *,
        tail_bytes: int = TAIL_BYTES,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        super().__init__("feed", on_batch)
        self._run = run
        self._tail_bytes, self._block_bytes = tail_bytes, block_bytes
        self._clock = clock
        self._reader = EventReader(run.events)
        self._state = RunState()
        self._declared = Declared()
        self._seen: list[Event] = []
        """Until the log is complete: what has come since its end was first read, as `outline` keeps it."""
        self._complete = False
        self._older_damaged = 0
        self._alive = False
        self._gone = False
        self._looked = float("-inf")
        self._created = float("nan")

    def _work(self) -> None:
        try:
            self._begin()
            while not self._stopped.wait(BATCH_SECONDS) and not self._gone:
                self._newer()
        except (ArcError, OSError) as error:
            if is_gone(self._run):
                self._tell_gone()
                return
            self._hand_over(Arrival([], alive=self._alive, damaged=self._damaged, problem=problem_of(error)))

    def _begin(self) -> None:
        run_json = self._run.read()
        self._created = number(run_json, "created")
        self._declared = declaration_of(run_json)
        start = initial(run_json)
        self._look()
        self._reader.skip_to_tail(self._tail_bytes)
        end = self._reader.offset
        events = self._poll()
        self._complete = end == 0
        self._state = reduce(events, start)
        self._give(events)
        if end and not self._stopped.wait(HEAD_START_SECONDS):
            self._read_older(end, start)

    def _read_older(self, end: int, start: RunState) -> None:
        outlines: list[list[Event]] = []
        for at, lines in blocks_before(self._run.events, end, self._block_bytes):
            digest, events, damaged = self._digest(lines)
            if self._stopped.is_set() or self._gone:
                return
            outlines.append(events)
            self._older_damaged += damaged
            self._complete = at == 0
            if self._complete:
                known = [event for block in reversed(outlines) for event in block]
                self._state = reduce([*known, *self._seen], start)
                self._seen = []
            self._hand_over(self._batch([told.event for told in digest.told], digest, older=True))
            self._newer()

    def _digest(self, lines: list[bytes]) -> tuple[Digest, list[Event], int]:
        """Read a stretch of earlier log in small pieces.

        Returns:
            What it holds, its outline, and how many of its lines were damaged.
        """
        builder = DigestBuilder(self._declared)
        kept: list[Event] = []
        damaged = 0
        for at in range(0, len(lines), PIECE_EVENTS):
            piece = lines[at : at + PIECE_EVENTS]
            events = [event for line in piece if (event := parse_event(line)) is not None]
            damaged += len(piece) - len(events)
            for event in events:
                builder.add(event)
            kept = [*kept[:-1], *outline([*kept[-1:], *events])]
            if self._stopped.wait(REST_SECONDS):
                break
        return builder.build(), kept, damaged

    def _newer(self) -> None:
        """Hand over what has been written since the last look, and what has become of the process."""
        was = self._alive
        self._look()  # before the log, so that the end of a process that just ended is in it
        if self._gone:
            self._tell_gone()
            return
        events = self._poll()
        if events and not self._alive:  # written by a process that has just begun, or that has ended since
            self._alive = is_alive(self._run)
        if events or self._alive != was:
            self._state = reduce(events, self._state)
            self._give(events)

    def _tell_gone(self) -> None:
        state = self._state
        if not state.ended:  # no crash: what its process does cannot be known any more
            state = dataclasses.replace(state, activity=Phase.STOPPED, saving=False, reason=GONE)
        self._hand_over(
            Arrival([], complete=self._complete, alive=False, damaged=self._damaged, state=state, gone=True)
        )

    def _give(self, events: list[Event]) -> None:
        if not self._complete:
            self._seen = outline([*self._seen, *events])
        self._hand_over(self._batch(events, digested(events, self._declared), older=False))

    def _batch(self, events: list[Event], digest: Digest, *, older: bool) -> Arrival:
        return Arrival(events, older, self._complete, self._alive, self._damaged, digest, self._observed())

    def _observed(self) -> RunState:
        if (
            self._alive
            and self._state.ended
            and self._clock() - (self._state.updated or 0.0) < LEAVING_SECONDS
        ):
            return self._state  # its process has said so and is about to go
        fresh = self._clock() - self._created < STARTING_SECONDS
        if self._state.updated is None and not self._alive and fresh:
            return self._state
        return observed(self._state, alive=self._alive)

    @property
    def _damaged(self) -> int:
        return self._reader.damaged + self._older_damaged

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked >= ALIVE_SECONDS:
            self._looked = now
            self._gone = is_gone(self._run)
            self._alive = is_alive(self._run)

    def _poll(self) -> list[Event]:
        """Return all that is in the log by now; a batch holds it however much it is."""
        events: list[Event] = []
        while not self._stopped.is_set() and (more := self._reader.poll()):
            events += more
        if any(isinstance(event, NOTED) for event in events):
            with contextlib.suppress(RunError):  # what was read before still stands
                self._declared = declaration_of(self._run.read())
        return events


def blocks_before(path: Path, end: int, size: int = BLOCK_BYTES) -> Iterator[tuple[int, list[bytes]]]:
    """Read the log before a place, the last block first.

    Args:
        path: The run's events.jsonl.
        end: Where a line begins, in bytes.
        size: Bytes of a block, unless a single line is longer.

    Yields:
        Where the block begins, and its lines in the order of the log; the last block begins at 0.

    Raises:
        RunError: If the log is a symbolic link or no regular file.
        OSError: If it cannot be read.
    """
    fd = open_regular(path, os.O_RDONLY)
    try:
        while end > 0:
            start, data = _whole_lines(fd, end, size)
            end = start
            yield start, data.split(b"\n")[:-1]
    finally:
        os.close(fd)


def _whole_lines(fd: int, end: int, size: int) -> tuple[int, bytes]:
    """Return the whole lines of at least the last bytes before `end`, and where they begin."""
    data = b""
    start = end
    while start > 0:
        begin = max(start - size, 0)
        data = os.pread(fd, start - begin, begin) + data
        start = begin
        if start == 0:
            break
        first = data.find(b"\n", 0, len(data) - 1) + 1
        if first:
            return start + first, data[first:]
    return 0, data
