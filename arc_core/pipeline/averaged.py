"""Averaged weights: what answers, validates and is exported, beside what is trained."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

from torch import nn

from arc_core.training.models import move_mean

Agent = TypeVar("Agent", bound=nn.Module)
Prompts = TypeVar("Prompts", bound=nn.Module)


class AveragedWeights(nn.Module, Generic[Agent, Prompts]):
    """Running averages of an agent and of what it learns of its tasks, or of a single one.

    Args:
        agent: Where its average starts.
        task_prompts: The same of the prompts.
        past: Weight of the past in the averages; at first less, so that they soon forget their start.
    """

    def __init__(self, agent: Agent, task_prompts: Prompts, past: float) -> None:
        super().__init__()
        self.agent = copy.deepcopy(agent)
        self.task_prompts = copy.deepcopy(task_prompts)
        self._past = past
        self.requires_grad_(False)

    def move(self, agent: Agent, task_prompts: Prompts, step: int) -> None:
        """Move the averages towards the weights as they are after a 1-based step."""
        share = 1 - min(self._past, step / (step + 10))
        move_mean(self.agent, agent, share)
        move_mean(self.task_prompts, task_prompts, share)
