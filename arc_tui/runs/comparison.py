"""Runs beside each other: those that differ in their seed alone as one, and the options that differ."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arc_core.base.text import printable
from arc_core.run.config import LAUNCH_OPTIONS
from arc_core.run.declared import Declared
from arc_tui.runs.columns import OF_EVERY_STEP
from arc_tui.runs.history import History
from arc_tui.runs.listing import best_text
from arc_tui.runs.series import CAPACITY, FACTOR, Window, bridged
from arc_tui.runs.state import RunState, ValidationResult

Numbers = NDArray[np.float64]

SEED = "seed"
NOT_COMPARED = tuple(name for name in LAUNCH_OPTIONS if name != "preset")
"""Options that say how a run was started."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LEAST_CAPACITY = 1024
LONGEST_VALUE = 60


@dataclass(eq=False)
class ComparedRun:
    """A run that is compared, as far as it has been read.

    Attributes:
        name: What it is called.
        config: Its options, as run.json has them; empty where they are not known.
        history: Its numbers.
        state: What its log adds up to; None before anything of it has been read.
    """

    name: str
    config: Mapping[str, object]
    history: History
    state: RunState | None = None

    @property
    def best(self) -> ValidationResult | None:
        """Its best validation; None where there is none yet."""
        return self.state.best_validation if self.state is not None else None

    def value(self, number: str, step: int | None) -> float:
        """Return a number at a step, None for the last one; NaN where it is not known or was not finite."""
        return self.history.latest(number) if step is None else float(self.history.at(number, step).mean[0])


class RunGroup:
    """Runs that differ in their seed alone, or a run by itself.

    Args:
        runs: At least one.
    """

    def __init__(self, runs: Sequence[ComparedRun]) -> None:
        self.runs: Sequence[ComparedRun] = list(runs)
        self.history = GroupHistory([run.history for run in runs])

    @property
    def label(self) -> str:
        """What it is called: by its first run, and how many more there are."""
        more = f" +{len(self.runs) - 1}" if len(self.runs) > 1 else ""
        return printable(self.runs[0].name, 100) + more

    @property
    def steps(self) -> str:
        """How far its runs have come: `1,200`, or `700 – 1,200` where that differs."""
        last = {run.history.last_step for run in self.runs}
        return f"{min(last):,} – {max(last):,}" if len(last) > 1 else f"{min(last):,}"

    @property
    def members(self) -> str:
        """How many runs it has: `3 seeds`, or `3 runs` where a seed stands twice; empty for one."""
        seeds = [run.config.get(SEED) for run in self.runs]
        if len(seeds) == 1:
            return ""
        return f"{len(seeds)} {'runs' if any(seeds.count(seed) > 1 for seed in seeds) else 'seeds'}"

    def option(self, key: str) -> object:
        """Return the value of an option, which its runs share; of the seed all that they have."""
        if key == SEED and len(self.runs) > 1:
            return ", ".join(str(run.config.get(SEED)) for run in self.runs)
        return self.runs[0].config.get(key)

    def values(self, number: str, step: int | None = None) -> list[float]:
        """Return a number of each run at a step, None for the last one of each."""
        return [run.value(number, step) for run in self.runs]

    def best(self, *, words: bool = True, ranged: bool = True) -> str:
        """Write the best validations, of several their mean.

        Args:
            words: Whether to say what they are; else the one number that says most.
            ranged: Whether to write the range of several too.
        """
        found = [run.best for run in self.runs]
        known = [best for best in found if best is not None]
        if not words or not known:
            values = [math.nan if best is None else best.short for best in found]
            return mean_text(values, ".4f", ranged=ranged)
        if len(found) == 1:
            return best_text(known[0])
        fewer = f"; {len(known)} of {len(found)} runs" if len(known) < len(found) else ""
        if any(math.isfinite(best.score) for best in known):
            return f"score {mean_text([best.score for best in known], '.4f')}{fewer}"
        cells = f"{mean_text([best.cell_accuracy for best in known], '.4f')} of cells{fewer}"
        if not all(best.counted for best in known):
            return cells
        inputs = {best.inputs for best in known}
        of = f" of {inputs.pop()}" if len(inputs) == 1 else ""
        return f"{mean_text([best.exact for best in known], '.3g')}{of} exact, {cells}"


class GroupHistory:
    """The numbers of runs as one curve: the mean of their lines, in the range of them.

    What is drawn of a run by itself is its mean line; here the envelope is the range of these, not that of
    single steps. A run counts from its first number to its last, so that those which have not come as far
    as others leave the mean to them.

    Args:
        histories: Of the runs.
    """

    def __init__(self, histories: Sequence[History]) -> None:
        self._histories = histories

    @property
    def first_step(self) -> int:
        """The first step that any run knows; 0 before any does."""
        return min((history.first_step for history in self._histories if history.last_step), default=0)

    @property
    def last_step(self) -> int:
        """The last step that any run knows; 0 before any does."""
        return max((history.last_step for history in self._histories), default=0)

    @property
    def revision(self) -> int:
        """Rises whenever something was added to one of them."""
        return sum(history.revision for history in self._histories)

    def curve(
        self, name: str, first: int, last: int, columns: int, half_life: float | None
    ) -> tuple[Window, Numbers]:
        """Return mean and range of the runs' lines; as `History.curve`, for a chart to draw.

        Args:
            name: Dotted name of the number.
            first: The step of the first column.
            last: The step of the last column.
            columns: How many columns.
            half_life: Of each run's moving average in steps; None takes the means of its columns.

        Returns:
            A window whose `low` and `high` are the range of the lines and whose `count` says of how many
            runs, and [columns] their mean.
        """
        lines: list[Numbers] = []
        bad = np.zeros(columns, np.int64)
        for history in self._histories:
            window, smooth = history.curve(name, first, last, columns, half_life)
            lines.append(bridged(window.mean if smooth is None else smooth, window))
            bad += window.bad
        window = _window(first, last, spread(np.array(lines)), bad)
        return window, window.mean

    def at(self, name: str, step: int) -> Window:
        """Return mean and range of the runs' numbers around a step, as a window of one column."""
        found = [history.at(name, step) for history in self._histories]
        bad = np.array([sum(int(window.bad[0]) for window in found)])
        return _window(step, step, spread(np.array([window.mean for window in found])), bad)


@dataclass(frozen=True)
class Spread:
    """Mean and range of several lines, NaN where none has a value.

    Attributes:
        mean: [n] mean of those that have one.
        low: [n] smallest.
        high: [n] largest.
        count: [n] how many have one.
    """

    mean: Numbers
    low: Numbers
    high: Numbers
    count: NDArray[np.int64]


def spread(lines: Numbers) -> Spread:
    """Return mean and range of lines at each place.

    Args:
        lines: [lines, n], NaN where one has no value.
    """
    known = np.isfinite(lines)
    count = known.sum(axis=0)
    low = np.where(known, lines, np.inf).min(axis=0)
    high = np.where(known, lines, -np.inf).max(axis=0)
    # Parts before their sum, so that large numbers do not overflow; rounding must not leave the range.
    parts = np.where(known, lines / np.maximum(count, 1), 0.0)
    mean = np.clip(parts.sum(axis=0), low, high)
    mean, low, high = (np.where(count > 0, line, np.nan) for line in (mean, low, high))
    return Spread(mean, low, high, count)


def _window(first: int, last: int, found: Spread, bad: NDArray[np.int64]) -> Window:
    total = np.where(found.count > 0, found.mean * found.count, 0.0)
    return Window(first, last, found.low, found.high, found.mean, found.mean, total, found.count, bad)


def mean_text(values: Sequence[float], form: str = ".4g", *, ranged: bool = True) -> str:
    """Write the mean of numbers, and their range where they differ; those that are not finite are left out.

    Args:
        values: One of each run.
        form: How a number is written.
        ranged: Whether to write the range.

    Returns:
        `1.2`, `1.2 (1.1 – 1.3)`, `1.2 (1.1 – 1.3) of 2` where not all runs have one, `-` where none has.
    """
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return "-"
    low, high = format(min(known), form), format(max(known), form)
    told = format(statistics.fmean(known), form) + (f" ({low} – {high})" if ranged and low != high else "")
    return f"{told} of {len(known)}" if len(known) < len(values) else told


def by_seeds(runs: Sequence[ComparedRun]) -> list[RunGroup]:
    """Put runs together that differ in their seed alone, in the order of the first of each.

    A run whose options are not known, or that has no seed among them, stays by itself.
    """
    found: list[tuple[Mapping[str, object], list[ComparedRun]]] = []
    for run in runs:
        own = {key: value for key, value in run.config.items() if key not in (SEED, *NOT_COMPARED)}
        alike = next((others for options, others in found if options == own and SEED in run.config), None)
        if alike is None:
            found.append((own if SEED in run.config else {SEED: None}, [run]))
        else:
            alike.append(run)
    return [RunGroup(members) for _, members in found]


def differing(groups: Sequence[RunGroup]) -> list[str]:
    """Return the options in which groups differ, in the order of the first that has each."""
    names = dict.fromkeys(key for group in groups for key in group.runs[0].config if key not in NOT_COMPARED)
    first = groups[0]
    return [key for key in names if any(group.option(key) != first.option(key) for group in groups)]


def option_text(value: object) -> str:
    """Write the value of an option, to be shown."""
    return "none" if value is None else printable(str(value), LONGEST_VALUE)


def numbers_of(declared: Sequence[Declared]) -> list[str]:
    """Return dotted names of what runs can be compared by.

    Headlines, then all that is declared, of each first what most runs have; then what every step has.
    """
    headlines = dict.fromkeys(name for each in declared for name in each.headlines)
    names = dict.fromkeys(name for each in declared for name in each.names)
    known = [each.numbers for each in declared]
    shared = [
        sorted(part, key=lambda name: -sum(name in one for one in known)) for part in (headlines, names)
    ]
    return list(dict.fromkeys([*shared[0], *shared[1], *OF_EVERY_STEP]))


def letter_of(place: int) -> str:
    """Return the letter of a line by its place; beyond the last letter they begin anew."""
    return LETTERS[place % len(LETTERS)]


def capacity_of(runs: int) -> int:
    """Return how many steps are kept one by one of each of so many runs: together what two take."""
    return max(LEAST_CAPACITY, 2 * CAPACITY // max(runs, 2) // FACTOR * FACTOR)
