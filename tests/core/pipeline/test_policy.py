"""The policy: what it draws, what it learns from, and what it leaves alone."""

from dataclasses import replace

import pytest
import torch
from small_system import real_batch, small_system, step_and_flow
from torch import Tensor
from torch.distributions import Normal, TanhTransform, TransformedDistribution

from arc_core.pipeline.policy import PolicyRefinedAgent, PolicyRefinedConfig, RefineInfo, tanh_log_prob

TOY = PolicyRefinedConfig(
    rl_prompt_dim=1, rl_ctrl_dim=2, rl_feat_dim=3, rl_lr=1e-2, rl_hidden_dim=16, rl_delta_scale=1.0
)
SMALL = PolicyRefinedConfig(rl_prompt_dim=8, rl_ctrl_dim=8, rl_feat_dim=32, rl_lr=1e-3, rl_clip_norm=1e9)
PAIRS = 32


def play(policy: PolicyRefinedAgent, better: Tensor, arms: Tensor, rounds: int) -> None:
    """Play a bandit of two arms, up and down: 1 for the better one, else -1.

    Args:
        policy: Learns.
        better: [B] the sign of the better arm.
        arms: [B, 3] what it sees.
        rounds: Updates.
    """
    prompt, control = torch.zeros(PAIRS, 1), torch.zeros(PAIRS, 2)
    for _ in range(rounds):
        refined, info = policy.refine_prompt(prompt, control, arms)
        policy.update(info, torch.where(refined[:, 0].sign() == better, 1.0, -1.0))


def share_of_better(policy: PolicyRefinedAgent, better: Tensor, arms: Tensor) -> float:
    many = 40
    refined, _ = policy.refine_prompt(
        torch.zeros(PAIRS * many, 1), torch.zeros(PAIRS * many, 2), arms.repeat(many, 1)
    )
    return (refined[:, 0].sign() == better.repeat(many)).float().mean().item()


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_update_finds_the_better_of_two_arms(seed: int, sign: float):
    torch.manual_seed(seed)
    policy, arms, better = PolicyRefinedAgent(TOY), torch.ones(PAIRS, 3), torch.full((PAIRS,), sign)
    assert 0.2 < share_of_better(policy, better, arms) < 0.8
    play(policy, better, arms, 150)
    assert share_of_better(policy, better, arms) > 0.95
    chosen, _ = policy.refine_prompt(torch.zeros(1), torch.zeros(2), torch.ones(3), deterministic=True)
    assert chosen.sign().item() == sign


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_update_finds_the_arm_that_the_features_name(seed: int):
    torch.manual_seed(seed)
    policy = PolicyRefinedAgent(TOY)
    better = torch.where(torch.arange(PAIRS) % 2 == 0, 1.0, -1.0)
    arms = torch.stack([better, -better, torch.ones(PAIRS)], dim=1)
    play(policy, better, arms, 250)
    assert share_of_better(policy, better, arms) > 0.95


def test_without_the_reward_no_arm_is_found():
    torch.manual_seed(0)
    policy, arms, better = PolicyRefinedAgent(TOY), torch.ones(PAIRS, 3), torch.ones(PAIRS)
    before = share_of_better(policy, better, arms)
    for _ in range(150):
        _, info = policy.refine_prompt(torch.zeros(PAIRS, 1), torch.zeros(PAIRS, 2), arms)
        policy.update(info, 0.0)
    assert abs(share_of_better(policy, better, arms) - before) < 0.25


def test_log_probability_is_that_of_the_squashed_gaussian():
    mean, deviation = torch.randn(2, 64, 5, dtype=torch.float64)
    normal = Normal(mean, deviation.exp())
    drawn = normal.sample().clamp(-4, 4)
    squashed = TransformedDistribution(normal, TanhTransform())
    expected = squashed.log_prob(drawn.tanh()).sum(dim=-1)
    torch.testing.assert_close(tanh_log_prob(normal, drawn), expected, rtol=1e-6, atol=1e-6)


def test_log_probability_stays_finite_where_tanh_saturates():
    far = torch.tensor([[-60.0, 60.0, 0.0]])
    assert torch.isfinite(tanh_log_prob(Normal(torch.zeros(3), torch.ones(3)), far)).all()


def test_squashed_density_integrates_to_one():
    actions = torch.linspace(-1, 1, 200_001, dtype=torch.float64)[1:-1]
    normal = Normal(torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64))
    density = tanh_log_prob(normal, actions.atanh()[:, None]).exp()
    assert torch.trapezoid(density, actions).item() == pytest.approx(1.0, abs=1e-4)


def test_deterministic_refinement_is_the_mean_action_and_draws_nothing():
    policy = PolicyRefinedAgent(SMALL)
    prompt, control, summary = torch.randn(4, 8), torch.randn(4, 8), torch.randn(4, 32)
    state = torch.get_rng_state()
    refined, info = policy.refine_prompt(prompt, control, summary, deterministic=True)
    assert torch.equal(torch.get_rng_state(), state)
    mean = policy.actor(torch.cat([prompt, control, summary], dim=-1))
    torch.testing.assert_close(refined, prompt + SMALL.rl_delta_scale * mean.tanh())
    torch.testing.assert_close(info.pre_tanh, mean)
    policy.refine_prompt(prompt, control, summary)
    assert not torch.equal(torch.get_rng_state(), state)


def test_drawn_actions_have_the_policys_mean_and_deviation():
    policy = PolicyRefinedAgent(SMALL)
    prompt, control, summary = torch.randn(1, 8), torch.randn(1, 8), torch.randn(1, 32)
    _, info = policy.refine_prompt(*(part.expand(20_000, -1) for part in (prompt, control, summary)))
    mean = policy.actor(torch.cat([prompt, control, summary], dim=-1))[0]
    torch.testing.assert_close(info.pre_tanh.mean(dim=0), mean, atol=0.03, rtol=0)
    torch.testing.assert_close(info.pre_tanh.std(dim=0), policy.log_std.exp(), atol=0.03, rtol=0)


def test_agents_loss_leaves_the_policy_alone_and_reaches_the_prompt_whole():
    policy = PolicyRefinedAgent(SMALL)
    prompt = torch.randn(3, 8, requires_grad=True)
    refined, _ = policy.refine_prompt(prompt, torch.randn(3, 8, requires_grad=True), torch.randn(3, 32))
    weights = torch.randn(3, 8)
    (refined * weights).sum().backward()
    assert all(parameter.grad is None for parameter in policy.parameters())
    torch.testing.assert_close(prompt.grad, weights)


def test_policys_update_leaves_the_agents_graph_alone():
    system = small_system(reward_weight=0.0)
    twin = small_system(reward_weight=0.0)
    twin.policy.optimizer.param_groups[0]["lr"] = 1e-2
    for one in (system, twin):
        step_and_flow(one, real_batch())
    assert not torch.equal(system.policy.log_std, twin.policy.log_std)
    for name in ("agent", "prompt", "efe_loss"):
        own, other = (one.modules[name].state_dict() for one in (system, twin))
        assert all(torch.equal(value, other[key]) for key, value in own.items()), name


def gradients(policy: PolicyRefinedAgent, info: RefineInfo, reward: Tensor | float) -> dict[str, Tensor]:
    policy.update(info, reward)
    return {name: p.grad.clone() for name, p in policy.named_parameters() if p.grad is not None}


def twins(**changes: float) -> tuple[PolicyRefinedAgent, PolicyRefinedAgent, RefineInfo]:
    """Two policies of the same weights, the second with other settings, and what they drew."""
    torch.manual_seed(3)
    one, other = PolicyRefinedAgent(SMALL), PolicyRefinedAgent(replace(SMALL, **changes))
    other.load_state_dict(one.state_dict())
    _, info = one.refine_prompt(torch.randn(6, 8), torch.randn(6, 8), torch.randn(6, 32))
    return one, other, info


def test_gradient_is_reinforce_with_the_critics_baseline():
    policy, _, info = twins()
    reward = torch.randn(6)
    with torch.no_grad():
        advantage = reward - policy.critic(info.state).squeeze(-1)
    distribution = TransformedDistribution(
        Normal(policy.actor(info.state), policy.log_std.exp()), TanhTransform(cache_size=1)
    )
    surprise = distribution.log_prob(info.pre_tanh.tanh()).sum(dim=-1)
    expected = torch.autograd.grad(-(advantage * surprise).mean(), list(policy.actor.parameters()))
    found = gradients(policy, info, reward)
    for (name, _), gradient in zip(policy.actor.named_parameters(), expected, strict=True):
        torch.testing.assert_close(found[f"actor.{name}"], gradient, rtol=2e-3, atol=1e-5)


def test_critic_moves_towards_the_rewards():
    policy, _, info = twins()
    for _ in range(300):
        policy.update(info, torch.arange(6.0))
    torch.testing.assert_close(policy.critic(info.state).squeeze(-1), torch.arange(6.0), atol=0.5, rtol=0)


def test_entropy_bonus_widens_the_policy():
    plain, bold, info = twins(rl_entropy_coef=0.5)
    difference = gradients(bold, info, 0.2)["log_std"] - gradients(plain, info, 0.2)["log_std"]
    # d entropy / d log_std is 1 in each of the 8 coordinates, of which the mean is taken.
    torch.testing.assert_close(difference, torch.full((8,), -(0.5 - 0.01) / 8))
    for _ in range(50):
        plain.update(info, 0.0)
        bold.update(info, 0.0)
    assert torch.all(bold.log_std > plain.log_std)


def test_curiosity_moves_the_policy_and_stays_outside_the_reward():
    plain, curious, info = twins()
    outcome = torch.randn(6, 32)
    reward = torch.linspace(-1, 1, 6)
    without = plain.update(info, reward)
    with_curiosity = curious.update(replace(info, outcome=outcome), reward)
    assert torch.equal(torch.as_tensor(without["reward"]), torch.as_tensor(with_curiosity["reward"]))
    assert (float(without["curiosity"]), float(with_curiosity["curiosity"]) > 0) == (0.0, True)
    difference = [
        a.grad - b.grad
        for a, b in zip(plain.actor.parameters(), curious.actor.parameters(), strict=True)
        if a.grad is not None and b.grad is not None
    ]
    assert max(gradient.abs().max().item() for gradient in difference) > 1e-4


def test_curiosity_is_the_error_of_a_prediction_that_learns():
    policy, _, info = twins()
    info = replace(info, outcome=torch.randn(6, 32))
    found = [float(policy.update(info, 0.0)["curiosity"]) for _ in range(200)]
    assert found[-1] < 0.5 * found[0]


def test_steps_reward_leaves_curiosity_out():
    system = small_system()
    rewards: list[Tensor] = []
    learn = system.policy.update

    def update(info: RefineInfo, reward: Tensor) -> dict[str, float | Tensor]:
        assert info.outcome is not None
        rewards.append(reward)
        return learn(info, reward)

    vars(system.policy)["update"] = update
    result, _ = step_and_flow(system, real_batch())
    parts = result.reward
    assert rewards[0].shape == (4,)
    assert parts["total"] == pytest.approx(
        parts["d_acc"] + 0.5 * (parts["d_size"] + parts["d_color"] + parts["d_rev"]), abs=1e-6
    )
    assert parts["total"] == pytest.approx(rewards[0].mean().item(), abs=1e-6)


def test_reward_that_is_not_finite_changes_nothing():
    policy, _, info = twins()
    before = [value.detach().clone() for value in policy.parameters()]
    policy.update(info, torch.tensor([1.0, float("nan"), 0.0, 0.0, 0.0, 0.0]))
    assert all(map(torch.equal, before, policy.parameters()))
