"""The batch of a step as its processes share it: each plans its own pairs, and all learn from all of them.

A random number is drawn for every pair of the batch and cut to the own ones, so that the generators of all
processes, which began alike, stay alike. What couples the pairs of a batch, as the outcomes that a prompt is
told apart from, is computed by each process for the whole batch, whose data it has.

Shape legend: B pairs of the whole batch, b of them this process's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from arc_core.data.grids import MAX_SIDE
from arc_core.pipeline.batch import Batch
from arc_core.pipeline.padding import GridBatch
from arc_core.training.progress import PairKey
from arc_core.training.ranks import ALONE, Ranks


@dataclass(frozen=True)
class Whole:
    """A batch, and the share of it that this process computes.

    Attributes:
        keys: Task and place of each pair.
        outcomes: The targets of all pairs, on the system's device.
        places: Which pairs are this process's. One that has none takes the first pair, so that it takes part.
        counted: How many of these count.
        ranks: The processes.
    """

    keys: Sequence[PairKey]
    outcomes: GridBatch
    places: Sequence[int]
    counted: int
    ranks: Ranks = ALONE

    @classmethod
    def alone(cls, batch: Batch, targets: GridBatch) -> Whole:
        """A batch that one process computes."""
        keys = list(zip(batch.task_ids, batch.pair_indices, strict=True))
        return cls(keys, targets, range(len(keys)), len(keys))

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def weight(self) -> float:
        """What the mean loss of the own pairs counts by, in a mean over the processes."""
        return self.counted * self.ranks.count / len(self)

    @property
    def among(self) -> tuple[GridBatch, Tensor] | None:
        """All outcomes and the places of the own ones; None where these are all."""
        return None if self.ranks.alone else (self.outcomes, self._own(self.outcomes.cells.device))

    def first(self, count: int) -> Whole:
        """The first so many pairs of the batch, shared out as they are."""
        some = [place for place in self.places if place < count][: self.counted]
        return replace(self, keys=self.keys[:count], places=some or [0], counted=len(some))

    def noise(self, width: int, device: torch.device) -> Tensor | None:
        """Standard normal numbers [b, width] for the own pairs; None lets who needs them draw them."""
        return None if self.ranks.alone else self.cut(torch.randn(len(self), width)).to(device)

    def cut(self, drawn: Tensor) -> Tensor:
        """Of what was drawn for all pairs, [B, ...], that of the own ones, [b, ...]."""
        return drawn if self.ranks.alone else drawn[self._own(drawn.device)]

    def every(self, own: Tensor) -> Tensor:
        """What was found for the own pairs, [b, ...], for all of them, [B, ...]."""
        if self.ranks.alone:
            return own
        table = own.new_zeros(len(self), *own.shape[1:])
        table[self._own(own.device)[: self.counted]] = own.detach()[: self.counted]
        return self.ranks.sum(table)

    def columns(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same as `every` for several numbers of each pair, [b] each, at once."""
        if self.ranks.alone:
            return dict(own)
        return dict(zip(own, self.every(torch.stack([*own.values()], dim=1)).unbind(dim=1), strict=True))

    def draws(self, own: Tensor) -> Tensor:
        """What was found for several draws of the own pairs, [G, b, ...], for all pairs: [G * B, ...]."""
        if not self.ranks.alone:
            own = self.every(own.transpose(0, 1)).transpose(0, 1)
        return own.flatten(0, 1)

    def means(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Means over all pairs, of those over the own ones."""
        if self.ranks.alone:
            return dict(own)
        values = torch.stack([value.detach().double() for value in own.values()])
        found = self.ranks.sum(values * (self.counted / len(self)))
        return dict(zip(own, found.unbind(), strict=True))

    def solutions(
        self, summary: Tensor, prompts: Tensor, grids: Sequence[np.ndarray]
    ) -> tuple[Tensor, Tensor, Sequence[np.ndarray]]:
        """Features, prompts and predicted grids of all pairs, of those of the own ones."""
        if self.ranks.alone:
            return summary, prompts, grids
        # Of each grid its sides and its cells.
        table = np.zeros((len(grids), 2 + MAX_SIDE * MAX_SIDE), dtype=np.float32)
        for row, grid in zip(table, grids, strict=True):
            row[:2] = grid.shape
            row[2:].reshape(MAX_SIDE, MAX_SIDE)[: grid.shape[0], : grid.shape[1]] = grid
        parts = (summary, prompts, torch.from_numpy(table).to(summary.device))
        found = self.every(torch.cat(parts, dim=1)).split([part.shape[1] for part in parts], dim=1)
        told = found[2].cpu().numpy().astype(np.int64)
        whole = [row[2:].reshape(MAX_SIDE, MAX_SIDE)[: row[0], : row[1]] for row in told]
        return found[0], found[1], whole

    def _own(self, device: torch.device) -> Tensor:
        return torch.tensor(self.places, device=device)
