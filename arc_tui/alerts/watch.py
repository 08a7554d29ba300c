"""What of a run is worth an alert: pure, from what is new in its log and whether its process lives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from arc_core.base.text import printable
from arc_core.run.event_forms import Event, ValidationEvent, WarningEvent
from arc_tui.alerts.message import Alert, Occasion
from arc_tui.runs.fields import duration
from arc_tui.runs.listing import STARTING_SECONDS
from arc_tui.runs.sentences import validation_words
from arc_tui.runs.state import Phase, RunState, reduce

BEST_SECONDS = 60.0
"""Time between two alerts of a new best, at least; the better one is told."""

STAYS_SECONDS = 60.0
"""A warning that is given again so long after it was given first stays."""


@dataclass
class Watch:
    """What is known of a run while it is watched.

    Attributes:
        run: Its name.
        state: What its log adds up to.
        stall_seconds: A living run that says nothing for so long has stalled.
        began: When it began to be watched; all times are monotonic seconds.
        lived: Whether its process has been seen.
        ended: Whether the run has ended, so that nothing is left to watch.
    """

    run: str
    state: RunState
    stall_seconds: float
    began: float
    lived: bool = False
    ended: bool = False
    _heard_at: float = -math.inf
    _stalled: bool = False
    _best_is_due: bool = False
    _best_told: float = -math.inf
    _first_given: dict[str, float] = field(default_factory=dict[str, float])
    _staying: set[str] = field(default_factory=set[str])

    def take(self, events: Sequence[Event], *, alive: bool, now: float) -> list[Alert]:
        """Take in what is new.

        Args:
            events: Read after the process was looked at.
            alive: Whether a process trained the run.
            now: The time.

        Returns:
            What is to be told.
        """
        alerts = [alert for event in events for alert in self._follow(event, now)]
        if events:
            self._heard_at, self._stalled = now, False
        self.lived = self.lived or alive or bool(events)
        if events and self.state.ended:
            return [*alerts, self._finished()]
        if not alive and (self.lived or now - self.began > STARTING_SECONDS):
            return [*alerts, self._crashed()]
        quiet = now - max(self._heard_at, self.began)
        if quiet >= self.stall_seconds and not self._stalled and self.state.activity is not Phase.PAUSED:
            self._stalled = True
            told = f"No word from its process for {duration(quiet)}, which lives."
            alerts.append(self._alert(Occasion.STALL, "has stalled", told))
        if self._best_is_due and now - self._best_told >= BEST_SECONDS:
            self._best_is_due, self._best_told = False, now
            alerts.append(self._alert(Occasion.BEST, "has a new best validation"))
        return alerts

    def _follow(self, event: Event, now: float) -> list[Alert]:
        before, self.state = self.state.best_validation, reduce([event], self.state)
        if isinstance(event, ValidationEvent):
            best = self.state.best_validation
            self._best_is_due |= before is not None and best is not None and best.mark > before.mark
        if not isinstance(event, WarningEvent):
            return []
        first = self._first_given.setdefault(event.code, now)
        if now - first < STAYS_SECONDS or event.code in self._staying:
            return []
        self._staying.add(event.code)
        told = f"{printable(event.message, 500)} Advice: {printable(event.advice, 500)}"
        return [self._alert(Occasion.WARNING, "keeps giving a warning", told)]

    def _finished(self) -> Alert:
        self.ended = True
        if self.state.activity is Phase.FINISHED:
            return self._alert(Occasion.FINISH, "has finished")
        reason = printable(self.state.reason or "it does not say why", 500).rstrip(".")
        return self._alert(Occasion.FINISH, "has ended", f"{reason[:1].upper()}{reason[1:]}.")

    def _crashed(self) -> Alert:
        self.ended = True
        if not self.lived:
            return self._alert(Occasion.CRASH, "has not begun", "Its training process has not taken it up.")
        saved = self.state.last_checkpoint
        at = f"Its last checkpoint is that of step {saved.step:,}." if saved else "It has no checkpoint."
        return self._alert(Occasion.CRASH, "has crashed", f"Its training process ended without a word. {at}")

    def _alert(self, occasion: Occasion, what: str, told: str = "") -> Alert:
        state, best = self.state, self.state.best_validation
        where = f"Step {state.step:,}, epoch {state.epoch}."
        found = "" if best is None or best.event is None else validation_words(best.event)
        marks = f"Best validation, at step {best.step:,}: {found}." if best is not None and found else ""
        text = " ".join(part for part in (told, where, marks) if part)
        return Alert(occasion, printable(self.run, 100), f"{printable(self.run, 100)} {what}", text)
