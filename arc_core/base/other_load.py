"""What the other programs of a machine take of its processors."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil

SHORTEST_LOOK = 0.5
"""Seconds: over less the clocks of the system, which tick every 10 ms, tell too little."""


class OtherLoad:
    """How many cores this machine's other programs keep busy, since the last time that it was asked."""

    def __init__(self) -> None:
        own = psutil.Process()
        # What started the run and shows it is the run's own, too.
        self._ours = {process: 0.0 for process in (own, own.parent()) if process is not None}
        self._then = self._now()

    def _now(self) -> tuple[float, float]:
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        # A guest's time is in its user's time already.
        counted = sum(times) - idle - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        for process in self._ours:
            with suppress(psutil.Error):  # one that has ended took what it had taken
                self._ours[process] = sum(process.cpu_times()[:2])
        return time.monotonic(), counted - sum(self._ours.values())

    def cores(self) -> float | None:
        """Cores that others have kept busy since the last call; None where that is too short ago to tell."""
        now = self._now()
        seconds = now[0] - self._then[0]
        if seconds < SHORTEST_LOOK:
            return None
        busy = (now[1] - self._then[1]) / seconds
        self._then = now
        return max(0.0, busy)
