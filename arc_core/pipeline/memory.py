"""Phase 2e: the memory that keeps what worked and lends it to other tasks.

An entry is a solved pair: its features, the refined prompt that solved it, the grid and the accuracy.
A new pair's features attend over the entries of OTHER tasks, and the prompts found there move its
own. Entries of the same task were fitted to that task's targets, so they are never retrieved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arc_core.data.features import SUMMARY_DIM
from arc_core.data.grids import MAX_SIDE


@dataclass(frozen=True)
class Recall:
    """What the memory adds to a batch of prompts.

    Attributes:
        addition: [B, prompt_dim], 0 where nothing was found.
        hits: [B] number of entries that were read.
    """

    addition: Tensor
    hits: Tensor


class PermanentSolver(nn.Module):
    """A bounded store of solved pairs with learned retrieval.

    Args:
        prompt_dim: Width of the stored prompts.
        feature_dim: Width of the features that entries are found by.
        capacity: Entries kept; the least accurate, then the oldest, makes room.
        neighbors: Entries read for a pair.
        temperature: Softmax temperature over their cosine similarity.
    """

    features: Tensor
    prompts: Tensor
    accuracy: Tensor
    grids: Tensor
    sizes: Tensor
    order: Tensor

    def __init__(
        self,
        prompt_dim: int = 256,
        feature_dim: int = SUMMARY_DIM,
        capacity: int = 1024,
        neighbors: int = 8,
        temperature: float = 0.1,
    ) -> None:
        super().__init__()
        self.capacity = capacity
        self.neighbors = neighbors
        self.temperature = temperature
        self.key = nn.Linear(feature_dim, 64)
        self.value = nn.Linear(prompt_dim, prompt_dim)
        self.gate = nn.Parameter(torch.tensor(0.1))
        self.register_buffer("features", torch.zeros(capacity, feature_dim))
        self.register_buffer("prompts", torch.zeros(capacity, prompt_dim))
        self.register_buffer("accuracy", torch.zeros(capacity))
        self.register_buffer("grids", torch.zeros(capacity, MAX_SIDE, MAX_SIDE, dtype=torch.uint8))
        self.register_buffer("sizes", torch.zeros(capacity, 2, dtype=torch.int64))
        self.register_buffer("order", torch.zeros(capacity, dtype=torch.int64))
        self.keys: list[tuple[str, int]] = []
        self._slots: dict[tuple[str, int], int] = {}
        self._stored_ever = 0

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def bookkeeping(self) -> dict[str, object]:
        """What the buffers do not hold, for a checkpoint."""
        return {"keys": [list(key) for key in self.keys], "stored_ever": self._stored_ever}

    def restore_bookkeeping(self, saved: dict[str, object]) -> None:
        """Take back what `bookkeeping` gave, after the buffers have been restored.

        Raises:
            ValueError: If it does not fit the buffers or is of another form.
        """
        keys, stored = saved["keys"], saved["stored_ever"]
        if not isinstance(keys, list) or not isinstance(stored, int):
            raise ValueError("memory.keys must be a list and memory.stored_ever a number")
        try:
            restored = [(str(task), int(pair)) for task, pair in cast("list[Any]", keys)]
        except (TypeError, ValueError):
            raise ValueError("memory.keys must hold pairs of a task and a number") from None
        filled = int((self.sizes[:, 0] > 0).sum())
        if len(set(restored)) != filled or len(restored) != filled:
            raise ValueError(f"memory.keys has {len(set(restored))} entries, not {filled}")
        self.keys = restored
        self._slots = {key: slot for slot, key in enumerate(self.keys)}
        self._stored_ever = stored

    def recall(self, features: Tensor, task_ids: Sequence[str]) -> Recall:
        """Read the entries of other tasks that look most alike.

        Args:
            features: [B, feature_dim].
            task_ids: The task of each pair, whose own entries are left out.
        """
        count = len(self.keys)
        if count == 0:
            return Recall(
                features.new_zeros(len(task_ids), self.value.out_features),
                torch.zeros(len(task_ids), dtype=torch.int64, device=features.device),
            )
        best, where = self._nearest(features, task_ids, self.neighbors)
        found = best > -torch.inf
        # A row without any entry has only -inf: softmax over zeros instead, then nothing is added.
        weights = (best.masked_fill(~found, -1e4) / self.temperature).softmax(dim=-1) * found
        read = (weights[..., None] * self.value(self.prompts[where])).sum(dim=1)
        return Recall(self.gate * read, found.sum(dim=-1))

    def _nearest(self, features: Tensor, task_ids: Sequence[str], most: int) -> tuple[Tensor, Tensor]:
        """Similarities and places of the most alike entries of other tasks, [B, n] each; -inf is none."""
        count = len(self.keys)
        own = np.array([task for task, _ in self.keys])[None, :] == np.array(task_ids)[:, None]
        allowed = torch.from_numpy(~own).to(features.device)
        query = F.normalize(self.key(features), dim=-1)
        stored = F.normalize(self.key(self.features[:count]), dim=-1)
        similarity = (query @ stored.T).masked_fill(~allowed, -torch.inf)
        return similarity.topk(min(most, count), dim=-1)

    @torch.no_grad()
    def nearest(self, features: Tensor, task_ids: Sequence[str], most: int) -> Tensor:
        """Prompts of the entries of other tasks that look most alike, [B, most, prompt_dim]; 0 for none.

        Args:
            features: [B, feature_dim].
            task_ids: The task of each pair, whose own entries are left out.
            most: Entries for each pair.
        """
        prompts = features.new_zeros(len(task_ids), most, self.prompts.shape[1])
        if self.keys:
            best, where = self._nearest(features, task_ids, most)
            prompts[:, : where.shape[1]] = self.prompts[where] * (best > -torch.inf)[..., None]
        return prompts

    @torch.no_grad()
    def store(
        self,
        key: tuple[str, int],
        features: Tensor,
        prompt: Tensor,
        grid: Tensor,
        accuracy: float,
    ) -> bool:
        """Remember a solved pair; a pair that is already there is replaced when it was solved better.

        Args:
            key: (task id, pair index).
            features: [feature_dim].
            prompt: [prompt_dim], the refined one.
            grid: [h, w] the predicted output.
            accuracy: Its share of right cells.

        Returns:
            Whether it was stored.
        """
        slot = self._slots.get(key)
        if slot is None:
            slot = self._free_slot(accuracy)
            if slot is None:
                return False
            if slot < len(self.keys):
                del self._slots[self.keys[slot]]
                self.keys[slot] = key
            else:
                self.keys.append(key)
            self._slots[key] = slot
        elif self.accuracy[slot] > accuracy:
            return False
        self.features[slot] = features
        self.prompts[slot] = prompt
        self.accuracy[slot] = accuracy
        self.grids[slot] = 0
        self.grids[slot, : grid.shape[0], : grid.shape[1]] = grid.to(torch.uint8)
        self.sizes[slot] = torch.tensor(grid.shape)
        self.order[slot] = self._stored_ever
        self._stored_ever += 1
        return True

    def _free_slot(self, accuracy: float) -> int | None:
        """A new slot, or the weakest entry's; None when every entry is better than `accuracy`."""
        if len(self.keys) < self.capacity:
            return len(self.keys)
        lowest = self.accuracy.min()
        if lowest > accuracy:
            return None
        oldest = torch.where(self.accuracy == lowest, self.order, torch.iinfo(torch.int64).max)
        return int(oldest.argmin())
