"""How a layer has drifted over a run, and a metric beside it, as points over the same steps."""

from __future__ import annotations

from collections.abc import Sequence

from arc_tui.inspect.tensors.timeline import CheckpointMark, Drift


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
