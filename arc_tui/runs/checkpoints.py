"""The checkpoints of a run: those on the disk, those pruned since, and those that failed."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from arc_core.base.errors import ArcError
from arc_core.base.files import read_limited
from arc_core.base.loose import number, whole
from arc_core.base.paths import is_file
from arc_core.run.checkpoint_index import (
    MANIFEST,
    checkpoint_id,
    list_checkpoints,
    problems_of,
    read_manifest,
    read_state,
    size_of,
)
from arc_tui.runs.marks import Mark, MarkKind

LONGEST_HINT = 200
BEST = "best"
"""Name of the hint in the folder of checkpoints that says which one is the best."""


class Standing(enum.StrEnum):
    """Whether a checkpoint can be gone back to."""

    SAVED = "saved"
    PRUNED = "pruned"
    FAILED = "failed"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class SavedState:
    """One checkpoint.

    Attributes:
        step: The step after which it was saved.
        standing: Whether it can be gone back to.
        time: When, in seconds since the epoch; NaN where that is not known.
        id: Its number; None for one that failed, and for one that was pruned.
        path: Its folder; None where there is none.
        bytes: Size of its files; None where there are none.
        epoch: 0-based epoch that it goes on in; None where that is not known.
        batch: 0-based batch of that epoch.
        best_exact: Exact inputs of the best validation so far; None where that is not known.
        best_cells: Its share of cells.
        text: What the log says of it, or what is wrong with it; safe to print once escaped.
    """

    step: int
    standing: Standing
    time: float
    id: int | None = None
    path: Path | None = None
    bytes: int | None = None
    epoch: int | None = None
    batch: int | None = None
    best_exact: int | None = None
    best_cells: float | None = None
    text: str = ""


def list_saved(folder: Path, marks: Sequence[Mark]) -> list[SavedState]:
    """List the checkpoints of a run, oldest first.

    Args:
        folder: The run's folder of checkpoints.
        marks: What its log tells of checkpoints.
    """
    here = [_on_disk(path) for path in list_checkpoints(folder)]
    known = {saved.step for saved in here}
    gone = [
        SavedState(
            mark.step,
            Standing.FAILED if mark.kind is MarkKind.CHECKPOINT_FAILED else Standing.PRUNED,
            mark.time,
            text=mark.text,
        )
        for mark in marks
        if mark.kind is MarkKind.CHECKPOINT_FAILED
        or (mark.kind is MarkKind.CHECKPOINT and mark.step not in known)
    ]
    return sorted([*here, *gone], key=lambda saved: (saved.step, saved.time))


def best_id(folder: Path) -> int | None:
    """Return the id of the checkpoint that the hint calls the best; None where there is no such hint."""
    try:
        text = read_limited(folder / BEST, LONGEST_HINT).decode("ascii", "replace").strip()
        return checkpoint_id(Path(text))
    except ArcError:
        return None


def verified(path: Path) -> str:
    """Hold a checkpoint's files against its manifest, and say in a sentence what came of it."""
    problems = problems_of(path)
    if problems:
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        return f"✗ {problems[0]}{more}"
    files = read_manifest(path)
    return f"✓ All {len(files)} files are as they were written"


def _on_disk(path: Path) -> SavedState:
    identity = checkpoint_id(path)
    try:
        state = read_state(path)
    except ArcError as error:
        return SavedState(0, Standing.DAMAGED, math.nan, identity, path, text=str(error))
    if not is_file(path / MANIFEST):
        return SavedState(0, Standing.DAMAGED, math.nan, identity, path, text=f"{MANIFEST} is missing")
    exact = number(state, "metrics.best_validation_exact")
    cells = number(state, "metrics.best_validation_cell_accuracy")
    return SavedState(
        whole(state, "metrics.step"),
        Standing.SAVED,
        number(state, "saved_at"),
        identity,
        path,
        size_of(path),
        whole(state, "epoch"),
        whole(state, "batch"),
        int(exact) if exact.is_integer() else None,
        cells if math.isfinite(cells) else None,
    )
