"""The process that watches a run and sends alerts: `python -m arc_tui.alerts.watcher RUN_DIR`.

It outlives the training process, whose crash it is to tell, and ends with the run. Standard input gives it
what `start_watcher` writes, as a command line can be read by others; what it prints goes to alerts.log.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from arc_core.base.errors import ArcError
from arc_core.base.files import open_regular
from arc_core.base.signals import ENDING
from arc_core.base.text import printable
from arc_core.run.directory import RunDirectory, is_alive, is_gone, trusted_run
from arc_core.run.events import EventReader
from arc_core.run.outlined import outlined
from arc_tui.alerts.sending import TIMEOUT_SECONDS, WAITS, Sender
from arc_tui.alerts.target import target_of
from arc_tui.alerts.watch import Watch
from arc_tui.runs.state import initial, reduce

LOCK = "alerts.lock"
LOOK_SECONDS = 1.0
REFUSED = 2

FAREWELL_SECONDS = sum(WAITS) + (len(WAITS) + 1) * TIMEOUT_SECONDS
"""So long the last alerts may take, which is all the tries of one."""

GRACE_SECONDS = 60.0
"""So long it goes on when it is told to end, as a run that is told so too needs time to save."""


class _Asked:
    """When this process has to end, once it was asked to."""

    def __init__(self) -> None:
        self.end = float("inf")
        for number in (*ENDING, signal.SIGHUP):
            signal.signal(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.end = min(self.end, time.monotonic() + GRACE_SECONDS)


def main(arguments: list[str]) -> int:
    """Watch a run until it ends.

    Args:
        arguments: Its folder.

    Returns:
        0; 2 when it cannot be watched, which alerts.log says.
    """
    asked = _Asked()
    try:
        (place,) = arguments
        run, given = trusted_run(Path(place)), json.load(sys.stdin)
        with _Turn(run) as turn:
            if turn.taken:
                turn.seen = _watch(run, given, asked, turn.seen)
    except (ArcError, OSError) as error:
        _tell(str(error))
        return REFUSED
    return 0


def _watch(run: RunDirectory, given: dict[str, Any], asked: _Asked, seen: int | None) -> int:
    """Watch a run; returns the number of the last event that was seen.

    Args:
        run: The run.
        given: What standard input said.
        asked: When to end.
        seen: What the watcher before has seen; None where there was none.
    """
    reader = EventReader(run.events)
    past = list(outlined(reader))
    events = [event for event in past if event.seq > max(given["seen"], seen or 0)]
    if seen is not None and not (events or is_alive(run)):  # its end has been told
        return seen
    state = reduce(past[: len(past) - len(events)], initial(run.read()))
    sender = Sender(target_of(given["address"]), _tell)
    watch = Watch(run.name, state, 60 * given["stall_minutes"], time.monotonic(), given["lived"])
    try:
        while not (watch.ended or is_gone(run) or time.monotonic() >= asked.end):
            alive = is_alive(run)
            events += reader
            for alert in watch.take(events, alive=alive, now=time.monotonic()):
                if alert.occasion in given["occasions"]:
                    sender.send(alert)
            events = []
            if not watch.ended:
                time.sleep(LOOK_SECONDS)
    finally:
        sender.close(FAREWELL_SECONDS)
    return watch.state.seq


class _Turn:
    """One watcher of a run at a time: holds its lock, in which it leaves what it has seen.

    One that finds another waits as long as that one may take for its last alerts. The run may have been
    resumed meanwhile, so it goes on with what the other has not seen.

    Attributes:
        taken: Whether it is this one's turn; False where the other one stays.
        seen: Number of the last event that the one before has seen, if it was waited for.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._fd = open_regular(run.path / LOCK, os.O_RDWR | os.O_CREAT)
        self.taken = False
        self.seen: int | None = None

    def __enter__(self) -> _Turn:
        end = time.monotonic() + FAREWELL_SECONDS + LOOK_SECONDS
        waited = False
        while not self._try() and time.monotonic() < end:
            waited = True
            time.sleep(LOOK_SECONDS)
        if self.taken:
            left = os.pread(self._fd, 20, 0)
            self.seen = int(left) if waited and left.isdigit() else None
            os.ftruncate(self._fd, 0)
        return self

    def __exit__(self, *_: object) -> None:
        if self.taken and self.seen is not None:
            os.pwrite(self._fd, str(self.seen).encode(), 0)
        os.close(self._fd)

    def _try(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.taken = True
        return self.taken


def _tell(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {printable(line, 500)}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
