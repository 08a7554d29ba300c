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

from arc_core.data.dataset import Example, cut_by_size
from arc_core.data.features import TaskDescription, describe
from arc_core.data.grids import MAX_SIDE
from arc_core.data.tasks import Pair
from arc_core.pipeline.resize import size_mask

ANY_SIDE = tuple(range(1, MAX_SIDE + 1))
"""Canvases as small as their grids allow."""

FEW_SIDES = (5, 7, 10, 12, 14, 16, 20, 23, 26, 30)
"""Canvases of few sizes, in cells a side. Libraries compile and keep kernels for each shape that they meet,
so few shapes bound the memory of a run. Of all ten lengths these pad least on ARC-AGI-2 in batches of 8: 9%
more cells than `ANY_SIDE`, on 85 canvases instead of some 350."""

DEMONSTRATIONS_TOGETHER = 8
"""How many demonstrations share a canvas."""


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


def padded_canvas(sizes: np.ndarray, sides: Sequence[int]) -> tuple[int, int]:
    """Return the smallest (height, width) of some sides that holds grids of some sizes, [B, 2] in cells."""
    height, width = (next(side for side in sides if side >= longest) for longest in sizes.max(axis=0))
    return height, width


@dataclass(frozen=True)
class Demonstrations:
    """Demonstrations that share a canvas, the last of them blank where there are fewer.

    Attributes:
        inputs: [N, H, W] their inputs; a blank one has the size 0x0.
        outputs: Their outputs on a canvas of the same size.
        owner: [n] int64, which pair of the batch each belongs to; the blank ones, N - n, to none.
    """

    inputs: GridBatch
    outputs: GridBatch
    owner: Tensor

    def to(self, device: torch.device | str) -> Demonstrations:
        """Move all tensors."""
        return Demonstrations(self.inputs.to(device), self.outputs.to(device), self.owner.to(device))


@dataclass(frozen=True)
class PromptInputs:
    """What the prompt is made of: demonstrations and the query's input, never its output.

    Attributes:
        rules: One sentence a pair.
        features: [B, 15] float32.
        summary: [B, 32] float32, what the policy and the memory look at.
        demonstrations: All pairs' together, alike in size within a canvas.
    """

    rules: tuple[str, ...]
    features: Tensor
    summary: Tensor
    demonstrations: tuple[Demonstrations, ...]

    def to(self, device: torch.device | str) -> PromptInputs:
        """Move all tensors."""
        return replace(
            self,
            features=self.features.to(device),
            summary=self.summary.to(device),
            demonstrations=tuple(some.to(device) for some in self.demonstrations),
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


def prompt_inputs(
    contexts: Sequence[Sequence[Pair]], queries: Sequence[np.ndarray], sides: Sequence[int] = ANY_SIDE
) -> PromptInputs:
    """Describe each query's task by its demonstrations and the query's input.

    Args:
        contexts: The demonstrations of each query; may be empty.
        queries: The input grids, each [h, w].
        sides: That the demonstrations' canvases may have.

    Raises:
        ValueError: If a demonstration has no output.
    """
    descriptions: list[TaskDescription] = [
        describe(tuple(context), query) for context, query in zip(contexts, queries, strict=True)
    ]
    return PromptInputs(
        rules=tuple(description.rule for description in descriptions),
        features=torch.from_numpy(np.stack([d.features for d in descriptions])),
        summary=torch.from_numpy(np.stack([d.summary for d in descriptions])),
        demonstrations=_demonstrations(contexts, sides),
    )


def _demonstrations(contexts: Sequence[Sequence[Pair]], sides: Sequence[int]) -> tuple[Demonstrations, ...]:
    """Spread the demonstrations of some pairs over canvases, those alike in size together."""
    owned = [(owner, pair) for owner, context in enumerate(contexts) for pair in context]
    grids: list[tuple[np.ndarray, np.ndarray]] = []
    for _, pair in owned:
        if pair.output is None:
            raise ValueError("a demonstration needs an output")
        grids.append((pair.input, pair.output))
    shapes = np.array([np.maximum(before.shape, after.shape) for before, after in grids]).reshape(-1, 2)
    blank = np.zeros((0, 0), dtype=np.int8)
    together = []
    for chosen in cut_by_size(np.arange(len(grids)), shapes, DEMONSTRATIONS_TOGETHER):
        missing = [blank] * (DEMONSTRATIONS_TOGETHER - len(chosen))
        # Both grids of a pair share a canvas, so that cells at the same place line up.
        canvas = padded_canvas(shapes[chosen], sides)
        inputs, outputs = (
            GridBatch.onto([*(grids[k][side] for k in chosen), *missing], canvas) for side in (0, 1)
        )
        owner = torch.tensor([owned[k][0] for k in chosen], dtype=torch.int64)
        together.append(Demonstrations(inputs, outputs, owner))
    return tuple(together)


def collate(examples: Sequence[Example], sides: Sequence[int] = ANY_SIDE) -> Batch:
    """Pad examples into one batch, on canvases of these sides. Targets are left out when any has none."""
    targets = [example.target for example in examples if example.target is not None]
    return Batch(
        task_ids=tuple(example.task_id for example in examples),
        pair_indices=tuple(example.pair_index for example in examples),
        prompt_inputs=prompt_inputs(
            [example.context for example in examples], [example.input for example in examples], sides
        ),
        inputs=GridBatch.pad([example.input for example in examples], sides),
        targets=GridBatch.pad(targets, sides) if len(targets) == len(examples) else None,
    )
