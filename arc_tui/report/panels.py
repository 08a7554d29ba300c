"""The pictures of a report by name: what a paper or a page can show of a run, and each as a file."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, cast

from arc_core.base.errors import ConfigError
from arc_core.base.extras import require
from arc_core.base.options import unknown_key
from arc_tui.drawing.grids import pictures_of
from arc_tui.looks.themes import Theme
from arc_tui.report import curves, grids
from arc_tui.report.charts import GRIDS, charts_of
from arc_tui.report.record import Record
from arc_tui.report.svg import Markup, element, label, style_sheet, text_of
from arc_tui.runs.samples import Sample

PNG_SCALE = 2
"""Pixels for each unit of the drawing: enough for a column of print."""


@dataclass(frozen=True)
class Picture:
    """A drawing: the content of an `svg` element, and its size."""

    content: Markup
    width: float
    height: float


def panels_of(record: Record) -> tuple[str, ...]:
    """Return the names of everything that can be drawn of a run."""
    return (*charts_of(record), *([GRIDS] if record.view.declared.grids else []))


def picture(record: Record, name: str, step: int | None = None) -> Picture:
    """Draw one panel.

    Args:
        record: The run.
        name: One of `panels_of` it.
        step: For `grids`, the step whose sample to draw; None takes the last.

    Raises:
        ConfigError: If the run has no panel of that name, or no sample yet.
    """
    known = panels_of(record)
    if name not in known:
        refused = unknown_key(name, known, "panel for a picture:")
        raise ConfigError(f"{refused} {record.run.name} has {', '.join(known)}.")
    if name != GRIDS:
        return Picture(charts_of(record)[name](record), curves.WIDTH, curves.HEIGHT)
    history = record.history
    sample = history.last_sample if step is None else history.sample_at(step)
    if sample is None:
        raise ConfigError(f"{record.run.name} has no sample yet, so there are no grids to draw.")
    return sample_picture(sample)


def sample_picture(sample: Sample, *, digits: bool = False) -> Picture:
    """Draw the grids of a sample beside each other, wrong cells crossed."""
    edge = 12.0
    drawing, height = grids.draw(pictures_of(sample), curves.WIDTH - 2 * edge, digits=digits)
    pair = f"Task {sample.task}, pair {sample.pair}, step" if sample.task else "Step"
    heading = f"{pair} {sample.step:,}"
    body = element("g", drawing, transform=f"translate({edge} 26)")
    ground = element("rect", class_="ground", width=curves.WIDTH, height=height + 36)
    return Picture(ground + label(edge, 18, heading, class_="title") + body, curves.WIDTH, height + 36)


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
        MissingPackageError: If the package that draws it is not installed.
    """
    require("Drawing a PNG", "png", ["resvg_py"])
    library = cast(Any, importlib.import_module("resvg_py"))
    return bytes(library.svg_to_bytes(svg_string=svg_file(drawing, theme, title), zoom=PNG_SCALE))
