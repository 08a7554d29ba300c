"""Step 1: examples padded into tensors, beside what the prompt needs of their task.

Shape legend: B pairs of the batch, N demonstrations of all of them together, H and W the padded
sides of each kind of grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from arc_core.data.dataset import Example, cut_by_size
from arc_core.data.features import TaskDescription, describe
from arc_core.data.tasks import Pair
from arc_core.pipeline.canvas import CanvasBatch
from arc_core.pipeline.moving import to_device
from arc_core.pipeline.padding import ANY_SIDE, GridBatch, padded_canvas

DEMONSTRATIONS_TOGETHER = 8
"""How many demonstrations share a canvas."""


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
        return to_device(self, device)

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
        canvas: Inputs and outputs laid over each other, for a planner that works on the outputs' canvas.
    """

    task_ids: tuple[str, ...]
    pair_indices: tuple[int, ...]
    prompt_inputs: PromptInputs
    inputs: GridBatch
    targets: GridBatch | None
    canvas: CanvasBatch | None = None

    @property
    def laid(self) -> CanvasBatch:
        """The canvas of a batch that has one.

        Raises:
            ValueError: If it has none.
        """
        if self.canvas is None:
            raise ValueError("the batch is not laid out for a planner on the outputs' canvas")
        return self.canvas

    def to(self, device: torch.device | str) -> Batch:
        """Move all tensors."""
        return to_device(self, device)

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


def collate(
    examples: Sequence[Example], sides: Sequence[int] = ANY_SIDE, canvas: CanvasBatch | None = None
) -> Batch:
    """Pad examples into one batch. Targets are left out when any has none.

    Args:
        examples: At least one.
        sides: That canvases may have.
        canvas: The examples laid out already, on canvases of the same sides.
    """
    targets = [example.target for example in examples if example.target is not None]
    return Batch(
        task_ids=tuple(example.task_id for example in examples),
        pair_indices=tuple(example.pair_index for example in examples),
        prompt_inputs=prompt_inputs(
            [example.context for example in examples], [example.input for example in examples], sides
        ),
        inputs=canvas.inputs if canvas else GridBatch.pad([example.input for example in examples], sides),
        targets=_targets(targets, sides, canvas) if len(targets) == len(examples) else None,
        canvas=canvas,
    )


def _targets(targets: Sequence[np.ndarray], sides: Sequence[int], canvas: CanvasBatch | None) -> GridBatch:
    return GridBatch.pad(targets, sides) if canvas is None else canvas.outputs
