"""`arc-tui queue run`: trains the entries of the queue in their order, and marks what has become of each."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import time
from pathlib import Path

from arc_core.base.errors import ArcError, RunError
from arc_core.base.files import TEMPORARY
from arc_core.base.paths import entries, is_taken
from arc_core.base.text import cause, printable
from arc_core.run.directory import RunDirectory, create_run, is_alive, lock_holder, open_run
from arc_core.run.events import EventReader
from arc_core.run.provenance import describe_run
from arc_core.run.recipes import read_config
from arc_tui.commands.alerts import Alerts
from arc_tui.commands.output import echo, echo_error
from arc_tui.commands.training import show_training
from arc_tui.runs.engine import Engine, Outcome, follow, stop_signals
from arc_tui.runs.listing import read_run
from arc_tui.runs.queue import Queue, QueuedRun, QueueState
from arc_tui.runs.starting import Launch, prepare
from arc_tui.runs.state import COMPLETED, Phase, RunState

QUEUED = "queued"
"""The entry of run.json that names the entry of the queue that the run was made for."""

MOST_KILLS = 3
"""So often a run may be killed without getting any further before it counts as failed."""

BY_COMMAND, BY_SIGNAL = "stopped by a command", "stopped by a signal"
"""What `run_finished` says of a run that was stopped."""

_STOPPED = "stopped"
"""How it begins of one that ended as it should before its last epoch, at a limit that it was given."""


class QueueRunner:
    """Trains what waits in a queue.

    Args:
        queue: The queue.
        alert: Where alerts are sent; None takes what the user's settings say.
        again: Whether to go on with runs that failed or were stopped, each once.
        engine: Gives the command line of a training process; None is that of the package.
    """

    def __init__(
        self, queue: Queue, alert: str | None = None, *, again: bool = False, engine: Engine | None = None
    ) -> None:
        self._queue = queue
        self._alert = alert
        self._again = again
        self._engine = engine
        self._settled: set[str] = set()
        self._asked_to_stop = False

    def run(self) -> int:
        """Train until nothing waits that no other process works on, or until asked to stop.

        Returns:
            The exit code: 1 if a run failed, else 0.

        Raises:
            ArcError: If the queue cannot be read or written, or alerts cannot be sent where they should.
        """
        Alerts.of(self._alert)
        failed = trained = 0
        while not self._asked_to_stop:
            with self._queue.claimed(self._wants) as entry:
                if entry is None:
                    break
                trained += 1
                after = self._train(entry)
                self._queue.keep(after)
            if after.state is not QueueState.WAITING:
                self._settled.add(after.token)
            failed += after.state is QueueState.FAILED
            reason = f": {printable(after.reason, 300)}" if after.reason else ""
            echo(f"Queue: {printable(after.name)} is {after.state}{reason}")
        if not trained:
            echo("Queue: nothing waits that no other process works on.")
        return 1 if failed else 0

    def _wants(self, entry: QueuedRun) -> bool:
        states = [QueueState.WAITING, *([QueueState.FAILED, QueueState.STOPPED] if self._again else [])]
        return entry.state in states and entry.token not in self._settled

    def _train(self, entry: QueuedRun) -> QueuedRun:
        """Train an entry's run, or see what has become of it meanwhile; returns the entry as it is then."""
        path, waited = self._queue.runs_dir / entry.name, entry.state is QueueState.WAITING
        try:
            if entry.begun:
                _remove_beginning(path)
            kills = entry.kills if waited else 0
            entry = dataclasses.replace(entry, state=QueueState.WAITING, reason=None, begun=True, kills=kills)
            self._queue.keep(entry)  # first, so that what a kill leaves of a run being made is known as ours
            if is_taken(path):
                found = self._found(entry, path)
                if is_alive(found):
                    echo(f"Queue: {printable(entry.name)} is being trained already; it is waited for.")
                    self._wait_for(found)
                    return self._judged(entry, _state_of(found))
                state = _state_of(found)
                if state.phase is Phase.FINISHED or (state.phase is Phase.STOPPED and waited):
                    judged = self._judged(entry, state)
                    if judged.state is not QueueState.WAITING:
                        return judged
                flags = {"resume": entry.name, "runs_dir": str(self._queue.runs_dir)}
                launch = prepare(flags, None, entry.argv)
            else:
                launch = self._created(entry)
            echo(f"Queue: {printable(entry.name)}")
            _, outcome = show_training(launch, Alerts.of(self._alert), self._engine)
            self._asked_to_stop = outcome.stop_requests > 0
            return self._judged(entry, _state_of(launch.run), outcome)
        except ArcError as error:
            echo_error(f"Error: {printable(str(error))}")
            return dataclasses.replace(entry, state=QueueState.FAILED, reason=str(error))

    def _found(self, entry: QueuedRun, path: Path) -> RunDirectory:
        found = open_run(self._queue.runs_dir, entry.name)
        if found.read().get(QUEUED) != entry.token:
            raise RunError(f"{printable(str(path))} is a run that the queue has not made.")
        return found

    def _created(self, entry: QueuedRun) -> Launch:
        config = read_config({"config": entry.config})
        config = dataclasses.replace(config, runs_dir=str(self._queue.runs_dir))
        content = describe_run(config, entry.argv) | {QUEUED: entry.token}
        run = create_run(self._queue.runs_dir, entry.name, content)
        return Launch(run, config, resumed=False, put_back=run.remove)

    def _wait_for(self, run: RunDirectory) -> None:
        """Wait for the end of a run whose queue was killed; to ask for an end stops the run."""
        reader = EventReader(run.events, from_end=True)
        with stop_signals() as requests:
            for _ in follow(reader, lambda: not is_alive(run)):
                if requests and not self._asked_to_stop and (process := lock_holder(run)):
                    self._asked_to_stop = True
                    echo("Stopping: the run is saved first.")
                    with contextlib.suppress(ProcessLookupError):  # it has just ended
                        os.kill(process, signal.SIGTERM)

    def _judged(self, entry: QueuedRun, state: RunState, outcome: Outcome | None = None) -> QueuedRun:
        """Return the entry as the end of its run's process leaves it; WAITING has the run gone on with."""
        reason = state.reason or ""
        killed = state.phase is Phase.CRASHED if outcome is None else outcome.returncode < 0
        if outcome is not None and outcome.returncode > 0:
            told = f"its process ended {cause(outcome.returncode)}"
            return dataclasses.replace(entry, state=QueueState.FAILED, reason=told)
        if killed and not self._asked_to_stop:
            kills = 1 if state.step > entry.step else entry.kills + 1
            entry = dataclasses.replace(entry, kills=kills, step=max(state.step, entry.step))
            if kills < MOST_KILLS:
                return entry
            told = f"its process was killed {kills} times without getting any further"
            return dataclasses.replace(entry, state=QueueState.FAILED, reason=told)
        if killed or reason == BY_SIGNAL:
            return entry
        if reason == BY_COMMAND:
            return dataclasses.replace(entry, state=QueueState.STOPPED, reason=reason)
        if outcome is not None or reason == COMPLETED or reason.startswith(_STOPPED):
            return dataclasses.replace(entry, state=QueueState.DONE)
        return dataclasses.replace(entry, state=QueueState.FAILED, reason=reason or None)


def _state_of(run: RunDirectory) -> RunState:
    return read_run(run, run.read(), whole_log=False, now=time.time())


def _remove_beginning(path: Path) -> None:
    """Remove what a kill has left of a run that was being made: folders, and a run.json not yet finished."""
    run = RunDirectory(path)
    if not is_taken(run.path) or is_taken(run.run_json):
        return
    for found in entries(run.path):
        if found.name.startswith(TEMPORARY):
            found.unlink()
    with contextlib.suppress(OSError):
        for folder in (run.commands, run.checkpoints, run.path):
            if is_taken(folder):
                folder.rmdir()  # which takes an empty one only
