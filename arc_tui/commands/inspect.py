"""`arc-tui inspect checkpoint`: the browser, or the same facts as text and JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arc_core.base.errors import ConfigError
from arc_core.base.paths import expanded
from arc_tui.commands.completion import checkpoint_ids, run_names
from arc_tui.commands.groups import InspectGroup
from arc_tui.commands.options import RUNS_DIR, AsJson, Plain, ReadOnly, RunsDir, Theme
from arc_tui.commands.output import echo, echo_error, has_terminal

if TYPE_CHECKING:
    from arc_tui.inspect.tensors.source import Checkpoint

inspect_app = typer.Typer(
    name="inspect",
    cls=InspectGroup,
    add_completion=False,
    help="Browse checkpoints, datasets, tasks and results.",
    rich_markup_mode=None,
)


@inspect_app.callback(invoke_without_command=True)
def inspect(context: typer.Context) -> None:
    """Browse checkpoints, datasets, tasks and results."""
    if context.invoked_subcommand is None:
        echo(context.get_help())


def checkpoint(
    path: Annotated[
        str | None,
        typer.Argument(
            metavar="[PATH]",
            autocompletion=run_names,
            help="A .safetensors file, a folder or pattern of them, a checkpoint, a run or its name, or "
            "USER/REPO[@REVISION][:FILE] on the hub; the newest run if left out.",
        ),
    ] = None,
    number: Annotated[
        int | None,
        typer.Option(
            "--checkpoint",
            metavar="ID",
            autocompletion=checkpoint_ids,
            help="Of a run: which; else its newest.",
        ),
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
            "--export-lm",
            metavar="FOLDER",
            parser=expanded,
            help="Copy the language model, in Hugging Face layout.",
        ),
    ] = None,
    export: Annotated[
        tuple[str, Path] | None,
        typer.Option("--export", metavar="MODULE FOLDER", help="Copy a component or module as safetensors."),
    ] = None,
    read_only: ReadOnly = False,
    theme: Theme = None,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Browse a run's checkpoint, or any safetensors."""
    # Here, so that other commands need not wait for numpy, nor this one for Textual where it prints.
    from arc_tui.commands import show
    from arc_tui.inspect.tensors.source import of_run, open_checkpoint

    tasks: dict[str, Callable[[], None]] = {}
    if tensor is not None:
        tasks["--tensor"] = lambda: show.show_tensor(found, tensor, json)
    elif stats:
        tasks["--stats"] = lambda: show.show_statistics(found, json)
    if moments:
        tasks["--moments"] = lambda: show.show_moments(found, json)
    if diff is not None:
        tasks["--diff"] = lambda: show.show_differences(found, open_checkpoint(diff, runs_dir), json)
    if all_marks:
        tasks["--timeline"] = lambda: show.show_timeline(found, json)
    if drifting is not None:
        tasks["--drift"] = lambda: show.show_drift(found, drifting, json)
    if checking:
        tasks["--verify"] = lambda: show.show_checks(found, json)
    if export_lm is not None:
        tasks["--export-lm"] = lambda: show.export_whole_model(found, export_lm)
    if export is not None:
        tasks["--export"] = lambda: show.export(found, export[0], expanded(export[1]))
    if len(tasks) > 1:
        raise ConfigError(f"{' and '.join(tasks)} do not go together: give one of them.")
    found = open_checkpoint(path, runs_dir)
    if number is not None:
        found = of_run(show.run_of(found), number)
    if tasks:
        next(iter(tasks.values()))()
    elif json or plain or not has_terminal():
        show.show_everything(found, json)
    else:
        raise typer.Exit(_browse(found, runs_dir, theme, read_only=read_only))


def _browse(found: Checkpoint, runs_dir: Path, theme: str | None, *, read_only: bool) -> int:
    """Browse until the user leaves, and train on from what was chosen there; returns the exit code."""
    from arc_tui.commands.attach import train_in_console
    from arc_tui.inspect.app import InspectApp
    from arc_tui.ui.app import ended
    from arc_tui.ui.settings import load_settings

    settings = load_settings()
    app = InspectApp(found, runs_dir, theme or settings.theme, settings.keys, read_only=read_only)
    begin = app.run()
    code = ended(app, echo_error)
    if code or begin is None:
        return code
    return train_in_console(begin.flags() | {"runs_dir": str(runs_dir)}, None, theme)
