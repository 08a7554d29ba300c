"""`arc-tui report`: writes the record of a run, or one panel of it as a picture."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from arc_core.base.errors import ConfigError, RunError
from arc_core.base.files import replace_file
from arc_core.base.paths import expanded
from arc_core.base.text import printable
from arc_core.run.directory import LATEST, open_run
from arc_tui.commands.completion import theme_names
from arc_tui.commands.options import RUNS_DIR, Run, RunsDir
from arc_tui.commands.output import echo, path_told

PANELS = (
    "loss, loss_log, components, reward, validation, accuracy, gradients, rates, memory, entries, "
    "curriculum, speed, grids"
)
"""Names of the pipeline's panels for the help; `arc_tui.report.charts` has the panels themselves."""

LIGHT, DARK = "arc-light", "arc-dark"


def report(
    run: Run = LATEST,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            parser=expanded,
            help="Where to; else NAME.html or NAME-PANEL.svg here.",
        ),
    ] = None,
    svg: Annotated[
        str | None,
        typer.Option(
            "--svg", metavar="PANEL", help=f"One panel as SVG: {PANELS}; another recipe's by group."
        ),
    ] = None,
    png: Annotated[str | None, typer.Option("--png", metavar="PANEL", help="The same as PNG.")] = None,
    step: Annotated[
        int | None,
        typer.Option("--step", metavar="N", min=1, help="For grids, the step whose sample to draw."),
    ] = None,
    theme: Annotated[
        str | None,
        typer.Option(
            "--theme",
            metavar="NAME",
            autocompletion=theme_names,
            help="Colours; else light paper, dark on dark screens.",
        ),
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Write a run as one HTML file, or a panel as a picture."""
    # Here, not above: the other commands should not wait for what only this one needs.
    from arc_tui.looks.themes import load_theme
    from arc_tui.report.page import page
    from arc_tui.report.panels import picture, png_file, svg_file
    from arc_tui.report.record import read_record

    if svg is not None and png is not None:
        raise ConfigError("report writes one picture at a time: give --svg or --png.")
    found = open_run(runs_dir, run)
    light = load_theme(theme or LIGHT)
    record = read_record(found, time.time())
    panel = svg or png
    if panel is None:
        if step is not None:
            raise ConfigError("--step belongs to --svg grids or --png grids.")
        dark = load_theme(theme or DARK)
        target = output or Path(f"{found.name}.html")
        content = page(record, light, dark, time.time()).encode("utf-8")
    else:
        drawing = picture(record, panel, step)
        title = f"{found.name}: {panel}"
        target = output or Path(f"{found.name}-{panel}.{'svg' if svg else 'png'}")
        content = svg_file(drawing, light, title).encode() if svg else png_file(drawing, light, title)
    try:
        replace_file(target, content, 0o666)  # as a whole: what stood there before stays if the disk is full
    except OSError as error:
        raise RunError(f"Cannot write {printable(str(target))}: {error.strerror}.") from None
    echo(path_told(target))
