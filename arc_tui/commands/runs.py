"""`arc-tui runs`, `delete` and `note`: what a folder holds, and what becomes of one of its runs."""

from __future__ import annotations

import time
from typing import Annotated, Any, cast

import typer
from rich.cells import cell_len

from arc_core.base.errors import ConfigError, RunError
from arc_core.base.text import printable
from arc_core.run.directory import RunLock, open_run
from arc_tui.commands.options import RUNS_DIR, AsJson, NamedRun, RunsDir
from arc_tui.commands.output import echo, echo_json
from arc_tui.drawing.rows import padded
from arc_tui.drawing.signs import shown
from arc_tui.runs.fields import size
from arc_tui.runs.listing import Row, age, as_json, best_text, disk_usage, list_rows

LONGEST_NOTE = 10_000


def runs(json: AsJson = False, runs_dir: RunsDir = RUNS_DIR) -> None:
    """List the runs of a folder, the newest first."""
    rows = list_rows(runs_dir)
    if json:
        echo_json(as_json(rows))
    elif not rows:
        echo(f"There is no run in {printable(str(runs_dir))}.")
    else:
        echo("\n".join(table(rows)))


def table(rows: list[Row]) -> list[str]:
    """Write the list as aligned lines."""
    heads = ("NAME", "STATE", "EPOCH", "STEP", "BEST VALIDATION", "SIZE", "AGE")
    lines = [tuple(map(shown, line)) for line in (heads, *(_cells(row) for row in rows))]
    widths = [
        max((cell_len(line[i]) for line in lines if len(line) > i + 1), default=0) for i in range(len(heads))
    ]
    return [
        "  ".join(padded(cell, width) for cell, width in zip(line, widths, strict=False)).rstrip()
        for line in lines
    ]


def _cells(row: Row) -> tuple[str, ...]:
    name = printable(row.name, 60)
    if row.problem is not None:
        return name, f"{row.state}: {printable(row.problem, 200)}"
    weight = "-" if row.bytes is None else size(row.bytes)
    since = "-" if row.age_seconds is None else age(row.age_seconds)
    return name, row.state, str(row.epoch), str(row.step), best_text(row.best), weight, since


def delete(
    run: NamedRun,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Delete a run with its checkpoints. One that is being trained is refused."""
    found = open_run(runs_dir, run)
    with RunLock(found):  # no process can start on it now
        weight = size(disk_usage(found.path))
        question = f"Delete the run {printable(found.name)} with all its checkpoints ({weight})?"
        if not yes and not typer.confirm(question):
            echo("Nothing is deleted.")
            return
        try:
            found.remove()
        except OSError as error:
            raise RunError(f"Cannot delete {printable(str(found.path))}: {error.strerror}.") from None
    echo(f"Deleted {printable(found.name)}.")


def note(run: NamedRun, text: Annotated[str, typer.Argument()], runs_dir: RunsDir = RUNS_DIR) -> None:
    """Keep a note with a run; `status` shows it."""
    if not text.strip() or len(text) > LONGEST_NOTE:
        raise ConfigError(f"A note has 1 to {LONGEST_NOTE} characters.")
    found = open_run(runs_dir, run)
    before: object = found.read().get("notes", [])
    if not isinstance(before, list):
        raise RunError(f"{printable(str(found.run_json))} is damaged: its notes are no list.")
    found.update(notes=[*cast("list[Any]", before), {"time": time.time(), "text": text}])
    echo(f"Noted in {printable(found.name)}.")
