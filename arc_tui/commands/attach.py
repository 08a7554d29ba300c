"""Opens the console: on a run that `arc-tui train` has just made, or on one that is there already."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from arc_core.base.errors import ConfigError
from arc_core.base.text import printable
from arc_core.run.directory import RunDirectory, is_alive
from arc_tui.console.app import ConsoleApp
from arc_tui.console.options import Ending, Options
from arc_tui.runs.engine import Engine, Supervisor, engine_command
from arc_tui.runs.replay import Replay
from arc_tui.runs.starting import conclude, has_terminal, how_to_go_on, prepare
from arc_tui.ui.settings import load_settings

Show = Callable[[str], None]
"""Shows a line to the user."""

FAILED = 1


def train(
    flags: Mapping[str, object],
    file: Path | None,
    argv: Sequence[str],
    theme: str | None,
    show: Show,
    show_error: Show,
    engine: Engine = engine_command,
) -> int:
    """Make or reopen a run, start its training process, and open the console on it.

    Args:
        flags: The options given on the command line.
        file: The config file, if one was given.
        argv: The command line, for run.json.
        theme: Name of the theme; None takes the user's own.
        show: Shows a line on standard output once the console has been left.
        show_error: Shows a line on standard error.
        engine: Gives the command line of the training process.

    Returns:
        The exit code: 0 if the run goes on or ended as it should, 1 if its process or the console crashed,
        128 and the signal's number if a signal ended the console.

    Raises:
        ArcError: If anything about the input is refused, here or by the training process; a new run
            directory is gone again then.
    """
    settings = load_settings()
    launch = prepare(flags, file, argv)
    supervisor = Supervisor(engine)
    options = Options(launch.config.runs_dir, settings, theme)
    try:
        app = ConsoleApp(launch.run, options, supervisor)
        supervisor.start(launch.run)
    except BaseException:
        launch.undo()
        raise
    app.run()
    code = _leave(app, show, show_error)
    if supervisor.run != launch.run:
        return code
    outcome = supervisor.finish()
    return code if outcome.left_running else conclude(launch, outcome, show_error) or code


def attach(
    run: RunDirectory,
    runs_dir: str,
    *,
    read_only: bool,
    replay: float | None,
    theme: str | None,
    show: Show,
    show_error: Show,
) -> int:
    """Open the console on a run that is there already.

    Args:
        run: The run.
        runs_dir: The folder of runs as the user gave it.
        read_only: Whether nothing may be asked of it.
        replay: How many times faster than it happened its events are played again; None follows it.
        theme: Name of the theme; None takes the user's own.
        show: Shows a line on standard output once the console has been left.
        show_error: Shows a line on standard error.

    Returns:
        The exit code, as `train` returns it.

    Raises:
        ConfigError: If there is no terminal.
        ArcError: If the run, a setting or the theme is refused.
    """
    if not has_terminal():
        raise ConfigError(
            f"attach needs a terminal; without one, use arc-tui logs {printable(run.name)} --follow."
        )
    options = Options(runs_dir, load_settings(), theme, read_only)
    if replay is not None:
        options = Options(
            runs_dir, options.settings, theme, True, replay=True, source=partial(Replay, speed=replay)
        )
    app = ConsoleApp(run, options)
    app.run()
    return _leave(app, show, show_error)


def _leave(app: ConsoleApp, show: Show, show_error: Show) -> int:
    """Tell what the user should know once the console has been left; returns the exit code."""
    ending: Ending = app.ending
    run = app.session.run
    if ending.failed:
        where = f"; the report is {printable(str(ending.report))}" if ending.report is not None else ""
        show_error(f"Error: The console has failed{where}.")
    if not ending.refused and not app.options.replay and is_alive(run):
        for line in how_to_go_on(run, app.options.runs_dir):
            show(line)
    if ending.failed:
        return FAILED
    return 128 + ending.signal if ending.signal is not None else 0
