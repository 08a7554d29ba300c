"""What steps add up to: their pace, the means of an epoch, and what a validation finds."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from arc_core.data.grids import Grid
from arc_core.run.declared import Declared

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
        self._counted = 0
        """Pairs of all marks but the first, which only opens the window: its own came before it."""

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
        self._counted += pairs
        while len(self._marks) > 2 and now - self._marks[0][0] > RATE_WINDOW_SECONDS:
            self._marks.popleft()
            self._counted -= self._marks[0][1]
        return self._counted / max(now - self._marks[0][0], 1e-9)


class EpochMeans:
    """Running sums of an epoch's steps; part of a checkpoint, so that a resumed epoch has exact means.

    Args:
        declared: What steps carry.
    """

    def __init__(self, declared: Declared) -> None:
        self.count = 0
        self.sums: Nested = {}
        self._declared = declared
        self._names = (*PACE, *(group.name for group in declared.groups if group.averaged))

    def add(self, event: Mapping[str, Any]) -> None:
        """Take in a step event; a number that is not there or was not finite is left out of its mean."""
        if not self.count:
            self.sums = self.form(self._declared)
        self.count += 1
        _accumulate(self.sums, {name: event[name] for name in self._names if name in event})

    def means(self) -> Nested:
        """Mean of every number that was ever finite."""
        return _divide(self.sums)

    def state(self) -> Nested:
        """For a checkpoint."""
        return {"count": self.count, "sums": self.sums}

    @classmethod
    def restored(cls, state: Mapping[str, Any], declared: Declared) -> EpochMeans:
        """From a checkpoint; what is not declared now is dropped."""
        means = cls(declared)
        means.count = int(state["count"])
        means.sums = _kept(state["sums"], cls.form(declared)) if means.count else {}
        return means

    @staticmethod
    def form(declared: Declared) -> Nested:
        """What the sums of at least one step look like, as `require_form` takes it."""
        groups = {
            group.name: {number.name: [0.0, 0] for number in group.numbers}
            for group in declared.groups
            if group.averaged
        }
        return {name: [0.0, 0] for name in PACE} | groups


@dataclass(frozen=True)
class Validation:
    """Phase 4's numbers; accuracies are means over the inputs. None is what is not measured.

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
        score: What validations are ranked by, the larger the better; None ranks them by `exact`.
        numbers: What else was measured, by name.
    """

    inputs: int | None = None
    cell_accuracy: float | None = None
    exact: int | None = None
    tasks: int | None = None
    tasks_solved: int | None = None
    accuracy_delta: float | None = None
    size_accuracy: float | None = None
    copy_cell_accuracy: float | None = None
    black_cell_accuracy: float | None = None
    score: float | None = None
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def mark(self) -> tuple[float, ...]:
        """What the best one is the largest by: exact inputs and share of cells, or score, cells, and a 1."""
        cells = self.cell_accuracy or 0.0
        return (float(self.exact or 0), cells) if self.score is None else (self.score, cells, 1.0)

    def told(self) -> Nested:
        """What its event tells: what is measured."""
        return {name: value for name, value in vars(self).items() if value is not None and value != {}}

    @classmethod
    def over(cls, answers: Iterable[AnsweredInput]) -> Validation:
        """Score answers beside the two baselines."""
        found = list(answers)
        exact: dict[str, list[bool]] = {}
        for answer in found:
            exact.setdefault(answer.task, []).append(answer.accuracy == 1.0)
        baselines = [(right_share(a.input, a.target), right_share(0 * a.input, a.target)) for a in found]
        copies, blacks = zip(*baselines, strict=True)
        before = [a.accuracy_before for a in found if a.accuracy_before is not None]
        gains = [a.accuracy - a.accuracy_before for a in found if a.accuracy_before is not None]
        lent = [
            a.accuracy - right_share(a.without_memory, a.target)
            for a in found
            if a.without_memory is not None
        ]
        numbers = {"base exact": float(before.count(1.0)), "base cells": _mean(before)} if before else {}
        return cls(
            inputs=len(found),
            cell_accuracy=_mean([answer.accuracy for answer in found]),
            exact=sum(sum(inputs) for inputs in exact.values()),
            tasks=len(exact),
            tasks_solved=sum(all(inputs) for inputs in exact.values()),
            accuracy_delta=_mean(gains) if gains else None,
            size_accuracy=_mean([answer.size_known for answer in found]),
            copy_cell_accuracy=_mean(copies),
            black_cell_accuracy=_mean(blacks),
            numbers=numbers | _interval("delta", gains) | _gain("memory", lent),
        )


@dataclass(frozen=True)
class AnsweredInput:
    """An answered input of a validation.

    Attributes:
        task: Id of its task.
        input: What was to be solved.
        answer: The prediction.
        target: The solution.
        before: The prediction before it was refined; None where nothing refines.
        size_told: Whether the model's own size was right, where the answer's is not its own.
        without_memory: The prediction without what a memory has added; None where there is none.
    """

    task: str
    input: Grid
    answer: Grid
    target: Grid
    before: Grid | None = None
    size_told: bool | None = None
    without_memory: Grid | None = None

    @property
    def accuracy(self) -> float:
        """Share of right cells."""
        return right_share(self.answer, self.target)

    @property
    def accuracy_before(self) -> float | None:
        """The same before it was refined."""
        return None if self.before is None else right_share(self.before, self.target)

    @property
    def size_known(self) -> bool:
        """Whether the model knew the size."""
        return self.answer.shape == self.target.shape if self.size_told is None else self.size_told


def right_share(answer: Grid, target: Grid) -> float:
    """Share of cells that are right; cells outside either grid, laid corner on corner, are wrong."""
    height, width = (min(a, b) for a, b in zip(answer.shape, target.shape, strict=True))
    right = np.count_nonzero(answer[:height, :width] == target[:height, :width])
    return int(right) / (answer.size + target.size - height * width)


PACE = ("pairs", "pairs_per_second")
"""Numbers that every step has and an epoch tells the mean of."""


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _interval(name: str, gains: Sequence[float]) -> dict[str, float]:
    """The 95% interval of a mean gain, paired over the inputs; nothing for fewer than two."""
    if len(gains) < 2:
        return {}
    half = 1.96 * float(np.std(gains, ddof=1)) / len(gains) ** 0.5
    return {f"{name} from": _mean(gains) - half, f"{name} to": _mean(gains) + half}


def _gain(name: str, gains: Sequence[float]) -> dict[str, float]:
    return {f"{name} gain": _mean(gains)} | _interval(name, gains) if gains else {}


def _accumulate(sums: Nested, values: Mapping[str, Any]) -> None:
    """Add numbers to the sums of their names, each a list of the sum and how many were added."""
    for name, value in values.items():
        if value is None or (kept := sums.get(name)) is None:
            continue
        if isinstance(value, dict):  # as every event has it; to ask for a Mapping takes ten times as long
            _accumulate(kept, cast(Nested, value))
        else:
            kept[0] += value
            kept[1] += 1


def _divide(sums: Nested) -> Nested:
    """Return the means of sums; what was never added is left out."""
    found: Nested = {}
    for name, value in sums.items():
        if isinstance(value, dict):
            if group := _divide(cast(Nested, value)):
                found[name] = group
        elif value[1]:
            found[name] = value[0] / value[1]
    return found


def _kept(sums: Mapping[str, Any], form: Nested) -> Nested:
    """Return the sums of the names that a form has; what was never told is the form's own."""
    return {
        name: _kept(sums.get(name, {}), part) if isinstance(part, dict) else sums.get(name, part)
        for name, part in form.items()
    }
