"""A new run from a checkpoint of another, which stays as it was."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from arc_core.base.errors import CheckpointError
from arc_core.base.files import link_file, open_regular, publish, sync_folder, write_file
from arc_core.run.checkpoint_index import (
    MANIFEST,
    TEMPORARY_PREFIX,
    checkpoint_id,
    find_checkpoint,
    newest_intact,
    problems_of,
    read_manifest,
    read_state,
)
from arc_core.run.course import Timeline
from arc_core.run.directory import SEEN, RunDirectory, create_run

LEARNED = (SEEN, "dataset", "extra_data", "language_model")
"""Entries of run.json that say what the checkpoints were trained on, and of which language model."""


@dataclass(frozen=True)
class BranchSource:
    """Where a branch begins.

    Attributes:
        checkpoint: Its folder.
        number: Its id.
        step: Steps trained by then.
        last_seq: Number of the last event before it.
    """

    checkpoint: Path
    number: int
    step: int
    last_seq: int


def find_source(run: RunDirectory, number: int | None = None) -> BranchSource:
    """Find the checkpoint that a branch starts from.

    Args:
        run: The run to branch off; may be in training.
        number: The checkpoint's id; None takes the newest that verifies.

    Raises:
        CheckpointError: If there is none, or it does not verify.
    """
    if number is not None:
        path: Path | None = find_checkpoint(run.checkpoints, number)
    else:
        path, rejected = newest_intact(
            run.checkpoints, Timeline.of(run).given_up_checkpoints(run.checkpoints)
        )
        if path is None:
            why = f"{rejected[0][0].name}: {rejected[0][1][0]}" if rejected else "it has none"
            raise CheckpointError(f"{run.name} has no checkpoint to branch from ({why})")
    state = read_state(path)
    try:
        return BranchSource(path, checkpoint_id(path), int(state["position"]["step"]), int(state["last_seq"]))
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{path.name}: its state.json does not say where it was taken") from None


def make_branch(
    run: RunDirectory, source: BranchSource, runs_dir: Path, name: str, run_json: Mapping[str, Any]
) -> RunDirectory:
    """Make a run that goes on from a checkpoint of another: its events up to there, and the checkpoint.

    Args:
        run: The run to branch off, which is only read.
        source: The checkpoint.
        runs_dir: Where the new run is made.
        name: Its name.
        run_json: Its run.json; where it comes from is added.

    Returns:
        The new run. The checkpoint's files are shared with the old one where the file system can.

    Raises:
        RunError: If the name is taken or not allowed.
        CheckpointError: If the checkpoint went away or does not verify in its new place; no run is left then.
    """
    origin = {"run": run.name, "checkpoint": source.number, "step": source.step}
    # What was learned up to the checkpoint goes along, so what was seen must, and what it was learned from.
    learned = {key: value for key, value in run.read().items() if key in LEARNED}
    branch = create_run(runs_dir, name, {**run_json, **learned, "branched_from": origin})
    try:
        _share(source.checkpoint, branch.checkpoints / source.checkpoint.name)
        _copy_events(run.events, branch.events, source.last_seq)
    except FileNotFoundError:
        branch.remove()
        raise CheckpointError(
            f"{source.checkpoint.name} of {run.name} went away meanwhile: try again"
        ) from None
    except BaseException:
        branch.remove()
        raise
    return branch


def _share(source: Path, final: Path) -> None:
    """Give a checkpoint's files names in another folder, and verify them there."""
    folder = final.with_name(f"{TEMPORARY_PREFIX}{final.name}")
    folder.mkdir(mode=0o700)
    folders = {folder}
    for path in [*(entry.name for entry in read_manifest(source)), MANIFEST]:
        target = folder / PurePosixPath(path)
        if target.parent not in folders:
            target.parent.mkdir(mode=0o700)
            folders.add(target.parent)
        if not link_file(source / path, target):
            with os.fdopen(open_regular(source / path, os.O_RDONLY), "rb") as file:
                write_file(target, iter(lambda: file.read(1 << 20), b""))
    for place in folders:
        sync_folder(place)
    publish(folder, final)
    if problems := problems_of(final):
        raise CheckpointError(f"{source} cannot be used: {'; '.join(problems)}")


def _copy_events(source: Path, target: Path, last_seq: int) -> None:
    """Copy the lines of a log up to an event, as they are."""
    fd = open_regular(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with os.fdopen(fd, "wb") as out, os.fdopen(open_regular(source, os.O_RDONLY), "rb") as file:
        for line in file:
            try:
                seq = json.loads(line).get("seq")
            except (ValueError, AttributeError):
                continue  # a torn or damaged line, which no reader takes
            if isinstance(seq, int) and seq > last_seq:
                break
            if line.endswith(b"\n"):
                out.write(line)
        out.flush()
        os.fsync(out.fileno())
