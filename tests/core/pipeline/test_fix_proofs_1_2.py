"""The language model trains, and so does the reward: proved on real training steps.

Every proof is a test; the last test of this file takes each fix out and demands that its proof then fails.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_system import real_batch, small_system, stand_still, step_and_flow, trained, weights_of
from torch import Tensor

from arc_core.pipeline import reward as reward_module
from arc_core.pipeline import step as step_module
from arc_core.pipeline.batch import Batch
from arc_core.pipeline.config import PipelineConfig
from arc_core.pipeline.language_model import LanguageModel
from arc_core.pipeline.policy import RefineInfo
from arc_core.pipeline.system import ArcSystem, Flow, Prediction
from arc_core.training.optimizer import Component

Patch = pytest.MonkeyPatch


# The language model trains


def test_every_language_model_layer_gets_a_gradient_and_moves_down_it():
    system = small_system()
    layers = dict(system.qwen.language_model.named_parameters())
    before = {name: layer.detach().clone() for name, layer in layers.items()}
    step_and_flow(system, real_batch())
    silent = [name for name, layer in layers.items() if layer.grad is None or not layer.grad.norm() > 0]
    assert not silent, f"no gradient reaches {silent}"
    unmoved = [name for name, layer in layers.items() if not torch.any(layer != before[name])]
    assert not unmoved, f"{unmoved} stand still"
    uphill = [n for n, layer in layers.items() if not ((layer - before[n]) * layer.grad).sum() < 0]
    assert not uphill, f"{uphill} do not move down their gradient"


def test_reported_lm_norm_is_that_of_the_language_model_alone_before_clipping():
    system = small_system(clip_norm=0.01)
    norms: dict[Tensor, float] = {}

    def note(parameter: Tensor) -> None:  # runs when backward is done with the parameter
        assert parameter.grad is not None
        norms[parameter] = parameter.grad.double().norm().item()

    own = list(system.qwen.language_model.parameters())
    for parameter in own:
        parameter.register_post_accumulate_grad_hook(note)
    result, _ = step_and_flow(system, real_batch())
    alone = math.hypot(*(norms.get(parameter, 0.0) for parameter in own))
    assert alone > 0.01, "nothing was clipped"
    assert result.grad_norm["lm"] == pytest.approx(alone, rel=1e-5), "the norm is not the LM's alone"


def test_baseline_prediction_carries_no_gradient():
    _, flow = step_and_flow(small_system(), real_batch())
    for tensor in (flow.before.logits, flow.before.output.size_logits):
        assert not tensor.requires_grad, "the baseline prediction carries a gradient"
    assert flow.after.logits.requires_grad


def lm_without_gradient(patch: Patch) -> None:
    forward = LanguageModel.forward
    patch.setattr(LanguageModel, "forward", lambda self, texts: forward(self, texts).detach())


def lm_norm_over_the_whole_prompt(patch: Patch) -> None:
    def components(system: ArcSystem) -> tuple[Component, ...]:
        *others, lm, prompt = split(system)
        return (*others, Component("lm", lm.parameters + prompt.parameters), Component("prompt", ()))

    split = ArcSystem._components
    patch.setattr(ArcSystem, "_components", components)


def baseline_with_gradient(patch: Patch) -> None:
    def flow(system: ArcSystem, batch: Batch, **options: Any) -> Flow:
        flow = run(system, batch, **options)
        inputs = batch.inputs
        again = system.agent.plan(flow.after.output.features, flow.base_prompt, inputs.mask, inputs.sizes)
        return replace(flow, before=Prediction(*again))

    run = ArcSystem.flow
    patch.setattr(ArcSystem, "flow", flow)


# The reward trains


def final_logits_gradient(system: ArcSystem, share: float) -> Tensor:
    """Gradient of the step's loss on the plan's logits, the reward having a share of it."""
    system.config = replace(system.config, reward_weight=share)
    _, flow = step_and_flow(system, real_batch())
    assert flow.after.logits.grad is not None
    return flow.after.logits.grad


def test_combined_is_seven_tenths_efe_less_three_tenths_reward():
    system = small_system()
    for number in range(1, 6):
        result, _ = step_and_flow(system, real_batch(4 * number), step=number)
        loss, reward = result.loss, result.reward
        total = reward["d_acc"] + 0.5 * (reward["d_size"] + reward["d_color"] + reward["d_rev"])
        assert reward["total"] == pytest.approx(total, abs=1e-6)
        expected = 0.7 * loss["efe_total"] - 0.3 * reward["total"]
        assert loss["combined"] == pytest.approx(expected, abs=1e-6), "not the seed's combination"
        assert loss["efe_total"] == pytest.approx(sum(loss[n] for n in step_module.TERMS), abs=1e-5)


def test_combined_gradient_is_the_same_combination():
    system = stand_still(trained(10, real_batch(), memory=False))
    efe, both, reward = (final_logits_gradient(system, share) for share in (0.0, 0.3, 1.0))
    assert reward.norm() > 1e-3 * efe.norm(), "the reward has no gradient"
    torch.testing.assert_close(both, 0.7 * efe + 0.3 * reward, rtol=1e-4, atol=1e-7)


def expected_reward(system: ArcSystem, flow: Flow, batch: Batch) -> float:
    """The metrics with each cell's probabilities in place of its colour, pair by pair and unpadded."""
    total = 0.0
    assert batch.targets is not None
    for index, ((h, w), (th, tw), size) in enumerate(
        zip(batch.inputs.sizes.tolist(), batch.targets.sizes.tolist(), flow.after.output.sizes, strict=True)
    ):
        source, target = batch.inputs.cells[index, :h, :w], batch.targets.cells[index, :th, :tw]
        height, width = size.tolist()
        logits = flow.after.logits[index, -1, :h, :w].movedim(-1, 0)[None]
        shares = F.interpolate(logits, (height, width), mode="bilinear").softmax(dim=1)  # [1, C, H, W]
        rows, columns = min(height, th), min(width, tw)
        right = shares[0, :, :rows, :columns].gather(0, target[None, :rows, :columns]).sum()
        total += float(right / (height * width + th * tw - rows * columns))
        wanted = torch.bincount(target.flatten(), minlength=10) / target.numel()
        total += 0.5 * float(1.0 - 0.5 * (shares[0].mean(dim=(1, 2)) - wanted).abs().sum())
        likely = flow.after.output.size_logits[index].softmax(dim=-1)
        sides = torch.arange(1, 31)
        ratios = [torch.minimum(sides, torch.tensor(t)) / sides.clamp_min(t) for t in (th, tw)]
        total += 0.5 * float((likely[0] * ratios[0]).sum() * (likely[1] * ratios[1]).sum())
        plan = system.agent.backward_planner(
            shares.permute(0, 2, 3, 1), flow.base_prompt[index][None], torch.ones(1, height, width)
        )
        found = F.interpolate(plan[:, -1].permute(0, 3, 1, 2), (h, w), mode="bilinear").softmax(dim=1)
        total += 0.5 * float(found[0].gather(0, source[None]).mean())
    return total / len(batch)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("same_size", [True, False])
def test_reward_alone_moves_the_agent_to_where_the_expected_reward_is_higher(seed: int, same_size: bool):
    batch = real_batch(4 * seed, same_size=same_size)
    system = trained(10, batch, seed, refine=False, memory=False)
    system.config = replace(system.config, reward_weight=1.0)
    rates = {"agent": 0.02, "lm": 0.0, "memory": 0.0, "efe_loss": 0.0}
    parts = [component for component in system.components if component.name in rates]
    system.optimizer = torch.optim.SGD(  # straight down the gradient
        [{"params": p.parameters, "name": p.name, "base_lr": rates[p.name]} for p in parts], lr=0.0
    )
    judge = [weight.detach().clone() for weight in system.agent.backward_planner.parameters()]
    before = weights_of(system)
    with torch.no_grad():
        old = expected_reward(system, system.flow(batch, explore=False), batch)
    step_and_flow(system, batch)
    moved = {name for name, value in weights_of(system).items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in moved} == {"agent"}, "the reward does not move the agent"
    assert all(map(torch.equal, judge, system.agent.backward_planner.parameters())), "it trains its judge"
    with torch.no_grad():
        new = expected_reward(system, system.flow(batch, explore=False), batch)
    assert new > old + 1e-5, "the expected reward does not rise"


@pytest.mark.parametrize("same_size", [True, False])
def test_reward_that_trains_has_the_value_of_the_seeds_metrics(same_size: bool):
    batch = real_batch(0, 8, same_size=same_size)
    system = stand_still(trained(4, batch))
    system.policy.config = replace(system.policy.config, rl_delta_scale=8.0)  # so that something changes
    rewards: list[Tensor] = []
    learn = system.policy.update

    def update(info: RefineInfo, reward: Tensor) -> dict[str, float | Tensor]:
        rewards.append(reward.detach())
        return learn(info, reward)

    vars(system.policy)["update"] = update
    result, flow = step_and_flow(system, batch)
    assert batch.targets is not None
    grids = zip(flow.before.grids(batch.inputs), flow.after.grids(batch.inputs), strict=True)
    sums = dict.fromkeys(reward_module.WEIGHTS, 0.0)
    for index, (before, after) in enumerate(grids):
        (h, w), (th, tw) = batch.inputs.sizes[index].tolist(), batch.targets.sizes[index].tolist()

        def reconstruct(grid: Tensor, index: int = index, h: int = h, w: int = w) -> Tensor:
            shown, mask = F.one_hot(grid, 10).float()[None], torch.ones(1, *grid.shape)
            plan = system.agent.backward_planner(shown, flow.base_prompt[index][None], mask)
            resized = F.interpolate(plan[:, -1].permute(0, 3, 1, 2), (h, w), mode="bilinear")[0]
            return resized.permute(1, 2, 0).softmax(dim=-1)

        total, breakdown = system.policy.compute_reward(
            before,
            after,
            batch.targets.cells[index, :th, :tw],
            batch.inputs.cells[index, :h, :w],
            reconstruct,
        )
        assert rewards[0][index].item() == pytest.approx(total, abs=1e-6), "not the seed's reward"
        for name in sums:
            sums[name] += breakdown[name] / len(batch)
    for name, value in sums.items():
        assert result.reward[name] == pytest.approx(value, abs=1e-6)
    live = ("d_acc", "d_color", "d_rev") if same_size else tuple(sums)
    assert all(sums[name] for name in live), "the refinement changes nothing, which proves nothing"


def reward_without_gradient(patch: Patch) -> None:
    for module in (step_module, reward_module):
        patch.setattr(module, "straight_through", lambda hard, soft: hard.detach())


def reward_of_probabilities(patch: Patch) -> None:
    patch.setattr(reward_module, "straight_through", lambda hard, soft: soft)


def reward_without_a_share(patch: Patch) -> None:
    def built(system: ArcSystem, config: PipelineConfig, *rest: Any) -> None:
        build(system, replace(config, reward_weight=0.0), *rest)

    build = ArcSystem.__init__
    patch.setattr(ArcSystem, "__init__", built)


def judge_that_is_trained(patch: Patch) -> None:
    patch.setattr(step_module, "functional_call", lambda module, weights, given: module(*given))


# What the proofs are worth


@pytest.mark.parametrize(
    ("take_out", "proof", "complaint"),
    [
        (
            lm_without_gradient,
            test_every_language_model_layer_gets_a_gradient_and_moves_down_it,
            "no gradient reaches",
        ),
        (
            lm_without_gradient,
            test_reported_lm_norm_is_that_of_the_language_model_alone_before_clipping,
            "nothing was clipped",
        ),
        (
            lm_norm_over_the_whole_prompt,
            test_reported_lm_norm_is_that_of_the_language_model_alone_before_clipping,
            "not the LM's alone",
        ),
        (baseline_with_gradient, test_baseline_prediction_carries_no_gradient, "carries a gradient"),
        (reward_without_a_share, test_combined_is_seven_tenths_efe_less_three_tenths_reward, "combination"),
        (reward_without_gradient, test_combined_gradient_is_the_same_combination, "no gradient"),
        (
            reward_without_gradient,
            lambda: test_reward_alone_moves_the_agent_to_where_the_expected_reward_is_higher(0, True),
            "does not move the agent",
        ),
        (
            judge_that_is_trained,
            lambda: test_reward_alone_moves_the_agent_to_where_the_expected_reward_is_higher(0, True),
            "trains its judge",
        ),
        (
            reward_of_probabilities,
            lambda: test_reward_that_trains_has_the_value_of_the_seeds_metrics(True),
            "not the seed's reward",
        ),
    ],
)
def test_proof_fails_when_the_fix_is_taken_out(
    take_out: Callable[[Patch], None], proof: Callable[[], None], complaint: str, monkeypatch: Patch
):
    take_out(monkeypatch)
    with pytest.raises(AssertionError, match=complaint):
        proof()
