"""The training process that a console started: watched, never owned.

It is started as every other command starts it, in a session of its own, so it goes on however the
console ends. `asyncio`'s subprocesses would be killed with their event loop.
"""

from __future__ import annotations

import signal
import subprocess
import time

from arc_core.run.directory import RunDirectory
from arc_tui.runs.engine import LEFT_RUNNING, Engine, Outcome, engine_command, start_engine


class Supervisor:
    """Starts the process of a run and sees how it ends.

    Args:
        engine: Gives the command line of the training process.
    """

    def __init__(self, engine: Engine = engine_command) -> None:
        self._engine = engine
        self.process: subprocess.Popen[bytes] | None = None
        """The process that was started last; None before one was."""
        self.started_at = 0.0
        """When that was, in seconds since the epoch."""
        self.run: RunDirectory | None = None
        """The run whose process was started last; None before one was."""
        self.outcome = Outcome()
        """How the process that was started last has ended, as far as it has."""

    @property
    def started(self) -> bool:
        """Whether this console has started a process."""
        return self.process is not None

    @property
    def running(self) -> bool:
        """Whether the process that this console started still runs."""
        return self.returncode is None and self.started

    @property
    def returncode(self) -> int | None:
        """Exit code of the process; None while it runs, and where none was started."""
        return self.process.poll() if self.process is not None else None

    def start(self, run: RunDirectory) -> None:
        """Start the training process of a run.

        Raises:
            RunError: If its engine.log is no regular file.
        """
        self.outcome = Outcome()
        self.started_at = time.time()
        self.process = start_engine(run, self._engine)
        self.run = run

    def finish(self) -> Outcome:
        """Return how it went, with the process left running if it still does."""
        if self.process is not None:
            if self.running:
                LEFT_RUNNING.append(self.process)
                self.outcome.left_running = True
            else:
                self.outcome.returncode = self.process.wait()
        return self.outcome


def cause(returncode: int) -> str:
    """Say how a process ended: `with exit code 1`, `killed by SIGKILL, perhaps for want of memory`."""
    if returncode >= 0:
        return f"with exit code {returncode}"
    known = {int(number): number.name for number in signal.Signals}
    name = known.get(-returncode, str(-returncode))
    return f"killed by {name}" + (", perhaps for want of memory" if -returncode == signal.SIGKILL else "")
