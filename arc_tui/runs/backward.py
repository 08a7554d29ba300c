"""Reads a log from its end to its start, and keeps of it what a run's state hangs on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from arc_core.base.files import open_regular
from arc_core.run.events import Event

BLOCK_BYTES = 4 << 20
"""How much of a log is read at a time."""


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


def outline(events: Sequence[Event]) -> list[Event]:
    """Leave out what does not change what the events add up to (`arc_tui.runs.state.reduce`).

    Of the steps between two other events only the last counts, and samples do not count at all; the last
    event is kept in any case, as it tells when the log was last written. Of all steps but the last, and
    of checkpoints, only the fields are kept that count.
    """
    kept: list[Event] = []
    step: Event | None = None
    for event in events:
        if event["type"] == "step":
            step = event
        elif event["type"] != "sample":
            if step is not None:
                kept.append(step)
                step = None
            kept.append(event)
    if step is not None:
        kept.append(step)
    if events and (not kept or kept[-1] is not events[-1]):
        kept.append(events[-1])
    newest = next((event for event in reversed(kept) if event["type"] == "step"), None)
    return [event if event is newest else _lean(event) for event in kept]


_COUNTS = {
    "step": ("type", "seq", "time", "step", "epoch"),
    "checkpoint": ("type", "seq", "time", "step", "id", "phase", "bytes"),
}
"""What a run's state takes of the events that there are most of."""


def _lean(event: Event) -> Event:
    names = _COUNTS.get(event["type"])
    return {name: event[name] for name in names if name in event} if names is not None else event
