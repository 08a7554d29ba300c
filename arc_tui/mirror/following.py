"""Follows a run's log for a tracker, and keeps the place up to which the tracker has it.

What a later resume took back is never left in a tracker. The log is read as `counting_events` reads it; where
a resume is found whose steps have been handed over, the tracker goes back to the step resumed from, and the
log is read from its start again, up to there without handing anything over. The place is a step, so that
going on after a kill is the same thing: back to the last step that is settled, and on from there.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import time
from collections.abc import Iterator
from typing import Any

from arc_core.base.errors import RunError
from arc_core.base.files import open_regular, read_json_object, write_json_atomic
from arc_core.base.loose import listed, whole
from arc_core.base.paths import is_file
from arc_core.base.text import printable
from arc_core.run.directory import RunDirectory, stored_config
from arc_core.run.event_forms import (
    NOTED,
    Event,
    ResumedEvent,
    SampleEvent,
    StepEvent,
    ValidationEvent,
    kind_of,
)
from arc_core.run.event_lines import content_of
from arc_core.run.events import EventReader, counting_events
from arc_core.run.recipes import declaration_of
from arc_tui.mirror.pictures import picture_of
from arc_tui.mirror.trackers import Description, TrackedRow, Tracker
from arc_tui.runs.numbers import flat
from arc_tui.runs.samples import sample_of

PIECE_EVENTS = 1000
"""Events that are taken at a time."""

SETTLE_SECONDS = 2.0
SETTLE_ROWS = 10_000
"""The place is kept so often; between two, this many rows wait in memory at most."""


class Mirror:
    """A run's way into one tracker.

    Args:
        run: The run.
        name: The tracker's name.
        tracker: Its run there.
    """

    def __init__(self, run: RunDirectory, name: str, tracker: Tracker) -> None:
        self._run, self._name, self._tracker = run, name, tracker
        self._place = run.path / "mirrors" / f"{name}.json"
        self._lock = -1
        self._notes: object = None
        self._described: tuple[float, Description] | None = None
        self._settled_at = 0.0
        self._unsettled = 0
        self._reader = EventReader(run.events)
        self._past: Iterator[Event] = iter(())
        self._from = self._step = self._seq = 0

    def open(self) -> None:
        """Go on where an earlier mirror stood.

        Raises:
            RunError: If another process mirrors the run there, or something cannot be written.
        """
        with self._told():
            self._place.parent.mkdir(exist_ok=True)
            self._lock = open_regular(self._place.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"Another process mirrors the run {printable(self._run.name)} to {self._name} already."
            ) from None
        place: dict[str, Any] = read_json_object(self._place) if is_file(self._place) else {}
        self._begin(whole(place, "step"), whole(place, "seq"))

    def advance(self) -> bool:
        """Hand over what is new, a piece at most; whether there was anything.

        Raises:
            RunError: If the log cannot be read, or the tracker cannot take it.
        """
        events = list(itertools.islice(self._past, PIECE_EVENTS)) or self._reader.poll()
        with self._told():
            self._tell_notes()
            for event in events:
                if isinstance(event, NOTED):
                    self._declared = declaration_of(self._run.read())
                if isinstance(event, ResumedEvent) and event.supersedes < self._seq < event.seq:
                    self._begin(event.step, 0)
                    return True
                self._take(event)
            late = self._unsettled and time.monotonic() - self._settled_at > SETTLE_SECONDS
            if late or self._unsettled > SETTLE_ROWS:
                self._settle()
        return bool(events)

    def close(self) -> None:
        """Settle what was handed over, and end."""
        try:
            with self._told():
                if self._lock >= 0 and self._unsettled:
                    self._settle()
                self._tracker.close()
        finally:
            if self._lock >= 0:
                os.close(self._lock)

    def _begin(self, step: int, seq: int) -> None:
        """Let the tracker go back to a step, and read the log again."""
        with self._told():
            described = self._description()
            self._notes = described.notes
            self._from = self._tracker.begin(step, described)
        self._declared = declaration_of(self._run.read())
        self._step, self._seq = self._from, seq if self._from else 0
        self._reader = EventReader(self._run.events)
        self._past = counting_events(self._reader)

    def _take(self, event: Event) -> None:
        if not isinstance(event, StepEvent | ValidationEvent | SampleEvent):
            return
        self._seq = max(self._seq, event.seq)
        if event.step < max(self._from, self._step):
            return
        self._step = event.step
        self._tracker.write(self._row(event))
        self._unsettled += 1

    def _row(self, event: StepEvent | ValidationEvent | SampleEvent) -> TrackedRow:
        if isinstance(event, SampleEvent):
            sample = sample_of(event, None, self._declared)
            return TrackedRow(
                event.step, event.time, {}, picture_of(sample), f"{sample.task}, pair {sample.pair}"
            )
        before = "" if isinstance(event, StepEvent) else f"{kind_of(event)}/"
        numbers = {
            before + name.replace(".", "/"): number
            for name, number in flat(content_of(event)).items()
            if name not in ("step", "time")
        }
        return TrackedRow(event.step, event.time, numbers)

    def _settle(self) -> None:
        self._tracker.settle()
        write_json_atomic(self._place, {"step": self._step, "seq": self._seq})
        self._unsettled, self._settled_at = 0, time.monotonic()

    def _tell_notes(self) -> None:
        described = self._description()
        if described.notes != self._notes:
            self._notes = described.notes
            self._tracker.note(described.notes, self._step)
            self._unsettled += 1

    def _description(self) -> Description:
        """Read what run.json says, where it has been written since it was last read."""
        written = self._run.run_json.stat().st_mtime
        if self._described is None or self._described[0] != written:
            run_json = self._run.read()
            notes = [
                printable(str(note.get("text", "")), 2000)
                for note in listed(run_json, "notes")
                if isinstance(note, dict)
            ]
            self._described = written, Description(stored_config(run_json), "\n\n".join(notes))
        return self._described[1]

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = f" {printable(str(error.filename))}" if error.filename else ""
            raise RunError(f"The mirror to {self._name} cannot write{where}: {error.strerror}.") from None
