"""`arc-tui attach`: opens the console on a run; `train` does so on the one it has made."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arc_core.base.errors import ConfigError
from arc_core.base.text import printable
from arc_core.run.directory import LATEST, is_alive, open_run
from arc_core.run.resolving import launch_options
from arc_tui.commands.options import RUNS_DIR, AlertTo, ReadOnly, Run, RunsDir, Theme
from arc_tui.commands.output import echo, echo_error, has_terminal

if TYPE_CHECKING:
    # Imported where the console opens: a shell that completes a run's name needs nothing of it.
    from arc_tui.console.app import ConsoleApp
    from arc_tui.runs.engine import Engine


def attach(
    run: Run = LATEST,
    read_only: ReadOnly = False,
    choose: Annotated[bool, typer.Option("--choose", help="Begin with the list of runs.")] = False,
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
    theme: Theme = None,
    alert: AlertTo = None,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Open the console on a run, whether it trains or has ended."""
    found = open_run(runs_dir, run)
    if not has_terminal():
        raise ConfigError(
            f"attach needs a terminal; without one, use arc-tui logs {printable(found.name)} --follow."
        )
    from arc_tui.commands.alerts import Alerts
    from arc_tui.console.app import ConsoleApp
    from arc_tui.console.options import Options
    from arc_tui.runs.replay import Replay
    from arc_tui.ui.settings import load_settings

    settings = load_settings()
    alerts = Alerts.of(alert, settings)
    options = Options(str(runs_dir), settings, theme, read_only, choose=choose, alert=alerts.address)
    # Who only looks begins no process, unless it is asked for.
    if replay is None and is_alive(found) and (alert is not None or not read_only):
        alerts.start(found)
    if replay is not None:
        source = partial(Replay, speed=replay)
        options = dataclasses.replace(options, read_only=True, replay=True, source=source)
    app = ConsoleApp(found, options)
    app.run()
    raise typer.Exit(_leave(app))


def train_in_console(
    flags: Mapping[str, object],
    file: Path | None,
    theme: str | None,
    engine: Engine | None = None,
    *,
    alert: str | None = None,
) -> int:
    """Make or reopen a run, start its training process, and open the console on it.

    Args:
        flags: The options given on the command line.
        file: The config file, if one was given.
        theme: Name of the theme; None takes the user's own.
        engine: Gives the command line of the training process; None is that of the package.
        alert: Where alerts are sent; None takes what the user's settings say.

    Returns:
        The exit code: 0 if the run goes on or ended as it should, 1 if its process or the console crashed,
        128 and the signal's number if a signal ended the console.

    Raises:
        ArcError: If anything about the input is refused, here or by the training process; a new run
            directory is gone again then.
    """
    from arc_tui.alerts.target import without_address
    from arc_tui.commands.alerts import Alerts
    from arc_tui.console.app import ConsoleApp
    from arc_tui.console.options import Options
    from arc_tui.mirror.beside import start_mirror
    from arc_tui.runs.engine import Supervisor, engine_command
    from arc_tui.runs.starting import conclude, prepare
    from arc_tui.ui.settings import load_settings

    settings = load_settings()
    asked = launch_options(flags, file)
    alerts = Alerts.of(alert, settings)
    launch = prepare(flags, file, without_address(sys.argv))
    supervisor = Supervisor(engine or engine_command)
    options = Options(launch.config.runs_dir, settings, theme, alert=alerts.address)
    try:
        app = ConsoleApp(launch.run, options, supervisor)
        alerts.start(launch.run)
        supervisor.start(launch.run)
        if asked.mirror is not None:
            start_mirror(launch.run, asked.mirror)
    except BaseException:
        launch.undo()
        raise
    app.run()
    code = _leave(app)
    if supervisor.run != launch.run:
        return code
    outcome = supervisor.finish()
    return code if outcome.left_running else conclude(launch, outcome, echo_error) or code


def _leave(app: ConsoleApp) -> int:
    """Tell what the user should know once the console has been left; returns the exit code."""
    from arc_tui.runs.starting import how_to_go_on
    from arc_tui.ui.app import ended

    code = ended(app, echo_error)
    run = app.session.run
    if not app.refused and not app.options.replay and is_alive(run):
        for line in how_to_go_on(run, app.options.runs_dir):
            echo(line)
    return code
