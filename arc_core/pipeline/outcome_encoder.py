"""What a prompt is held against: an embedding of the outcome that it was to lead to."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class OutcomeEncoder(nn.Module):
    """Embeds an outcome grid: what the prompt is held against."""

    def __init__(self, colors: int, prompt_dim: int, width: int = 32) -> None:
        super().__init__()
        self.conv = nn.Conv2d(colors, width, 3, stride=2, padding=1)
        self.out = nn.Linear(width + colors, prompt_dim)

    def forward(self, grid: Tensor, mask: Tensor) -> Tensor:
        """[B, H, W, C] one-hot to [B, P]."""
        local = F.gelu(self.conv(grid.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
        kept = mask[:, ::2, ::2]
        pooled = (local * kept[..., None]).sum(dim=(1, 2)) / kept.sum(dim=(1, 2))[:, None]
        shares = grid.sum(dim=(1, 2)) / mask.sum(dim=(1, 2))[:, None]
        return self.out(torch.cat([pooled, shares], dim=-1))
