"""`arc-tui train` and `config`: start a run's training process, and show it in the console or as lines.

What does so is imported where it is done: a shell that completes an option needs the options alone.
"""

from __future__ import annotations

import shlex
import sys

import typer

from arc_core.run.resolving import launch_options, to_toml
from arc_tui.commands.options import Given, takes_options
from arc_tui.commands.output import echo, has_terminal


@takes_options(trains=True)
def train(given: Given) -> None:
    """Make a run, start its training and open the console on it.

    Without a terminal, or with --headless or --detach, it prints lines instead. With --prepare it starts
    nothing, and prints how to train the run by torchrun.
    """
    from arc_tui.alerts.target import without_address
    from arc_tui.runs.starting import configuration, prepare

    options = configuration(given.flags, given.file)
    asked = launch_options(given.flags, given.file)  # a resumed run's own configuration does not say
    if asked.mirror is not None:
        from arc_tui.mirror.trackers import names_in

        names_in(asked.mirror)
    if asked.prepare:
        made = prepare(given.flags, given.file, without_address(sys.argv))
        echo(f"torchrun --nproc-per-node N -m arc_core {shlex.quote(str(made.run.path))}")
        return
    if not has_terminal() or options.headless or options.detach:
        from arc_tui.commands.training import train_here

        raise typer.Exit(train_here(given.flags, given.file, alert=given.alert))
    from arc_tui.commands.attach import train_in_console

    raise typer.Exit(train_in_console(given.flags, given.file, given.theme, alert=given.alert))


@takes_options()
def config(given: Given) -> None:
    """Print the configuration of `train` as a config file. Every option is explained."""
    from arc_tui.runs.starting import configuration

    echo(to_toml(configuration(given.flags, given.file)), nl=False)
