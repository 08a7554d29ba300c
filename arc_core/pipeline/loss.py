"""Phase 2c, step 9: the Expected Free Energy loss.

    total = λ_risk KL(Q→(o) || C) + λ_amb E H(P(o|s)) + λ_step T + λ_cons CE(Q→(o_T), δ)
          + λ_bi (JS(Q→, Q←) + CE of the reconstruction) + λ_z (KL(σ(c) || Ĉ) + KL(o* || C))
          + λ_prompt L_prompt + λ_size w_size CE(size)

Every per-cell term is a mean over the cells of its own grid, then over the batch: a padded batch is
the mean of its pairs.

Shape legend: B pairs, T planning steps, H and W padded sides, C colours, P prompt, S sides 1..30.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from arc_core.data.grids import MAX_SIDE, NUM_COLORS
from arc_core.pipeline.loss_terms import (
    ambiguity_term,
    cell_mean,
    consistency_term,
    jensen_shannon_term,
    kl_term,
    prompt_term,
    risk_term,
    size_term,
    step_weights,
)
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


def _once(make: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Make a tensor when it is first asked for; `functools.cache` as torch can compile it."""
    made: list[Tensor] = []

    def found() -> Tensor:
        if not made:
            made.append(make())
        return made[0]

    return found


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
        truth = _once(lambda: one_hot(cells, mask, self.num_colors))
        log_forward = _once(lambda: color_log_probabilities(forward_preds))
        log_preference = _once(lambda: self.log_preferences(prompt_embedding, len(mask)))

        def risk() -> Tensor:
            return risk_term(log_forward(), log_preference(), mask)

        def ambiguity() -> Tensor:
            given = forward_preds if state_preds is None else state_preds
            return ambiguity_term(color_probabilities(given) if obs_probs is None else obs_probs, mask)

        def consistency() -> Tensor:
            if not self.every_step:
                return consistency_term(final_pred, cells, mask, weights)
            told = cells[:, None, None].expand(-1, forward_preds.shape[1], -1, -1, -1)
            # Over planes, as the logarithms lie: so their gradient does too.
            right = log_forward().movedim(-1, 2).gather(2, told).squeeze(2)
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
