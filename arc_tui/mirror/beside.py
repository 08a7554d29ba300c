"""Starts a mirror beside a run: a process of its own, which ends with the run's."""

from __future__ import annotations

from arc_core.run.directory import RunDirectory
from arc_tui.runs.engine import LEFT_RUNNING, Program, start_apart

BEGIN_SECONDS = 600
"""How long it waits for training to begin."""


def start_mirror(run: RunDirectory, trackers: str) -> None:
    """Start `arc-tui mirror` in a session of its own, its output going to the run's mirror.log.

    Args:
        run: The run, whose training process need not have begun.
        trackers: Names parted by commas, checked by `names_in`.

    Raises:
        RunError: If its log is no regular file.
    """
    arguments = ["mirror", run.name, "--runs-dir", str(run.path.parent), "--to", trackers]
    command = Program.COMMANDS.command(*arguments, "--patience", str(BEGIN_SECONDS))
    LEFT_RUNNING.append(start_apart(command, run.path / "mirror.log"))
