"""`arc-tui report`: writes the record of a run or a comparison of several, or a panel of it as a picture."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arc_core.base.errors import ConfigError, RunError
from arc_core.base.files import replace_file
from arc_core.base.paths import expanded
from arc_core.base.text import printable
from arc_core.run.directory import LATEST, RunDirectory, open_run
from arc_tui.commands.completion import run_names, theme_names
from arc_tui.commands.options import RUNS_DIR, RunsDir
from arc_tui.commands.output import echo, path_told

if TYPE_CHECKING:
    from arc_tui.looks.themes import Theme
    from arc_tui.report.panels import Picture

PANELS = (
    "loss, loss_log, components, reward, validation, accuracy, gradients, rates, memory, entries, "
    "curriculum, speed, grids"
)
"""Names of the pipeline's panels for the help; `arc_tui.report.charts` has the panels themselves."""

LIGHT, DARK = "arc-light", "arc-dark"


COMPARISON = "comparison"
"""What a file about several runs is called."""


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            autocompletion=run_names,
            help="A run's name, or the start of it; the newest if left out. Several are compared.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            parser=expanded,
            help="Where to; else NAME.html or NAME-PANEL.svg here, of several runs comparison.html.",
        ),
    ] = None,
    svg: Annotated[
        str | None,
        typer.Option(
            "--svg",
            metavar="PANEL",
            help=f"One panel as SVG: {PANELS}; another recipe's by group; of several runs a number's.",
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
    """Write a run, or several compared, as HTML or a picture."""
    # Here, not above: the other commands should not wait for what only this one needs.
    from arc_tui.looks.themes import load_theme
    from arc_tui.report.panels import png_file, svg_file

    if svg is not None and png is not None:
        raise ConfigError("report writes one picture at a time: give --svg or --png.")
    panel = svg or png
    if step is not None and panel is None:
        raise ConfigError("--step belongs to --svg grids or --png grids.")
    found = [open_run(runs_dir, run) for run in runs or [LATEST]]
    light, now = load_theme(theme or LIGHT), time.time()
    name = found[0].name if len(found) == 1 else COMPARISON
    if panel is None:
        dark = load_theme(theme or DARK)
        target = output or Path(f"{name}.html")
        content = _page(found, light, dark, now).encode("utf-8")
    else:
        drawing = _picture(found, panel, step, now)
        title = f"{name}: {panel}"
        target = output or Path(f"{name}-{panel}.{'svg' if svg else 'png'}".replace("/", "_"))
        content = svg_file(drawing, light, title).encode() if svg else png_file(drawing, light, title)
    try:
        replace_file(target, content, 0o666)  # as a whole: what stood there before stays if the disk is full
    except OSError as error:
        raise RunError(f"Cannot write {printable(str(target))}: {error.strerror}.") from None
    echo(path_told(target))


def _page(runs: Sequence[RunDirectory], light: Theme, dark: Theme, now: float) -> str:
    """Write the page of a run, or of several."""
    if len(runs) > 1:
        from arc_tui.report import comparison_page
        from arc_tui.report.comparison import read_comparison

        return comparison_page.page(read_comparison(runs, now), light, dark, now)
    from arc_tui.report.page import page
    from arc_tui.report.record import read_record

    return page(read_record(runs[0], now), light, dark, now)


def _picture(runs: Sequence[RunDirectory], panel: str, step: int | None, now: float) -> Picture:
    """Draw a panel of a run, or a chart of several."""
    if len(runs) > 1:
        from arc_tui.report import comparison

        if step is not None:
            raise ConfigError("--step belongs to the grids of one run.")
        return comparison.picture(comparison.read_comparison(runs, now), panel)
    from arc_tui.report.panels import picture
    from arc_tui.report.record import read_record

    return picture(read_record(runs[0], now), panel, step)
