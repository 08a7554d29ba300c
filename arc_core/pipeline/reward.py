"""Step 7: the four metrics of the goal-oriented reward, hard and differentiable.

Every metric scores a prediction against the truth in [0, 1]; the reward is what the refined prompt
gains over the unrefined one. `score_grids` is the number, from whole colours; `score_batch` is the
same number for a padded batch, with the gradient of the metric in which each one-hot cell is replaced
by the predicted probabilities (a straight-through estimator, Bengio et al. 2013).

Shape legend: B pairs, H and W padded sides, C colours, S sides 1..30.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from arc_core.pipeline.padding import GridBatch
from arc_core.pipeline.planner import color_probabilities, one_hot

WEIGHTS = {"d_acc": 1.0, "d_size": 0.5, "d_color": 0.5, "d_rev": 0.5}


def combine(breakdown: dict[str, float] | dict[str, Tensor]) -> float | Tensor:
    """Weigh the four gains into one reward: d_acc + 0.5 (d_size + d_color + d_rev)."""
    return sum(weight * breakdown[name] for name, weight in WEIGHTS.items())


def per_cell_accuracy(prediction: Tensor, target: Tensor) -> float:
    """Share of cells that are right; cells outside either grid, laid corner on corner, are wrong.

    Args:
        prediction: [h, w] colours.
        target: [h', w'] colours.
    """
    height = min(prediction.shape[0], target.shape[0])
    width = min(prediction.shape[1], target.shape[1])
    right = (prediction[:height, :width] == target[:height, :width]).sum().item()
    return right / (prediction.numel() + target.numel() - height * width)


def expected_accuracy(probabilities: Tensor, target: Tensor) -> float:
    """Share of cells that are right in expectation: [h, w, C] probabilities and [h, w] colours.

    The reconstruction is graded by this rather than by its whole colours, which a planner that is still
    unsure keeps whatever it is shown: then d_rev would be 0 for most of a short run.
    """
    return probabilities.gather(-1, target[..., None].long()).mean().item()


def size_similarity(size: tuple[int, int], target: tuple[int, int]) -> float:
    """Shorter over longer side, multiplied over both axes: 1 when equal, falling with the error."""
    ratios = [min(a, b) / max(a, b) for a, b in zip(size, target, strict=True)]
    return ratios[0] * ratios[1]


def color_similarity(prediction: Tensor, target: Tensor, colors: int = 10) -> float:
    """One minus the total variation between the colour histograms (shares of cells)."""
    shares = [
        torch.bincount(grid.flatten().long(), minlength=colors).float() / grid.numel()
        for grid in (prediction, target)
    ]
    return max(1.0 - 0.5 * (shares[0] - shares[1]).abs().sum().item(), 0.0)  # rounding can pass 0


@dataclass(frozen=True)
class Scores:
    """The four metrics of each pair.

    Attributes:
        accuracy: [B] share of cells that are right.
        size: [B] similarity of the sizes.
        color: [B] similarity of the colour histograms.
        reversibility: [B] share of the input's cells that the backward planner is expected to find again.
    """

    accuracy: Tensor
    size: Tensor
    color: Tensor
    reversibility: Tensor

    def gain_over(self, before: Scores) -> dict[str, Tensor]:
        """Per-pair breakdown of the reward, and its `total`."""
        gains = {
            "d_acc": self.accuracy - before.accuracy,
            "d_size": self.size - before.size,
            "d_color": self.color - before.color,
            "d_rev": self.reversibility - before.reversibility,
        }
        return {"total": torch.as_tensor(combine(gains)), **gains}


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """The value of `hard` with the gradient of `soft`."""
    return hard.detach() + (soft - soft.detach())  # the bracket is exactly 0


def _overlap_accuracy(cells_right: Tensor, sizes: Tensor, target_sizes: Tensor) -> Tensor:
    """Sum of right cells [B, H, W] over the union of both grids, [B]."""
    union = sizes.prod(dim=1) + target_sizes.prod(dim=1) - torch.minimum(sizes, target_sizes).prod(dim=1)
    return cells_right.sum(dim=(1, 2)) / union


def _cells_right(cells: Tensor, target: GridBatch) -> Tensor:
    """How right each cell of the overlap is: [B, H, W, C] shares of colours to [B, h, w]."""
    height = min(cells.shape[1], target.canvas[0])
    width = min(cells.shape[2], target.canvas[1])
    wanted = target.cells[:, :height, :width, None]
    right = cells[:, :height, :width].gather(-1, wanted).squeeze(-1)
    return right * target.mask[:, :height, :width]


def expected_size_similarity(size_logits: Tensor, target_sizes: Tensor) -> Tensor:
    """Size similarity expected under the size head's probabilities, [B].

    Args:
        size_logits: [B, 2, S].
        target_sizes: [B, 2].
    """
    sides = torch.arange(1, size_logits.shape[-1] + 1, device=size_logits.device, dtype=torch.float32)
    target = target_sizes[..., None].float()
    ratio = torch.minimum(sides, target) / torch.maximum(sides, target)
    return (size_logits.softmax(dim=-1) * ratio).sum(dim=-1).prod(dim=1)


def score_batch(
    logits: Tensor,
    mask: Tensor,
    sizes: Tensor,
    size_logits: Tensor,
    target: GridBatch,
    inputs: GridBatch,
    reconstruction: Tensor | None,
) -> Scores:
    """Score a padded batch, differentiably.

    Args:
        logits: [B, H, W, C] final colour logits on the predicted sizes.
        mask: [B, H, W] of the predicted grids.
        sizes: [B, 2] the predicted sizes.
        size_logits: [B, 2, S].
        target: The true outputs.
        inputs: The inputs, which the reconstruction is held against.
        reconstruction: [B, H', W', C] logits of the backward planner on the inputs' canvas; None
            scores 0 for all.

    Returns:
        The same numbers as the single-grid functions, with straight-through gradients.
    """
    soft = color_probabilities(logits) * mask[..., None]
    hard = one_hot(logits.argmax(dim=-1), mask, logits.shape[-1])
    cells = sizes.prod(dim=1)[:, None].float()
    wanted = one_hot(target.cells, target.mask, logits.shape[-1]).sum(dim=(1, 2))
    wanted = wanted / target.sizes.prod(dim=1)[:, None]

    def accuracy(grid: Tensor) -> Tensor:
        return _overlap_accuracy(_cells_right(grid, target), sizes, target.sizes)

    def color(grid: Tensor) -> Tensor:
        return 1.0 - 0.5 * (grid.sum(dim=(1, 2)) / cells - wanted).abs().sum(dim=1)

    ratio = torch.minimum(sizes, target.sizes) / torch.maximum(sizes, target.sizes)
    if reconstruction is None:
        reversibility = logits.new_zeros(len(logits))
    else:
        found = _cells_right(color_probabilities(reconstruction), inputs)
        reversibility = _overlap_accuracy(found, inputs.sizes, inputs.sizes)
    return Scores(
        accuracy=straight_through(accuracy(hard), accuracy(soft)),
        size=straight_through(ratio.prod(dim=1), expected_size_similarity(size_logits, target.sizes)),
        color=straight_through(color(hard).clamp_min(0.0), color(soft)),  # rounding can pass 0
        reversibility=reversibility,
    )
