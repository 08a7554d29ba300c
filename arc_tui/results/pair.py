"""Two evaluations held against each other: what one has solved and the other has not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from arc_core.base.errors import RunError
from arc_core.base.text import printable
from arc_core.data.scoring import mcnemar
from arc_tui.results.evaluations import EvalResults, State, TaskResult
from arc_tui.results.others import Published

LONGEST_VALUE = 60


class PairOutcome(StrEnum):
    """Which of the two has solved a task."""

    FIRST = "first"
    """The first alone."""
    SECOND = "second"
    """The second alone."""
    BOTH = "both"
    NEITHER = "neither"
    OPEN = "open"
    """It is not scored in both."""


@dataclass(frozen=True, eq=False)
class PairedTask:
    """A task in both evaluations."""

    first: TaskResult
    second: TaskResult

    @property
    def id(self) -> str:
        """The task's id."""
        return self.first.id

    @property
    def outcome(self) -> PairOutcome:
        """Which of the two has solved it."""
        states = self.first.state, self.second.state
        if not {*states} <= {State.SOLVED, State.FAILED}:
            return PairOutcome.OPEN
        if states[0] is states[1]:
            return PairOutcome.BOTH if states[0] is State.SOLVED else PairOutcome.NEITHER
        return PairOutcome.FIRST if states[0] is State.SOLVED else PairOutcome.SECOND


@dataclass(frozen=True, eq=False)
class ResultsPair:
    """Two evaluations and the tasks that both ask.

    Raises:
        RunError: If they have no task in common.
    """

    first: EvalResults
    second: EvalResults

    def __post_init__(self) -> None:
        if not self.tasks:
            raise RunError(f"{self.first.name} and {self.second.name} have no task in common.")

    @cached_property
    def tasks(self) -> tuple[PairedTask, ...]:
        """The tasks in common, in the order of their ids."""
        others = {found.id: found for found in self.second.tasks}
        return tuple(PairedTask(found, others[found.id]) for found in self.first.tasks if found.id in others)

    def count(self, outcome: PairOutcome) -> int:
        """How many of the tasks came out so."""
        return sum(found.outcome is outcome for found in self.tasks)

    @property
    def p_value(self) -> float:
        """Of McNemar's exact test, two-sided, over the tasks that are scored in both."""
        return mcnemar(self.count(PairOutcome.FIRST), self.count(PairOutcome.SECOND))

    def differences(self) -> list[str]:
        """What was asked otherwise, `seed 0 and 1`."""
        found: list[str] = []
        one, other = self.first.assignment, self.second.assignment
        if isinstance(one, Published) or isinstance(
            other, Published
        ):  # nobody knows what was asked of others
            return found
        before, after = one.to_json(), other.to_json()
        for name, value in before.items():
            if name in ("tasks", "seen", "weights"):  # told by what is in common, by a note, and by the hash
                continue
            if isinstance(value, dict):
                found += _differing(value, after[name] if isinstance(after[name], dict) else {})
            elif value != after[name]:
                found.append(_told(name, value, after[name]))
        return found


def _differing(before: dict[str, object], after: dict[str, object]) -> list[str]:
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return [_told(name, before.get(name), after.get(name)) for name in names]


def _told(name: str, before: object, after: object) -> str:
    shown: Sequence[str] = [printable(str(value), LONGEST_VALUE) for value in (before, after)]
    if name == "weights_sha256":
        return "other weights"
    return f"{printable(name, LONGEST_VALUE).replace('_', ' ')} {' and '.join(shown)}"
