"""The checkpoints of a run in time, how far a layer has drifted over them, and both as points of a chart."""

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
    weight, state, problem = 0, training_state({}), None
    try:
        weight = size_of(path)
        state = training_state(read_state(path))
    except ArcError as error:
        problem = str(error)
    except FileNotFoundError:
        problem = f"{path.name} is being removed."
    except OSError as error:
        problem = f"{printable(str(path), 500)} cannot be looked into: {error.strerror}."
    return CheckpointMark(
        checkpoint_id(path),
        path,
        state.step,
        state.epoch,
        state.metrics,
        weight,
        state.saved_at,
        path.name == best,
        problem,
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


def span_of(marks: Sequence[CheckpointMark]) -> tuple[int, int]:
    """Return the first and last step of a timeline, at least one apart."""
    steps = [mark.step for mark in marks if mark.step is not None] or [0]
    return min(steps), max(max(steps), min(steps) + 1)


def drift_points(found: Sequence[Drift]) -> list[tuple[int, float]]:
    """Return how far the layer is from the first checkpoint, by step."""
    return [(one.mark.step, one.since_first) for one in found if one.mark.step is not None]


def metric_points(marks: Sequence[CheckpointMark], metric: str) -> list[tuple[int, float]]:
    """Return a metric by step."""
    return [
        (mark.step, mark.metrics[metric])
        for mark in marks
        if mark.step is not None and metric in mark.metrics
    ]


def metrics_of(marks: Sequence[CheckpointMark]) -> list[str]:
    """Return the names of all metrics, the loss first."""
    names = sorted({name for mark in marks for name in mark.metrics} - {"step"})
    return sorted(names, key=lambda name: name != "loss")
