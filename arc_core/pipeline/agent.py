"""Phase 2b, steps 3 and 5: the agent that plans the output grid in five steps.

Two planners of one shape: the forward one reads the input and plans towards the output, a narrower
backward one reads an output and plans back towards the input (step 9's Q←, step 7's d_rev). A head
predicts the output's size, which the seed takes from the target.

Shape legend: B pairs, T planning steps, H and W padded sides, C colours, D features, P prompt.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arc_core.data.grids import MAX_SIDE, NUM_COLORS


def one_hot(cells: Tensor, mask: Tensor, colors: int = NUM_COLORS) -> Tensor:
    """Spread colours over channels, with nothing set in the padding.

    Args:
        cells: [B, H, W] colours as integers.
        mask: [B, H, W], 1 inside each grid.
        colors: Number of colours.

    Returns:
        [B, H, W, colors] float32.
    """
    return F.one_hot(cells, colors).float() * mask[..., None]


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
        update = self.conv((self.norm(state) * mask).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        state = state + F.gelu(update)
        return state, self.colors(state)


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
        own = F.one_hot(sizes - 1, self.max_side).float()
        out = self.body(torch.cat([prompt, pooled, own.flatten(1)], dim=-1)).float()
        sides = out[:, : 2 * self.max_side].view(-1, 2, self.max_side)
        return sides + out[:, 2 * self.max_side :, None] * own


@dataclass(frozen=True)
class AgentOutput:
    """What the agent says beside its planning logits.

    Attributes:
        features: [B, H, W, D] of the encoder, to plan again under another prompt.
        size_logits: [B, 2, max_side] scores of height and width.
        sizes: [B, 2] the most likely size.
    """

    features: Tensor
    size_logits: Tensor
    sizes: Tensor


class ARCPromptGuidedAgentGPU(nn.Module):
    """The seed's agent (phase 2b) on any device.

    Args:
        max_grid_size: Longest side, in cells.
        num_colors: Colours of a grid.
        hidden_dim: Width of the forward planner.
        prompt_dim: Width of the prompt embedding.
        max_steps: Planning steps.
        backward_dim: Width of the backward planner; a quarter of `hidden_dim` when None, which
            makes it a sixteenth of the cost.
    """

    def __init__(
        self,
        max_grid_size: int = MAX_SIDE,
        num_colors: int = NUM_COLORS,
        hidden_dim: int = 256,
        prompt_dim: int = 256,
        max_steps: int = 5,
        backward_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.num_colors = num_colors
        self.max_grid_size = max_grid_size
        self.forward_planner = Planner(num_colors, hidden_dim, prompt_dim, max_steps)
        self.backward_planner = Planner(
            num_colors, backward_dim or max(hidden_dim // 4, 8), prompt_dim, max_steps
        )
        self.size_head = SizeHead(hidden_dim, prompt_dim, max_grid_size)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def encode(self, cells: Tensor, mask: Tensor) -> Tensor:
        """Read input grids: [B, H, W] colours to features [B, H, W, D]."""
        return self.forward_planner.encode(one_hot(cells, mask, self.num_colors), mask)

    def plan(
        self, features: Tensor, prompt: Tensor, mask: Tensor, sizes: Tensor
    ) -> tuple[Tensor, AgentOutput]:
        """Plan under a prompt from features that `encode` gave.

        Args:
            features: [B, H, W, D].
            prompt: [B, P].
            mask: [B, H, W].
            sizes: [B, 2] of the input grids.

        Returns:
            Logits [B, T, H, W, C] on the input's grid, and the rest of what the agent says.
        """
        logits = self.forward_planner.plan(features, prompt, mask)
        pooled = features.float().sum(dim=(1, 2)) / mask.sum(dim=(1, 2))[:, None]
        size_logits = self.size_head(pooled, prompt, sizes)
        return logits, AgentOutput(features, size_logits, size_logits.argmax(dim=-1) + 1)

    def reconstruct(self, cells: Tensor, prompt: Tensor, mask: Tensor) -> Tensor:
        """Plan backwards from output grids, one-hot or probabilities [B, H, W, C], to [B, T, H, W, C]."""
        return self.backward_planner(cells, prompt, mask)

    def forward(
        self, inputs: Tensor, prompt: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, AgentOutput]:
        """Plan the output of one grid, or of a padded batch of grids.

        Args:
            inputs: Colours, of any numeric dtype: [H, W], or [B, H, W] with a mask.
            prompt: [P], or [B, P].
            mask: [B, H, W], 1 inside each grid; all cells count when None.

        Returns:
            Logits [T, H, W, C], or [B, T, H, W, C], on the input's grid; and the rest of what the
            agent says, always batched.

        Raises:
            ValueError: If the grids are not 2- or 3-dimensional or longer than `max_grid_size`.
        """
        if inputs.dim() not in (2, 3) or max(inputs.shape[-2:]) > self.max_grid_size:
            raise ValueError(
                f"grids must be [H, W] or [B, H, W] with sides up to {self.max_grid_size}, "
                f"not {tuple(inputs.shape)}"
            )
        single = inputs.dim() == 2
        cells = (inputs[None] if single else inputs).long()
        prompts = prompt[None] if single else prompt
        if mask is None:
            mask = torch.ones(cells.shape, device=cells.device)
        sizes = torch.stack([mask.amax(dim=2).sum(dim=1), mask.amax(dim=1).sum(dim=1)], dim=1).long()
        logits, output = self.plan(self.encode(cells, mask), prompts, mask, sizes)
        return (logits[0] if single else logits), output
