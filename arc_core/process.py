"""The training process: takes the run's lock, trains, and says how it ended."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from arc_core.config import TrainConfig
from arc_core.errors import ArcError, PreflightError
from arc_core.events import EventWriter, next_seq
from arc_core.rundir import RunDirectory, RunLock

REFUSED = 2


def main(path: Path | None) -> int:
    """Train the run in a directory.

    Args:
        path: The run directory; its run.json holds the configuration.

    Returns:
        0 when the run ended as it should, 2 when its input was refused: the last event, `run_finished`,
        holds the sentence. A bug leaves its traceback on standard error, which is engine.log.
    """
    if path is None:
        sys.stderr.write("usage: python -m arc_core RUN_DIR\n")
        return REFUSED
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    run = RunDirectory(path.absolute())
    try:
        with RunLock(run), EventWriter(run.events, next_seq(run.events)) as events:
            return _train(run, events)
    except ArcError as error:
        sys.stderr.write(f"Error: {error}\n")
        return REFUSED


def _train(run: RunDirectory, events: EventWriter) -> int:
    from arc_core.trainer import Trainer, is_out_of_memory, out_of_memory

    trainer: Trainer | None = None
    try:
        config = TrainConfig.from_dict(run.read()["config"])
        trainer = Trainer(run, config, events)
        reason = trainer.train()
    except ArcError as error:
        sys.stderr.write(f"Error: {error}\n")
        events.emit("run_finished", reason=str(error))
        return REFUSED
    except RuntimeError as error:
        if trainer is None or not is_out_of_memory(error):
            raise
        finding = out_of_memory(trainer.position.step, trainer.config)
        trainer.warn(finding)
        refusal = PreflightError(f"{finding.message} {finding.advice}")
        events.emit("run_finished", reason=str(refusal))
        return REFUSED
    events.emit("run_finished", reason=reason)
    events.sync()
    return 0
