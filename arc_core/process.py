"""The training process: takes the run's lock, starts the others, trains, and says how it ended."""

from __future__ import annotations

import gc
import os
import signal
import stat
import sys
from pathlib import Path

from arc_core.base.errors import ArcError, PreflightError, RankError
from arc_core.base.extras import require
from arc_core.base.files import remove_unfinished
from arc_core.base.other_load import OtherLoad
from arc_core.base.paths import exists
from arc_core.base.signals import ENDING
from arc_core.base.text import printable
from arc_core.run.config import TrainConfig
from arc_core.run.directory import RunDirectory, RunLock, config_of, trusted_run
from arc_core.run.event_writer import UnwrittenEvents
from arc_core.run.events import EventWriter, next_seq
from arc_core.run.recipes import recipe_class
from arc_core.training.launching import ONE, World, end_with_the_first, started

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
        for number in ENDING:
            signal.signal(number, self._receive)

    def _receive(self, *_: object) -> None:
        self.received = True
        self.tell()


def main(path: Path | None) -> int:
    """Train the run in a directory, or be one of the processes that do.

    Args:
        path: The run directory; its run.json holds the configuration.

    Returns:
        0 when the run ended as it should, 2 when its input was refused or one of its processes ended: the
        last event, `run_finished`, holds the sentence. 1 when all went well but the disk did not take the
        end of the event log: the sentence is on standard error. A bug leaves its traceback on standard error,
        which is engine.log.
    """
    if path is None:
        sys.stderr.write("usage: python -m arc_core RUN_DIR\n")
        return REFUSED
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = StopSignal()
    world = ONE
    try:
        require("Training", "train")
        given = World.of_environment()
        world = given or ONE
        run = trusted_run(path)
        if world.rank > 0:
            end_with_the_first()
            _run_trainer(run, UnwrittenEvents(), stop, world)
            return 0
        first = not exists(run.events)
        with RunLock(run), EventWriter(run.events, next_seq(run.events)) as events:
            remove_unfinished(run.run_json)
            events.keep_synced()
            if first and path.stat().st_mode & stat.S_IWOTH:
                events.emit("warning", **OPEN_TO_EVERYONE)
            return _train(run, events, stop, given)
    except ArcError as error:  # no lock, no events: whoever holds the run goes on undisturbed
        who = f" in process {world.rank}" if world.rank else ""
        sys.stderr.write(f"Error{who}: {printable(str(error))}\n")
        return REFUSED


def _train(run: RunDirectory, events: EventWriter, stop: StopSignal, given: World | None) -> int:
    try:
        reason = _run_processes(run, events, stop, given)
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


def _run_processes(run: RunDirectory, events: EventWriter, stop: StopSignal, given: World | None) -> str:
    """Train with the processes that torchrun has started, or start those that the run is to have."""
    if given is not None:
        return _run_trainer(run, events, stop, given)
    config = config_of(run)
    with started(run.path, _processes(config)) as others:  # before torch is imported, as that takes seconds
        if others is None:
            return _run_trainer(run, events, stop, ONE)

        def give_up(said: str) -> None:
            events.emit("run_finished", reason=_lost(said))
            events.sync()
            os._exit(REFUSED)

        others.watch(give_up)
        try:
            return _run_trainer(run, events, stop, others.world)
        except RankError as error:
            said = others.ended(2.0)
            raise (RankError(_lost(said)) if said else error) from None


def _processes(config: TrainConfig) -> int:
    """How many processes a run is to have: of `auto`, one for each GPU."""
    if config.processes != "auto":
        return int(config.processes)
    import torch

    return max(1, torch.cuda.device_count()) if config.device in ("auto", "cuda") else 1


def _lost(said: str) -> str:
    return f"{said}, and the run with it: resume it to go on from its last checkpoint."


def _run_trainer(run: RunDirectory, events: EventWriter, stop: StopSignal, world: World) -> str:
    config = config_of(run)
    load = OtherLoad()  # from here on, as importing torch takes seconds

    gc.disable()  # or it would look through the libraries again and again while they are loaded
    try:
        from arc_core.training.diagnostics import is_out_of_memory, out_of_memory
        from arc_core.training.loop import TrainingLoop
        from arc_core.training.ranks import is_lost, joined

        recipe = recipe_class(config.recipe)
        gc.freeze()  # what they hold stays to the end, and taking it apart there would take a second
    finally:
        gc.enable()
    with joined(world) as ranks:
        loop = None
        try:
            loop = TrainingLoop(run, config, events, recipe, ranks, load)
            stop.tell = lambda: loop.control.ask_to_stop("stopped by a signal")
            if stop.received:
                stop.tell()
            return loop.train()
        except RuntimeError as error:
            if world.count > 1 and is_lost(error):
                raise RankError(_lost("Another process of the run has ended")) from error
            if loop is None or not is_out_of_memory(error):
                raise
            step, claims = loop.progress.step + 1, loop.declared.claims
            finding = out_of_memory(step, config.batch_size, claims, recipe.MEMORY_ADVICE)
            loop.warn(finding)
            raise PreflightError(f"{finding.message} {finding.advice}") from error
