"""What a cell can be told of its grid beside its colour: objects, directions, mirrors. NumPy only.

These are the priors that ARC's author names as assumed of a solver: objectness, elementary counting,
geometry (Chollet 2019, "On the Measure of Intelligence", section II.2). A convolution of a few steps has to
learn each of them at great length; as numbers beside the colour they cost a millisecond a grid.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from arc_core.grids import Grid

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

NEIGHBOURS = {4: ((0, 1), (1, 0)), 8: ((0, 1), (1, 0), (1, 1), (1, -1))}
"""Half of the offsets to a cell's neighbours; the other half is their opposite."""

LARGEST = float(np.log(901))

OBJECT_CHANNELS = 17
COLOR_CHANNELS = 5
SEEN_WAYS = 4
MIRROR_WAYS = 3
NUMBERS = 2 * OBJECT_CHANNELS + COLOR_CHANNELS + SEEN_WAYS
"""Channels of `numbers`."""

COLOR_MAPS = SEEN_WAYS + MIRROR_WAYS
"""Planes of `color_planes`."""

NO_COLOR = -1
"""In a plane of colours: there is none."""


def components(grid: Grid, connectivity: int, *, one_color: bool) -> Labels:
    """Number the connected parts of a grid.

    Args:
        grid: [H, W].
        connectivity: 4 or 8 neighbours.
        one_color: Whether a part has one colour, black parts too; else whatever is not black is joined, and
            black cells are joined to each other.

    Returns:
        [H, W] labels from 0, in reading order of the parts' first cells.
    """
    kinds = grid if one_color else (grid > 0).astype(np.int8)
    labels = np.arange(grid.size, dtype=np.int64).reshape(grid.shape)
    pairs = [_shifted(kinds, offset) for offset in NEIGHBOURS[connectivity]]
    joined = [(here, there, kinds[here] == kinds[there]) for here, there in pairs]
    while True:
        before = labels.copy()
        for here, there, same in joined:
            np.minimum(labels[here], labels[there], out=labels[here], where=same)
            np.minimum(labels[here], labels[there], out=labels[there], where=same)
        labels = labels.reshape(-1)[labels]  # a label's own label: paths halve
        if np.array_equal(labels, before):
            return np.unique(labels, return_inverse=True)[1].reshape(grid.shape)


def _shifted(grid: Grid, offset: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where the cells are that have a neighbour at an offset, and where these neighbours are."""
    height, width = grid.shape
    down, right = offset
    here = slice(max(0, -right), width - max(0, right))
    there = slice(max(0, right), width - max(0, -right))
    return (slice(0, height - down), here), (slice(down, height), there)


def numbers(grid: Grid) -> Floats:
    """Numbers about every cell, about -1 to 1: [NUMBERS, H, W].

    Those of the cell's own part of one colour (4 neighbours) and of its object of any colours (8), see
    `_of_objects`; of its colour; and how far the next cell that is not black lies in each direction.
    """
    return np.concatenate(
        [
            _of_objects(grid, components(grid, 4, one_color=True)),
            _of_objects(grid, components(grid, 8, one_color=False)),
            _of_colors(grid),
            _look_around(grid)[1],
        ]
    )


def color_planes(grid: Grid) -> npt.NDArray[np.int8]:
    """The colour that is next in each direction, and that at each mirrored place: [COLOR_MAPS, H, W].

    Down, up, right and left; then mirrored left to right, top to bottom, and both. `NO_COLOR` where none is.
    """
    return np.concatenate(
        [_look_around(grid)[0], np.stack([grid[:, ::-1], grid[::-1], grid[::-1, ::-1]])], dtype=np.int8
    )


def _of_objects(grid: Grid, labels: Labels) -> Floats:
    """What each cell is told of its part, [OBJECT_CHANNELS, H, W]."""
    height, width = grid.shape
    flat = labels.reshape(-1)
    count = int(flat.max()) + 1
    rows, columns = (axis.reshape(-1) for axis in np.indices(grid.shape))
    size = np.bincount(flat, minlength=count)
    top, left = np.full(count, height), np.full(count, width)
    bottom, right = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    np.minimum.at(top, flat, rows)
    np.minimum.at(left, flat, columns)
    np.maximum.at(bottom, flat, rows)
    np.maximum.at(right, flat, columns)
    tall, wide = bottom - top + 1, right - left + 1
    solid = np.zeros(count, dtype=bool)
    solid[flat] = grid.reshape(-1) > 0
    edge = (top == 0) | (left == 0) | (bottom == height - 1) | (right == width - 1)
    counted = np.where(solid, size, 0)
    least = np.where(solid, size, 10**6).min()
    bounds = np.stack([solid, tall, wide, size])
    # Parts of the same outline: as many cells in a box of the same sides.
    alike = (bounds[:, :, None] == bounds[:, None, :]).all(axis=0).sum(axis=1)
    of_part = [
        np.log(size + 1) / LARGEST,
        np.log(tall + 1) / np.log(31),
        np.log(wide + 1) / np.log(31),
        size / (tall * wide),
        (size == tall * wide) & (size > 1),
        tall == wide,
        edge,
        solid & (size == counted.max()),
        solid & (size == least),
        np.log(alike) / LARGEST,
        solid & (alike == 1),
        ~solid & ~edge,
        size == 1,
    ]
    values = np.stack([np.asarray(value, dtype=np.float32) for value in of_part])[:, flat]
    down, along = rows - top[flat], columns - left[flat]
    of_cell = [
        2 * down / np.maximum(tall[flat] - 1, 1) - 1,
        2 * along / np.maximum(wide[flat] - 1, 1) - 1,
        down % 2,
        along % 2,
    ]
    return np.concatenate([values, np.stack(of_cell).astype(np.float32)]).reshape(-1, height, width)


def _of_colors(grid: Grid) -> Floats:
    """What each cell is told of its colour, [COLOR_CHANNELS, H, W]."""
    count = np.bincount(grid.reshape(-1), minlength=10)
    shown = count[1:]
    present = shown[shown > 0]
    most, least = (present.max(), present.min()) if len(present) else (-1, -1)
    of_color = np.stack(
        [
            np.log(count + 1) / LARGEST,
            (count == most) & (np.arange(10) > 0),
            (count == least) & (np.arange(10) > 0),
            np.full(10, len(present) / 9),
            count == count.max(),
        ]
    ).astype(np.float32)
    return of_color[:, grid]


def _look_around(grid: Grid) -> tuple[npt.NDArray[np.int8], Floats]:
    """The next colour that is not black in each direction, and its distance, each [SEEN_WAYS, H, W]."""
    colors, distances = [], []
    for axis in (0, 1):
        for step in (1, -1):
            turned = np.moveaxis(grid, axis, 0)[::step]
            color = np.full(turned.shape, NO_COLOR, dtype=np.int8)
            distance = np.ones(turned.shape, dtype=np.float32)
            seen = np.full(turned.shape[1], NO_COLOR, dtype=np.int8)
            far = np.full(turned.shape[1], 30)
            for place in range(len(turned) - 1, -1, -1):
                color[place], distance[place] = seen, np.minimum(far + 1, 30) / 30
                seen = np.where(turned[place] > 0, turned[place], seen)
                far = np.where(turned[place] > 0, 0, far + 1)
            colors.append(np.moveaxis(color[::step], 0, axis))
            distances.append(np.moveaxis(distance[::step], 0, axis))
    return np.stack(colors), np.stack(distances)
