"""What is known of a task while it is solved: pure data, made of `adaptation` events and the answers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from arc_core.evaluation.folder import TaskAnswer
from arc_core.run.event_forms import AdaptationEvent, Event
from arc_tui.runs.samples import Grid, grid_of


class SolveStage(StrEnum):
    """How far the solving process is."""

    STARTING = "starting"
    ADAPTING = "adapting"
    VOTING = "voting"
    ANSWERED = "answered"


@dataclass(frozen=True)
class Look:
    """What the solver predicted at a step.

    Attributes:
        step: Steps taken, by all starts.
        steps: Steps of all starts.
        loss: Of the last step; NaN where it was not finite.
        seconds: Since the process began on the task.
        demonstrations: What each demonstration's input became.
        queries: What each test input became.
        start: Which agent of the task predicted it, from 1.
        starts: How many there are to be.
    """

    step: int
    steps: int
    loss: float
    seconds: float
    demonstrations: tuple[Grid, ...]
    queries: tuple[Grid, ...]
    start: int = 1
    starts: int = 1

    @property
    def is_last(self) -> bool:
        """Whether the adaptation is over."""
        return self.step >= self.steps


@dataclass(frozen=True)
class SolveState:
    """All that is known.

    Attributes:
        looks: What has been predicted, the newest last.
        answer: The answers; None until they are there.
    """

    looks: tuple[Look, ...] = ()
    answer: TaskAnswer | None = None

    @property
    def stage(self) -> SolveStage:
        """How far it is."""
        if self.answer is not None:
            return SolveStage.ANSWERED
        if not self.looks:
            return SolveStage.STARTING
        return SolveStage.VOTING if self.looks[-1].is_last else SolveStage.ADAPTING

    @property
    def eta(self) -> float:
        """Seconds until the adaptation is over; NaN while that cannot be told."""
        if len(self.looks) < 2:
            return math.nan
        first, last = self.looks[0], self.looks[-1]
        taken = last.step - first.step
        return (last.seconds - first.seconds) / taken * (last.steps - last.step) if taken > 0 else math.nan


def take(state: SolveState, events: Iterable[Event], answer: TaskAnswer | None) -> SolveState:
    """Take in what is new.

    Args:
        state: What was known.
        events: New events in their order; others than `adaptation` say nothing.
        answer: The answers; None while there are none.
    """
    looks = [look_of(event) for event in events if isinstance(event, AdaptationEvent)]
    if not looks and answer is state.answer:
        return state
    return replace(state, looks=(*state.looks, *looks), answer=answer)


def look_of(event: AdaptationEvent) -> Look:
    """Read an `adaptation` event; what is damaged in a grid becomes a sign for it."""
    return Look(
        event.step,
        event.steps,
        event.loss,
        event.seconds,
        tuple(map(grid_of, event.demonstrations)),
        tuple(map(grid_of, event.queries)),
        event.start or 1,
        event.starts or 1,
    )


def changed_cells(before: Grid, after: Grid) -> int:
    """Return how many cells of the later grid the earlier one has otherwise, or not at all."""
    return sum(
        not (y < len(before) and x < len(before[y]) and before[y][x] == cell)
        for y, row in enumerate(after)
        for x, cell in enumerate(row)
    )
