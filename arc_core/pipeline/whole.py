"""The batch of a step as its processes share it, and as one of them may plan its share part after part.

A random number is drawn for every pair of the batch and cut to the own ones, so that the generators of all
processes, which began alike, stay alike. What couples the pairs of a batch, as the outcomes that a prompt is
told apart from, is computed by each process, and for each part, for the whole batch, whose data it has.

Shape legend: B pairs of the whole batch, b of them this process's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    """A batch, and the share of it that this process computes, or a part of that share.

    Attributes:
        keys: Task and place of each pair.
        outcomes: The targets of all pairs, on the system's device.
        places: Which pairs are this process's. One that has none takes the first pair, so that it takes part.
        counted: How many of these count.
        ranks: The processes.
    """

    keys: Sequence[PairKey]
    outcomes: GridBatch
    places: range
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
        """What the mean loss of the own pairs counts by, in a sum over parts and a mean over processes."""
        return self.counted * self.ranks.count / len(self)

    @property
    def among(self) -> tuple[GridBatch, Tensor] | None:
        """All outcomes and the places of the own ones; None where these are all."""
        if self.ranks.alone and len(self.places) == len(self):
            return None
        own, device = self.places, self.outcomes.cells.device
        return self.outcomes, torch.arange(own.start, own.stop, own.step, device=device)

    def first(self, count: int) -> Whole:
        """The first so many pairs of the batch, shared out as they are."""
        some = self.places[: self.counted]
        some = range(some.start, min(some.stop, count), some.step)
        return replace(self, keys=self.keys[:count], places=some or range(1), counted=len(some))

    def rows_of(self, batches: Iterable[Batch]) -> Iterator[tuple[slice, Batch]]:
        """Which of the own pairs each of some batches holds, that make up all of them in order."""
        start = 0
        for batch in batches:
            rows = slice(start, start + len(batch))
            yield rows, batch
            start = rows.stop

    def part(self, rows: slice) -> Whole:
        """Some of the own pairs, one behind the other."""
        places = self.places[rows]
        return replace(self, places=places, counted=min(self.counted, len(places)))

    def noise(self, width: int, device: torch.device) -> Tensor:
        """Standard normal numbers [b, width] for the own pairs."""
        # The generators of several GPUs are not alike.
        return self.cut(torch.randn(len(self), width, device=device if self.ranks.alone else None)).to(device)

    def cut(self, drawn: Tensor) -> Tensor:
        """Of what was drawn for all pairs, [B, ...], that of the own ones, [b, ...]."""
        return drawn[self._own]

    def every(self, own: Tensor) -> Tensor:
        """What was found for the own pairs, [b, ...], for all of them, [B, ...]."""
        if self.ranks.alone:
            return own
        table = own.new_zeros(len(self), *own.shape[1:])
        table[self._own][: self.counted] = own.detach()[: self.counted]
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

    def means(self, own: Sequence[tuple[Whole, Mapping[str, Tensor]]]) -> dict[str, Tensor]:
        """Means over all pairs, of those over the own ones, part by part."""
        (_, first), *others = own
        if self.ranks.alone and not others:
            return dict(first)
        values = [torch.stack([*found.values()]).double() * (part.counted / len(self)) for part, found in own]
        found = self.ranks.sum(torch.stack(values).sum(dim=0))
        return dict(zip(first, found.float().unbind(), strict=True))

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

    @property
    def _own(self) -> slice:
        return slice(self.places.start, self.places.stop, self.places.step)
