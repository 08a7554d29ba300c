"""What steps add up to: their pace, the means of an epoch, and what a validation finds."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from arc_core.run.event_forms import GROUPS, NOT_IN_SOLVER

RATE_WINDOW_SECONDS = 10.0

Nested = dict[str, Any]


class Pace:
    """Pairs per second over the last seconds, and the seconds trained by all processes of a run.

    Args:
        elapsed_before: Seconds that earlier processes trained.
        clock: Monotonic seconds.
    """

    def __init__(self, elapsed_before: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock() - elapsed_before
        self._marks: deque[tuple[float, int]] = deque([(clock(), 0)])

    @property
    def elapsed_seconds(self) -> float:
        """Seconds trained, pauses and validations left out."""
        return self._clock() - self._started

    def leave_out(self, seconds: float) -> None:
        """Take a pause or a validation out of the reckoning of the rate and of the time."""
        self._started += seconds
        self._marks = deque((at + seconds, pairs) for at, pairs in self._marks)

    def add(self, pairs: int) -> float:
        """Count a step's pairs and return the rate."""
        now = self._clock()
        self._marks.append((now, pairs))
        while len(self._marks) > 2 and now - self._marks[0][0] > RATE_WINDOW_SECONDS:
            self._marks.popleft()
        # The first mark only opens the window: its own pairs came before it.
        counted = sum(pairs for _, pairs in list(self._marks)[1:])
        return counted / max(now - self._marks[0][0], 1e-9)


class EpochMeans:
    """Running sums of an epoch's steps; part of a checkpoint, so that a resumed epoch has exact means."""

    def __init__(self) -> None:
        self.count = 0
        self.sums: Nested = {}

    def add(self, event: Mapping[str, Any]) -> None:
        """Take in a step event; a number that was not finite (None) is left out of its mean."""
        self.count += 1
        _accumulate(self.sums, {name: event[name] for name in MEAN_FIELDS})

    def means(self) -> Nested:
        """Mean of every number; 0 for one that was never finite, None for one that the run does not have."""
        return _divide(self.sums)

    def state(self) -> Nested:
        """For a checkpoint."""
        return {"count": self.count, "sums": self.sums}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> EpochMeans:
        """From a checkpoint."""
        means = cls()
        means.count = int(state["count"])
        means.sums = dict(state["sums"])
        return means

    @staticmethod
    def form() -> Nested:
        """What the sums of at least one step look like, as `require_form` takes it."""
        return {
            name: {part: [0.0, 0] for part in GROUPS[name]} if name in GROUPS else [0.0, 0]
            for name in MEAN_FIELDS
        }


@dataclass(frozen=True)
class Validation:
    """Phase 4's numbers; accuracies are means over the inputs.

    Attributes:
        inputs: Test inputs scored.
        cell_accuracy: Share of right cells, at the predicted size.
        exact: Inputs that are right in size and every cell.
        tasks: Tasks that the inputs belong to.
        tasks_solved: Tasks all of whose scored inputs are exact.
        accuracy_delta: What the refinement of the prompt gained in cell accuracy.
        size_accuracy: Share of sizes that are right.
        copy_cell_accuracy: Cell accuracy of answering with the input.
        black_cell_accuracy: Cell accuracy of answering with an all-black grid of the input's size.
    """

    inputs: int
    cell_accuracy: float
    exact: int
    tasks: int
    tasks_solved: int
    accuracy_delta: float
    size_accuracy: float
    copy_cell_accuracy: float
    black_cell_accuracy: float


MEAN_FIELDS = ("pairs", "pairs_per_second", *(group for group in GROUPS if group != "amp"))


def _accumulate(sums: Nested, values: Mapping[str, Any]) -> None:
    """Add numbers to sums of the same names, each a list of the sum and how many were added."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            _accumulate(sums.setdefault(name, {}), value)
        else:
            pair = sums.setdefault(name, [0.0, 0])
            if value is not None:
                pair[0] += value
                pair[1] += 1


def _divide(sums: Nested, prefix: str = "") -> Nested:
    return {
        name: _divide(value, f"{name}.") if isinstance(value, dict) else _mean(f"{prefix}{name}", *value)
        for name, value in sums.items()
    }


def _mean(name: str, total: float, count: int) -> float | None:
    if count == 0 and name in NOT_IN_SOLVER:
        return None
    return total / max(count, 1)
