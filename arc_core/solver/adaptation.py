"""Trains an agent and a prompt on one task: what is learned, how it is averaged, what it then predicts."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from arc_core.pipeline.canvas import CanvasBatch, Item, pack
from arc_core.pipeline.canvas_planner import SIZE_WEIGHT, CanvasPlanner, Planned, planning_loss
from arc_core.pipeline.muon import agent_optimizers
from arc_core.pipeline.task_prompts import SYMMETRIES
from arc_core.solver.config import SolverConfig
from arc_core.solver.refinement import PromptRefinement
from arc_core.solver.terms import SolverTerms, cell_weights, size_factor
from arc_core.training.optimizer import Component, MixedPrecision, Precision, backward_and_step, set_rates

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

    start: Tensor

    def __init__(self, prompt_dim: int, color_maps: int, start: Tensor) -> None:
        super().__init__()
        self.register_buffer("start", start.clone(), persistent=False)
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
        seed: Decides what the terms of the loss start from, where they have weights of their own.
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
        self._seed = seed
        self._refinement: PromptRefinement | None = None
        self._net = net
        start = torch.zeros(SYMMETRIES, config.prompt_dim) if start is None else start
        self._prompt = TaskPrompt(config.prompt_dim, config.color_maps, start).to(device)
        self._parameters = [*net.parameters(), *self._prompt.parameters()]
        self._mean_net, self._mean_prompt = copy.deepcopy((net, self._prompt))
        self._means = [*self._mean_net.parameters(), *self._mean_prompt.parameters()]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._terms = SolverTerms(config).to(device)
        # What the terms learn must not take from the agent's share of the clipping.
        parts = (("agent", self._parameters), ("efe_loss", self._terms.parameters()))
        self._components = [part for part in (Component.of(*p) for p in parts) if part.parameters]
        made = agent_optimizers(
            net,
            [*self._prompt.parameters(), *self._terms.parameters()],
            kind="adamw",
            rate=config.adapt_lr,
            weight_decay=config.weight_decay,
        )
        self._optimizers = list(made.values())

    def train(self, batch: CanvasBatch, steps: int) -> float:
        """Take one of `steps` steps; one whose gradient is not finite changes no weight.

        Args:
            batch: Demonstrations; those of a group are each other's context.
            steps: Steps of the whole adaptation, for the learning rate.

        Returns:
            The loss of the plans.
        """
        set_rates(self._optimizers, rate_factor(self.step, steps))
        if self.step == 0:
            self._terms.start(batch)
        with self.precision.autocast():
            shift = self._prompt(batch.views)
            planned = self._net(batch, shift)
            backward = self._terms.plan_backward(planned, batch)
        loss, others = self._losses(planned, batch, shift, backward, steps)
        backward_and_step(loss + others, self._optimizers, self._components, self.precision, CLIP_NORM)
        self.step += 1
        self._average()
        return loss.item()

    def _losses(
        self, planned: Planned, batch: CanvasBatch, shift: Tensor, backward: Tensor | None, steps: int
    ) -> tuple[Tensor, Tensor]:
        """The loss of the plans, and the sum of all others by their weights."""
        config = self.config
        weights = cell_weights(planned, batch, config.hard_cell_gain) if config.hard_cell_gain else None
        loss, size_loss = planning_loss(planned, batch, weights)
        others = SIZE_WEIGHT * size_factor(config.warm_up, self.step, steps) * size_loss
        if self._terms.on:
            even = batch.out_mask if weights is None else weights
            moved = shift - self._prompt.start[batch.views[:, 0]]
            others = others + sum(self._terms(planned, batch, moved, backward, even).values())
        return loss, others

    def refine(self, draw: Callable[[int], Sequence[Item]], steps: int) -> float:
        """Let a policy learn to refine the prompts that `plan` plans under.

        Args:
            draw: Demonstrations for a 0-based step; those of a group are each other's context.
            steps: Updates of the policy.

        Returns:
            The reward that it brings on demonstrations; it is used where this is above 0.
        """
        found_again = self._terms.found_again if self._terms.planner is not None else None
        refinement = PromptRefinement(
            self._plan_batch, self.config.prompt_dim, self.device, self._seed, found_again
        )
        gained = refinement.learn(draw, steps)
        self._refinement = refinement
        return gained

    @torch.inference_mode()
    def plan(self, items: Sequence[Item]) -> tuple[CanvasBatch, Planned]:
        """What the averaged weights say of some items, and the items as a batch."""
        batch = pack(items).to(self.device)
        planned = self._plan_batch(batch)
        if self._refinement is not None and self._refinement.useful:
            planned = self._plan_batch(batch, self._refinement.change(items, planned.prompts))
        return batch, planned

    @torch.no_grad()
    def _plan_batch(self, batch: CanvasBatch, change: Tensor | None = None) -> Planned:
        with self.precision.autocast():
            shift = self._mean_prompt(batch.views)
            return self._mean_net(batch, shift if change is None else shift + change)

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
