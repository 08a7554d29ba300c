"""`arc-tui export`: takes a run's numbers into a CSV file or to TensorBoard's, or its weights to a hub."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TextIO, cast

import typer

from arc_core.base.errors import ConfigError, RunError
from arc_core.base.paths import expanded
from arc_core.base.text import printable
from arc_core.run.directory import LATEST, open_run
from arc_core.run.event_forms import Event, StepEvent, ValidationEvent, kind_of
from arc_core.run.event_lines import content_of
from arc_core.run.events import EventReader, counting_events
from arc_tui.commands.completion import checkpoint_ids
from arc_tui.commands.options import RUNS_DIR, Run, RunsDir
from arc_tui.commands.output import echo, path_told
from arc_tui.commands.publishing import publish
from arc_tui.mirror.tensorboard import tensorboard_library
from arc_tui.runs.numbers import flat

FIRST_STEPS = 1000
"""The steps that a table's columns are taken from; hardly any run has others later."""


def export(
    run: Run = LATEST,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", parser=expanded, help="A table with a line for each step."),
    ] = None,
    tensorboard: Annotated[
        Path | None,
        typer.Option("--tensorboard", metavar="FOLDER", parser=expanded, help="A folder for TensorBoard."),
    ] = None,
    hub: Annotated[
        str | None,
        typer.Option("--hub", metavar="USER/REPO", help="Send its weights there, with a model card."),
    ] = None,
    checkpoint: Annotated[
        int | None,
        typer.Option(
            "--checkpoint",
            metavar="ID",
            min=0,
            autocompletion=checkpoint_ids,
            help="Weights of which checkpoint; the best.",
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Others do not see the repository that --hub makes.")
    ] = False,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Write a run's numbers to a file, or its weights to a hub."""
    if csv is None and tensorboard is None and hub is None:
        raise ConfigError("export needs --csv FILE, --tensorboard FOLDER or --hub USER/REPO.")
    if hub is None and (private or checkpoint is not None):
        raise ConfigError(f"{'--private' if private else '--checkpoint'} goes with --hub USER/REPO.")
    found = open_run(runs_dir, run)
    for target, write in ((csv, export_csv), (tensorboard, export_tensorboard)):
        if target is not None:
            echo(f"{write(found.events, target)} steps written to {path_told(target)}")
    if hub is not None:
        publish(found, hub, checkpoint, private=private)


@dataclass(frozen=True)
class Numbers:
    """The numbers of one event by their dotted names."""

    kind: str
    values: dict[str, int | float]


def export_csv(log: Path, target: Path) -> int:
    """Write every number of every step that counts as a table.

    Args:
        log: The run's events.jsonl.
        target: The file to write; a number that was not finite is left empty.

    Returns:
        The steps written.

    Raises:
        RunError: If the file cannot be written.
    """
    # A long log does not fit into memory and takes long to parse: it is parsed once more only where a later
    # step has a number that the first ones have not, or where nothing that is written can be taken back.
    try:
        with target.open("w", newline="", encoding="utf-8") as file:
            first = FIRST_STEPS if file.seekable() else None
            try:
                return _write_table(file, _columns(log, first), log, complete=first is None)
            except _ColumnMissing:
                file.seek(0)
                file.truncate()
                return _write_table(file, _columns(log, None), log, complete=True)
    except OSError as error:
        raise RunError(f"Cannot write {printable(str(target))}: {error.strerror}.") from None


class _ColumnMissing(Exception):
    """A step has a number that the table has no column for."""


def _columns(log: Path, first: int | None) -> dict[str, None]:
    """Return the names of all numbers of the first steps, or of all steps, as they first come."""
    rows = itertools.islice(_numbers_of(log, StepEvent), first)
    return dict.fromkeys(name for row in rows for name in row.values)


def _write_table(file: TextIO, columns: Mapping[str, None], log: Path, *, complete: bool = False) -> int:
    """Write the steps that count as rows, and return how many.

    Raises:
        _ColumnMissing: At a number of no column, unless the columns are all that the log had.
    """
    table = csv.writer(file, lineterminator="\n")
    table.writerow([printable(name) for name in columns])
    count = 0
    for row in _numbers_of(log, StepEvent):
        if not complete and not row.values.keys() <= columns.keys():
            raise _ColumnMissing
        table.writerow([row.values.get(name, "") for name in columns])
        count += 1
    return count


def export_tensorboard(log: Path, target: Path) -> int:
    """Write every number of every step and validation that counts as TensorBoard scalars.

    Args:
        log: The run's events.jsonl.
        target: The folder for the event file; made if need be.

    Returns:
        The steps written.

    Raises:
        RunError: If the library is not installed or the folder cannot be written.
    """
    library = tensorboard_library()
    steps = 0
    try:
        target.mkdir(parents=True, exist_ok=True)
        with cast(Any, library).SummaryWriter(logdir=str(target)) as writer:
            for row in _numbers_of(log, StepEvent, ValidationEvent):
                _write_scalars(writer, row)
                steps += row.kind == "step"
    except OSError as error:
        raise RunError(f"Cannot write to {printable(str(target))}: {error.strerror}.") from None
    return steps


def _write_scalars(writer: Any, row: Numbers) -> None:
    step, at = int(row.values.get("step", 0)), row.values.get("time")
    for name, value in row.values.items():
        if name not in ("step", "time"):
            tag = name.replace(".", "/") if row.kind == "step" else f"{row.kind}/{name}"
            writer.add_scalar(printable(tag), value, step, walltime=at)


def _numbers_of(log: Path, *kinds: type[Event]) -> Iterator[Numbers]:
    """Read the numbers of these events; what a later resume took back is left out."""
    for event in counting_events(EventReader(log)):
        if isinstance(event, kinds):
            yield Numbers(kind_of(event), flat(content_of(event)))
