"""Averaged weights: what a run validates, solves and exports with, beside what it trains."""

from __future__ import annotations

import copy

from torch import nn

from arc_core.pipeline.agent import ARCPromptGuidedAgentGPU
from arc_core.pipeline.task_prompts import TaskPrompts
from arc_core.training.models import move_mean


class AveragedWeights(nn.Module):
    """Running averages of an agent and of the prompts of its tasks.

    Args:
        agent: Where its average starts.
        task_prompts: The same of the prompts.
        past: Weight of the past in the averages; at first less, so that they soon forget their start.
    """

    def __init__(self, agent: ARCPromptGuidedAgentGPU, task_prompts: TaskPrompts, past: float) -> None:
        super().__init__()
        self.agent = copy.deepcopy(agent)
        self.task_prompts = copy.deepcopy(task_prompts)
        self._past = past
        self.requires_grad_(False)

    def move(self, agent: ARCPromptGuidedAgentGPU, task_prompts: TaskPrompts, step: int) -> None:
        """Move the averages towards the weights as they are after a 1-based step."""
        share = 1 - min(self._past, step / (step + 10))
        move_mean(self.agent, agent, share)
        move_mean(self.task_prompts, task_prompts, share)
