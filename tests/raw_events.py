"""A run's log as plain JSON, read without the code under test; and the typed events of such lines."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from arc_core.pipeline import declared as pipeline
from arc_core.run.event_forms import Event
from arc_core.run.event_lines import event_of
from arc_core.run.events import drop_superseded

Line = dict[str, Any]

PIPELINE, PRETRAINING = pipeline.declared_by({}), pipeline.declared_by({"recipe": "solver"})
"""What the steps of the built-in recipe carry, and those of the recipe `solver` of earlier versions did."""


class LogReader:
    """Follows a log from its start, or from its present end."""

    def __init__(self, path: Path, *, from_end: bool = False) -> None:
        self._path = path
        self._taken = 0
        if from_end:
            self.poll()

    def poll(self) -> list[Line]:
        """Return the whole lines that are new; one that is no event is left out."""
        try:
            fd = os.open(self._path, os.O_RDONLY)  # which the fault tests see, as they see our own reader
        except FileNotFoundError:
            return []
        with os.fdopen(fd, "rb") as file:
            file.seek(self._taken)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._taken += len(whole)
        return [line for text in whole.split(b"\n")[:-1] for line in _parsed(text)]

    def __iter__(self) -> Iterator[Line]:
        yield from self.poll()


def read_lines(path: Path) -> list[Line]:
    """Return every line of a log."""
    return LogReader(path).poll()


def typed(lines: Iterable[Line]) -> list[Event]:
    """Return the events of lines, each of which has to be one."""
    events = [event_of({"seq": 1} | line) for line in lines]
    assert None not in events
    return [event for event in events if event is not None]


def counting(lines: list[Line]) -> list[Line]:
    """Leave out the lines that later resumes took back."""
    kept = {event.seq for event in drop_superseded(typed(lines))}
    return [line for line in lines if line["seq"] in kept]


def _parsed(text: bytes) -> list[Line]:
    try:
        line = json.loads(text)
    except ValueError:
        return []
    return [line] if isinstance(line, dict) and "type" in line and "seq" in line else []
