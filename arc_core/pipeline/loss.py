"""Phase 2c, step 9: the Expected Free Energy loss, one function a term.

    total = λ_risk KL(Q→(o) || C) + λ_amb E H(P(o|s)) + λ_step T + λ_cons CE(Q→(o_T), δ)
          + λ_bi (JS(Q→, Q←) + CE of the reconstruction) + λ_z (KL(σ(c) || Ĉ) + KL(o* || C))
          + λ_prompt L_prompt + λ_size w_size CE(size)

Every per-cell term is a mean over the cells of its own grid, then over the batch: a padded batch is
the mean of its pairs.

Shape legend: B pairs, T planning steps, H and W padded sides, C colours, P prompt, S sides 1..30.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arc_core.data.grids import MAX_SIDE, NUM_COLORS
from arc_core.pipeline.outcome_encoder import OutcomeEncoder
from arc_core.pipeline.padding import GridBatch
from arc_core.pipeline.planner import color_log_probabilities, color_probabilities, one_hot

TERMS: tuple[str, ...] = (
    "risk",
    "ambiguity",
    "step",
    "consistency",
    "bidirectional",
    "z_anchor",
    "prompt",
    "size",
)

SAME_OUTCOME = 0.1
"""Distance of two embeddings, in their lengths, below which their outcomes are taken to be the same."""


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
    shares = (log_predicted.exp() * mask[:, None, :, :, None]).sum(dim=(2, 3))
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


def jensen_shannon_term(log_forward: Tensor, log_backward: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """True Jensen-Shannon divergence between both trajectories, cell by cell, [B].

    Args:
        log_forward: [B, T, H, W, C] log-probabilities of the forward plan.
        log_backward: The backward plan's, already in reversed time.
        mask: [B, H, W].
        weights: [B, H, W], of mean 1 in each grid.
    """
    middle = torch.logaddexp(log_forward, log_backward) - math.log(2.0)
    divergence = 0.5 * (
        (log_forward.exp() * (log_forward - middle)).sum(dim=-1)
        + (log_backward.exp() * (log_backward - middle)).sum(dim=-1)
    )
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


class EFELoss(nn.Module):
    """The loss of phase 2c, with the size term.

    Its parameters are the colour preferences C (a base c, and what the prompt adds to it) and the
    encoder of outcomes; its buffers are the anchor Ĉ and the last outcomes' embeddings.

    Args:
        lambda_risk: Weight of the risk.
        lambda_amb: Weight of the ambiguity.
        lambda_step: Price of a planning step, a constant.
        lambda_cons: Weight of the last step's cross-entropy.
        lambda_bi: Weight of the bidirectional term.
        lambda_z: Weight of the preferences' anchor and fit.
        lambda_prompt: Weight of the prompt's consistency.
        max_grid_size: Longest side, in cells.
        num_colors: Colours of a grid.
        prompt_dim: Width of the prompt.
        lambda_size: Weight of the size term, times the curriculum's.
        anchor_momentum: Weight of a stored pair's histogram in Ĉ.
        past_outcomes: Earlier outcomes that a prompt is told apart from.
        every_step: Hold every planning step against the target, the later ones weighing more, instead of
            the last alone.
    """

    anchor: Tensor
    past: Tensor
    past_seen: Tensor

    def __init__(
        self,
        lambda_risk: float = 1.0,
        lambda_amb: float = 0.0,
        lambda_step: float = 0.1,
        lambda_cons: float = 1.0,
        lambda_bi: float = 0.5,
        lambda_z: float = 0.2,
        lambda_prompt: float = 0.3,
        max_grid_size: int = MAX_SIDE,
        num_colors: int = NUM_COLORS,
        prompt_dim: int = 256,
        lambda_size: float = 1.0,
        anchor_momentum: float = 0.01,
        past_outcomes: int = 64,
        every_step: bool = False,
    ) -> None:
        super().__init__()
        self.weights = dict(
            zip(
                TERMS,
                (
                    lambda_risk, lambda_amb, lambda_step, lambda_cons,
                    lambda_bi, lambda_z, lambda_prompt, lambda_size,
                ),
                strict=True,
            )
        )  # fmt: skip
        self.max_grid_size = max_grid_size
        self.num_colors = num_colors
        self.anchor_momentum = anchor_momentum
        self.every_step = every_step
        self.preference = nn.Parameter(torch.zeros(num_colors))
        self.preference_of_prompt = nn.Linear(prompt_dim, num_colors, bias=False)
        self.outcome = OutcomeEncoder(num_colors, prompt_dim)
        self.register_buffer("anchor", torch.full((num_colors,), 1.0 / num_colors))
        self.register_buffer("past", torch.zeros(past_outcomes, prompt_dim))
        self.register_buffer("past_seen", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def set_anchor(self, shares: Tensor) -> None:
        """Start Ĉ at the training set's colour shares [C], kept off zero so that the KL is finite."""
        smoothed = shares.to(self.anchor) + 1e-3
        self.anchor.copy_(smoothed / smoothed.sum())

    @torch.no_grad()
    def move_anchor(self, shares: Tensor) -> None:
        """Move Ĉ a little towards the colour shares [n, C] of pairs that were stored, one after the other."""
        past, count = 1.0 - self.anchor_momentum, len(shares)
        weights = torch.tensor([past**later for later in reversed(range(count))], device=shares.device)
        self.anchor.mul_(past**count).add_(weights @ shares.to(self.anchor), alpha=self.anchor_momentum)

    @torch.no_grad()
    def remember_outcomes(self, target: Tensor, mask: Tensor) -> None:
        """Keep the embeddings of a batch's outcomes, [B, H, W] colours, over the oldest ones kept."""
        fresh = self.outcome(one_hot(target, mask, self.num_colors), mask)[-len(self.past) :]
        where = (self.past_seen + torch.arange(len(fresh), device=fresh.device)) % len(self.past)
        self.past[where] = fresh.to(self.past)
        self.past_seen += len(fresh)

    def log_preferences(self, prompt: Tensor | None, batch: int) -> Tensor:
        """Preferred colours C as log-probabilities [B, C]; the base alone without a prompt."""
        logits = self.preference.expand(batch, -1)
        if prompt is not None:
            logits = logits + self.preference_of_prompt(prompt)
        return logits.log_softmax(dim=-1)

    def forward(
        self,
        forward_preds: Tensor,
        backward_preds: Tensor,
        state_preds: Tensor | None,
        obs_probs: Tensor | None,
        final_pred: Tensor,
        target: Tensor,
        episode_length: int | None = None,
        prompt_embedding: Tensor | None = None,
        grid_mask: Tensor | None = None,
        *,
        cell_weights: Tensor | None = None,
        reconstruction: Tensor | None = None,
        inputs: GridBatch | None = None,
        size_logits: Tensor | None = None,
        target_sizes: Tensor | None = None,
        size_weight: float = 1.0,
        among: tuple[GridBatch, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Compute every term on the target's grid.

        A single pair comes without the leading B, as in the seed.

        Args:
            forward_preds: [B, T, H, W, C] logits of the forward plan.
            backward_preds: The backward plan's, in reversed time.
            state_preds: Logits of the state belief; stand for the observation where `obs_probs` is None.
            obs_probs: [B, T, H, W, C] probabilities P(o|s), for the ambiguity.
            final_pred: [B, H, W, C] logits of the last step.
            target: [B, H, W] colours of any numeric dtype.
            episode_length: Steps to pay for; T when None.
            prompt_embedding: [B, P]; without it the preferences are unconditioned and the prompt term 0.
            grid_mask: [B, H, W]; all cells count when None.
            cell_weights: [B, H, W] of mean 1 in each grid, from `hard_cell_weights`.
            reconstruction: [B, H', W', C] logits for the inputs, by the backward plan's last step.
            inputs: What the reconstruction is held against.
            size_logits: [B, 2, S]; the size term is 0 without them.
            target_sizes: [B, 2].
            size_weight: The curriculum's weight of the size term.
            among: All outcomes that a prompt is told apart from, and the places [B] of the own ones among
                them; None where these are all.

        Returns:
            The weighted contribution of each of `TERMS`, averaged over the batch, and their `total`.

        Raises:
            ValueError: If the two plans differ in shape.
        """
        if forward_preds.shape != backward_preds.shape:
            raise ValueError(
                f"forward_preds {tuple(forward_preds.shape)} and backward_preds "
                f"{tuple(backward_preds.shape)} must have one shape"
            )
        if forward_preds.dim() == 4:  # a single pair
            forward_preds, backward_preds = forward_preds[None], backward_preds[None]
            final_pred, target = final_pred[None], target[None]
            state_preds = None if state_preds is None else state_preds[None]
            obs_probs = None if obs_probs is None else obs_probs[None]
            prompt_embedding = None if prompt_embedding is None else prompt_embedding[None]
            grid_mask = None if grid_mask is None else grid_mask[None]
        cells = target.long()
        mask = torch.ones_like(cells, dtype=torch.float32) if grid_mask is None else grid_mask
        weights = mask if cell_weights is None else cell_weights
        zero = mask.new_zeros(len(mask))
        truth = cache(lambda: one_hot(cells, mask, self.num_colors))
        log_forward = cache(lambda: color_log_probabilities(forward_preds))
        log_preference = cache(lambda: self.log_preferences(prompt_embedding, len(mask)))

        def risk() -> Tensor:
            return risk_term(log_forward(), log_preference(), mask)

        def ambiguity() -> Tensor:
            given = forward_preds if state_preds is None else state_preds
            return ambiguity_term(color_probabilities(given) if obs_probs is None else obs_probs, mask)

        def consistency() -> Tensor:
            if not self.every_step:
                return consistency_term(final_pred, cells, mask, weights)
            told = cells[:, None, :, :, None].expand(-1, forward_preds.shape[1], -1, -1, -1)
            right = log_forward().gather(-1, told).squeeze(-1)
            shares = torch.tensor(step_weights(forward_preds.shape[1])).to(right, non_blocking=True)
            return cell_mean(-torch.einsum("bthw,t->bhw", right, shares) * weights, mask)

        def bidirectional() -> Tensor:
            agreement = jensen_shannon_term(
                log_forward(), color_log_probabilities(backward_preds), mask, weights
            )
            if reconstruction is None or inputs is None:
                return agreement
            return agreement + consistency_term(reconstruction, inputs.cells, inputs.mask, inputs.mask)

        def z_anchor() -> Tensor:
            shares = truth().sum(dim=(1, 2)) / mask.sum(dim=(1, 2))[:, None]
            fit = (torch.xlogy(shares, shares) - shares * log_preference()).sum(dim=-1)
            return kl_term(self.preference.log_softmax(dim=-1), self.anchor.log()) + fit

        def prompt() -> Tensor:
            if prompt_embedding is None:
                return zero
            # How many there are lies on the device: to cut the others off, the host would have to wait.
            known = torch.arange(len(self.past), device=mask.device) < self.past_seen
            if among is None:
                return prompt_term(prompt_embedding, self.outcome(truth(), mask), self.past, known=known)
            every, own = among
            outcomes = self.outcome(one_hot(every.cells, every.mask, self.num_colors), every.mask)
            return prompt_term(prompt_embedding, outcomes, self.past, known=known, own=own)

        def size() -> Tensor:
            if size_logits is None or target_sizes is None:
                return zero
            return size_weight * size_term(size_logits, target_sizes)

        # In this order, as gradients are added up in the reverse of it: another one is another rounding.
        terms: dict[str, Callable[[], Tensor]] = {
            "ambiguity": ambiguity,
            "bidirectional": bidirectional,
            "z_anchor": z_anchor,
            "risk": risk,
            "step": lambda: zero + (forward_preds.shape[1] if episode_length is None else episode_length),
            "consistency": consistency,
            "prompt": prompt,
            "size": size,
        }
        # What has no weight is not computed: it would cost as much as what has.
        found = {name: term() if self.weights[name] else zero for name, term in terms.items()}
        losses: dict[str, Tensor] = {name: self.weights[name] * found[name].mean() for name in TERMS}
        losses["total"] = torch.stack(list(losses.values())).sum()
        return losses
