"""The pictures of a report by name: what a paper or a page can show of a run, and each as a file."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from arc_core.base.errors import ConfigError, RunError
from arc_core.base.options import unknown_key
from arc_core.run.event_forms import COMPONENTS, LOSS_TERMS
from arc_tui.drawing.grids import pictures_of
from arc_tui.looks.themes import Theme
from arc_tui.report import curves, grids
from arc_tui.report.curves import CurvePoints, LineChart
from arc_tui.report.record import Record
from arc_tui.report.svg import Markup, element, label, style_sheet, text_of
from arc_tui.runs.marks import Mark, MarkKind
from arc_tui.runs.samples import Sample

SMOOTHING = 0.02
"""Half-life of the mean lines, as a share of the steps shown."""

PNG_SCALE = 2
"""Pixels for each unit of the drawing: enough for a column of print."""

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
    edge = 12.0
    drawing, height = grids.draw(pictures_of(sample), curves.WIDTH - 2 * edge, digits=digits)
    heading = f"Task {sample.task}, pair {sample.pair}, step {sample.step:,}"
    body = element("g", drawing, transform=f"translate({edge} 26)")
    ground = element("rect", class_="ground", width=curves.WIDTH, height=height + 36)
    return Picture(ground + label(edge, 18, heading, class_="title") + body, curves.WIDTH, height + 36)


def _steps(title: str, names: Mapping[str, str], **how: bool) -> Callable[[Record], Markup]:
    """Return what draws numbers that every step has: dotted names, each with its name in the legend."""

    def drawn(record: Record) -> Markup:
        first, last = _span(record)
        count = curves.columns(first, last)
        found: list[CurvePoints] = []
        for place, (dotted, shown) in enumerate(names.items()):
            window = record.history.window(dotted, first, last, count)
            smooth = record.history.smoothed(dotted, window, max(2.0, SMOOTHING * (last - first)))
            look, dash = LOOKS.get(dotted, str(place)), place if place < 8 else 0
            steps, values = np.linspace(first, last, count), (window.low, window.high, window.mean)
            found.append(CurvePoints(steps, shown, look, *values, smooth, dash))
        return curves.draw(LineChart(title, first, last, found, _marks(record), **how))

    return drawn


def _span(record: Record) -> tuple[int, int]:
    """Return the first and the last step; 1 and 1 before there is any."""
    return max(record.history.first_step, 1), max(record.history.last_step, 1)


def _marks(record: Record) -> list[Mark]:
    return record.history.marks(kinds=[kind for kind in MarkKind if kind in curves.MARKS])


def _validation(record: Record) -> Markup:
    found = record.validations
    steps = np.array([float(event.step) for event in found])
    parts = (
        ("cells", [event.cell_accuracy for event in found]),
        ("sizes", [event.number("size_accuracy") for event in found]),
        ("cells, input copied", [event.number("copy_cell_accuracy") for event in found]),
        ("cells, all black", [event.number("black_cell_accuracy") for event in found]),
    )
    drawn: list[CurvePoints] = []
    for place, (shown, numbers) in enumerate(parts):
        values = np.array(numbers)
        drawn.append(CurvePoints(steps, shown, str(place), values, values, values, dash=place))
    first, last = _span(record)
    return curves.draw(LineChart("Validation", first, last, drawn, _marks(record), zero=True))


def _named(group: str, fields: Iterable[str]) -> dict[str, str]:
    return {f"{group}.{field}": NAMES.get(field, field) for field in fields}


LOSSES = {"loss.combined": "combined", "loss.efe_total": "EFE"}
LOOKS = {"loss.combined": "loss", "loss.efe_total": "efe"}
"""Numbers with a look of their own; others take that of their place in the chart."""

CHARTS: dict[str, Callable[[Record], Markup]] = {
    "loss": _steps("Loss", LOSSES),
    "loss_log": _steps("Loss, logarithmic", LOSSES, log=True),
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
"""Charts over the steps, in the order of the page."""

PANELS = (*CHARTS, GRIDS)
"""Everything that can be drawn."""


def svg_file(drawing: Picture, theme: Theme, title: str) -> str:
    """Write a drawing as an SVG file of its own, in one theme's colours."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        + element(
            "svg",
            element("title", text_of(title)),
            element("style", style_sheet(theme)),
            drawing.content,
            xmlns="http://www.w3.org/2000/svg",
            width=drawing.width,
            height=drawing.height,
            viewBox=f"0 0 {drawing.width:g} {drawing.height:g}",
        )
        + "\n"
    )


def png_file(drawing: Picture, theme: Theme, title: str) -> bytes:
    """Draw the same as PNG.

    Raises:
        RunError: If the package that draws it is not installed.
    """
    try:
        library = cast(Any, importlib.import_module("resvg_py"))
    except ImportError:
        raise RunError(
            "A PNG is drawn by the package resvg-py: pip install 'arc-tui[png]', or write --svg."
        ) from None
    return bytes(library.svg_to_bytes(svg_string=svg_file(drawing, theme, title), zoom=PNG_SCALE))
