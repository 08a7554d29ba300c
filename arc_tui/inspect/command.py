"""`arc-tui inspect checkpoint|dataset|task`: the browser, or the same facts as text and JSON."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from arc_core.errors import CheckpointError, ConfigError
from arc_core.rundir import RunDirectory
from arc_core.text import printable
from arc_tui.inspect import facts, text
from arc_tui.inspect.compare import by_change, changes, differences
from arc_tui.inspect.extract import export_language_model, export_module
from arc_tui.inspect.moments import updates
from arc_tui.inspect.source import LANGUAGE_MODEL, Checkpoint, of_run, open_checkpoint
from arc_tui.inspect.statistics import statistics
from arc_tui.inspect.task_command import dataset, task
from arc_tui.inspect.timeline import drift, timeline
from arc_tui.inspect.training import read_training
from arc_tui.inspect.tree import Tree
from arc_tui.inspect.verify import verify
from arc_tui.launch import has_terminal
from arc_tui.run_cli import RUNS_DIR, AsJson, RunsDir

NOT_VERIFIED = 1
REDRAW_SECONDS = 0.1

Theme = Annotated[str | None, typer.Option("--theme", metavar="NAME", help="Theme of the browser.")]
Plain = Annotated[bool, typer.Option("--plain", help="Print text even where the output is a terminal.")]

inspect_app = typer.Typer(
    name="inspect",
    help="Browse checkpoints, datasets and tasks.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def checkpoint(
    path: Annotated[
        str | None,
        typer.Argument(
            metavar="[PATH]",
            help="A .safetensors file, a folder or pattern of them, a checkpoint, a run or its name; "
            "the newest run if left out.",
        ),
    ] = None,
    number: Annotated[
        int | None, typer.Option("--checkpoint", metavar="ID", help="Of a run: which; else its newest.")
    ] = None,
    json: AsJson = False,
    plain: Plain = False,
    tensor: Annotated[
        str | None, typer.Option("--tensor", metavar="NAME", help="One tensor with its statistics.")
    ] = None,
    stats: Annotated[bool, typer.Option("--stats", help="The statistics of every tensor.")] = False,
    moments: Annotated[
        bool, typer.Option("--moments", help="How far the optimizer's moments would move each parameter.")
    ] = False,
    diff: Annotated[
        str | None, typer.Option("--diff", metavar="OTHER", help="What has changed from PATH to OTHER.")
    ] = None,
    all_marks: Annotated[bool, typer.Option("--timeline", help="All checkpoints of the run.")] = False,
    drifting: Annotated[
        str | None,
        typer.Option(
            "--drift", metavar="NAME", help="How a tensor or module moves over the run's checkpoints."
        ),
    ] = None,
    checking: Annotated[
        bool,
        typer.Option("--verify", help="Hold every file against the manifest; exit code 1 if one differs."),
    ] = False,
    export_lm: Annotated[
        Path | None,
        typer.Option(
            "--export-lm", metavar="FOLDER", help="Copy the language model, in Hugging Face layout."
        ),
    ] = None,
    export: Annotated[
        tuple[str, Path] | None,
        typer.Option("--export", metavar="MODULE FOLDER", help="Copy a component or module as safetensors."),
    ] = None,
    theme: Theme = None,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Browse a checkpoint: ours, a run's, or any safetensors file or folder."""
    tasks: dict[str, Callable[[Checkpoint], None]] = {}
    if tensor is not None:
        tasks["--tensor"] = lambda found: _show_tensor(found, tensor, json)
    elif stats:
        tasks["--stats"] = lambda found: _show_statistics(found, json)
    if moments:
        tasks["--moments"] = lambda found: _show_moments(found, json)
    if diff is not None:
        tasks["--diff"] = lambda found: _show_differences(found, open_checkpoint(diff, Path(runs_dir)), json)
    if all_marks:
        tasks["--timeline"] = lambda found: _show_timeline(found, json)
    if drifting is not None:
        tasks["--drift"] = lambda found: _show_drift(found, drifting, json)
    if checking:
        tasks["--verify"] = lambda found: _show_checks(found, json)
    if export_lm is not None:
        tasks["--export-lm"] = lambda found: _show_files(export_language_model(found, export_lm))
    if export is not None:
        tasks["--export"] = lambda found: _show_files(_exported(found, *export))
    if len(tasks) > 1:
        raise ConfigError(f"{' and '.join(tasks)} do not go together: give one of them.")
    found = open_checkpoint(path, Path(runs_dir))
    if number is not None:
        found = of_run(_run(found), number)
    show = next(iter(tasks.values()), None)
    if show is not None:
        show(found)
    elif json or plain or not has_terminal():
        _show(found, json)
    else:
        from arc_tui.inspect.opening import browse  # Textual is only loaded where it is used

        raise typer.Exit(browse(found, runs_dir, theme, typer.echo, lambda line: typer.echo(line, err=True)))


def _show(found: Checkpoint, json: bool) -> None:
    tree = Tree(found.table)
    if json:
        indented = len(found.table) <= facts.INDENTED
        typer.echo(facts.to_json(facts.checkpoint_facts(found, tree), indented=indented))
        return
    training = text.training_lines(found)
    blocks = [
        text.summary_lines(found),
        text.file_lines(found) if len(found.parts) > 1 else [],
        ["Training", *(f"  {line}" for line in training)] if training else [],
        text.tree_lines(tree),
        text.tensor_lines(found, tree),
    ]
    typer.echo("\n\n".join("\n".join(block) for block in blocks if block))


def _show_tensor(found: Checkpoint, name: str, json: bool) -> None:
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
        typer.echo(facts.to_json(content))
        return
    table = found.table
    lines = [
        printable(table.names[place]),
        f"{table.element(place).label} {text.sides(shape)} in {printable(found.owner(place).label, 200)}",
        *text.statistics_lines(computed, shape),
    ]
    typer.echo("\n".join(lines + (text.update_lines(moved) if moved else [])))


def _show_statistics(found: Checkpoint, json: bool) -> None:
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
        typer.echo(facts.to_json(content, indented=len(content) <= facts.INDENTED))
        return
    rows = [
        text.brief_statistics(
            table.names[place], table.element(place).label, table.shapes[place], computed[place]
        )
        for place in read
    ]
    lines = text.aligned([text.STATISTICS_HEAD, *rows], left=(0, 1, 2))
    lines += [
        f"{printable(table.names[place], 120)}: values of {table.element(place).label} are not read"
        for place in ordered
        if place not in computed
    ]
    typer.echo("\n".join([*(f"Damaged: {problem}" for problem in found.problems), *lines]))


def _show_moments(found: Checkpoint, json: bool) -> None:
    state = read_training(found)
    if state is None:
        raise CheckpointError(f"{found.title} is no checkpoint of a run: it has no optimizer.")
    moved = list(updates(found, state.groups))
    if json:
        typer.echo(facts.to_json([facts.update_facts(update) for update in moved]))
    else:
        typer.echo("\n".join(text.update_lines(moved)))


def _show_differences(before: Checkpoint, after: Checkpoint, json: bool) -> None:
    found = differences(before, after)
    changed = by_change(list(changes(before, after, found.common, progress=_progress())))
    if json:
        typer.echo(facts.to_json(facts.difference_facts(before, after, found, changed)))
    else:
        typer.echo(f"From {before.title} to {after.title}")
        typer.echo("\n".join(text.change_lines(found, changed)))


def _show_timeline(found: Checkpoint, json: bool) -> None:
    marks = timeline(_run(found))
    if json:
        typer.echo(facts.to_json([facts.mark_facts(mark) for mark in marks]))
    else:
        typer.echo("\n".join(text.mark_lines(marks)))


def _show_drift(found: Checkpoint, name: str, json: bool) -> None:
    names = [known for known in found.table.names if known.startswith(f"{name.rstrip('.')}.")]
    names = names or [found.table.names[found.find(name)]]
    moved = list(drift(_run(found), names, progress=_progress()))
    if json:
        typer.echo(facts.to_json([facts.drift_facts(one) for one in moved]))
    else:
        typer.echo("\n".join([f"{printable(name, 80)}: {len(names)} tensors", *text.drift_lines(moved)]))


def _show_checks(found: Checkpoint, json: bool) -> None:
    checked = list(verify(found, progress=_progress()))
    typer.echo(facts.to_json(facts.check_facts(checked)) if json else "\n".join(text.check_lines(checked)))
    if any(file.problem is not None for file in checked):
        raise typer.Exit(NOT_VERIFIED)


def _exported(found: Checkpoint, module: str, folder: Path) -> list[Path]:
    whole_model = module == LANGUAGE_MODEL and found.path.joinpath(LANGUAGE_MODEL).is_dir()
    return export_language_model(found, folder) if whole_model else export_module(found, module, folder)


def _show_files(files: Sequence[Path]) -> None:
    for file in files:
        typer.echo(f"Wrote {printable(str(file), 500)}")


def _run(found: Checkpoint) -> RunDirectory:
    if found.run is None:
        raise CheckpointError(f"{found.title} belongs to no run, so it has no timeline.")
    return found.run


def _progress() -> Callable[[int, int], None] | None:
    """Return what shows progress on a terminal's error output; None where that is none."""
    if not sys.stderr.isatty():
        return None
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


def register(app: typer.Typer) -> None:
    """Add `inspect` to the command line."""
    inspect_app.command("checkpoint")(checkpoint)
    inspect_app.command("dataset")(dataset)
    inspect_app.command("task")(task)
    app.add_typer(inspect_app)
