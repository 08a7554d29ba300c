"""What planners are made of: the seed's planner over one grid, the head that tells sizes, one-hot colours.

Shape legend: B pairs, T planning steps, H and W padded sides, C colours, D features, P prompt.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arc_core.data.grids import NUM_COLORS

VECTOR = 16
"""Torch's norm of bfloat16 takes three times as long over channels that this does not divide."""


def one_hot(cells: Tensor, mask: Tensor, colors: int = NUM_COLORS) -> Tensor:
    """Spread colours over channels, with nothing set in the padding.

    Args:
        cells: [B, H, W] colours as integers.
        mask: [B, H, W], 1 inside each grid.
        colors: Number of colours.

    Returns:
        [B, H, W, colors] float32.
    """
    # torch's own asks the host whether every colour is one.
    return (cells[..., None] == torch.arange(colors, device=cells.device)) * mask[..., None]


def color_probabilities(logits: Tensor) -> Tensor:
    """Probabilities of the colours of each cell: [..., H, W, C], of logits of that shape."""
    return logits.movedim(-1, -3).softmax(dim=-3).movedim(-3, -1)


def color_log_probabilities(logits: Tensor) -> Tensor:
    """Log-probabilities of the colours of each cell: [..., H, W, C], of logits of that shape.

    Over ten numbers that lie side by side a softmax takes seven times as long as over ten planes.
    """
    return logits.movedim(-1, -3).log_softmax(dim=-3).movedim(-3, -1)


class PlanningHead(nn.Module):
    """One planning step: moves the state and says which colours it now stands for."""

    def __init__(self, hidden_dim: int, colors: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden_dim)
        self.conv = nn.Conv2d(hidden_dim, hidden_dim, 3, padding=1)
        self.colors = nn.Linear(hidden_dim, colors)

    def forward(self, state: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step.

        Args:
            state: [B, H, W, D] what the step before left.
            mask: [B, H, W, 1] in the state's dtype.

        Returns:
            The new state [B, H, W, D] and its colour logits [B, H, W, C].
        """
        update = self.conv((self._normed(state) * mask).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        state = state + F.gelu(update)
        return state, self.colors(state)

    def _normed(self, state: Tensor) -> Tensor:
        if state.shape[-1] % VECTOR == 0:
            return self.norm(state)
        return self.norm(state.float()).to(state.dtype)


class Planner(nn.Module):
    """Encoder, prompt fusion and chained planning heads over one grid.

    Activations are kept [B, H, W, D] (channels last), the layout in which both the convolutions and
    the norm are fastest.
    """

    def __init__(self, colors: int, hidden_dim: int, prompt_dim: int, steps: int) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(
            [
                nn.Conv2d(colors, hidden_dim // 2, 3, padding=1),
                nn.Conv2d(hidden_dim // 2, hidden_dim, 3, padding=1),
            ]
        )
        # A 1x1 convolution over [features, prompt] is one over the features plus one vector a grid.
        self.fuse_features = nn.Linear(hidden_dim, hidden_dim)
        self.fuse_prompt = nn.Linear(prompt_dim, hidden_dim, bias=False)
        self.heads = nn.ModuleList(PlanningHead(hidden_dim, colors) for _ in range(steps))

    def encode(self, cells: Tensor, mask: Tensor) -> Tensor:
        """Read a grid: [B, H, W, C] one-hot (or probabilities) to [B, H, W, D]."""
        features = cells.permute(0, 3, 1, 2)
        keep = mask[:, None]
        for layer in self.encoder:
            # The padding is zeroed after each layer, so it looks the same as a grid's own border.
            features = F.gelu(layer(features))
            features = features * keep.to(features.dtype)  # of the layer's dtype, not of its input's
        return features.permute(0, 2, 3, 1)

    def plan(self, features: Tensor, prompt: Tensor, mask: Tensor) -> Tensor:
        """Plan all steps under a prompt: [B, H, W, D] and [B, P] to logits [B, T, H, W, C]."""
        bias = self.fuse_prompt(prompt)[:, None, None, :]
        state = F.gelu(self.fuse_features(features) + bias)
        keep = mask[..., None].to(state.dtype)
        logits = []
        for head in self.heads:
            state, colors = head(state, keep)
            logits.append(colors)
        return torch.stack(logits, dim=1).float() * mask[:, None, :, :, None]

    def forward(self, cells: Tensor, prompt: Tensor, mask: Tensor) -> Tensor:
        """Read and plan."""
        return self.plan(self.encode(cells, mask), prompt, mask)


class SizeHead(nn.Module):
    """Predicts the output's sides from the prompt, the pooled features and the input's size.

    Two thirds of ARC's tasks keep the size, so "as the input" is one learned gain on the input's own
    side instead of thirty weights that each have to be learned.
    """

    def __init__(self, hidden_dim: int, prompt_dim: int, max_side: int) -> None:
        super().__init__()
        self.max_side = max_side
        self.body = nn.Sequential(
            nn.Linear(prompt_dim + hidden_dim + 2 * max_side, hidden_dim),
            nn.GELU(),
            nn.Linear(hidden_dim, 2 * max_side + 2),
        )

    def forward(self, pooled: Tensor, prompt: Tensor, sizes: Tensor) -> Tensor:
        """Score every side: [B, D], [B, P] and [B, 2] sizes to logits [B, 2, max_side] (height, width)."""
        own = (sizes[..., None] == torch.arange(1, self.max_side + 1, device=sizes.device)).float()
        out = self.body(torch.cat([prompt, pooled, own.flatten(1)], dim=-1)).float()
        sides = out[:, : 2 * self.max_side].view(-1, 2, self.max_side)
        return sides + out[:, 2 * self.max_side :, None] * own
