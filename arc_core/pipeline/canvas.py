"""Pairs of views of tasks as tensors, each output's canvas laid over its input in several ways.

An output need not have its input's size. So that a planner can work on the output's canvas, each of its
cells is told which cell of the input it may stand for, in three ways:

    cut      the input from the placed corner on: outputs of the same size, crops
    scaled   the input stretched or shrunk to the output's size: ratios
    tiled    the input repeated: tilings

Shape legend: N pairs, M = 3 ways, H and W padded sides of inputs, h and w of outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from arc_core.data.grids import Grid
from arc_core.data.sizes import Placement
from arc_core.pipeline.moving import to_device
from arc_core.pipeline.padding import ANY_SIDE, GridBatch, padded_canvas

WAYS = 3


@dataclass(frozen=True, eq=False)
class Item:
    """One pair as a planner sees it."""

    input: Grid
    """[H, W]."""
    target: Grid | None
    """[h, w]; None for a query."""
    placement: Placement
    """Of the output; its size is the target's where that is known."""
    copies: int = 0
    """The way in which the outputs of its task resemble their inputs most, see `likeness`."""
    view: tuple[int, int] = (0, 0)
    """Symmetry and colour map of the view, for the vectors that tell views apart."""


@dataclass(frozen=True)
class CanvasBatch:
    """Items as tensors.

    Attributes:
        inputs: The input grids.
        rows: [N, M, h] rows of the input; -1 where there is none.
        columns: [N, M, w] columns of the input; -1 where there is none.
        out_mask: [N, h, w] float32, 1 inside each output.
        out_sizes: [N, 2].
        targets: [N, h, w] int64; 0 where there is none.
        copies: [N, M] float32, 1 for the way in which the task's outputs resemble their inputs most.
        views: [N, 2] int64 symmetry and colour map.
        aligned: Whether every output lies on its input cell by cell.
    """

    inputs: GridBatch
    rows: Tensor
    columns: Tensor
    out_mask: Tensor
    out_sizes: Tensor
    targets: Tensor
    copies: Tensor
    views: Tensor
    aligned: bool

    @classmethod
    def over(cls, inputs: GridBatch) -> CanvasBatch:
        """Lay outputs of their inputs' sizes, which are not known, over the inputs cell by cell."""
        count, (height, width) = len(inputs.sizes), inputs.canvas
        device = inputs.mask.device
        rows, columns = (
            torch.arange(side, device=device).expand(count, WAYS, side) for side in (height, width)
        )
        copies = torch.zeros(count, WAYS, device=device)
        copies[:, 0] = 1.0
        return cls(
            inputs=inputs,
            rows=rows,
            columns=columns,
            out_mask=inputs.mask,
            out_sizes=inputs.sizes,
            targets=torch.zeros_like(inputs.cells),
            copies=copies,
            views=torch.zeros(count, 2, dtype=torch.int64, device=device),
            aligned=True,
        )

    def take(self, places: Tensor) -> CanvasBatch:
        """Some of the items, any of them as often as its place is given: [n] int64 places."""
        taken = {
            f.name: getattr(self, f.name)[places] for f in fields(self) if f.name not in ("inputs", "aligned")
        }
        return replace(self, inputs=self.inputs.take(places), **taken)

    @property
    def outputs(self) -> GridBatch:
        """The outputs; 0 where they are not known."""
        return GridBatch(self.targets, self.out_mask, self.out_sizes)

    def __len__(self) -> int:
        return len(self.out_sizes)

    def to(self, device: torch.device | str) -> CanvasBatch:
        """Move all tensors."""
        return to_device(self, device)


def pack(items: Sequence[Item], sides: Sequence[int] = ANY_SIDE) -> CanvasBatch:
    """Pad items into one batch, on the smallest canvases of these sides that hold them all.

    Raises:
        ValueError: If a target has another size than its placement.
    """
    for item in items:
        if item.target is not None and item.target.shape != item.placement.size:
            raise ValueError(f"a target of {item.target.shape} is placed as {item.placement.size}")
    inputs = GridBatch.pad([item.input for item in items], sides)
    sizes = torch.tensor([item.placement.size for item in items], dtype=torch.int64)
    height, width = padded_canvas(sizes.numpy(), sides)
    aligned = all(
        item.input.shape == item.placement.size and item.placement.corner == (0, 0) for item in items
    )
    if aligned:
        height, width = inputs.canvas
    targets = np.zeros((len(items), height, width), dtype=np.int64)
    mask = np.zeros((len(items), height, width), dtype=np.float32)
    for place, item in enumerate(items):
        rows, columns = item.placement.size
        mask[place, :rows, :columns] = 1.0
        if item.target is not None:
            targets[place, :rows, :columns] = item.target
    return CanvasBatch(
        inputs=inputs,
        rows=torch.from_numpy(np.stack([_ways(item, 0, height) for item in items])),
        columns=torch.from_numpy(np.stack([_ways(item, 1, width) for item in items])),
        out_mask=torch.from_numpy(mask),
        out_sizes=sizes,
        targets=torch.from_numpy(targets),
        copies=torch.from_numpy(np.eye(WAYS, dtype=np.float32)[[item.copies for item in items]]),
        views=torch.tensor([item.view for item in items], dtype=torch.int64),
        aligned=aligned,
    )


def likeness(before: Grid, after: Grid, placement: Placement) -> list[float]:
    """In each way, the share of an output's cells that have the colour of the input's cell under them."""
    item = Item(before, after, placement)
    rows, columns = (_ways(item, axis, placement.size[axis]) for axis in (0, 1))
    shares = []
    for way in range(WAYS):
        there = (rows[way] >= 0)[:, None] & (columns[way] >= 0)[None, :]
        under = before[rows[way].clip(0)[:, None], columns[way].clip(0)[None, :]]
        shares.append(int(np.count_nonzero((under == after) & there)) / after.size)
    return shares


def _ways(item: Item, axis: int, length: int) -> np.ndarray:
    """[M, length] the input's index along an axis for each index of the output's canvas."""
    side, new = item.input.shape[axis], item.placement.size[axis]
    place = np.arange(length)
    ways = np.stack([place + item.placement.corner[axis], (2 * place + 1) * side // (2 * new), place % side])
    return np.where((place < new) & (ways >= 0) & (ways < side), ways, -1)
