"""Phase 2b, steps 3 and 5: the agent that plans the output grid in five steps.

The forward planner reads the input and plans towards the output, in one of two ways. `canvas` lays the
output's canvas over the input and copies by default (`arc_core.pipeline.canvas_planner`); `seed` is the
seed's literal one, which plans on the input's grid and is resized. A narrower backward planner reads an
output and plans back towards the input (step 9's Q←, step 7's d_rev). A head predicts the output's size,
which the seed takes from the target.

Shape legend: B pairs, T planning steps, H and W padded sides, C colours, D features, P prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from arc_core.data.grids import MAX_SIDE, NUM_COLORS
from arc_core.pipeline.canvas import CanvasBatch
from arc_core.pipeline.canvas_planner import CanvasPlanner, CanvasWidths
from arc_core.pipeline.padding import GridBatch
from arc_core.pipeline.planner import Planner, SizeHead, one_hot

PlannerKind = Literal["canvas", "seed"]


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
        planner: `canvas`, or `seed` for the literal one.
    """

    forward_planner: CanvasPlanner | Planner

    def __init__(
        self,
        max_grid_size: int = MAX_SIDE,
        num_colors: int = NUM_COLORS,
        hidden_dim: int = 256,
        prompt_dim: int = 256,
        max_steps: int = 5,
        backward_dim: int | None = None,
        planner: PlannerKind = "canvas",
    ) -> None:
        super().__init__()
        self.num_colors = num_colors
        self.max_grid_size = max_grid_size
        literal = planner == "seed"
        if literal:
            self.forward_planner = Planner(num_colors, hidden_dim, prompt_dim, max_steps)
        else:
            self.forward_planner = CanvasPlanner(CanvasWidths(hidden_dim, prompt_dim, max_steps))
        self.backward_planner = Planner(
            num_colors, backward_dim or max(hidden_dim // 4, 8), prompt_dim, max_steps
        )
        if literal:
            self.size_head = SizeHead(hidden_dim, prompt_dim, max_grid_size)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    @property
    def canvas_planner(self) -> CanvasPlanner:
        """The forward planner of an agent that plans on the output's canvas.

        Raises:
            TypeError: If it is the seed's literal one.
        """
        if not isinstance(self.forward_planner, CanvasPlanner):
            raise TypeError("this agent plans as the seed does, on the input's grid")
        return self.forward_planner

    @property
    def seed_planner(self) -> Planner:
        """The forward planner of the seed's literal agent.

        Raises:
            TypeError: If it plans on the output's canvas.
        """
        if not isinstance(self.forward_planner, Planner):
            raise TypeError("this agent plans on the output's canvas")
        return self.forward_planner

    def encode(self, cells: Tensor, mask: Tensor) -> Tensor:
        """Read input grids as the seed's planner does: [B, H, W] colours to features [B, H, W, D]."""
        return self.seed_planner.encode(one_hot(cells, mask, self.num_colors), mask)

    def plan(
        self, features: Tensor, prompt: Tensor, mask: Tensor, sizes: Tensor
    ) -> tuple[Tensor, AgentOutput]:
        """Plan under a prompt from features that `encode` gave, as the seed's planner does.

        Args:
            features: [B, H, W, D].
            prompt: [B, P].
            mask: [B, H, W].
            sizes: [B, 2] of the input grids.

        Returns:
            Logits [B, T, H, W, C] on the input's grid, and the rest of what the agent says.
        """
        logits = self.seed_planner.plan(features, prompt, mask)
        pooled = features.float().sum(dim=(1, 2)) / mask.sum(dim=(1, 2))[:, None]
        size_logits = self.size_head(pooled, prompt, sizes)
        return logits, AgentOutput(features, size_logits, size_logits.argmax(dim=-1) + 1)

    def reconstruct(self, cells: Tensor, prompt: Tensor, mask: Tensor) -> Tensor:
        """Plan backwards from output grids, one-hot or probabilities [B, H, W, C], to [B, T, H, W, C]."""
        return self.backward_planner(cells, prompt, mask)

    def forward(
        self, inputs: Tensor, prompt: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, AgentOutput]:
        """Plan the output of one grid, or of a padded batch of grids, each on a canvas of its input's size.

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
        if isinstance(self.forward_planner, CanvasPlanner):
            canvas = CanvasBatch.over(GridBatch(cells, mask, sizes))
            read = self.forward_planner.read(canvas)
            planned = self.forward_planner.plan(read, prompts, canvas)
            logits = planned.logits * mask[:, None, :, :, None]
            likeliest = planned.size_logits.argmax(dim=-1) + 1
            output = AgentOutput(read.features, planned.size_logits, likeliest)
        else:
            logits, output = self.plan(self.encode(cells, mask), prompts, mask, sizes)
        return (logits[0] if single else logits), output
