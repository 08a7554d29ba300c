"""Grids of different sizes on one canvas, and the few sizes that canvases have.

Shape legend: B grids, H and W padded sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from arc_core.data.grids import MAX_SIDE

ANY_SIDE = tuple(range(1, MAX_SIDE + 1))
"""Canvases as small as their grids allow."""

FEW_SIDES = (5, 7, 10, 12, 14, 16, 20, 23, 26, 30)
"""Canvases of few sizes, in cells a side. Libraries compile and keep kernels for each shape that they meet,
so few shapes bound the memory of a run. Of all ten lengths these pad least on ARC-AGI-2 in batches of 8: 9%
more cells than `ANY_SIDE`, on 85 canvases instead of some 350."""


@dataclass(frozen=True)
class GridBatch:
    """Grids of different sizes on one padded canvas.

    Attributes:
        cells: [B, H, W] int64 colours; padding is 0.
        mask: [B, H, W] float32, 1 inside each grid.
        sizes: [B, 2] int64 (height, width).
    """

    cells: Tensor
    mask: Tensor
    sizes: Tensor

    @classmethod
    def pad(cls, grids: Sequence[np.ndarray], sides: Sequence[int] = ANY_SIDE) -> GridBatch:
        """Stack grids, each [h, w], at least one, onto the smallest canvas of these sides that holds all."""
        sizes = torch.tensor([grid.shape for grid in grids], dtype=torch.int64)
        return cls.onto(grids, padded_canvas(sizes.numpy(), sides))

    @classmethod
    def onto(cls, grids: Sequence[np.ndarray], canvas: tuple[int, int]) -> GridBatch:
        """Stack grids, each [h, w], onto a canvas (height, width) that holds them all."""
        height, width = canvas
        sizes = torch.tensor([grid.shape for grid in grids], dtype=torch.int64)
        cells = np.zeros((len(grids), height, width), dtype=np.int64)
        mask = np.zeros((len(grids), height, width), dtype=np.float32)
        for place, grid in enumerate(grids):
            cells[place, : grid.shape[0], : grid.shape[1]] = grid
            mask[place, : grid.shape[0], : grid.shape[1]] = 1.0
        return cls(torch.from_numpy(cells), torch.from_numpy(mask), sizes)

    def take(self, places: Tensor) -> GridBatch:
        """Some of the grids, by their places [n]."""
        return GridBatch(self.cells[places], self.mask[places], self.sizes[places])

    @property
    def canvas(self) -> tuple[int, int]:
        """Padded (height, width)."""
        return self.cells.shape[1], self.cells.shape[2]


def padded_canvas(sizes: np.ndarray, sides: Sequence[int]) -> tuple[int, int]:
    """Return the smallest (height, width) of some sides that holds grids of some sizes, [B, 2] in cells."""
    height, width = (next(side for side in sides if side >= longest) for longest in sizes.max(axis=0))
    return height, width
