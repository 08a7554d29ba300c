"""Follows the event log of a run for as long as it is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from arc_core.run.events import Event, EventReader

POLL_SECONDS = 0.1


def follow(
    reader: EventReader,
    has_ended: Callable[[], bool],
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[list[Event]]:
    """Yield the events of a log in batches until its writer has ended and all is read.

    Args:
        reader: The log, from where it is to be followed.
        has_ended: Whether the writer can write no more.
        wait: Passes the seconds between two looks.

    Yields:
        What is new, at least every `POLL_SECONDS`; an empty batch when nothing is, so that the caller
        can see to other things.
    """
    while True:
        ended = has_ended()
        events = reader.poll()
        yield events
        if ended and not events:
            return
        if not events:
            wait(POLL_SECONDS)
