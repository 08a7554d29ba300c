"""`arc-tui pause`, `resume`, `checkpoint`, `validate`, `set` and `stop`: each sends a living run a command.

They wait for its answer, and tell what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from arc_core.base.errors import ConfigError
from arc_core.base.options import unknown_key
from arc_core.run.commands import changeable
from arc_core.run.directory import LATEST, RunDirectory, is_alive, open_run, stored_config
from arc_tui.commands.completion import changeable_settings
from arc_tui.commands.options import RUNS_DIR, AlertTo, Run, RunsDir, assigned
from arc_tui.commands.output import echo

NoWait = Annotated[bool, typer.Option("--no-wait", help="Send the command and do not wait for its effect.")]


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
    from arc_tui.runs.starting import command_line

    found = open_run(runs_dir, run)
    _steer(found, runs_dir, "stop" if release else "pause", no_wait)
    if release and not no_wait:
        again = command_line(str(runs_dir), "resume", found.name)
        echo(f"The run {found.name} is saved and its process has ended. To go on: {again}")


def resume(
    run: Run = LATEST, no_wait: NoWait = False, alert: AlertTo = None, runs_dir: RunsDir = RUNS_DIR
) -> None:
    """Go on with a paused run, or start an ended one again.

    One without a process is started again in the background.
    """
    found = open_run(runs_dir, run)
    if is_alive(found):
        if alert is not None:
            from arc_tui.commands.alerts import Alerts

            Alerts.of(alert).start(found)
        _steer(found, runs_dir, "resume", no_wait)
    else:
        from arc_tui.commands.training import train_here

        flags = {"resume": found.name, "runs_dir": str(runs_dir), "detach": True}
        raise typer.Exit(train_here(flags, None, alert=alert))


def checkpoint(run: Run = LATEST, no_wait: NoWait = False, runs_dir: RunsDir = RUNS_DIR) -> None:
    """Save a checkpoint at the next step boundary."""
    _steer(open_run(runs_dir, run), runs_dir, "checkpoint", no_wait)


def validate(run: Run = LATEST, no_wait: NoWait = False, runs_dir: RunsDir = RUNS_DIR) -> None:
    """Validate at the next step boundary."""
    _steer(open_run(runs_dir, run), runs_dir, "validate", no_wait)


def stop(run: Run = LATEST, no_wait: NoWait = False, runs_dir: RunsDir = RUNS_DIR) -> None:
    """Save a checkpoint and end the run."""
    _steer(open_run(runs_dir, run), runs_dir, "stop", no_wait)


def set_values(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[RUN] KEY=VALUE...",
            autocompletion=changeable_settings,
            help="Its rates, such as agent_lr, and checkpoint_every; of the newest run if none is named.",
        ),
    ],
    no_wait: NoWait = False,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Change rates or the checkpoint interval during training."""
    named = "=" not in words[0]
    given = assigned(words[1:] if named else words, "set")
    if not given:
        raise ConfigError("set needs at least one KEY=VALUE, such as agent_lr=5e-5.")
    found = open_run(runs_dir, words[0] if named else LATEST)
    settings = changeable(stored_config(found.read()))
    if unknown := [name for name in given if name not in settings]:
        raise unknown_key(unknown[0], settings, "setting that can change during a run:")
    values = {name: settings[name].parse(value) for name, value in given.items()}
    _steer(found, runs_dir, "set", no_wait, values)


def _steer(
    run: RunDirectory, runs_dir: Path, command: str, no_wait: bool, args: Mapping[str, object] | None = None
) -> None:
    # Here, as a shell that completes a run's name needs nothing of it.
    from arc_tui.runs.asking import ask

    for line in ask(run, runs_dir, command, args, wait=not no_wait):
        echo(line)
