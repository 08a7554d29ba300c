"""The terms of the Expected Free Energy loss (phase 2c, step 9), one function a term.

Every per-cell term is a mean over the cells of its own grid, [B]: a padded batch is the mean of its pairs.

Shape legend: B pairs, T planning steps, H and W padded sides, C colours, P prompt, S sides 1..30.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

SAME_OUTCOME = 0.1
"""Distance of two embeddings, in their lengths, below which their outcomes are taken to be the same."""


LEAST = torch.finfo(torch.float32).tiny
"""Of a probability whose logarithm is taken."""


def cell_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the cells of each grid: [B, H, W] and its mask to [B]."""
    return (values * mask).sum(dim=(1, 2)) / mask.sum(dim=(1, 2))


def hard_cell_weights(wrong: Tensor, mask: Tensor, gain: float) -> tuple[Tensor, Tensor]:
    """Weigh wrong cells up inside the per-cell terms, with mean 1 in each grid (fix 3).

    Args:
        wrong: [B, H, W], 1 where the prediction misses the target.
        mask: [B, H, W].
        gain: How much more a wrong cell counts; 0 weighs all alike.

    Returns:
        Weights [B, H, W] = (1 + gain wrong) / (1 + gain ratio), and the seed's mask ratio [B]. Below
        1% of wrong cells all weights are 1, so that a last cell does not dominate.
    """
    ratio = cell_mean(wrong, mask)
    weights = (1.0 + gain * wrong) / (1.0 + gain * ratio)[:, None, None]
    return torch.where((ratio >= 0.01)[:, None, None], weights, torch.ones_like(weights)), ratio


def risk_term(log_predicted: Tensor, log_preference: Tensor, mask: Tensor) -> Tensor:
    """KL from the cell-averaged predicted colours to the preferred ones, averaged over steps, [B].

    Args:
        log_predicted: [B, T, H, W, C] log-probabilities.
        log_preference: [B, C]; taken as given, so that it cannot collapse onto the prediction.
        mask: [B, H, W].
    """
    shares = torch.einsum("bthwc,bhw->btc", log_predicted.exp(), mask)
    shares = shares / mask.sum(dim=(1, 2))[:, None, None]
    log_ratio = shares.clamp_min(1e-12).log() - log_preference.detach()[:, None]
    return (shares * log_ratio).sum(dim=-1).mean(dim=1)


def ambiguity_term(observed: Tensor, mask: Tensor) -> Tensor:
    """Expected entropy of the observation in each cell, [B], from probabilities [B, T, H, W, C]."""
    # Off zero inside the logarithm alone: its gradient at a probability of exactly 0 would be NaN.
    entropy = -torch.xlogy(observed, observed.clamp_min(1e-12)).sum(dim=-1).mean(dim=1)
    return cell_mean(entropy, mask)


def consistency_term(final_logits: Tensor, target: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of the last step against the target, each cell by its weight, [B].

    Args:
        final_logits: [B, H, W, C].
        target: [B, H, W] colours.
        mask: [B, H, W].
        weights: [B, H, W], of mean 1 in each grid.
    """
    losses = F.cross_entropy(final_logits.movedim(-1, 1), target, reduction="none")
    return cell_mean(losses * weights, mask)


class _JensenShannon(torch.autograd.Function):
    """Jensen-Shannon divergence of distributions over the last axis, from their log-probabilities.

    p (log p - log m) is at once what p adds to twice the divergence and the gradient of that by log p, as the
    rest of the gradient cancels out.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, log_p: Tensor, log_q: Tensor) -> Tensor:
        p, q = log_p.exp(), log_q.exp()
        log_middle = (p + q).mul_(0.5).clamp_min_(LEAST).log_()
        of_p, of_q = p.mul_(log_p - log_middle), q.mul_(log_q - log_middle)
        ctx.save_for_backward(of_p, of_q)
        return 0.5 * (of_p.sum(dim=-1) + of_q.sum(dim=-1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        of_p, of_q = ctx.saved_tensors
        half = 0.5 * gradients[0][..., None]
        return of_p * half, of_q * half


def jensen_shannon_term(log_forward: Tensor, log_backward: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """True Jensen-Shannon divergence between both trajectories, cell by cell, [B].

    Args:
        log_forward: [B, T, H, W, C] log-probabilities of the forward plan.
        log_backward: The backward plan's, already in reversed time.
        mask: [B, H, W].
        weights: [B, H, W], of mean 1 in each grid.
    """
    divergence = _JensenShannon.apply(log_forward, log_backward)
    return cell_mean(divergence.mean(dim=1) * weights, mask)


def kl_term(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) over the last axis."""
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)


def centred_outcomes(outcome: Tensor, past: Tensor, known: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Take away what all outcomes have in common, so that a cosine tells them apart.

    Fresh embeddings of grids have cosines of 0.7 to 0.9 among each other: a pull towards one of them
    would be a pull towards all.

    Args:
        outcome: [B, P] embeddings of the batch's outcomes.
        past: [N, P] embeddings of earlier ones; N may be 0.
        known: [N], which of the earlier ones there are; None for all.

    Returns:
        Directions [B + N, P], the batch's first, of length 1 but for those that hardly differ from the
        common part, which are shorter instead of blown up; a lone outcome keeps its own direction.
        And [B, B + N], whether two outcomes are the same.
    """
    every = torch.cat([outcome, past])
    counted = every.new_ones(len(every))
    if known is not None:
        counted[len(outcome) :] = known.to(every)
    count = counted.sum()
    least = SAME_OUTCOME * (every.detach().norm(dim=-1) @ counted) / count
    same = torch.cdist(outcome.detach(), every.detach()) < least
    centred = every - (counted @ every) / count * (count > 1)
    return centred / centred.norm(dim=-1, keepdim=True).clamp_min(least), same


def prompt_term(
    prompt: Tensor,
    outcome: Tensor,
    past: Tensor,
    temperature: float = 0.1,
    known: Tensor | None = None,
    own: Tensor | None = None,
) -> Tensor:
    """Pull each prompt towards its own outcome and away from the others (fix 6), [B].

    One minus the cosine, plus InfoNCE (van den Oord et al. 2018) over the batch's outcomes and the past
    ones, which give a batch of one pair something to be told apart from. An outcome that is the same as
    a pair's own, such as that of an earlier epoch, is none of its others.

    Args:
        prompt: [B, P].
        outcome: [B, P] embedding of each pair's outcome.
        past: [N, P] embeddings of earlier outcomes, without gradient.
        temperature: Of InfoNCE.
        known: [N], which of the earlier outcomes there are; None for all.
        own: [B] the place of each prompt's outcome, where there are more outcomes than prompts.
    """
    directions, same = centred_outcomes(outcome, past, known)
    if known is not None:
        same[:, len(outcome) :] |= ~known
    cosine = F.normalize(prompt, dim=-1) @ directions.T
    rows = torch.arange(len(prompt), device=cosine.device)
    own = rows if own is None else own
    same = same[own]
    same[rows, own] = False
    scores = (cosine / temperature).masked_fill(same, -torch.inf)
    return 1.0 - cosine[rows, own] + F.cross_entropy(scores, own, reduction="none")


def size_term(size_logits: Tensor, target_sizes: Tensor) -> Tensor:
    """Cross-entropy of height plus that of width, [B], from [B, 2, S] and [B, 2]."""
    return F.cross_entropy(size_logits.movedim(-1, 1), target_sizes - 1, reduction="none").sum(dim=1)


def step_weights(steps: int) -> list[float]:
    """Weights of the planning steps in the loss: rising to the last, which has half; sum 1."""
    raw = [2.0 ** (step - steps + 1) for step in range(steps)]
    return [weight / sum(raw) for weight in raw]
