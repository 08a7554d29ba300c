"""The charts of a report, by name: those of the seed's pipeline, and of other runs by each group's kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from arc_core.pipeline.declared import COMPONENTS, FIXES, LOSS_TERMS
from arc_core.run.declared import GroupKind, Number, NumberGroup
from arc_tui.looks.styles import PALETTE_COLOURS, style_of
from arc_tui.report import curves
from arc_tui.report.curves import CurvePoints, LineChart
from arc_tui.report.record import Record
from arc_tui.report.svg import Markup
from arc_tui.runs.marks import Mark, MarkKind
from arc_tui.runs.sentences import further_numbers

Chart = Callable[[Record], Markup]

SMOOTHING = 0.02
"""Half-life of the mean lines, as a share of the steps shown."""

MOST_CURVES = 12
"""Of the numbers of a group so many are drawn, the first ones."""

OWN_LOOKS = ("loss", "efe")
"""Styles of numbers that are drawn in their own colour; the others take that of their place in the chart."""

SHORT = {
    "agent": "agent",
    "lm": "language model",
    "memory": "memory",
    "efe_loss": "EFE loss",
    "policy": "policy",
    "d_acc": "accuracy",
    "d_size": "size",
    "d_color": "colour",
    "d_rev": "reversibility",
    "z_anchor": "anchor",
}
"""What the pipeline's numbers are called where their field name is short for something."""

SHARES = {
    "cell_accuracy": "cells",
    "size_accuracy": "sizes",
    "copy_cell_accuracy": "cells, input copied",
    "black_cell_accuracy": "cells, all black",
}
"""What validations measure as a share, and what it is called."""


def charts_of(record: Record) -> Mapping[str, Chart]:
    """Return what draws the charts of a run, by name, in the order of the page."""
    if record.view.declared.judge == FIXES:
        return PIPELINE
    found: dict[str, Chart] = {}
    for group in record.view.declared.groups:
        if not group.quiet:
            found |= {_free(name, found): chart for name, chart in _of_group(group).items()}
    return found | _of_validations(record) | {"speed": PIPELINE["speed"]}


def _free(name: str, taken: Iterable[str]) -> str:
    """Return the name of a group's chart, which a file can be called by and no other chart is."""
    name = name.replace("/", "_")
    while name in (*taken, *PLAIN):
        name += "_"
    return name


def _of_group(group: NumberGroup) -> dict[str, Chart]:
    """Return the charts of a group: what parts add up to apart from the parts, all else in one."""
    title = f"{group.shown}, {group.unit}" if group.unit else group.shown
    if group.kind is GroupKind.CONTRIBUTIONS and group.totals and group.parts:
        totals = [number for number in group.numbers if number.name in group.totals]
        whole = _steps(title, _shown(group, totals))
        parts = _steps(f"{title}: what adds up to it", _shown(group, group.parts), zero=True)
        return {group.name: whole, f"{group.name}_parts": parts}
    if group.kind in (GroupKind.NORMS, GroupKind.SCHEDULE):
        return {group.name: _steps(f"{title}, logarithmic", _shown(group, group.numbers), log=True)}
    return {group.name: _steps(title, _shown(group, group.numbers), zero=True)}


def _shown(group: NumberGroup, numbers: Iterable[Number]) -> dict[str, str]:
    return {group.dotted(number.name): number.shown for number in list(numbers)[:MOST_CURVES]}


def _steps(title: str, names: Mapping[str, str], **how: bool) -> Chart:
    """Return what draws numbers of the steps: dotted names, each with its name in the legend."""

    def drawn(record: Record) -> Markup:
        first, last = _span(record)
        count = curves.columns(first, last)
        found: list[CurvePoints] = []
        for place, (dotted, shown) in enumerate(names.items()):
            window = record.history.window(dotted, first, last, count)
            smooth = record.history.smoothed(dotted, window, max(2.0, SMOOTHING * (last - first)))
            style, colour = style_of(record.view.declared, dotted), place % PALETTE_COLOURS
            look, dash = style if style in OWN_LOOKS else str(colour), place if place == colour else 0
            steps, values = np.linspace(first, last, count), (window.low, window.high, window.mean)
            found.append(CurvePoints(steps, shown, look, *values, smooth, dash))
        return curves.draw(LineChart(title, first, last, found, _marks(record), **how))

    return drawn


def _span(record: Record) -> tuple[int, int]:
    """Return the first and the last step; 1 and 1 before there is any."""
    return max(record.history.first_step, 1), max(record.history.last_step, 1)


def _marks(record: Record) -> list[Mark]:
    return record.history.marks(kinds=[kind for kind in MarkKind if kind in curves.MARKS])


def _of_validations(record: Record) -> dict[str, Chart]:
    """Return charts of what validations have measured: shares, the score, and what else there is."""
    found = record.validations
    further = any(further_numbers(event) for event in found)
    charts = {
        "validation": (_validation, any(event.has(name) for event in found for name in SHARES)),
        "validation_score": (_score, any(event.has("score") for event in found)),
        "validation_numbers": (_further, further),
    }
    return {name: chart for name, (chart, is_there) in charts.items() if is_there}


def _validation(record: Record) -> Markup:
    found = record.validations
    told = {name: shown for name, shown in SHARES.items() if not found or any(e.has(name) for e in found)}
    numbers = {shown: [event.number(name) for event in found] for name, shown in told.items()}
    return _over_validations(record, "Validation", numbers)


def _score(record: Record) -> Markup:
    numbers = {"score": [event.number("score") for event in record.validations]}
    return _over_validations(record, "Validation: score", numbers)


def _further(record: Record) -> Markup:
    found = [dict(further_numbers(event)) for event in record.validations]
    names = list(dict.fromkeys(name for known in found for name in known))[:MOST_CURVES]
    numbers = {name: [known.get(name, np.nan) for known in found] for name in names}
    return _over_validations(record, "Validation: further numbers", numbers)


def _over_validations(record: Record, title: str, numbers: Mapping[str, list[float]]) -> Markup:
    steps = np.array([float(event.step) for event in record.validations])
    drawn: list[CurvePoints] = []
    for place, (shown, measured) in enumerate(numbers.items()):
        values, colour = np.array(measured), place % PALETTE_COLOURS
        dash = place if place == colour else 0
        drawn.append(CurvePoints(steps, shown, str(colour), values, values, values, dash=dash))
    first, last = _span(record)
    return curves.draw(LineChart(title, first, last, drawn, _marks(record), zero=True))


def _named(group: str, fields: Iterable[str]) -> dict[str, str]:
    return {f"{group}.{field}": SHORT.get(field, field) for field in fields}


_LOSSES = {"loss.combined": "combined", "loss.efe_total": "EFE"}

PIPELINE: Mapping[str, Chart] = {
    "loss": _steps("Loss", _LOSSES),
    "loss_log": _steps("Loss, logarithmic", _LOSSES, log=True),
    "components": _steps("Contributions to the EFE loss, weighted", _named("loss", LOSS_TERMS), zero=True),
    "reward": _steps("Reward", _named("reward", ("total", "d_acc", "d_size", "d_color", "d_rev")), zero=True),
    "validation": _validation,
    "accuracy": _steps(
        "Accuracy of the training predictions",
        {"accuracy.cell": "cells", "accuracy.exact": "exact"},
        zero=True,
    ),
    "gradients": _steps(
        "Gradient norms before clipping, logarithmic", _named("grad_norm", COMPONENTS), log=True
    ),
    "rates": _steps("Learning rates, logarithmic", _named("learning_rate", COMPONENTS), log=True),
    "memory": _steps(
        "Memory: what a pair must reach to be stored",
        {"memory.threshold": "threshold", "memory.ema": "mean accuracy"},
        zero=True,
    ),
    "entries": _steps("Memory: entries", {"memory.entries": "entries"}, zero=True),
    "curriculum": _steps(
        "Size warm-up and hard cells",
        {"curriculum.size_weight": "size weight", "hard_cells.mask_ratio": "wrong cells"},
        zero=True,
    ),
    "speed": _steps("Pairs per second", {"pairs_per_second": "pairs/s"}, zero=True),
}
"""Charts of the seed's pipeline over the steps, in the order of the page."""

GRIDS = "grids"
PLAIN = ("validation", "validation_score", "validation_numbers", "speed", GRIDS)
"""Names of pictures that are of no group."""
