"""The checkpoints of a run in time, and how far a layer has drifted over them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from arc_core.base.errors import ArcError, CheckpointError
from arc_core.base.text import printable
from arc_core.run.checkpoint_index import checkpoint_id, list_checkpoints, read_hint, read_state, size_of
from arc_core.run.directory import RunDirectory
from arc_tui.inspect.tensors.compare import changes, together
from arc_tui.inspect.tensors.source import Checkpoint, of_run
from arc_tui.inspect.tensors.training import training_state
from arc_tui.ui.cancelled import Progress, untold


@dataclass(frozen=True)
class CheckpointMark:
    """A checkpoint on a run's timeline.

    Attributes:
        number: Its id.
        path: Its folder.
        step: Steps trained; None where its state cannot be read.
        epoch: Of the next step; None likewise.
        metrics: Numbers kept beside it.
        bytes: Of all its files.
        saved_at: Seconds since the epoch; None where it is not told.
        is_best: Whether it is marked as the best.
        problem: Why its state cannot be read; None if it can.
    """

    number: int
    path: Path
    step: int | None
    epoch: int | None
    metrics: Mapping[str, float]
    bytes: int
    saved_at: float | None
    is_best: bool
    problem: str | None = None


@dataclass(frozen=True)
class Drift:
    """How far a layer is from where it was.

    Attributes:
        mark: The checkpoint.
        since_first: Relative change since the first checkpoint that has it; 0 at that one.
        since_last: Relative change since the one before.
        cosine: With the first.
        largest: Largest absolute difference to the first.
        problem: Why it cannot be told, in one sentence; None if it can.
    """

    mark: CheckpointMark
    since_first: float
    since_last: float
    cosine: float
    largest: float
    problem: str | None = None


def timeline(run: RunDirectory) -> list[CheckpointMark]:
    """List a run's checkpoints, the oldest first."""
    best = read_hint(run.checkpoints, "best")
    return [_mark(path, best) for path in list_checkpoints(run.checkpoints)]


def _mark(path: Path, best: str | None) -> CheckpointMark:
    number, is_best = checkpoint_id(path), path.name == best
    weight = 0
    try:
        weight = size_of(path)
        state = training_state(read_state(path))
    except ArcError as error:
        return CheckpointMark(number, path, None, None, {}, weight, None, is_best, str(error))
    except FileNotFoundError:
        return CheckpointMark(
            number, path, None, None, {}, weight, None, is_best, f"{path.name} is being removed."
        )
    except OSError as error:
        problem = f"{printable(str(path), 500)} cannot be looked into: {error.strerror}."
        return CheckpointMark(number, path, None, None, {}, weight, None, is_best, problem)
    return CheckpointMark(
        number, path, state.step, state.epoch, state.metrics, weight, state.saved_at, is_best
    )


def drift(run: RunDirectory, names: Sequence[str], *, progress: Progress = untold) -> Iterator[Drift]:
    """Follow tensors through all checkpoints of a run.

    Args:
        run: The run.
        names: Tensors; several count as one long vector.
        progress: Told the checkpoints done and their number, after every block; may call it off.

    Yields:
        One for each checkpoint, the oldest first.

    Raises:
        CheckpointError: If no checkpoint has them.
    """
    marks = timeline(run)
    first: Checkpoint | None = None
    last: Checkpoint | None = None
    for number, mark in enumerate(marks):
        try:
            here = of_run(run, mark.number)
            if missing := next((name for name in names if name not in here.places), None):
                raise CheckpointError(f"{mark.path.name} has no {printable(missing, 80)}.")

            def told(*_: int, number: int = number) -> None:
                progress(number, len(marks))

            since_first, since_last = (
                together(list(changes(then or here, here, names, progress=told)), names[0])
                for then in (first, last)
            )
        except ArcError as error:
            yield Drift(mark, math.nan, math.nan, math.nan, math.nan, str(error))
        else:
            first, last = first or here, here
            yield Drift(
                mark, since_first.relative, since_last.relative, since_first.cosine, since_first.largest
            )
        progress(number + 1, len(marks))
    if first is None:
        raise CheckpointError(f"No checkpoint of {printable(run.name)} has what is asked for.")
