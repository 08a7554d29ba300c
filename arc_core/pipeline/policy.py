"""Phase 2d, steps 4, 7 and 8: the policy that refines the prompt.

REINFORCE with a value baseline over a tanh-squashed Gaussian, an entropy bonus, and curiosity by an
intrinsic curiosity module (ICM, Pathak et al. 2017). The policy has an optimizer of its own and sees
everything detached: the agent's graph and the policy's never meet.

Shape legend: B pairs, P prompt, K control vector, F feature summary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Normal

from arc_core.pipeline import reward as metrics
from arc_core.training.optimizer import clip, step_if


@dataclass(frozen=True)
class PolicyRefinedConfig:
    """Settings of the policy, under the seed's names.

    Attributes:
        rl_prompt_dim: Width of the prompt, and of the action.
        rl_ctrl_dim: Width of the control vector.
        rl_feat_dim: Width of the feature summary, and of the outcome that curiosity predicts.
        rl_lr: Rate of the policy's own Adam.
        rl_entropy_coef: Weight of the entropy bonus.
        rl_icm_coef: Weight of curiosity, both as a bonus and as a loss.
        rl_hidden_dim: Width of the hidden layers.
        rl_delta_scale: Largest change of a prompt's coordinate.
        rl_clip_norm: Largest norm of the policy's gradient.
        rl_directions: Directions that an action goes along; None lets it change each coordinate of the
            prompt by itself, as the seed does.
    """

    rl_prompt_dim: int = 256
    rl_ctrl_dim: int = 256
    rl_feat_dim: int = 32
    rl_lr: float = 5e-5
    rl_entropy_coef: float = 0.01
    rl_icm_coef: float = 0.1
    rl_hidden_dim: int = 128
    rl_delta_scale: float = 0.25
    rl_clip_norm: float = 1.0
    rl_directions: int | None = None

    @property
    def action_dim(self) -> int:
        """Numbers of an action."""
        return self.rl_prompt_dim if self.rl_directions is None else self.rl_directions


@dataclass
class RefineInfo:
    """What `refine_prompt` leaves for `update`.

    Attributes:
        state: [B, P + K + F] what the policy saw.
        summary: [B, F] the features, curiosity's state.
        pre_tanh: [B, A] the Gaussian sample behind the action.
        outcome: [B, F] what came of it; curiosity is silent while None.
    """

    state: Tensor
    summary: Tensor
    pre_tanh: Tensor
    outcome: Tensor | None = None


def tanh_log_prob(distribution: Normal, pre_tanh: Tensor) -> Tensor:
    """Log-density of tanh(pre_tanh), summed over the last axis.

    log p(tanh u) = log p(u) - log(1 - tanh(u)^2), the latter in its stable form
    2 (log 2 - u - softplus(-2u)) (Haarnoja et al. 2018, appendix C).
    """
    correction = 2.0 * (math.log(2.0) - pre_tanh - F.softplus(-2.0 * pre_tanh))
    return (distribution.log_prob(pre_tanh) - correction).sum(dim=-1)


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, outputs))


class PolicyRefinedAgent(nn.Module):
    """Refines prompts and learns from the reward that each refinement brought.

    Args:
        config: Its settings.
        device: Where it lives.
    """

    def __init__(self, config: PolicyRefinedConfig | None = None, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.config = config = config or PolicyRefinedConfig()
        state_dim = config.rl_prompt_dim + config.rl_ctrl_dim + config.rl_feat_dim
        action_dim = config.action_dim
        self.actor = _mlp(state_dim, config.rl_hidden_dim, action_dim)
        self.log_std = nn.Parameter(torch.full((action_dim,), -0.5))
        self.critic = _mlp(state_dim, config.rl_hidden_dim, 1)
        self.icm_forward = _mlp(config.rl_feat_dim + action_dim, config.rl_hidden_dim, config.rl_feat_dim)
        self.icm_inverse = _mlp(2 * config.rl_feat_dim, config.rl_hidden_dim, action_dim)
        nn.init.zeros_(self.actor[-1].bias)  # pyright: ignore[reportArgumentType]
        with torch.no_grad():  # the first refinements are noise around "leave it"
            self.actor[-1].weight.mul_(0.1)  # pyright: ignore[reportCallIssue]
        self.to(device)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.rl_lr, fused=True)

    def _distribution(self, state: Tensor) -> Normal:
        # Unchecked: a state that is not finite makes a step that is skipped, not an error.
        return Normal(self.actor(state), self.log_std.clamp(-3.0, 0.5).exp(), validate_args=False)

    def refine_prompt(
        self,
        prompt: Tensor,
        control: Tensor,
        summary: Tensor,
        *,
        deterministic: bool = False,
        directions: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, RefineInfo]:
        """Draw a change of the prompt.

        The action carries no gradient; the prompt that is returned carries those of the prompt and the
        directions that were given.

        Args:
            prompt: [P] or [B, P].
            control: [K] or [B, K], from the task's features.
            summary: [F] or [B, F].
            deterministic: Take the mean action, as validation does.
            directions: [B, A, P] that the action goes along; without them it is the change itself.
            noise: [B, A] standard normal numbers to draw by; None takes new ones.

        Returns:
            The refined prompt, of the prompt's shape, and what `update` needs.
        """
        with torch.no_grad():
            parts = [torch.atleast_2d(part.float()) for part in (prompt, control, summary)]
            state = torch.cat(parts, dim=-1)
            distribution = self._distribution(state)
            if deterministic:
                pre_tanh = distribution.mean
            elif noise is None:
                pre_tanh = distribution.rsample()
            else:
                pre_tanh = distribution.mean + noise * distribution.stddev
        delta = self.change(pre_tanh, directions)
        return prompt + delta.view(prompt.shape), RefineInfo(state, parts[2], pre_tanh)

    def change(self, pre_tanh: Tensor, directions: Tensor | None = None) -> Tensor:
        """What actions [B, A], before their tanh, add to prompts; along directions [B, A, P] if given."""
        delta = self.config.rl_delta_scale * pre_tanh.tanh()
        return delta if directions is None else torch.einsum("ba,bap->bp", delta, directions)

    def compute_reward(
        self,
        before: Tensor,
        after: Tensor,
        target: Tensor,
        inputs: Tensor,
        reconstruct: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[float, dict[str, float]]:
        """Reward of one refinement (step 7); grids may differ in size.

        Args:
            before: [h, w] colours predicted under the unrefined prompt.
            after: The same under the refined one.
            target: The true output.
            inputs: The input.
            reconstruct: From an output [h, w], the colours' probabilities [h', w', C] in each cell of
                the input; d_rev is 0 without it.

        Returns:
            The total, and {d_acc, d_size, d_color, d_rev}.
        """

        def gain(score: Callable[[Tensor], float]) -> float:
            return score(after) - score(before)

        breakdown = {
            "d_acc": gain(lambda grid: metrics.per_cell_accuracy(grid, target)),
            "d_size": gain(
                lambda grid: metrics.size_similarity(
                    (grid.shape[0], grid.shape[1]), (target.shape[0], target.shape[1])
                )
            ),
            "d_color": gain(lambda grid: metrics.color_similarity(grid, target)),
            "d_rev": 0.0
            if reconstruct is None
            else gain(lambda grid: metrics.expected_accuracy(reconstruct(grid), inputs)),
        }
        return float(metrics.combine(breakdown)), breakdown

    def update(
        self, info: RefineInfo, reward: Tensor | float, advantage: Tensor | None = None
    ) -> dict[str, float | Tensor]:
        """Take one policy-gradient step (step 8).

        Args:
            info: What `refine_prompt` left, for B pairs.
            reward: The reward of each pair, [B] or a number.
            advantage: [B] of each action over others for the same pair; None takes it over what the critic
                expects.

        Returns:
            The mean `reward` and the losses, as tensors not yet brought to the host, and `grad_norm`
            before clipping. Nothing is changed where the norm is not finite.
        """
        config = self.config
        rewards = torch.as_tensor(reward, dtype=torch.float32, device=info.state.device).detach()
        rewards = rewards.reshape(-1).expand(len(info.state))
        action = info.pre_tanh.tanh()
        curiosity = rewards.new_zeros(())
        icm_loss = rewards.new_zeros(())
        if info.outcome is not None:
            outcome = info.outcome.detach()
            predicted = self.icm_forward(torch.cat([info.summary, action], dim=-1))
            surprise = 0.5 * (predicted - outcome).square().mean(dim=-1)
            guessed = self.icm_inverse(torch.cat([info.summary, outcome], dim=-1))
            icm_loss = surprise.mean() + F.mse_loss(guessed, action)
            curiosity = surprise.detach()
        returns = rewards + config.rl_icm_coef * curiosity
        value = self.critic(info.state).squeeze(-1)
        distribution = self._distribution(info.state)
        gained = (returns - value).detach() if advantage is None else advantage
        log_prob = tanh_log_prob(distribution, info.pre_tanh)
        policy_loss = -(gained * log_prob).mean()
        # The Gaussian's entropy, per coordinate so that the coefficient does not depend on the width.
        entropy = distribution.entropy().mean()
        loss = (
            policy_loss
            + 0.5 * F.mse_loss(value, returns)
            - config.rl_entropy_coef * entropy
            + config.rl_icm_coef * icm_loss
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = clip(self.parameters(), config.rl_clip_norm)
        step_if(torch.isfinite(norm), self.optimizer)
        return {
            "reward": rewards.mean(),
            "policy_loss": policy_loss.detach(),
            "entropy": entropy.detach(),
            "curiosity": curiosity.mean(),
            "grad_norm": norm.detach(),
        }
