"""The training process: takes the run's lock, trains, and says how it ended."""

from __future__ import annotations

import signal
import stat
import sys
from pathlib import Path

from arc_core.base.errors import ArcError, PreflightError
from arc_core.base.files import remove_unfinished
from arc_core.base.other_load import OtherLoad
from arc_core.base.paths import exists
from arc_core.base.text import printable
from arc_core.run.directory import RunDirectory, RunLock, config_of, trusted_run
from arc_core.run.events import EventWriter, next_seq
from arc_core.run.recipes import recipe_class

REFUSED = 2
LOG_NOT_WRITTEN = 1

OPEN_TO_EVERYONE = {
    "code": "open_to_everyone",
    "message": "This file system keeps no permissions: everyone on this machine can change the run.",
    "advice": "Where others are not to be trusted, train in a folder of another file system.",
}
"""Told once a run, when its process is the first; `trusted_run` refuses such a folder elsewhere."""


class StopSignal:
    """Remembers that the process was asked to end; installed before torch's seconds of import."""

    def __init__(self) -> None:
        self.received = False
        self.tell = lambda: None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._receive)

    def _receive(self, *_: object) -> None:
        self.received = True
        self.tell()


def main(path: Path | None) -> int:
    """Train the run in a directory.

    Args:
        path: The run directory; its run.json holds the configuration.

    Returns:
        0 when the run ended as it should, 2 when its input was refused: the last event, `run_finished`,
        holds the sentence. 1 when all went well but the disk did not take the end of the event log: the
        sentence is on standard error. A bug leaves its traceback on standard error, which is engine.log.
    """
    if path is None:
        sys.stderr.write("usage: python -m arc_core RUN_DIR\n")
        return REFUSED
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = StopSignal()
    try:
        run = trusted_run(path)
        first = not exists(run.events)
        with RunLock(run), EventWriter(run.events, next_seq(run.events)) as events:
            remove_unfinished(run.run_json)
            events.keep_synced()
            if first and path.stat().st_mode & stat.S_IWOTH:
                events.emit("warning", **OPEN_TO_EVERYONE)
            return _train(run, events, stop)
    except ArcError as error:  # no lock, no events: whoever holds the run goes on undisturbed
        sys.stderr.write(f"Error: {printable(str(error))}\n")
        return REFUSED


def _train(run: RunDirectory, events: EventWriter, stop: StopSignal) -> int:
    try:
        reason = _run_trainer(run, events, stop)
    except ArcError as error:
        sys.stderr.write(f"Error: {printable(str(error))}\n")
        events.emit("run_finished", reason=str(error))
        return REFUSED
    events.emit("run_finished", reason=reason)
    try:
        events.sync()
    except OSError as error:
        sys.stderr.write(f"Error: The end of the event log is not safely on the disk: {error}.\n")
        return LOG_NOT_WRITTEN
    return 0


def _run_trainer(run: RunDirectory, events: EventWriter, stop: StopSignal) -> str:
    config = config_of(run)
    load = OtherLoad()  # from here on, as importing torch takes seconds

    from arc_core.training.diagnostics import is_out_of_memory, out_of_memory
    from arc_core.training.loop import TrainingLoop

    recipe = recipe_class(config.recipe)
    loop = TrainingLoop(run, config, events, recipe, load)
    stop.tell = lambda: loop.control.ask_to_stop("stopped by a signal")
    if stop.received:
        stop.tell()
    try:
        return loop.train()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        step, claims = loop.progress.step + 1, loop.declared.claims
        finding = out_of_memory(step, config.batch_size, claims, recipe.MEMORY_ADVICE)
        loop.warn(finding)
        raise PreflightError(f"{finding.message} {finding.advice}") from error
