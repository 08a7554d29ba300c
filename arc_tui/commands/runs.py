"""The commands of the command line that watch and steer runs: pause, set, runs, status, export and others."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from arc_core.base.errors import ConfigError, RunError
from arc_core.base.paths import expanded
from arc_core.base.text import printable
from arc_core.run.config import TrainConfig
from arc_core.run.directory import LATEST, RunDirectory, RunLock, is_alive, open_run
from arc_tui.commands import status as run_report
from arc_tui.commands.completion import changeable_settings, run_names
from arc_tui.commands.headless import PlainOutput
from arc_tui.commands.options import THEME
from arc_tui.commands.output import echo, echo_error
from arc_tui.commands.steer import assignments, steer
from arc_tui.commands.train import start_again
from arc_tui.runs import listing
from arc_tui.runs.fields import size
from arc_tui.runs.starting import command_line

LONGEST_NOTE = 10_000

Run = Annotated[
    str,
    typer.Argument(
        metavar="[RUN]",
        autocompletion=run_names,
        help="A run's name, or the start of it; the newest if left out.",
    ),
]
NamedRun = Annotated[
    str,
    typer.Argument(metavar="RUN", autocompletion=run_names, help="A run's name, or the start of it."),
]
RunsDir = Annotated[
    str,
    typer.Option(
        "--runs-dir",
        metavar="FOLDER",
        callback=lambda typed: str(expanded(typed)),
        help="The folder that holds the runs.",
    ),
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Send the command and do not wait for its effect.")]
SkipBadTasks = Annotated[
    bool,
    typer.Option("--skip-bad-tasks", help="Go on without the tasks that cannot be read, and list them."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

RUNS_DIR = TrainConfig().runs_dir


def pause(
    run: Run = LATEST,
    release: Annotated[
        bool,
        typer.Option("--release", help="Save a checkpoint and end the process, so that its GPU is free."),
    ] = False,
    no_wait: NoWait = False,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Let training stand still at the next step boundary."""
    found = _open(runs_dir, run)
    steer(found, "stop" if release else "pause", show=echo, wait=not no_wait, runs_dir=runs_dir)
    if release and not no_wait:
        again = command_line(runs_dir, "resume", found.name)
        echo(f"The run {found.name} is saved and its process has ended. To go on: {again}")


def resume(run: Run = LATEST, no_wait: NoWait = False, runs_dir: RunsDir = RUNS_DIR) -> None:
    """Go on with a paused run, or start an ended one again.

    One without a process is started again in the background.
    """
    found = _open(runs_dir, run)
    if is_alive(found):
        steer(found, "resume", show=echo, wait=not no_wait, runs_dir=runs_dir)
    else:
        raise typer.Exit(start_again(found.name, runs_dir, echo_error))


def checkpoint(run: Run = LATEST, no_wait: NoWait = False, runs_dir: RunsDir = RUNS_DIR) -> None:
    """Save a checkpoint at the next step boundary."""
    steer(_open(runs_dir, run), "checkpoint", show=echo, wait=not no_wait, runs_dir=runs_dir)


def validate(run: Run = LATEST, no_wait: NoWait = False, runs_dir: RunsDir = RUNS_DIR) -> None:
    """Validate at the next step boundary."""
    steer(_open(runs_dir, run), "validate", show=echo, wait=not no_wait, runs_dir=runs_dir)


def stop(run: Run = LATEST, no_wait: NoWait = False, runs_dir: RunsDir = RUNS_DIR) -> None:
    """Save a checkpoint and end the run."""
    steer(_open(runs_dir, run), "stop", show=echo, wait=not no_wait, runs_dir=runs_dir)


def set_values(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[RUN] KEY=VALUE...",
            autocompletion=changeable_settings,
            help="agent_lr, qwen_lr, policy_lr, checkpoint_every; of the newest run if none is named.",
        ),
    ],
    no_wait: NoWait = False,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Change rates or the checkpoint interval during training."""
    named = "=" not in words[0]
    values = assignments(words[1:] if named else words)
    if not values:
        raise ConfigError("set needs at least one KEY=VALUE, such as agent_lr=5e-5.")
    found = _open(runs_dir, words[0] if named else LATEST)
    steer(found, "set", values, show=echo, wait=not no_wait, runs_dir=runs_dir)


def attach(
    run: Run = LATEST,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Only watch: no key asks anything of the run.")
    ] = False,
    replay: Annotated[
        float | None,
        typer.Option(
            "--replay",
            metavar="SPEED",
            min=0.01,
            max=1000,
            help="Play a run's events again, so many times as fast.",
        ),
    ] = None,
    theme: Annotated[str | None, THEME] = None,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Open the console on a run, whether it trains or has ended."""
    found = _open(runs_dir, run)
    from arc_tui.commands import attach as opening  # here, as other commands need not wait for Textual

    code = opening.attach(
        found,
        runs_dir,
        read_only=read_only,
        replay=replay,
        theme=theme,
        show=echo,
        show_error=echo_error,
    )
    raise typer.Exit(code)


def runs(json: AsJson = False, runs_dir: RunsDir = RUNS_DIR) -> None:
    """List the runs of a folder, the newest first."""
    rows = listing.list_rows(Path(runs_dir))
    if json:
        echo(run_report.to_json(listing.as_json(rows)))
    elif not rows:
        echo(f"There is no run in {printable(runs_dir)}.")
    else:
        echo("\n".join(run_report.table(rows)))


def status(run: Run = LATEST, json: AsJson = False, runs_dir: RunsDir = RUNS_DIR) -> None:
    """Show what a run is doing, with its last numbers."""
    found = _open(runs_dir, run)
    text = run_report.to_json(run_report.status(found)) if json else "\n".join(run_report.status_lines(found))
    echo(text)


def logs(
    run: Run = LATEST,
    engine: Annotated[
        bool, typer.Option("--engine", help="What the training process and its libraries print.")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the run ends.")] = False,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Show what has happened in a run, as train prints it."""
    found = _open(runs_dir, run)
    output = PlainOutput(sys.stdout)
    if engine:
        run_report.show_engine_log(found, output.line, following=follow)
    else:
        run_report.show_events(found, output, following=follow)


def delete(
    run: NamedRun,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Delete a run with its checkpoints. One that is being trained is refused."""
    found = _open(runs_dir, run)
    with RunLock(found):  # no process can start on it now
        weight = size(listing.disk_usage(found.path))
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
    found = _open(runs_dir, run)
    before: object = found.read().get("notes", [])
    if not isinstance(before, list):
        raise RunError(f"{printable(str(found.run_json))} is damaged: its notes are no list.")
    found.update(notes=[*cast("list[Any]", before), {"time": time.time(), "text": text}])
    echo(f"Noted in {printable(found.name)}.")


def export_numbers(
    run: Run = LATEST,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", parser=expanded, help="A table with a line for each step."),
    ] = None,
    tensorboard: Annotated[
        Path | None,
        typer.Option("--tensorboard", metavar="FOLDER", parser=expanded, help="A folder for TensorBoard."),
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Write the numbers of a run for other programs."""
    if csv is None and tensorboard is None:
        raise ConfigError("export needs --csv FILE or --tensorboard FOLDER.")
    found = _open(runs_dir, run)
    from arc_tui.commands import export  # here, as other commands need no csv

    if csv is not None:
        echo(f"{export.export_csv(found.events, csv)} steps written to {printable(str(csv))}")
    if tensorboard is not None:
        steps = export.export_tensorboard(found.events, tensorboard)
        echo(f"{steps} steps written to {printable(str(tensorboard))}")


def _open(runs_dir: str, reference: str) -> RunDirectory:
    return open_run(Path(runs_dir), reference)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (pause, resume, checkpoint, validate, stop):
        app.command(command.__name__)(command)
    app.command("set")(set_values)
    for command in (attach, runs, status, logs, delete, note):
        app.command(command.__name__)(command)
    app.command("export")(export_numbers)
