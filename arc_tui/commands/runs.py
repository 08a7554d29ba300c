"""`arc-tui runs`, `delete` and `note`: what a folder holds, and what becomes of one of its runs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.cells import cell_len

from arc_core.base.errors import ArcError, ConfigError, RunError
from arc_core.base.options import unknown_key
from arc_core.base.text import printable
from arc_core.run.directory import RunDirectory, RunLock, open_run, stored_config
from arc_core.run.recipes import built_in_settings
from arc_tui.commands.options import RUNS_DIR, AsJson, NamedRun, RunsDir, assigned, one_of
from arc_tui.commands.output import echo, echo_json
from arc_tui.drawing.rows import padded
from arc_tui.drawing.signs import shown
from arc_tui.runs.fields import size
from arc_tui.runs.listing import Row, age, as_json, best_text, disk_usage, list_rows

LONGEST_NOTE = 10_000


ORDERS: dict[str, Callable[[Row], Any]] = {
    "newest": lambda row: -(row.created or 0.0),
    "best": lambda row: (row.best is None, *(-part for part in row.best.mark)) if row.best else (True,),
    "name": lambda row: row.name,
    "step": lambda row: -(row.step or 0),
    "size": lambda row: -(row.bytes or 0),
}
"""What runs can be listed by; what is no run stays last."""

STATE = "state"
"""What `--filter` takes beside options: what a run is doing."""


def runs(
    sort: Annotated[str, one_of("--sort", ORDERS, "What stands first.")] = "newest",
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="KEY=VALUE",
            help="Only runs with this option, or state; may be repeated.",
        ),
    ] = None,
    json: AsJson = False,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """List the runs of a folder, the newest first."""
    wanted = assigned(filters, "--filter")
    rows = list_rows(runs_dir)
    if wanted:
        rows = _with_options(rows, wanted, runs_dir)
    rows.sort(key=lambda row: (row.problem is not None, ORDERS[sort](row)))
    if json:
        echo_json(as_json(rows))
    elif not rows:
        such = " with " + ", ".join(f"{key}={value}" for key, value in wanted.items()) if wanted else ""
        echo(f"There is no run{printable(such, 200)} in {printable(str(runs_dir))}.")
    else:
        echo("\n".join(table(rows)))


def _with_options(rows: Iterable[Row], wanted: dict[str, str], runs_dir: Path) -> list[Row]:
    """Return the runs that were begun, or resumed, with these options.

    Raises:
        ConfigError: If no run of the folder has an option of that name, nor any recipe that is built in.
    """
    options: dict[str, dict[str, object]] = {}
    for row in rows:
        if row.problem is None:
            try:
                options[row.name] = stored_config(RunDirectory(runs_dir / row.name).read())
            except ArcError:  # deleted meanwhile
                continue
    known = {STATE, *built_in_settings(), *(key for own in options.values() for key in own)}
    if unknown := [key for key in wanted if key not in known]:
        raise unknown_key(unknown[0], known)
    return [
        row
        for row in rows
        if (own := options.get(row.name)) is not None
        and all(
            _is(row.state, value) if key == STATE else key in own and _is(own[key], value)
            for key, value in wanted.items()
        )
    ]


def _is(stored: object, typed: str) -> bool:
    """Whether an option's value is the one that was typed, however that spells it: 3e-4 is 0.0003."""
    if stored is None or isinstance(stored, bool):
        return typed.lower() == str(stored).lower()
    if isinstance(stored, int | float):
        try:
            return math.isclose(stored, float(typed), rel_tol=1e-9)
        except ValueError:
            return False
    return typed == stored


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
