"""Step 1: examples padded into tensors, beside what the prompt needs of their task.

Shape legend: B pairs of the batch, N demonstrations of all of them together, H and W the padded
sides of each kind of grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from arc_core.data import Example, Pair
from arc_core.features import TaskDescription, describe
from arc_core.resize import size_mask


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
    def pad(cls, grids: Sequence[np.ndarray]) -> GridBatch:
        """Stack grids, each [h, w], onto the smallest canvas that holds them all."""
        sizes = torch.tensor([grid.shape for grid in grids], dtype=torch.int64).reshape(-1, 2)
        height, width = (int(side) for side in sizes.amax(dim=0)) if len(grids) else (1, 1)
        cells = np.zeros((len(grids), height, width), dtype=np.int64)
        for row, grid in zip(cells, grids, strict=True):
            row[: grid.shape[0], : grid.shape[1]] = grid
        return cls(torch.from_numpy(cells), size_mask(sizes, height, width), sizes)

    def to(self, device: torch.device | str) -> GridBatch:
        """Move all tensors."""
        return GridBatch(self.cells.to(device), self.mask.to(device), self.sizes.to(device))

    @property
    def canvas(self) -> tuple[int, int]:
        """Padded (height, width)."""
        return self.cells.shape[1], self.cells.shape[2]


@dataclass(frozen=True)
class PromptInputs:
    """What the prompt is made of: demonstrations and the query's input, never its output.

    Attributes:
        rules: One sentence a pair.
        features: [B, 15] float32.
        summary: [B, 32] float32, what the policy and the memory look at.
        demo_inputs: The demonstrations' inputs, all pairs' together [N, H, W].
        demo_outputs: Their outputs on a canvas of the same size.
        demo_owner: [N] int64, which pair of the batch each demonstration belongs to.
    """

    rules: tuple[str, ...]
    features: Tensor
    summary: Tensor
    demo_inputs: GridBatch
    demo_outputs: GridBatch
    demo_owner: Tensor

    def to(self, device: torch.device | str) -> PromptInputs:
        """Move all tensors."""
        return replace(
            self,
            features=self.features.to(device),
            summary=self.summary.to(device),
            demo_inputs=self.demo_inputs.to(device),
            demo_outputs=self.demo_outputs.to(device),
            demo_owner=self.demo_owner.to(device),
        )

    def __len__(self) -> int:
        return len(self.rules)


@dataclass(frozen=True)
class Batch:
    """One batch of the training loop.

    Attributes:
        task_ids: The task of each pair.
        pair_indices: Which pair of its task each is.
        prompt_inputs: What the prompt is made of.
        inputs: The queries.
        targets: Their outputs; None where they are not known.
    """

    task_ids: tuple[str, ...]
    pair_indices: tuple[int, ...]
    prompt_inputs: PromptInputs
    inputs: GridBatch
    targets: GridBatch | None

    def to(self, device: torch.device | str) -> Batch:
        """Move all tensors."""
        return replace(
            self,
            prompt_inputs=self.prompt_inputs.to(device),
            inputs=self.inputs.to(device),
            targets=None if self.targets is None else self.targets.to(device),
        )

    def __len__(self) -> int:
        return len(self.task_ids)


def prompt_inputs(contexts: Sequence[Sequence[Pair]], queries: Sequence[np.ndarray]) -> PromptInputs:
    """Describe each query's task by its demonstrations and the query's input.

    Args:
        contexts: The demonstrations of each query; may be empty.
        queries: The input grids, each [h, w].

    Raises:
        ValueError: If a demonstration has no output.
    """
    descriptions: list[TaskDescription] = [
        describe(tuple(context), query) for context, query in zip(contexts, queries, strict=True)
    ]
    inputs: list[np.ndarray] = []
    outputs: list[np.ndarray] = []
    owner: list[int] = []
    for index, context in enumerate(contexts):
        for pair in context:
            if pair.output is None:
                raise ValueError("a demonstration needs an output")
            inputs.append(pair.input)
            outputs.append(pair.output)
            owner.append(index)
    # Both grids of a pair share a canvas, so that cells at the same place line up.
    both = GridBatch.pad([*inputs, *outputs])
    count = len(inputs)
    return PromptInputs(
        rules=tuple(description.rule for description in descriptions),
        features=torch.from_numpy(np.stack([d.features for d in descriptions])),
        summary=torch.from_numpy(np.stack([d.summary for d in descriptions])),
        demo_inputs=GridBatch(both.cells[:count], both.mask[:count], both.sizes[:count]),
        demo_outputs=GridBatch(both.cells[count:], both.mask[count:], both.sizes[count:]),
        demo_owner=torch.tensor(owner, dtype=torch.int64),
    )


def collate(examples: Sequence[Example]) -> Batch:
    """Pad examples into one batch. Targets are left out when any example has none."""
    targets = [example.target for example in examples if example.target is not None]
    return Batch(
        task_ids=tuple(example.task_id for example in examples),
        pair_indices=tuple(example.pair_index for example in examples),
        prompt_inputs=prompt_inputs(
            [example.context for example in examples], [example.input for example in examples]
        ),
        inputs=GridBatch.pad([example.input for example in examples]),
        targets=GridBatch.pad(targets) if len(targets) == len(examples) else None,
    )
