"""How fast a run trains, from its steps."""

from __future__ import annotations

import math

from arc_core.run.event_forms import StepEvent


class TimeLeft:
    """How long a step takes lately, and so how long the rest will take."""

    def __init__(self, weight: float = 0.1) -> None:
        self._weight = weight
        self._last: tuple[int, float] | None = None
        self._seconds_per_step = math.nan

    def update(self, step: StepEvent) -> None:
        """Take a step into account."""
        count, elapsed = step.step, step.number("elapsed_seconds")
        if self._last is not None and count > self._last[0] and elapsed >= self._last[1]:
            seconds = (elapsed - self._last[1]) / (count - self._last[0])
            known = math.isfinite(self._seconds_per_step)
            change = self._weight * (seconds - self._seconds_per_step)
            self._seconds_per_step = self._seconds_per_step + change if known else seconds
        self._last = (count, elapsed)

    def remaining(self, steps: int) -> float:
        """Return the seconds that so many steps will take; NaN while that is not known."""
        return self._seconds_per_step * steps
