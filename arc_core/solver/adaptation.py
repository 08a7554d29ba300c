"""Trains an agent and a prompt on one task: what is learned, how it is averaged, what it then predicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from arc_core.data.grids import NUM_COLORS
from arc_core.pipeline.averaged import AveragedWeights
from arc_core.pipeline.canvas import CanvasBatch, Item, pack
from arc_core.pipeline.canvas_loss import canvas_losses
from arc_core.pipeline.canvas_planner import CanvasPlanner, Planned
from arc_core.pipeline.declared import WEIGHTS
from arc_core.pipeline.loss import EFELoss
from arc_core.pipeline.planner import Planner, one_hot
from arc_core.pipeline.task_prompts import SYMMETRIES
from arc_core.solver.config import SolverConfig
from arc_core.training.optimizer import (
    Component,
    MixedPrecision,
    Precision,
    backward_and_step,
    make_optimizer,
    set_rates,
)

WARM_UP = 0.05
FINAL_RATE = 0.05
CLIP_NORM = 1.0


class TaskPrompt(nn.Module):
    """What is learned of one task alone: its prompt, or the shift of one that is read, and of its views'.

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
        seed: Decides what the loss starts from, where it has weights of its own.
    """

    def __init__(
        self,
        net: CanvasPlanner,
        config: SolverConfig,
        device: torch.device,
        start: Tensor | None = None,
        seed: int = 0,
    ) -> None:
        self.config = config
        self.device = device
        self.step = 0
        self.precision = MixedPrecision(device, cast(Precision, config.amp))
        self._net = net
        start = torch.zeros(SYMMETRIES, config.prompt_dim) if start is None else start
        self._prompt = TaskPrompt(config.prompt_dim, config.color_maps, start).to(device)
        self._means = AveragedWeights(net, self._prompt, config.ema)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._efe_loss, self._backward = _loss_of(config)
        judges = [*self._efe_loss.to(device).parameters()]
        if self._backward is not None:
            judges += self._backward.to(device).parameters()
        # What the loss itself learns must not take from the agent's share of the clipping.
        self._components = [
            Component.of("agent", [*net.parameters(), *self._prompt.parameters()]),
            Component.of("efe_loss", judges),
        ]
        rated = [(component, config.adapt_lr) for component in self._components]
        self._optimizers = [make_optimizer(rated, "adamw", config.weight_decay)]

    def train(self, batch: CanvasBatch, steps: int) -> float:
        """Take one of `steps` steps; one whose gradient is not finite changes no weight.

        Args:
            batch: Demonstrations; those of a group are each other's context.
            steps: Steps of the whole adaptation, for the learning rate.

        Returns:
            The cross-entropy of the plans with the outputs.
        """
        config = self.config
        set_rates(self._optimizers, rate_factor(self.step, steps))
        if self.step == 0 and config.lambda_z:
            cells = one_hot(batch.targets, batch.out_mask).sum(dim=(0, 1, 2))
            self._efe_loss.set_anchor(cells / cells.sum())
        with self.precision.autocast():
            planned = self._net(batch, self._prompt(batch.views))
        losses, _ = canvas_losses(
            self._efe_loss,
            planned,
            planned.prompts,
            batch,
            self._backward,
            self.precision,
            hard_cell_gain=config.hard_cell_gain,
        )
        _, applied = backward_and_step(
            losses["total"], self._optimizers, self._components, self.precision, CLIP_NORM
        )
        loss, taken, scale = torch.stack(
            [losses["consistency"].detach(), applied.float(), self.precision.scale()]
        ).tolist()
        self.precision.settle(bool(taken), scale)
        if taken and config.lambda_prompt:
            self._efe_loss.remember_outcomes(batch.targets, batch.out_mask)
        self.step += 1
        self._means.move(self._net, self._prompt, self.step)
        return loss

    @torch.inference_mode()
    def plan(self, items: Sequence[Item]) -> tuple[CanvasBatch, Planned]:
        """What the averaged weights say of some items, and the items as a batch."""
        batch = pack(items).to(self.device)
        with self.precision.autocast():
            return batch, self._means.agent(batch, self._means.task_prompts(batch.views))


def _loss_of(config: SolverConfig) -> tuple[EFELoss, Planner | None]:
    """The loss, and the backward planner that it is told of where it trains one."""
    weights = {name: getattr(config, name) for name in WEIGHTS.values()}
    loss = EFELoss(**weights, prompt_dim=config.prompt_dim, every_step=True)
    if config.backward == "flip" or not config.lambda_bi:
        return loss, None
    return loss, Planner(NUM_COLORS, max(config.width // 4, 8), config.prompt_dim, config.steps)


def rate_factor(step: int, steps: int) -> float:
    """Factor on the learning rate before a 0-based step: a short rise, then a cosine down to a twentieth."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * done))
