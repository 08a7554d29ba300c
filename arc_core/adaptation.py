"""Trains an agent and a prompt on one task: what is learned, how it is averaged, what it then predicts."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from arc_core.optimizer import MixedPrecision, Precision
from arc_core.solver_batch import Item, SolverBatch, pack
from arc_core.solver_config import SolverConfig
from arc_core.solver_net import SYMMETRIES, Planned, SolverNet, planning_loss

WARM_UP = 0.05
FINAL_RATE = 0.05
CLIP_NORM = 1.0
SIZE_WEIGHT = 0.1
"""Of the size head's loss beside the plan's."""


class TaskPrompt(nn.Module):
    """What is learned of one task alone: a shift of its prompt, and what tells its views apart.

    Args:
        prompt_dim: Width of the prompt.
        color_maps: Namings of the colours among the views.
        start: [8, P] to start from under each symmetry.
    """

    def __init__(self, prompt_dim: int, color_maps: int, start: Tensor) -> None:
        super().__init__()
        self.task = nn.Parameter(torch.zeros(prompt_dim))
        self.symmetries = nn.Parameter(start.clone())
        self.color_maps = nn.Parameter(torch.zeros(color_maps, prompt_dim))

    def forward(self, views: Tensor) -> Tensor:
        """The shift of each item's prompt: [N, 2] symmetry and colour map to [N, P]."""
        return self.task + self.symmetries[views[:, 0]] + self.color_maps[views[:, 1]]


class Adaptation:
    """A net and a prompt on their way from where they started to what fits a task.

    Args:
        net: Is trained in place.
        config: Of the adaptation.
        device: Where the net is.
        start: [8, P] the prompt to start from under each symmetry; None is 0.
    """

    def __init__(
        self, net: SolverNet, config: SolverConfig, device: torch.device, start: Tensor | None = None
    ) -> None:
        self.config = config
        self.device = device
        self.step = 0
        self.precision = MixedPrecision(device, cast(Precision, config.amp))
        self._net = net
        start = torch.zeros(SYMMETRIES, config.prompt_dim) if start is None else start
        self._prompt = TaskPrompt(config.prompt_dim, config.color_maps, start).to(device)
        self._parameters = [*net.parameters(), *self._prompt.parameters()]
        self._mean_net, self._mean_prompt = copy.deepcopy((net, self._prompt))
        self._means = [*self._mean_net.parameters(), *self._mean_prompt.parameters()]
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=config.adapt_lr, weight_decay=config.weight_decay, fused=True
        )

    def train(self, batch: SolverBatch, steps: int) -> float:
        """Take one of `steps` steps.

        Args:
            batch: Demonstrations; those of a group are each other's context.
            steps: Steps of the whole adaptation, for the learning rate.

        Returns:
            The loss of the plans.
        """
        rate = self.config.adapt_lr * rate_factor(self.step, steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        with self.precision.autocast():
            planned = self._net(batch, self._prompt(batch.views))
        loss, size_loss = planning_loss(planned, batch, deep=self.config.deep_supervision)
        self._optimizer.zero_grad(set_to_none=True)
        (loss + SIZE_WEIGHT * size_loss).backward()
        nn.utils.clip_grad_norm_(self._parameters, CLIP_NORM)
        self._optimizer.step()
        self.step += 1
        self._average()
        return loss.item()

    @torch.inference_mode()
    def plan(self, items: Sequence[Item]) -> tuple[SolverBatch, Planned]:
        """What the averaged weights say of some items, and the items as a batch."""
        batch = pack(items).to(self.device)
        with self.precision.autocast():
            planned = self._mean_net(batch, self._mean_prompt(batch.views))
        return batch, planned

    @torch.no_grad()
    def _average(self) -> None:
        # The average forgets its start faster than it forgets later on.
        share = 1 - min(self.config.ema, self.step / (self.step + 10))
        for mean, value in zip(self._means, self._parameters, strict=True):
            mean.lerp_(value, share)


def rate_factor(step: int, steps: int) -> float:
    """Factor on the learning rate before a 0-based step: a short rise, then a cosine down to a twentieth."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * done))
