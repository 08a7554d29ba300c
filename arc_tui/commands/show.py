"""What `arc-tui inspect checkpoint` prints: the same facts as lines or as JSON."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import typer

from arc_core.base.errors import CheckpointError
from arc_core.base.paths import is_dir
from arc_core.base.text import printable
from arc_core.run.directory import RunDirectory
from arc_tui.commands.output import echo, echo_facts, echo_json, path_told
from arc_tui.drawing.text import aligned
from arc_tui.inspect import facts, text
from arc_tui.inspect.tensors.compare import by_change, changes, differences
from arc_tui.inspect.tensors.extract import export_language_model, export_module
from arc_tui.inspect.tensors.header_scan import sides
from arc_tui.inspect.tensors.moments import updates
from arc_tui.inspect.tensors.source import LANGUAGE_MODEL, Checkpoint
from arc_tui.inspect.tensors.statistics import statistics
from arc_tui.inspect.tensors.timeline import drift, timeline
from arc_tui.inspect.tensors.training import read_training
from arc_tui.inspect.tensors.tree import Tree
from arc_tui.inspect.tensors.verify import verify
from arc_tui.ui.cancelled import Progress, untold

NOT_VERIFIED = 1
REDRAW_SECONDS = 0.1


def show_everything(found: Checkpoint, json: bool) -> None:
    """Show what was opened: files, training, modules, tensors."""
    tree = Tree(found.table)
    if json:
        indented = len(found.table) <= facts.INDENTED
        echo_json(facts.checkpoint_facts(found, tree), indented=indented)
        return
    training, metadata = text.training_lines(found), text.metadata_lines(found)
    blocks = [
        text.summary_lines(found),
        text.file_lines(found) if len(found.parts) > 1 else [],
        ["Metadata", *(f"  {line}" for line in metadata)] if metadata else [],
        ["Training", *(f"  {line}" for line in training)] if training else [],
        text.tree_lines(tree),
        text.tensor_lines(found, tree),
    ]
    echo("\n\n".join("\n".join(block) for block in blocks if block))


def show_tensor(found: Checkpoint, name: str, json: bool) -> None:
    """Show one tensor with its statistics and what the optimizer would do to it."""
    place = found.find(name)
    shape = found.table.shapes[place]
    [(_, computed)] = statistics(found, [place], progress=_progress())
    state = read_training(found)
    moved = list(updates(found, state.groups, found.table.names[place])) if state is not None else []
    if json:
        content = facts.tensor_facts(found, place) | {
            "statistics": facts.statistics_facts(computed, shape),
            "moments": facts.update_facts(moved[0]) if moved else None,
        }
        echo_json(content)
        return
    table = found.table
    lines = [
        printable(table.names[place]),
        f"{table.element(place).label} {sides(shape)} in {printable(found.owner(place).label, 200)}",
        *text.statistics_lines(computed, shape),
    ]
    echo("\n".join(lines + (text.update_lines(moved) if moved else [])))


def show_statistics(found: Checkpoint, json: bool) -> None:
    """Show the statistics of every tensor."""
    table = found.table
    ordered = Tree(table).places_in_order()
    read = [place for place in ordered if table.element(place).kind != "unread"]
    # Read as the files lie on the disk, shown as the tree is.
    chosen = set(read)
    layout = [place for place in found.by_layout.tolist() if place in chosen]
    computed = dict(statistics(found, layout, progress=_progress()))
    if json:
        content = [
            facts.tensor_facts(found, place)
            | {
                "statistics": facts.statistics_facts(computed[place], table.shapes[place])
                if place in computed
                else None
            }
            for place in ordered
        ]
        echo_json(content, indented=len(content) <= facts.INDENTED)
        return
    rows = [
        text.brief_statistics(
            table.names[place], table.element(place).label, table.shapes[place], computed[place]
        )
        for place in read
    ]
    lines = aligned([text.STATISTICS_HEAD, *rows], left=(0, 1, 2))
    lines += [
        f"{printable(table.names[place], 120)}: values of {table.element(place).label} are not read"
        for place in ordered
        if place not in computed
    ]
    echo("\n".join([*(f"Damaged: {problem}" for problem in found.problems), *lines]))


def show_moments(found: Checkpoint, json: bool) -> None:
    """Show how far the moments would move each parameter.

    Raises:
        CheckpointError: If the checkpoint is not ours.
    """
    state = read_training(found)
    if state is None:
        raise CheckpointError(f"{found.title} is no checkpoint of a run: it has no optimizer.")
    moved = list(updates(found, state.groups))
    echo_facts(json, lambda: list(map(facts.update_facts, moved)), lambda: text.update_lines(moved))


def show_differences(before: Checkpoint, after: Checkpoint, json: bool) -> None:
    """Show what has changed from one checkpoint to another."""
    found = differences(before, after)
    changed = by_change(list(changes(before, after, found.common, progress=_progress())))
    echo_facts(
        json,
        lambda: facts.difference_facts(before, after, found, changed),
        lambda: [f"From {before.title} to {after.title}", *text.change_lines(found, changed)],
    )


def show_timeline(found: Checkpoint, json: bool) -> None:
    """Show the checkpoints of the run."""
    marks = timeline(run_of(found))
    echo_facts(json, lambda: list(map(facts.mark_facts, marks)), lambda: text.mark_lines(marks))


def show_drift(found: Checkpoint, name: str, json: bool) -> None:
    """Show how far a tensor or module has moved at each checkpoint of the run."""
    names = [known for known in found.table.names if known.startswith(f"{name.rstrip('.')}.")]
    names = names or [found.table.names[found.find(name)]]
    moved = list(drift(run_of(found), names, progress=_progress()))
    head = f"{printable(name, 80)}: {len(names)} tensors"
    echo_facts(json, lambda: list(map(facts.drift_facts, moved)), lambda: [head, *text.drift_lines(moved)])


def show_checks(found: Checkpoint, json: bool) -> None:
    """Show what came of verifying.

    Raises:
        typer.Exit: With code 1 if a file is not as it should be.
    """
    checked = list(verify(found, progress=_progress()))
    echo_facts(json, lambda: facts.check_facts(checked), lambda: text.check_lines(checked))
    if any(file.problem is not None for file in checked):
        raise typer.Exit(NOT_VERIFIED)


def export(found: Checkpoint, module: str, folder: Path) -> None:
    """Copy a module, or the language model where that is asked for, and show the files written."""
    whole_model = module == LANGUAGE_MODEL and is_dir(found.path.joinpath(LANGUAGE_MODEL))
    if whole_model:
        export_whole_model(found, folder)
    else:
        _show_files(export_module(found, module, folder))


def export_whole_model(found: Checkpoint, folder: Path) -> None:
    """Copy the language model and show the files written."""
    _show_files(export_language_model(found, folder))


def _show_files(files: Sequence[Path]) -> None:
    for file in files:
        echo(f"Wrote {path_told(file)}")


def run_of(found: Checkpoint) -> RunDirectory:
    """Return the run of a checkpoint.

    Raises:
        CheckpointError: If it belongs to none.
    """
    if found.run is None:
        raise CheckpointError(f"{found.title} belongs to no run, so it has no timeline.")
    return found.run


def _progress() -> Progress:
    """Return what shows progress on error output where that is a terminal."""
    if not sys.stderr.isatty():
        return untold
    shown_at = time.monotonic() + REDRAW_SECONDS  # what is done at once shows nothing

    def show(done: int, total: int) -> None:
        nonlocal shown_at
        now = time.monotonic()
        if done >= total:
            sys.stderr.write("\r\x1b[K")
        elif now >= shown_at:
            shown_at = now + REDRAW_SECONDS
            sys.stderr.write(f"\r{done / total:4.0%}")
        sys.stderr.flush()

    return show
