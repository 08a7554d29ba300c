"""`arc-tui queue add`, `list`, `remove` and `run`: runs that are trained one after another."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.cells import cell_len

from arc_core.base.errors import ConfigError
from arc_core.base.text import printable
from arc_core.run.resolving import launch_options
from arc_tui.commands.groups import QueueGroup
from arc_tui.commands.options import RUNS_DIR, AlertTo, AsJson, Given, RunsDir, takes_options
from arc_tui.commands.output import echo, echo_json
from arc_tui.drawing.rows import padded
from arc_tui.drawing.signs import shown
from arc_tui.runs.queue import Queue, QueuedRun, QueueState
from arc_tui.runs.starting import command_line

queue_app = typer.Typer(
    name="queue",
    cls=QueueGroup,
    add_completion=False,
    help="Train runs one after another.",
    rich_markup_mode=None,
)

SIGNS = {
    QueueState.WAITING: "◌",
    QueueState.RUNNING: "●",
    QueueState.DONE: "◆",
    QueueState.STOPPED: "■",
    QueueState.FAILED: "✗",
    QueueState.DAMAGED: "✗",
}
LONGEST_TEXT = 200


@queue_app.callback(invoke_without_command=True)
def queue(context: typer.Context) -> None:
    """Train runs one after another."""
    if context.invoked_subcommand is None:
        echo(context.get_help())


@takes_options(sweeps=True)
def add(given: Given) -> None:
    """Add a run at the end of the queue, or a whole sweep.

    It takes the options of train. All are checked now; what they name, such as a dataset, once it is trained.
    """
    from arc_tui.runs.sweep import sweep

    runs_dir = launch_options(given.flags, given.file).runs_dir
    runs = sweep(given.flags, given.file, given.grid, given.seeds)
    found = Queue(Path(runs_dir))
    found.add(runs, sys.argv)
    for options, config in runs:
        echo(printable(f"Added {config.name}" + (f": {_options(options)}" if options else ""), LONGEST_TEXT))
    echo(f"To train what waits: {command_line(runs_dir, 'queue', 'run')}")


def list_queue(json: AsJson = False, runs_dir: RunsDir = RUNS_DIR) -> None:
    """List what waits, what is trained and what has become of the rest."""
    entries = Queue(runs_dir).look()
    if json:
        echo_json([entry.told() for entry in entries])
    elif not entries:
        echo(f"The queue beside {printable(str(runs_dir))} is empty.")
    else:
        rows = [[shown(cell) for cell in _cells(entry)] for entry in entries]
        widths = [max(cell_len(row[column]) for row in rows) for column in range(2)]
        for row in rows:
            cells = [padded(cell, width) for cell, width in zip(row, widths, strict=False)]
            echo("  ".join([*cells, row[2]]).rstrip())


def remove(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Names of runs, or the starts of them.")
    ] = None,
    done: Annotated[bool, typer.Option("--done", help="Every run that is done, too.")] = False,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Take runs out of the queue; what they have trained stays."""
    if not names and not done:
        raise ConfigError("remove needs the name of a queued run, or --done.")
    for entry in Queue(runs_dir).remove(names or [], done=done):
        echo(f"Removed {printable(entry.name)}.")


def run(
    again: Annotated[
        bool, typer.Option("--again", help="Go on with runs that failed or were stopped, too.")
    ] = False,
    alert: AlertTo = None,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Train what waits, one run after another.

    A run that fails is marked and the rest goes on. Several of these commands share the queue. Ctrl+C saves
    the run and ends; what was killed is gone on with by the next.
    """
    from arc_tui.commands.queue_run import QueueRunner

    raise typer.Exit(QueueRunner(Queue(runs_dir), alert, again=again).run())


def _cells(entry: QueuedRun) -> tuple[str, str, str]:
    begun = " (begun)" if entry.begun and entry.state is QueueState.WAITING else ""
    reason = f"{printable(entry.reason, LONGEST_TEXT)}  " if entry.reason else ""
    return (
        printable(entry.name, 60),
        f"{SIGNS[entry.state]} {entry.state}{begun}",
        reason + printable(_options(entry.given), LONGEST_TEXT),
    )


def _options(given: Mapping[str, str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in given.items())
