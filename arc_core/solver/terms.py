"""The terms of the EFE loss that the adaptation to a task can be given beside its cross-entropy.

Each is the term of `arc_core.pipeline.loss`, on the outputs' canvas and over the demonstrations of a batch.
All are off unless `SolverConfig` gives them a weight: what they do to solved tasks stands in docs/results.md.

Shape legend: N pairs, T planning steps, h and w sides of the outputs' canvas, C colours, P prompt.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from arc_core.data.grids import NUM_COLORS
from arc_core.pipeline.canvas import CanvasBatch
from arc_core.pipeline.canvas_planner import Planned, input_under_output
from arc_core.pipeline.curriculum import SizeWarmupCurriculum
from arc_core.pipeline.loss import (
    OutcomeEncoder,
    ambiguity_term,
    cell_mean,
    hard_cell_weights,
    jensen_shannon_term,
    kl_term,
    prompt_term,
    risk_term,
)
from arc_core.pipeline.planner import Planner, one_hot
from arc_core.solver.config import SolverConfig

BACKWARD_SHARE = 4
"""The forward planner is so many times as wide as the backward one, as in the pipeline."""

SEED_EPOCHS = 20
"""Epochs of the seed's run, which an adaptation stands for where a schedule counts epochs."""


class ColorPreferences(nn.Module):
    """The colours that an outcome should have: a base preference c, and what the prompt adds to it.

    Args:
        prompt_dim: Width of the prompt.
    """

    anchor: Tensor
    anchored: Tensor

    def __init__(self, prompt_dim: int) -> None:
        super().__init__()
        self.base = nn.Parameter(torch.zeros(NUM_COLORS))
        self.of_prompt = nn.Linear(prompt_dim, NUM_COLORS, bias=False)
        nn.init.zeros_(self.of_prompt.weight)
        self.register_buffer("anchor", torch.full((NUM_COLORS,), 1.0 / NUM_COLORS))
        self.register_buffer("anchored", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def start(self, shares: Tensor) -> None:
        """Start preference and anchor at colour shares [C], unless that was done before."""
        if not self.anchored:
            smoothed = shares + 1e-3
            self.anchor.copy_(smoothed / smoothed.sum())
            self.base.copy_(self.anchor.log())
            self.anchored.fill_(True)

    def forward(self, prompts: Tensor) -> Tensor:
        """Log-probabilities of the colours: [N, P] to [N, C]."""
        return (self.base + self.of_prompt(prompts)).log_softmax(dim=-1)

    def distance_from_anchor(self) -> Tensor:
        """KL(σ(c) || Ĉ)."""
        return kl_term(self.base.log_softmax(dim=-1), self.anchor.log())


class SolverTerms(nn.Module):
    """The terms that are on, with what they need to be computed. Without any it has no parameters.

    Args:
        config: Which are on, and their weights.
    """

    def __init__(self, config: SolverConfig) -> None:
        super().__init__()
        self.config = config
        self._direction = config.bidirectional if config.lambda_bi else "off"
        consistent = config.prompt_consistency == "outcome" and config.lambda_prompt > 0
        self.on = (
            self._direction != "off"
            or consistent
            or any((config.lambda_risk, config.lambda_amb, config.lambda_step, config.lambda_z))
        )
        self.preferences = ColorPreferences(config.prompt_dim) if config.lambda_risk else None
        self.planner = (
            Planner(NUM_COLORS, max(8, config.width // BACKWARD_SHARE), config.prompt_dim, config.steps)
            if self._direction == "planner"
            else None
        )
        self.outcome = OutcomeEncoder(NUM_COLORS, config.prompt_dim) if consistent else None

    def plan_backward(self, planned: Planned, batch: CanvasBatch) -> Tensor | None:
        """Logits [N, T, h, w, C] of the plan from each output back to its input, its first step first.

        None where there is no backward plan; the flipped forward one where that stands for it.
        """
        if self.planner is not None:
            return self.planner(one_hot(batch.targets, batch.out_mask), planned.prompts, batch.out_mask)
        return planned.logits if self._direction == "flip" else None

    def forward(
        self, planned: Planned, batch: CanvasBatch, moved: Tensor, backward: Tensor | None, weights: Tensor
    ) -> dict[str, Tensor]:
        """The weighted contribution of each term that is on, a mean over the demonstrations; at least one is.

        Args:
            planned: Of the batch.
            batch: Items without a target do not count.
            moved: [N, P] how far the prompts have moved from where the adaptation began.
            backward: Of `plan_backward`.
            weights: [N, h, w] of each cell, of mean 1 in each grid.
        """
        config, mask = self.config, batch.out_mask
        log_forward = planned.logits.log_softmax(dim=-1)
        terms: dict[str, tuple[float, Tensor]] = {}
        if self.preferences is not None:
            # Taken as given: the preferences learn from outcomes, not from what would please the prompt.
            log_preference = self.preferences(planned.prompts.detach())
            terms["risk"] = config.lambda_risk, risk_term(log_forward, log_preference, mask)
            terms["preferences"] = 1.0, preference_fit(log_preference, batch)
        if config.lambda_amb:
            terms["ambiguity"] = config.lambda_amb, ambiguity_term(log_forward.exp(), mask)
        if config.lambda_step:
            terms["step"] = config.lambda_step, steps_to_pay(log_forward, batch)
        if backward is not None:
            agreement = jensen_shannon_term(
                log_forward, backward.float().flip(1).log_softmax(dim=-1), mask, weights
            )
            if self.planner is not None:
                agreement = agreement + reconstruction_loss(backward[:, -1].float(), batch)
            terms["bidirectional"] = config.lambda_bi, agreement
        if config.lambda_z:
            strayed = moved.float().square().mean(dim=-1)
            if self.preferences is not None:
                strayed = strayed + self.preferences.distance_from_anchor()
            terms["z_anchor"] = config.lambda_z, strayed
        if self.outcome is not None:
            outcomes = self.outcome(one_hot(batch.targets, mask), mask)
            terms["prompt"] = config.lambda_prompt, prompt_term(planned.prompts, outcomes, outcomes[:0])
        known = batch.known / batch.known.sum().clamp_min(1)
        return {name: weight * (values * known).sum() for name, (weight, values) in terms.items()}

    @torch.no_grad()
    def found_again(self, batch: CanvasBatch, colors: Tensor, prompts: Tensor) -> Tensor:
        """Share of each input that the backward planner is expected to find again, [N].

        Args:
            batch: With the inputs.
            colors: [N, h, w] what it plans back from.
            prompts: [N, P].

        Raises:
            ValueError: If there is no backward planner.
        """
        if self.planner is None:
            raise ValueError("only a backward planner finds inputs again")
        logits = self.planner(one_hot(colors, batch.out_mask), prompts, batch.out_mask)[:, -1].float()
        under = input_under_output(batch)
        found = (under * logits.softmax(dim=-1)).sum(dim=(1, 2, 3))
        return found / under.sum(dim=(1, 2, 3)).clamp_min(1)

    def start(self, batch: CanvasBatch) -> None:
        """Let the colour preferences begin at the shares of a first batch's outputs."""
        if self.preferences is not None:
            known = batch.known / batch.known.sum().clamp_min(1)
            self.preferences.start((color_shares(batch) * known[:, None]).sum(dim=0))


def color_shares(batch: CanvasBatch) -> Tensor:
    """Share of each colour in each output, [N, C]."""
    cells = one_hot(batch.targets, batch.out_mask).sum(dim=(1, 2))
    return cells / batch.out_mask.sum(dim=(1, 2))[:, None]


def preference_fit(log_preference: Tensor, batch: CanvasBatch) -> Tensor:
    """KL(o* || C) of the outputs' colours from the preferred ones [N, C], [N]."""
    shares = color_shares(batch)
    return (torch.xlogy(shares, shares) - shares * log_preference).sum(dim=-1)


def steps_to_pay(log_forward: Tensor, batch: CanvasBatch) -> Tensor:
    """Planning steps at which a cell is not right yet, in expectation and over the cells of each grid, [N].

    The seed pays for all T, a constant that teaches nothing. Here a step is paid for as far as the plan was
    not there yet, so a plan that is right early is cheaper.

    Args:
        log_forward: [N, T, h, w, C] log-probabilities.
        batch: With the targets.
    """
    targets = batch.targets[:, None, :, :, None].expand(-1, log_forward.shape[1], -1, -1, -1)
    right = log_forward.gather(-1, targets).squeeze(-1).exp()
    return cell_mean((1.0 - right).sum(dim=1), batch.out_mask)


def reconstruction_loss(logits: Tensor, batch: CanvasBatch) -> Tensor:
    """Cross-entropy of a backward plan's end [N, h, w, C] with the input under the output, [N]."""
    under = input_under_output(batch)
    entropy = -(under * logits.log_softmax(dim=-1)).sum(dim=(1, 2, 3))
    return entropy / under.sum(dim=(1, 2, 3)).clamp_min(1)


def cell_weights(planned: Planned, batch: CanvasBatch, gain: float) -> Tensor:
    """Weights of the cells, more where the last step is wrong, [N, h, w] of mean 1 in each grid."""
    wrong = (planned.logits[:, -1].detach().argmax(dim=-1) != batch.targets).float() * batch.out_mask
    return hard_cell_weights(wrong, batch.out_mask, gain)[0]


def size_factor(warm_up: str, step: int, steps: int) -> float:
    """Factor on the size head's loss before a 0-based step.

    Where sizes warm up it falls from 2 to 1 as the seed's weight falls from 1 to a half over its first
    epochs.
    """
    if warm_up != "size":
        return 1.0
    curriculum = SizeWarmupCurriculum()
    return curriculum.get_size_loss_weight(SEED_EPOCHS * step // max(steps, 1)) / curriculum.end
