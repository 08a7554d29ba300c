"""The pictures of a report, by name: what a paper or a page can show of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from arc_core.base.errors import ConfigError
from arc_core.base.options import unknown_key
from arc_core.run.event_forms import COMPONENTS, LOSS_TERMS
from arc_tui.report import curves, grids
from arc_tui.report.curves import CurvePoints, LineChart
from arc_tui.report.record import Record
from arc_tui.report.svg import Markup, element, label
from arc_tui.runs.marks import Mark, MarkKind
from arc_tui.runs.samples import Sample, cell_accuracy

SMOOTHING = 0.02
"""Half-life of the mean lines, as a share of the steps shown."""

GRIDS = "grids"
NAMES = {
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
"""What numbers are called where their field name is short for something."""


@dataclass(frozen=True)
class Picture:
    """A drawing: the content of an `svg` element, and its size."""

    content: Markup
    width: float
    height: float


def picture(record: Record, name: str, step: int | None = None) -> Picture:
    """Draw one panel.

    Args:
        record: The run.
        name: One of `PANELS`.
        step: For `grids`, the step whose sample to draw; None takes the last.

    Raises:
        ConfigError: If there is no panel of that name, or the run has no sample yet.
    """
    if name not in PANELS:
        raise unknown_key(name, PANELS, "panel for a picture:")
    if name != GRIDS:
        return Picture(CHARTS[name](record), curves.WIDTH, curves.HEIGHT)
    history = record.history
    sample = history.last_sample if step is None else history.sample_at(step)
    if sample is None:
        raise ConfigError(f"{record.run.name} has no sample yet, so there are no grids to draw.")
    return sample_picture(sample)


def sample_picture(sample: Sample, *, digits: bool = False) -> Picture:
    """Draw the grids of a sample beside each other, wrong cells crossed."""
    target = sample.target

    def predicted(name: str, grid: tuple[str, ...]) -> grids.Titled:
        share = cell_accuracy(grid, target)
        return grids.Titled(f"{name} {grids.size_of(grid)}, {share:.0%}", grid, target)

    shown = [
        grids.Titled(f"input {grids.size_of(sample.input)}", sample.input),
        predicted("before", sample.before),
        predicted("after", sample.after),
        grids.Titled(f"target {grids.size_of(target)}", target),
    ]
    edge = 12.0
    drawing, height = grids.draw(shown, curves.WIDTH - 2 * edge, digits=digits)
    heading = f"Task {sample.task}, pair {sample.pair}, step {sample.step:,}"
    body = element("g", drawing, transform=f"translate({edge} 26)")
    ground = element("rect", class_="ground", width=curves.WIDTH, height=height + 36)
    return Picture(ground + label(edge, 18, heading, class_="title") + body, curves.WIDTH, height + 36)


def _chart(record: Record, title: str, names: Sequence[tuple[str, str, str]], **how: bool) -> Markup:
    """Draw series of the steps; each is dotted name, name in the legend, and look."""
    first, last = _span(record)
    drawn = [
        _curve(record, dotted, shown, look, place if place < 8 else 0)
        for place, (dotted, shown, look) in enumerate(names)
    ]
    return curves.draw(LineChart(title, first, last, drawn, _marks(record), **how))


def _curve(record: Record, dotted: str, shown: str, look: str, dash: int) -> CurvePoints:
    first, last = _span(record)
    count = curves.columns(first, last)
    window = record.history.window(dotted, first, last, count)
    smooth = record.history.smoothed(dotted, window, max(2.0, SMOOTHING * (last - first)))
    return CurvePoints(
        np.linspace(first, last, count), shown, look, window.low, window.high, window.mean, smooth, dash
    )


def _span(record: Record) -> tuple[int, int]:
    """Return the first and the last step; 1 and 1 before there is any."""
    return max(record.history.first_step, 1), max(record.history.last_step, 1)


def _marks(record: Record) -> list[Mark]:
    return record.history.marks(kinds=[kind for kind in MarkKind if kind in curves.MARKS])


def _loss(record: Record) -> Markup:
    names = [("loss.combined", "combined", "loss"), ("loss.efe_total", "EFE", "efe")]
    return _chart(record, "Loss", names)


def _loss_log(record: Record) -> Markup:
    names = [("loss.combined", "combined", "loss"), ("loss.efe_total", "EFE", "efe")]
    return _chart(record, "Loss, logarithmic", names, log=True)


def _components(record: Record) -> Markup:
    names = [(f"loss.{name}", _name(name), str(place)) for place, name in enumerate(LOSS_TERMS)]
    return _chart(record, "Contributions to the EFE loss, weighted", names, zero=True)


def _reward(record: Record) -> Markup:
    parts = ("total", "d_acc", "d_size", "d_color", "d_rev")
    names = [(f"reward.{name}", _name(name), str(place)) for place, name in enumerate(parts)]
    return _chart(record, "Reward", names, zero=True)


def _accuracy(record: Record) -> Markup:
    names = [("accuracy.cell", "cells", "0"), ("accuracy.exact", "exact", "1")]
    return _chart(record, "Accuracy of the training predictions", names, zero=True)


def _gradients(record: Record) -> Markup:
    names = [(f"grad_norm.{name}", _name(name), str(place)) for place, name in enumerate(COMPONENTS)]
    return _chart(record, "Gradient norms before clipping, logarithmic", names, log=True)


def _rates(record: Record) -> Markup:
    names = [(f"learning_rate.{name}", _name(name), str(place)) for place, name in enumerate(COMPONENTS)]
    return _chart(record, "Learning rates, logarithmic", names, log=True)


def _memory(record: Record) -> Markup:
    names = [("memory.threshold", "threshold", "0"), ("memory.ema", "mean accuracy", "1")]
    return _chart(record, "Memory: what a pair must reach to be stored", names, zero=True)


def _entries(record: Record) -> Markup:
    return _chart(record, "Memory: entries", [("memory.entries", "entries", "0")], zero=True)


def _curriculum(record: Record) -> Markup:
    names = [("curriculum.size_weight", "size weight", "0"), ("hard_cells.mask_ratio", "wrong cells", "1")]
    return _chart(record, "Size warm-up and hard cells", names, zero=True)


def _speed(record: Record) -> Markup:
    return _chart(record, "Pairs per second", [("pairs_per_second", "pairs/s", "0")], zero=True)


def _validation(record: Record) -> Markup:
    found = record.validations
    steps = np.array([float(event.step) for event in found])
    parts = (
        ("cells", [event.cell_accuracy for event in found]),
        ("sizes", [event.size_accuracy for event in found]),
        ("cells, input copied", [event.copy_cell_accuracy for event in found]),
        ("cells, all black", [event.black_cell_accuracy for event in found]),
    )
    drawn: list[CurvePoints] = []
    for place, (shown, numbers) in enumerate(parts):
        values = np.array(numbers)
        drawn.append(CurvePoints(steps, shown, str(place), values, values, values, dash=place))
    first, last = _span(record)
    return curves.draw(LineChart("Validation", first, last, drawn, _marks(record), zero=True))


def _name(field: str) -> str:
    return NAMES.get(field, field)


CHARTS: dict[str, Callable[[Record], Markup]] = {
    "loss": _loss,
    "loss_log": _loss_log,
    "components": _components,
    "reward": _reward,
    "validation": _validation,
    "accuracy": _accuracy,
    "gradients": _gradients,
    "rates": _rates,
    "memory": _memory,
    "entries": _entries,
    "curriculum": _curriculum,
    "speed": _speed,
}
"""Charts over the steps, in the order of the page."""

PANELS = (*CHARTS, GRIDS)
"""Everything that can be drawn."""
