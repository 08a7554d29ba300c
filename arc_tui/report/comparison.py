"""What a page about several runs has on its charts: those that differ in their seed alone are one line."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from arc_core.base.errors import ConfigError
from arc_core.base.options import unknown_key
from arc_core.base.text import first_of, printable
from arc_core.run.declared import GroupKind
from arc_core.run.directory import RunDirectory
from arc_core.run.event_forms import ValidationEvent
from arc_tui.looks.styles import PALETTE_COLOURS
from arc_tui.report import curves
from arc_tui.report.charts import SMOOTHING
from arc_tui.report.curves import CurvePoints, LineChart, Numbers
from arc_tui.report.panels import Picture
from arc_tui.report.record import read_record
from arc_tui.runs.comparison import (
    ComparedRun,
    RunGroup,
    by_seeds,
    capacity_of,
    letter_of,
    numbers_of,
    spread,
)
from arc_tui.runs.sentences import further_numbers

MOST_COLUMNS = 350
"""Points of a line at most: a page has many of them."""

SPEED = "pairs_per_second"
DASHES = 8
"""Ways to break a line, so that colour is not alone."""

VALIDATED = {
    "score": "score",
    "exact": "inputs exact",
    "cell_accuracy": "share of cells right",
    "size_accuracy": "share of sizes right",
}
"""What validations measure, and what it is called."""

_LOGARITHMIC = (GroupKind.NORMS, GroupKind.SCHEDULE)

Measure = Callable[[ValidationEvent], float]


@dataclass(frozen=True)
class Comparison:
    """Runs that are compared.

    Attributes:
        runs: All of them.
        groups: Those together that differ in their seed alone.
    """

    runs: Sequence[ComparedRun]
    groups: Sequence[RunGroup]


@dataclass(frozen=True)
class NamedChart:
    """A chart of one number of all runs, drawn when it is asked for."""

    title: str
    lines: Callable[[], LineChart]

    def picture(self) -> Picture:
        """Draw it."""
        return Picture(curves.draw(self.lines()), curves.WIDTH, curves.HEIGHT)


class _Line(NamedTuple):
    """A line at n steps, with its range."""

    steps: Numbers
    low: Numbers
    high: Numbers
    mean: Numbers


def read_comparison(runs: Sequence[RunDirectory], now: float) -> Comparison:
    """Read runs that are to be compared.

    Args:
        runs: The runs.
        now: Seconds since the epoch.

    Raises:
        ConfigError: If one of them is given twice.
        RunError: If the run.json or the log of one cannot be read.
    """
    names = [run.name for run in runs]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ConfigError(
            f"A run is compared with others, not with itself: {first_of(twice)} is given twice."
        )
    found: list[ComparedRun] = []
    for run in runs:
        record = read_record(run, now, capacity_of(len(runs)))
        found.append(ComparedRun(run.name, record.view.facts.config, record.history, record.state))
    return Comparison(found, by_seeds(found))


def charts_of(comparison: Comparison) -> Mapping[str, NamedChart]:
    """Return the charts of all that at least one of the runs has measured, by the dotted name of the number.

    First what validations have measured, then what steps tell, headlines first.
    """
    return _of_validations(comparison) | _of_steps(comparison)


def picture(comparison: Comparison, name: str) -> Picture:
    """Draw one chart.

    Args:
        comparison: The runs.
        name: One of `charts_of` them.

    Raises:
        ConfigError: If they have no chart of that name.
    """
    known = charts_of(comparison)
    if name not in known:
        refused = unknown_key(name, known, "chart of these runs:")
        raise ConfigError(f"{refused} There are {', '.join(map(printable, known)) or 'none yet'}.")
    return known[name].picture()


def looks_of(place: int) -> tuple[str, int]:
    """Return colour and dashes of a line by its place: the first eight differ in both."""
    return str(place % PALETTE_COLOURS), (place + place // PALETTE_COLOURS) % DASHES


def _of_steps(comparison: Comparison) -> dict[str, NamedChart]:
    declared = [run.history.declared for run in comparison.runs]
    first, last = _span(comparison)
    found: dict[str, NamedChart] = {}
    for dotted in numbers_of(declared):
        group = dotted.rpartition(".")[0]
        if not (group or dotted == SPEED) or not _is_measured(comparison, dotted, first, last):
            continue
        known = next((each for each in declared if dotted in each.numbers), None)
        title, log = "Pairs per second", False
        if known is not None:
            kind, number = known.by_name[group], known.numbers[dotted]
            log = kind.kind in _LOGARITHMIC
            unit = f", {kind.unit}" if kind.unit else ""
            title = f"{kind.shown}: {number.shown}{unit}{', logarithmic' if log else ''}"
        found[dotted] = NamedChart(title, _stepwise(comparison, dotted, title, log=log))
    return found


def _is_measured(comparison: Comparison, dotted: str, first: int, last: int) -> bool:
    return any(run.history.window(dotted, first, last, 1).count[0] > 0 for run in comparison.runs)


def _stepwise(comparison: Comparison, dotted: str, title: str, *, log: bool) -> Callable[[], LineChart]:
    def draw() -> LineChart:
        first, last = _span(comparison)
        count = min(curves.columns(first, last), MOST_COLUMNS)
        half_life = max(2.0, SMOOTHING * (last - first))
        lines: list[_Line] = []
        for group in comparison.groups:
            window, mean = group.history.curve(dotted, first, last, count, half_life)
            lines.append(_Line(np.linspace(first, last, count), window.low, window.high, mean))
        return LineChart(title, first, last, _curves(comparison, lines), log=log)

    return draw


def _of_validations(comparison: Comparison) -> dict[str, NamedChart]:
    found: dict[str, NamedChart] = {}
    events = [event for run in comparison.runs for event in _validations(run)]
    for name, shown in VALIDATED.items():
        if any(math.isfinite(event.number(name)) for event in events):
            found[f"validation.{name}"] = _validated(
                comparison, shown, lambda event, of=name: event.number(of)
            )
    for name in dict.fromkeys(name for event in events for name, _ in further_numbers(event)):
        found.setdefault(f"validation.{name}", _validated(comparison, name, _further(name)))
    return found


def _further(name: str) -> Measure:
    return lambda event: dict(further_numbers(event)).get(name, math.nan)


def _validated(comparison: Comparison, shown: str, measure: Measure) -> NamedChart:
    title = f"Validation: {shown}"

    def draw() -> LineChart:
        lines: list[_Line] = []
        for group in comparison.groups:
            points = [[(event.step, measure(event)) for event in _validations(run)] for run in group.runs]
            points = [[point for point in of_run if math.isfinite(point[1])] for of_run in points]
            steps = np.array(sorted({step for of_run in points for step, _ in of_run}), dtype=float)
            found = spread(np.array([_between(of_run, steps) for of_run in points]))
            lines.append(_Line(steps, found.low, found.high, found.mean))
        return LineChart(title, *_span(comparison), _curves(comparison, lines))

    return NamedChart(title, draw)


def _between(points: Sequence[tuple[int, float]], steps: Numbers) -> Numbers:
    """Return a line through points at steps, NaN before the first of them and after the last."""
    if not points:
        return np.full(len(steps), np.nan)
    at, values = zip(*points, strict=True)
    return np.interp(steps, at, values, left=np.nan, right=np.nan)


def _curves(comparison: Comparison, lines: Sequence[_Line]) -> list[CurvePoints]:
    """Return lines as they are drawn; in the legend their names stand beside their letters if all fit."""
    letters = [letter_of(place) for place in range(len(lines))]
    names = [f"{letter} {group.label}" for letter, group in zip(letters, comparison.groups, strict=True)]
    if not curves.fits_legend(names):
        names = letters
    found: list[CurvePoints] = []
    for place, line in enumerate(lines):
        colour, dash = looks_of(place)
        points = (line.low, line.high, line.mean)
        found.append(CurvePoints(line.steps, names[place], colour, *points, dash=dash, sign=letters[place]))
    return found


def _span(comparison: Comparison) -> tuple[int, int]:
    """Return the first step and the last of all runs; 1 and 1 before there is any."""
    known = [group.history for group in comparison.groups if group.history.last_step]
    first = min((history.first_step for history in known), default=1)
    return max(first, 1), max((history.last_step for history in known), default=1)


def _validations(run: ComparedRun) -> list[ValidationEvent]:
    found = run.state.validations if run.state is not None else ()
    return [each.event for each in found if each.event is not None]
