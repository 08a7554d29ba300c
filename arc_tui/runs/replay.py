"""Plays the events of a run as if it were training now: a source for the console like `feed.Feed`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

from arc_core.base.errors import ArcError
from arc_core.run.declared import Declared
from arc_core.run.directory import RunDirectory
from arc_core.run.event_forms import Event
from arc_core.run.events import EventReader
from arc_core.run.recipes import declaration_of
from arc_tui.runs.digest import digested
from arc_tui.runs.feed import BATCH_SECONDS, Arrival, EventSource, problem_of
from arc_tui.runs.state import RunState, initial, observed, reduce

LONGEST_WAIT_SECONDS = 2.0
"""A pause, or a night between two processes, is played no longer than this."""


class Replay(EventSource):
    """Hands over a run's events at the pace in which they were written, or a multiple of it.

    The run is told to be alive until an event says that it has ended, or there are no more; one whose log has
    no end has crashed then.

    Args:
        run: The run; what is in its log when an event's turn comes is played.
        on_batch: As of `EventSource`.
        speed: How many times faster than it happened.
        clock: Monotonic seconds.
        wait: Waits so many seconds, or until the replay is stopped; None takes the replay's own.
    """

    def __init__(
        self,
        run: RunDirectory,
        on_batch: Callable[[Arrival], None],
        speed: float,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] | None = None,
    ) -> None:
        if not (math.isfinite(speed) and speed > 0):
            raise ValueError(f"a replay cannot run {speed} times as fast")
        super().__init__("replay", on_batch)
        self._run = run
        self._speed = speed
        self._clock = clock
        self._wait = wait if wait is not None else self._rest
        self._reader = EventReader(run.events)
        self._state = RunState()
        self._declared = Declared()
        self._shift = 0.0

    def _work(self) -> None:
        try:
            run_json = self._run.read()
            self._state, self._declared = initial(run_json), declaration_of(run_json)
            for events in self._due():
                self._state = reduce(events, self._state)
                self._tell(events, alive=not self._state.ended)
            self._state = observed(self._state, alive=False)
            self._tell([], alive=False)
        except (ArcError, OSError) as error:
            self._hand_over(Arrival([], complete=True, alive=False, problem=problem_of(error)))

    def _due(self) -> Iterator[list[Event]]:
        """Yield the events in batches, each when its time has come; the first at once, even if empty."""
        yield []
        waiting: list[Event] = []
        given = self._clock()
        for event, due in self._timed():
            while not self._stopped.is_set() and self._clock() < due:
                if waiting and self._clock() >= given + BATCH_SECONDS:
                    yield waiting
                    waiting, given = [], self._clock()
                until = min(due, given + BATCH_SECONDS) if waiting else due
                self._wait(max(until - self._clock(), 0.0))
            if self._stopped.is_set():
                return
            waiting.append(event)
            if self._clock() >= given + BATCH_SECONDS:
                yield waiting
                waiting, given = [], self._clock()
        if waiting:
            yield waiting

    def _timed(self) -> Iterator[tuple[Event, float]]:
        """Yield every event with the moment of its turn, on the replay's clock."""
        due = self._clock()
        before = math.nan
        while events := self._reader.poll():
            for event in events:
                at = event.time
                gap = (at - before) / self._speed
                due += min(gap, LONGEST_WAIT_SECONDS) if gap > 0 else 0.0
                before = at if math.isfinite(at) else before
                yield event, due

    def _tell(self, events: list[Event], *, alive: bool) -> None:
        found, damaged = digested(events, self._declared), self._reader.damaged
        self._hand_over(Arrival(events, False, True, alive, damaged, found, self._state))

    def _rest(self, seconds: float) -> None:
        self._stopped.wait(seconds)
