"""Starts the process that sends a run's alerts."""

from __future__ import annotations

import json
import subprocess
from typing import Protocol

from arc_core.run.directory import RunDirectory, is_alive
from arc_core.run.events import next_seq
from arc_tui.alerts.message import Occasion
from arc_tui.runs.engine import LEFT_RUNNING, Program, start_apart

LOG = "alerts.log"


class WantedAlerts(Protocol):
    """What a user wants to be told of, as the settings say."""

    @property
    def on_finish(self) -> bool:
        """Whether of the end of a run."""
        ...

    @property
    def on_crash(self) -> bool:
        """Whether of a crash."""
        ...

    @property
    def on_stall(self) -> bool:
        """Whether of a run that says nothing."""
        ...

    @property
    def on_best(self) -> bool:
        """Whether of a new best validation."""
        ...

    @property
    def on_warning(self) -> bool:
        """Whether of warnings that stay."""
        ...

    @property
    def stall_minutes(self) -> float:
        """How long a run says nothing that has stalled."""
        ...


def start_watcher(run: RunDirectory, address: str, wanted: WantedAlerts) -> subprocess.Popen[bytes]:
    """Start the process that watches a run and sends its alerts until the run ends.

    It is in a session of its own, so it goes on however this process ends. Of several for one run the first
    alone sends.

    Args:
        run: The run, which trains or is about to.
        address: Where alerts go, as `target_of` takes it and has taken it before.
        wanted: What is to be told.

    Raises:
        RunError: If alerts.log or alerts.lock is no regular file.
    """
    occasions = [occasion for occasion in Occasion if getattr(wanted, f"on_{occasion}")]
    asked = {
        **{"address": address, "occasions": occasions, "stall_minutes": wanted.stall_minutes},
        **{"lived": is_alive(run), "seen": next_seq(run.events) - 1},
    }
    process = start_apart(Program.WATCHING.command(str(run.path)), run.path / LOG, subprocess.PIPE)
    assert process.stdin is not None
    with process.stdin as stdin:  # a command line could be read by others
        stdin.write(json.dumps(asked).encode())
    LEFT_RUNNING.append(process)
    return process
