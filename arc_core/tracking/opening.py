"""A run of a loop of one's own is made or opened again, and where it begins."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from arc_core.base.errors import CheckpointError, RunError, TrackError
from arc_core.base.files import open_regular, remove_unfinished
from arc_core.base.options import Value
from arc_core.base.paths import expanded, is_taken
from arc_core.base.text import printable
from arc_core.checkpoints.form import require_form
from arc_core.run.checkpoint_index import STATE
from arc_core.run.directory import (
    RunDirectory,
    RunLock,
    check_name,
    create_run,
    stored_config,
    trusted_run,
)
from arc_core.run.event_forms import ResumedEvent, RunStartedEvent, StepEvent
from arc_core.run.events import EventReader, EventWriter, counting_events, next_seq
from arc_core.run.presets import TRACK
from arc_core.run.provenance import describe_build, describe_start
from arc_core.tracking.kept import Kept, random_states
from arc_core.training.diagnostics import Finding
from arc_core.training.progress import Progress
from arc_core.training.resuming import LOOP_FORM, Warn, check_build

DYING_HOLDER_SECONDS = 10.0
"""How long a process is waited for that was killed and whose loaders still end."""


@dataclass(frozen=True)
class OpenRun:
    """A run whose lock is held.

    Attributes:
        run: Its directory.
        events: Its log.
        held: Closes the log and lets go of the lock.
        new: Whether it was made just now.
        changed: A sentence on the settings that are not those of before; empty where none is.
    """

    run: RunDirectory
    events: EventWriter
    held: contextlib.ExitStack
    new: bool
    changed: str = ""

    def log_to_engine(self, text: str) -> None:
        """Append to engine.log."""
        fd = open_regular(self.run.engine_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        with os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)


def open_tracked(
    runs_dir: str | Path, name: str | None, config: Mapping[str, Value], resume: bool
) -> OpenRun:
    """Make a run, or open one again that is there.

    Args:
        runs_dir: The folder of runs.
        name: The run's name; None names it after the time.
        config: Its settings, as run.json keeps them.
        resume: Whether one of that name, if there is one, is to go on.

    Raises:
        TrackError: If what is to go on has no name.
        RunError: If the run cannot be made, opened or locked.
    """
    if resume and name is None:
        raise TrackError("resume needs the name of the run: give track a name.")
    folder = expanded(runs_dir)
    content = {"recipe": TRACK, **config}
    if name is not None:
        check_name(name)
    again = resume and name is not None and is_taken(folder / name)
    if again and name is not None:
        run = trusted_run(folder / name)
        if (recipe := stored_config(run.read()).get("recipe")) != TRACK:
            raise RunError(
                f"The run {printable(name)} trains the recipe {printable(str(recipe))}, which no loop of "
                "one's own can go on with: take another name."
            )
    else:
        run = create_run(folder, name, {"config": content, **describe_start(sys.argv, _program())})
    with contextlib.ExitStack() as stack:
        stack.enter_context(RunLock(run, DYING_HOLDER_SECONDS))
        events = stack.enter_context(EventWriter(run.events, next_seq(run.events)))
        remove_unfinished(run.run_json)
        events.keep_synced()
        changed = _note_changes(run, content, events.last_seq + 1) if again else ""
        opened = OpenRun(run, events, stack.pop_all(), not again, changed)
    opened.log_to_engine("")
    return opened


def _program() -> Path:
    """Return the folder of the program that runs; the present one where it is no file."""
    return Path(getattr(sys.modules["__main__"], "__file__", None) or "x").absolute().parent


def _note_changes(run: RunDirectory, config: Mapping[str, Value], seq: int) -> str:
    """Note in run.json which settings are others now; return them as a text."""
    content = run.read()
    old = stored_config(content)
    keys = sorted(key for key in {*old, *config} if old.get(key) != config.get(key))
    if not keys:
        return ""
    now = time.time()
    changes = [
        {"time": now, "key": key, "old": old.get(key), "new": config.get(key), "seq": seq} for key in keys
    ]
    run.update(config=dict(config), changes=[*content.get("changes", []), *changes])
    return "; ".join(f"{key} {old.get(key)} is now {config.get(key)}" for key in keys)


@dataclass
class Beginning:
    """Where a process begins.

    Attributes:
        progress: How far the run is.
        elapsed_seconds: That it has been trained for.
        checkpoint: What it was restored from; None where it was not.
        supersedes: Number of the last event that still counts; None where the run begins.
        random: The random state to go on with, and that of the beginning of the pass; empty where it begins.
    """

    progress: Progress
    elapsed_seconds: float = 0.0
    checkpoint: Path | None = None
    supersedes: int | None = None
    random: tuple[Mapping[str, Tensor], Mapping[str, Tensor]] = ({}, {})


def restored(run: RunDirectory, path: Path, kept: Kept, threads: int, asked: bool, warn: Warn) -> Beginning:
    """Go on from a checkpoint.

    Args:
        run: The run, whose lock is held.
        path: The checkpoint.
        kept: What it is put back into.
        threads: Of torch.
        asked: Whether that number was asked for.
        warn: Tells a warning.

    Raises:
        CheckpointError: If the checkpoint cannot be used.
        RunError: If the run was trained with another number of threads and nothing was said of it.
    """
    try:
        state = kept.restore(path)
        require_form(state, LOOP_FORM | {"build": describe_build()}, STATE)
        check_build(run, state, threads, asked=asked, warn=warn, give="")
        progress = Progress.restored(state, kept.declared)
        return Beginning(
            progress, float(state["elapsed_seconds"]), path, int(state["last_seq"]), random_states(path)
        )
    except CheckpointError as error:
        raise CheckpointError(f"{path.name} cannot be used: {error}") from None


def gone_on_from(run: RunDirectory, step: int) -> tuple[int, float] | None:
    """Return where a run stood that goes on after a step without a checkpoint of ours.

    Returns:
        The number of the last event that counts, and the seconds trained by then; None if the run is new.
    """
    if not any(isinstance(event, RunStartedEvent | ResumedEvent) for event in EventReader(run.events)):
        return None
    last, seconds = 0, 0.0
    for event in counting_events(EventReader(run.events)) if step else ():
        if isinstance(event, StepEvent):
            if event.step > step:
                break
            seconds = event.number("elapsed_seconds")
        last = event.seq
    return last, seconds if math.isfinite(seconds) else 0.0


def plan_of(batches: int, steps: int, threads: int, parameters: int) -> dict[str, object]:
    """Return what run.json keeps of the work ahead."""
    return {
        "batches_per_epoch": batches,
        "total_steps": steps,
        "threads": threads,
        "parameters": parameters,
        "summary": f"{batches:,} batches an epoch, {steps:,} steps; {parameters / 1e6:,.1f} M parameters",
    }


def changed_finding(changed: str) -> Finding:
    """What is told of settings that are not those of before."""
    return Finding(
        "options_changed",
        f"The run goes on with other settings than before: {changed}.",
        "It is no longer the run that it would have been; give the old values to go on as before.",
    )
