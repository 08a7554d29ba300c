"""A run as a console knows it: its state and history, what was asked of it, and what is news; no Textual."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from arc_core.base.errors import RunError
from arc_core.run.commands import send
from arc_core.run.directory import RunDirectory, gone_sentence
from arc_core.run.event_forms import NOTED, Event, StepEvent
from arc_tui.runs.feed import Arrival
from arc_tui.runs.history import History
from arc_tui.runs.pace import TimeLeft
from arc_tui.runs.state import Phase, RunState, Warned, initial, observed, reduce
from arc_tui.runs.steering import Request, Requests
from arc_tui.runs.view import Facts, RunView, facts


@dataclass(frozen=True)
class News:
    """What of a batch is worth telling at once.

    Attributes:
        requests: What was asked and has got further.
        ended: How the run has just ended: FINISHED, STOPPED or CRASHED; None if it has not just ended.
        best: Whether a validation has just been the best so far.
        problem: Why the log cannot be read, or that the run is gone; None where nothing is wrong.
    """

    requests: tuple[Request, ...] = ()
    ended: Phase | None = None
    best: bool = False
    problem: str | None = None


class Session:
    """What a console knows of one run.

    Args:
        run: The run.
        replay: Whether its events are played again; nothing can be asked of it then.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, run: RunDirectory, *, replay: bool = False, clock: Callable[[], float] = time.time
    ) -> None:
        self.run = run
        self.replay = replay
        self.requests = Requests()
        self.known = False
        """Whether anything has been read yet."""
        self.gone = False
        """Whether the run has been deleted or moved; what was read of it before still stands."""
        self.awaited_since: float | None = None
        """When a process was started whose first word is still to come; None while none is awaited."""
        self.expected_alive: Callable[[], bool] = lambda: False
        """Tells whether a process was just started that may not hold the run's lock yet."""
        self._clock = clock
        content = run.read()
        self._facts = facts(run.name, content)
        self.history = History(self._facts.declared)
        self._read = initial(content)
        self._alive = False
        self._complete = False
        self._damaged = 0
        self._pace = TimeLeft()
        self._seen_until = -math.inf

    def process_ended(self) -> None:
        """Take note that the process has ended, which a log without events does not tell."""
        self._read = observed(self._read, alive=False)

    @property
    def state(self) -> RunState:
        """What the run's events add up to."""
        read = self._read
        if read.activity is Phase.CRASHED and self.expected_alive():  # it does not hold the lock yet
            read = dataclasses.replace(read, activity=Phase.RUNNING)
        if self.awaited_since is None or (read.ended and not self.expected_alive()):
            return read
        return dataclasses.replace(read, activity=Phase.STARTING, saving=False, reason=None)

    @property
    def phase(self) -> Phase:
        """What the run is doing, a request that it has not answered yet taken into account."""
        phase = self.state.phase
        if phase is Phase.RUNNING and self.requests.unanswered("pause"):
            return Phase.PAUSING
        return phase

    @property
    def unseen(self) -> tuple[Warned, ...]:
        """Warnings that the user has not marked as seen, oldest first; the newest of each kind."""
        newest = {warned.code: warned for warned in self.state.warnings if warned.time > self._seen_until}
        return tuple(sorted(newest.values(), key=lambda warned: warned.time))

    def mark_seen(self) -> None:
        """Take the warnings there are as seen."""
        times = [warned.time for warned in self.state.warnings]
        self._seen_until = max([self._seen_until, *times])

    def take(self, batch: Arrival) -> News:
        """Take in what is new of the run."""
        was, best = self.state, self.state.best_validation
        first, self.known = not self.known, True
        self.history.add(batch.digest if batch.digest is not None else batch.events, older=batch.older)
        if batch.state is not None:
            self._read = batch.state
        else:
            self._read = reduce(batch.events, self._read)
        self._alive, self._complete, self._damaged = batch.alive, batch.complete, batch.damaged
        problem = batch.problem
        if batch.gone:
            self.gone, self.awaited_since, problem = True, None, gone_sentence(self.run)
        if batch.older:
            return News(problem=problem)
        self._follow(batch.events)
        moved = self.requests.take(batch.events)
        state = self.state
        ended = state.activity if state.ended and not was.ended and not first else None
        if state.ended and not first:
            moved += self.requests.abandon()
        now_best = state.best_validation
        improved = not first and best is not None and now_best is not None and now_best.mark > best.mark
        return News(tuple(moved), ended, improved, problem)

    def ask(self, command: str, args: Mapping[str, object] | None = None) -> Request:
        """Send a command to the run.

        Raises:
            ConfigError: If a value is refused; nothing is sent.
            RunError: If no process trains the run, or its folder cannot be written.
        """
        if self.replay:
            raise RunError("A replay takes no commands.")
        if self.gone:
            raise RunError(gone_sentence(self.run))
        if not self._alive and not self.expected_alive():
            raise RunError(f"No process trains {self.run.name}.")
        return self.requests.sent(send(self.run.commands, command, args), command, args or {})

    def ask_again(self) -> None:
        """Send again what a process that had only just begun rejected.

        Raises:
            RunError: If the run's folder cannot be written.
        """
        for request in tuple(self.requests.to_resend):
            self.requests.resent(request, send(self.run.commands, request.command, request.args))

    def view(self, cursor: int | None = None) -> RunView:
        """Return the run as it is now.

        Args:
            cursor: The step that the charts' cursor is at; None while they follow the newest.
        """
        state = self.state
        left, rest = self._left(state)
        return RunView(
            state,
            self.history,
            self._clock(),
            self._alive,
            self.replay,
            self._facts,
            self.phase,
            left,
            rest,
            cursor,
            self._complete,
            self._damaged,
            self.gone,
        )

    def _left(self, state: RunState) -> tuple[float, float]:
        """Return the seconds until the epoch and the run end; NaN while they are not known."""
        batches, total = self._facts.batches_per_epoch, self._facts.total_steps
        if batches is None or total is None or state.last_step is None:
            return math.nan, math.nan
        in_epoch = batches - state.last_step.batch - 1
        return self._pace.remaining(max(in_epoch, 0)), self._pace.remaining(max(total - state.step, 0))

    def _follow(self, events: Sequence[Event]) -> None:
        """Keep the pace, and read again what the training process notes in run.json."""
        begun = False
        for event in events:
            if isinstance(event, StepEvent):
                self._pace.update(event)
            elif isinstance(event, NOTED):
                begun = True
                if self.awaited_since is not None and event.time >= self.awaited_since:
                    self.awaited_since = None
        if begun or (self._facts.total_steps is None and self.state.last_step is None):
            self._facts = self._reread()

    def _reread(self) -> Facts:
        try:
            return facts(self.run.name, self.run.read())
        except RunError:  # what was read before still stands
            return dataclasses.replace(self._facts)
