"""Starts a mirror beside a run: a process of its own, which ends with the run's."""

from __future__ import annotations

import os
import subprocess

from arc_core.base.files import open_regular
from arc_core.run.directory import RunDirectory
from arc_tui.runs.engine import LEFT_RUNNING, Program

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
    log = open_regular(run.path / "mirror.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    arguments = ["mirror", run.name, "--runs-dir", str(run.path.parent), "--to", trackers]
    try:
        process = subprocess.Popen(
            Program.COMMANDS.command(*arguments, "--patience", str(BEGIN_SECONDS)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)
    LEFT_RUNNING.append(process)
