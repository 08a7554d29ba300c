"""What the demonstrations of a task have in common: 15 numbers and a sentence (seed, step 2).

Both are made from the demonstrations and the query input alone. No function here is given the query's
output, so none can leak it. Background is colour 0, which augmentation leaves alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arc_core.data.grids import MAX_SIDE, NUM_COLORS, Grid
from arc_core.data.rules import Demonstration, describe_rule
from arc_core.data.tasks import Pair

FEATURE_NAMES = (
    "same_size_share",  # of the demonstrations
    "log_height_ratio",  # natural log of output over input, mean
    "log_width_ratio",
    "constant_output_size",  # 1 if all outputs have one size
    "input_colors",  # different colours over 10, mean
    "output_colors",
    "colors_added",  # colours of the output that its input lacks, over 10, mean
    "colors_removed",
    "changed_share",  # of the cells of the demonstrations of equal size
    "output_background_share",  # of an output's cells, mean
    "output_edge_density",  # of an output's neighbouring cells, the share that differ, mean
    "output_symmetry_share",  # of the outputs, those that equal their left-right or top-bottom mirror image
    "subgrid_share",  # of the outputs, those that are a part of their input (or all of it)
    "query_height",  # over 30
    "query_width",
)
"""The numbers of `TaskDescription.features`, in order. Without demonstrations all but the last two are 0.

The outputs' background, edges and symmetry are taken, not the inputs': an input's are in the query's part of
`TaskDescription.summary`.
"""

SUMMARY_DIM = len(FEATURE_NAMES) + NUM_COLORS + 7


@dataclass(frozen=True, eq=False)
class TaskDescription:
    """All that this module says about a query and its context."""

    features: npt.NDArray[np.float32]
    """[15] what steers the prompt, in the order of `FEATURE_NAMES`: finite; the log ratios within ±3.5, the
    others in 0..1."""
    summary: npt.NDArray[np.float32]
    """[32] what the policy sees: the 15 features, the query's 10 colour shares, and of the query: area over
    900, log of width over height, background share, edge density, horizontal and vertical symmetry (share of
    the cells that equal their left-right or top-bottom mirror image), different colours over 10."""
    rule: str
    """What the demonstrations have in common, see `arc_core.data.rules.describe_rule`."""


def describe(context: Sequence[Pair], query_input: Grid) -> TaskDescription:
    """Features, summary and rule of a query and its context.

    Args:
        context: The demonstrations; may be empty.
        query_input: [H, W].

    Returns:
        The description.

    Raises:
        ValueError: If a demonstration has no output.
    """
    demonstrations = _demonstrations(context)
    features = _features(demonstrations, query_input)
    summary = np.concatenate([features, _query_numbers(query_input)])
    return TaskDescription(features, summary, describe_rule(demonstrations, query_input))


def _demonstrations(context: Sequence[Pair]) -> list[Demonstration]:
    demonstrations = []
    for pair in context:
        if pair.output is None:
            raise ValueError("a demonstration has no output")
        demonstrations.append(Demonstration(pair.input, pair.output))
    return demonstrations


def _features(demonstrations: list[Demonstration], query: Grid) -> npt.NDArray[np.float32]:
    height, width = query.shape
    query_size = [height / MAX_SIDE, width / MAX_SIDE]
    if not demonstrations:
        return np.array([0.0] * (len(FEATURE_NAMES) - 2) + query_size, dtype=np.float32)
    rows = [_demonstration_numbers(one) for one in demonstrations]
    mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    constant = float(len({one.output.shape for one in demonstrations}) == 1)
    cells = sum(one.output.size for one in demonstrations if one.same_size)
    changed = sum(one.changed for one in demonstrations) / cells if cells else 0.0
    return np.array([*mean[:3], constant, *mean[3:7], changed, *mean[7:], *query_size], dtype=np.float32)


def _demonstration_numbers(one: Demonstration) -> tuple[float, ...]:
    """The features that are means over the demonstrations, in order."""
    before, after = one.input, one.output
    mirrored = np.array_equal(after, after[:, ::-1]) or np.array_equal(after, after[::-1])
    return (
        float(one.same_size),
        math.log(after.shape[0] / before.shape[0]),
        math.log(after.shape[1] / before.shape[1]),
        len(one.input_colors) / NUM_COLORS,
        len(one.output_colors) / NUM_COLORS,
        len(one.output_colors - one.input_colors) / NUM_COLORS,
        len(one.input_colors - one.output_colors) / NUM_COLORS,
        1 - int(np.count_nonzero(after)) / after.size,
        _edge_density(after),
        float(mirrored),
        float(one.changed == 0 if one.same_size else one.crops),
    )


def _query_numbers(query: Grid) -> npt.NDArray[np.float32]:
    """The 17 numbers of a summary that are about the query alone: float32 [17]."""
    shares = np.bincount(query.ravel(), minlength=NUM_COLORS) / query.size  # [10]
    height, width = query.shape
    structure = [
        query.size / MAX_SIDE**2,
        math.log(width / height),
        shares[0],
        _edge_density(query),
        int(np.count_nonzero(query == query[:, ::-1])) / query.size,
        int(np.count_nonzero(query == query[::-1])) / query.size,
        int(np.count_nonzero(shares)) / NUM_COLORS,
    ]
    return np.concatenate([shares, structure]).astype(np.float32)


def _edge_density(grid: Grid) -> float:
    """Of all pairs of neighbouring cells the share that differ in colour; 0 for a single cell."""
    height, width = grid.shape
    neighbours = height * (width - 1) + (height - 1) * width
    if not neighbours:
        return 0.0
    edges = np.count_nonzero(grid[1:] != grid[:-1]) + np.count_nonzero(grid[:, 1:] != grid[:, :-1])
    return int(edges) / neighbours
