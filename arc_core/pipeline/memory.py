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
        self._ranks: list[tuple[float, int]] = []
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
        self._ranks = [*zip(self.accuracy[:filled].tolist(), self.order[:filled].tolist(), strict=True)]
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
        allowed = torch.from_numpy(~own).to(features.device, non_blocking=True)
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
        keys: Sequence[tuple[str, int]],
        features: Tensor,
        prompts: Tensor,
        grids: Sequence[np.ndarray],
        accuracies: Sequence[float],
    ) -> list[int]:
        """Remember solved pairs; one that is already there is replaced when it was solved better.

        Args:
            keys: (task id, pair index) of each.
            features: [n, feature_dim].
            prompts: [n, prompt_dim], the refined ones.
            grids: The predicted outputs, each [h, w].
            accuracies: The share of right cells of each.

        Returns:
            The places of those that were stored.
        """
        stored: list[int] = []
        of_slot: dict[int, int] = {}
        for place, (key, accuracy) in enumerate(zip(keys, accuracies, strict=True)):
            slot = self._slot_for(key, accuracy)
            if slot is not None:
                self._ranks[slot] = accuracy, self._stored_ever
                self._stored_ever += 1
                stored.append(place)
                of_slot[slot] = place
        if stored:
            self._write(of_slot, features, prompts, grids)
        return stored

    def _write(
        self, of_slot: dict[int, int], features: Tensor, prompts: Tensor, grids: Sequence[np.ndarray]
    ) -> None:
        """Fill slots with the pairs at some places."""
        cells = np.zeros((len(of_slot), MAX_SIDE, MAX_SIDE), dtype=np.uint8)
        for row, place in zip(cells, of_slot.values(), strict=True):
            height, width = grids[place].shape
            row[:height, :width] = grids[place]
        device = self.features.device
        slots, places = (torch.tensor([*some], device=device) for some in (of_slot, of_slot.values()))
        accuracies, orders = zip(*(self._ranks[slot] for slot in of_slot), strict=True)
        self.features[slots] = features[places]
        self.prompts[slots] = prompts[places]
        self.accuracy[slots] = torch.tensor(accuracies, device=device)
        self.grids[slots] = torch.from_numpy(cells).to(device)
        self.sizes[slots] = torch.tensor([grids[place].shape for place in of_slot.values()], device=device)
        self.order[slots] = torch.tensor(orders, device=device)

    def _slot_for(self, key: tuple[str, int], accuracy: float) -> int | None:
        """A pair's own slot, a new one, or the weakest entry's, given to it; None where it deserves none.

        Entries are ranked on the host, so that storing does not wait for the device.
        """
        slot = self._slots.get(key)
        if slot is not None:
            return slot if accuracy >= self._ranks[slot][0] else None
        slot = len(self.keys)
        if slot < self.capacity:
            self.keys.append(key)
            self._ranks.append((0.0, 0))
        else:
            slot = min(range(slot), key=self._ranks.__getitem__)  # of the least accurate ones the oldest
            if self._ranks[slot][0] > accuracy:
                return None
            del self._slots[self.keys[slot]]
            self.keys[slot] = key
        self._slots[key] = slot
        return slot
