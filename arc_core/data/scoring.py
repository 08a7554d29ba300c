"""Scores a submission against its solutions, and says how sure the figures are. No torch.

What Kaggle counts is `inputs_solved`: a test input is solved if either attempt equals its output in size
and every cell. A task is solved if all of its test inputs are. ARC Prize's own figure is a third one: the
mean over tasks of each one's share of test inputs solved, so that every task weighs the same.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from arc_core.base.errors import DataError
from arc_core.base.text import printable
from arc_core.data.grids import Grid
from arc_core.data.kaggle import Attempts, Submission
from arc_core.data.sizes import NO_RULE, size_guesses
from arc_core.data.tasks import Task

Z_95 = 1.959963984540054
"""Standard deviations that 95% of a normal distribution lies within."""


@dataclass(frozen=True)
class Share:
    """How many out of how many, with the 95% interval of Wilson."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """The share, 0 for none of none."""
        return self.count / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end of the 95% interval, 0 to 1 where nothing was counted."""
        return wilson_interval(self.count, self.total)

    def to_json(self) -> dict[str, Any]:
        """For results.json."""
        return {"count": self.count, "total": self.total, "share": self.value, "interval": self.interval}


def wilson_interval(count: int, total: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson's score interval of a share.

    Args:
        count: Successes.
        total: Trials.
        z: Standard deviations to either side.

    Returns:
        Its ends, within 0..1; (0, 1) without trials.
    """
    if total == 0:
        return 0.0, 1.0
    share, weight = count / total, z * z / total
    middle = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / total + weight / total / 4)
    # At the ends of the range rounding would leave a bound of the order of 1e-17 beside them.
    low = 0.0 if count == 0 else max(0.0, middle - half)
    return low, 1.0 if count == total else min(1.0, middle + half)


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p-value of McNemar's test.

    Args:
        only_first: Tasks that the first of two solvers alone has solved.
        only_second: Tasks that the second alone has solved.

    Returns:
        The probability of a difference at least as large if both were equally good.
    """
    trials, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(trials, k) for k in range(fewer + 1)) / 2**trials
    return min(1.0, 2 * tail)


def cell_accuracy(answer: Grid, target: Grid) -> float:
    """Share of right cells with both grids laid corner on corner; cells outside either are wrong."""
    height, width = (min(a, b) for a, b in zip(answer.shape, target.shape, strict=True))
    tall, wide = (max(a, b) for a, b in zip(answer.shape, target.shape, strict=True))
    same = np.count_nonzero(answer[:height, :width] == target[:height, :width])
    return int(same) / (tall * wide)


def same_grid(answer: Grid, target: Grid) -> bool:
    """Whether two grids agree in size and every cell."""
    return answer.shape == target.shape and bool((answer == target).all())


@dataclass(frozen=True)
class InputScore:
    """What became of one test input."""

    task: str
    index: int
    """Zero-based among the task's test inputs."""
    size_rule: str
    """Family of the rule that gives its output's size; `none` where no rule fits."""
    first: bool
    """Whether the first attempt is right."""
    either: bool
    """Whether one of the two is."""
    size_first: bool
    """Whether the first attempt has the right size."""
    size_either: bool
    """Whether one of the two has."""
    cells_first: float
    """Cell accuracy of the first attempt."""
    cells_best: float
    """Cell accuracy of the better one."""
    blank: int = 0
    """How many of the two were not made; each is a wrong one."""


@dataclass(frozen=True)
class Report:
    """A scored submission."""

    inputs: tuple[InputScore, ...]

    def share(self, name: str, rule: str | None = None) -> Share:
        """Of the test inputs, those where a field is true; of one family of size rules where it is given."""
        chosen = [x for x in self.inputs if rule is None or x.size_rule == rule]
        return Share(sum(bool(getattr(x, name)) for x in chosen), len(chosen))

    def tasks(self, name: str = "either") -> Share:
        """Of the tasks, those where a field is true for every test input."""
        solved = self.by_task(name)
        return Share(sum(solved.values()), len(solved))

    def mean_over_tasks(self, name: str = "either") -> float:
        """Of each task the share of its test inputs where a field is true, as a mean over the tasks."""
        inputs: dict[str, list[bool]] = {}
        for x in self.inputs:
            inputs.setdefault(x.task, []).append(bool(getattr(x, name)))
        return sum(sum(found) / len(found) for found in inputs.values()) / max(len(inputs), 1)

    def by_task(self, name: str = "either") -> dict[str, bool]:
        """For each task whether a field is true for every test input."""
        solved: dict[str, bool] = {}
        for x in self.inputs:
            solved[x.task] = solved.get(x.task, True) and bool(getattr(x, name))
        return solved

    def mean(self, name: str) -> float:
        """Mean of a number over the test inputs; 0 for none."""
        return sum(float(getattr(x, name)) for x in self.inputs) / max(len(self.inputs), 1)

    @property
    def blank(self) -> int:
        """How many attempts were not made."""
        return sum(x.blank for x in self.inputs)

    @property
    def rules(self) -> list[str]:
        """The families of size rules that occur."""
        return sorted({x.size_rule for x in self.inputs})

    def to_json(self) -> dict[str, Any]:
        """Everything, for results.json."""

        def passes(of: Callable[[str], Share], first: str, either: str) -> dict[str, Any]:
            return {"pass_1": of(first).to_json(), "pass_2": of(either).to_json()}

        return {
            "inputs_solved": passes(self.share, "first", "either"),
            "tasks_solved": passes(self.tasks, "first", "either"),
            "mean_over_tasks": {
                "pass_1": self.mean_over_tasks("first"),
                "pass_2": self.mean_over_tasks("either"),
            },
            "size_accuracy": passes(self.share, "size_first", "size_either"),
            "cell_accuracy": {"first": self.mean("cells_first"), "best": self.mean("cells_best")},
            "blank_attempts": self.blank,
            "by_size_rule": {rule: self.share("either", rule).to_json() for rule in self.rules},
            "inputs": [asdict(x) for x in self.inputs],
        }


@dataclass(frozen=True)
class Paired:
    """Two reports held against each other, over the tasks that both score."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @classmethod
    def of(cls, first: Report, second: Report) -> Self:
        """Count who has solved what."""
        one, other = first.by_task(), second.by_task()
        counts = Counter((one[task], other[task]) for task in one.keys() & other.keys())
        return cls(*(counts[key] for key in ((True, True), (True, False), (False, True), (False, False))))

    @property
    def tasks(self) -> int:
        """How many tasks both score."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def p_value(self) -> float:
        """Of McNemar's exact test, two-sided."""
        return mcnemar(self.only_first, self.only_second)

    def to_json(self) -> dict[str, Any]:
        """For a report."""
        return asdict(self) | {"tasks": self.tasks, "mcnemar_p": self.p_value}


def score(
    answers: Submission,
    solutions: Mapping[str, Sequence[Grid]],
    tasks: Iterable[Task] | None = None,
    *,
    partial: bool = False,
) -> Report:
    """Score a submission.

    Args:
        answers: The attempts.
        solutions: For each task the outputs of its test inputs, in order.
        tasks: The same tasks with their demonstrations, to tell the size rule of each input; None leaves it
            unknown.
        partial: Score the tasks of the submission alone, instead of refusing one that lacks tasks.

    Returns:
        The scores, in order of task ids.

    Raises:
        DataError: If tasks or test inputs are missing or unknown.
    """
    if unknown := sorted(answers.keys() - solutions.keys()):
        raise DataError(f"The submission answers task {printable(unknown[0], 60)}, which has no solution.")
    missing = sorted(solutions.keys() - answers.keys())
    if missing and not partial:
        raise DataError(
            f"The submission lacks {len(missing)} of {len(solutions)} tasks, the first of them "
            f"{printable(missing[0], 60)}: all must be there, or be left out of the score by --partial."
        )
    if not answers:
        raise DataError("The submission holds no task.")
    rules = _size_rules(tasks)
    scored = []
    for task in sorted(answers):
        attempts, targets = answers[task], solutions[task]
        if len(attempts) != len(targets):
            raise DataError(
                f"The submission has {len(attempts)} entries for task {printable(task, 60)}, "
                f"which has {len(targets)} test inputs."
            )
        for index, (attempt, target) in enumerate(zip(attempts, targets, strict=True)):
            scored.append(_score_input(task, index, attempt, target, rules.get((task, index), "unknown")))
    return Report(tuple(scored))


def _score_input(task: str, index: int, attempts: Attempts, target: Grid, rule: str) -> InputScore:
    both = (attempts.first, attempts.second)
    cells = [cell_accuracy(grid, target) for grid in both]
    return InputScore(
        task=task,
        index=index,
        size_rule=rule,
        first=same_grid(attempts.first, target),
        either=any(same_grid(grid, target) for grid in both),
        size_first=attempts.first.shape == target.shape,
        size_either=any(grid.shape == target.shape for grid in both),
        cells_first=cells[0],
        cells_best=max(cells),
        blank=attempts.blank,
    )


def _size_rules(tasks: Iterable[Task] | None) -> dict[tuple[str, int], str]:
    found: dict[tuple[str, int], str] = {}
    for task in tasks or ():
        for index, pair in enumerate(task.test):
            guesses = size_guesses(task.train, pair.input)
            found[task.id, index] = guesses[0].rule if guesses else NO_RULE
    return found
