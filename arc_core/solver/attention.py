"""Attention along a cell's row and column: the other way in which the solver's cells see across a grid.

Shape legend: N pairs, H and W sides of the canvas, D channels, K narrow channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from arc_core.data.grids import MAX_SIDE

HIDDEN = -1e4
"""Score of a cell that is not looked at; finite, so that a row of padding alone has no NaN."""


class AxialAttention(nn.Module):
    """One head for rows and one for columns, with a learned preference for each distance.

    Attention over all cells at once would cost the square of their number; two of these in turn carry
    anything to anywhere.

    Args:
        width: Channels of the cells.
        channels: Of queries, keys and values.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.look = nn.Linear(width, 6 * channels)
        self.distances = nn.Parameter(torch.zeros(2, 2 * MAX_SIDE - 1))

    def forward(self, seen: Tensor, mask: Tensor) -> list[Tensor]:
        """What each cell finds in its row and in its column.

        Args:
            seen: [N, H, W, D].
            mask: [N, H, W, 1], 1 inside each grid.

        Returns:
            Two tensors [N, H, W, K]; what stands in the padding means nothing.
        """
        along_rows, along_columns = self.look(seen).split(3 * self.channels, dim=-1)
        inside = mask[..., 0] > 0
        rows = self._along(along_rows, inside, self.distances[0])
        columns = self._along(along_columns.transpose(1, 2), inside.transpose(1, 2), self.distances[1])
        return [rows, columns.transpose(1, 2)]

    def _along(self, looks: Tensor, inside: Tensor, distances: Tensor) -> Tensor:
        """Attend along the last axis of the canvas: [N, X, Y, 3K] and [N, X, Y] to [N, X, Y, K]."""
        query, key, value = looks.chunk(3, dim=-1)
        scores = (query @ key.transpose(-1, -2)).float() * self.channels**-0.5  # [N, X, Y, Y]
        place = torch.arange(looks.shape[2], device=looks.device)
        scores = scores + distances[place[:, None] - place[None, :] + MAX_SIDE - 1]
        weights = scores.masked_fill(~inside[:, :, None, :], HIDDEN).softmax(dim=-1)
        return weights.to(value.dtype) @ value
