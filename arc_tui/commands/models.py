"""`arc-tui fetch-lm` and `export-weights`: models brought here, and weights written for others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arc_core.base.extras import require
from arc_core.base.paths import expanded
from arc_core.run.directory import LATEST, open_run
from arc_tui.commands.completion import checkpoint_ids, run_names
from arc_tui.commands.options import RUNS_DIR, RunsDir
from arc_tui.commands.output import relay
from arc_tui.runs.engine import Program


def fetch_lm(
    name: Annotated[str, typer.Argument(help="The language model to fetch, as --lm names it: smollm2.")],
) -> None:
    """Fetch a language model, so that --lm finds it. It is kept in the user's cache."""
    raise typer.Exit(relay(Program.FETCHING.command(name)))


def export_weights(
    target: Annotated[
        Path, typer.Argument(metavar="FILE", parser=expanded, help="The weights file to write.")
    ],
    run: Annotated[
        str,
        typer.Option(
            "--run",
            metavar="RUN",
            autocompletion=run_names,
            help="A run of planner canvas; else the newest.",
        ),
    ] = LATEST,
    checkpoint: Annotated[
        int | None,
        typer.Option(
            "--checkpoint",
            metavar="ID",
            min=0,
            autocompletion=checkpoint_ids,
            help="Of which checkpoint; the newest.",
        ),
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Write what a run has learned as weights for solve and eval."""
    require("Exporting weights", "train")
    found = open_run(runs_dir, run)
    number = [] if checkpoint is None else [str(checkpoint)]
    raise typer.Exit(relay(Program.EXPORTING.command(str(found.path), str(target), *number)))
