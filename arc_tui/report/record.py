"""Reads a run once, from its first event to its last, keeping what a report tells of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from arc_core.run.directory import RunDirectory, is_alive
from arc_core.run.event_forms import EpochEvent, ResumedEvent, ValidationEvent
from arc_core.run.events import EventReader
from arc_tui.runs.history import History
from arc_tui.runs.outline import outline
from arc_tui.runs.series import CAPACITY
from arc_tui.runs.state import RunState, apply, initial, observed
from arc_tui.runs.thinned import Thinned
from arc_tui.runs.view import RunView, facts

KEPT_EPOCHS = 500
"""Epochs that are told one by one: so many of the last, and as many of those before."""


@dataclass(frozen=True)
class Record:
    """A run as its report tells it.

    Attributes:
        run: Its directory.
        run_json: What it was started with.
        view: Its state and history, as panels have them.
        epochs: Events of the epochs that count, oldest first.
        started: Time of its first event, in seconds since the epoch; NaN without any.
        damaged: Lines of the log that were left out.
    """

    run: RunDirectory
    run_json: dict[str, Any]
    view: RunView
    epochs: list[EpochEvent]
    started: float
    damaged: int

    @property
    def state(self) -> RunState:
        """What its events add up to."""
        return self.view.state

    @property
    def validations(self) -> list[ValidationEvent]:
        """Events of the validations that count, oldest first."""
        return [found.event for found in self.state.validations if found.event is not None]

    @property
    def history(self) -> History:
        """Its numbers, samples and marks."""
        return self.view.history


def read_record(run: RunDirectory, now: float, capacity: int = CAPACITY) -> Record:
    """Read a run.

    Args:
        run: The run.
        now: Seconds since the epoch.
        capacity: How many of the newest steps are kept one by one.

    Raises:
        RunError: If its run.json or its log cannot be read.
    """
    run_json = run.read()
    alive = is_alive(run)  # before the log, so that the end of a run that just ended is in it
    reader = EventReader(run.events)
    known = facts(run.name, run_json)
    state, history, started = initial(run_json), History(known.declared, capacity), math.nan
    epochs = Thinned[EpochEvent](KEPT_EPOCHS, KEPT_EPOCHS)
    while batch := reader.poll():
        started = batch[0].time if math.isnan(started) else started
        history.add(batch)
        for event in outline(batch):
            state = apply(state, event)
            if isinstance(event, EpochEvent):
                epochs.add(event.seq, event)
            elif isinstance(event, ResumedEvent):
                epochs.drop(lambda seq, _, counts=event.supersedes: seq > counts)
    view = RunView(
        state=observed(state, alive=alive),
        history=history,
        now=now,
        alive=alive,
        facts=known,
        damaged=reader.damaged,
    )
    return Record(
        run,
        run_json,
        view,
        epochs.items(),
        started,
        reader.damaged,
    )
