"""Mixed precision is safe and every component is clipped: proved on real training steps.

Every proof is a test; the last test of this file takes each fix out and demands that its proof then fails.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
import torch
from small_system import CPU, real_batch, small_system, step_and_flow, weights_of
from torch import Tensor, nn

from arc_core.pipeline import step as step_module
from arc_core.pipeline.policy import PolicyRefinedAgent
from arc_core.pipeline.step import training_step
from arc_core.pipeline.system import ArcSystem
from arc_core.training.optimizer import Component, MixedPrecision

Patch = pytest.MonkeyPatch


# Mixed precision skips what overflows, and every component is clipped


def overflow_once(system: ArcSystem) -> None:
    """Let the agent's next gradient overflow in one filter."""
    parameter = next(system.agent.parameters())

    def poison(gradient: Tensor) -> Tensor:
        handle.remove()
        spoiled = gradient.clone()
        spoiled[0] = math.inf
        return spoiled

    handle = parameter.register_hook(poison)


def unmoved(before: dict[str, Tensor], system: ArcSystem) -> bool:
    return all(torch.equal(value, before[name]) for name, value in weights_of(system).items())


def test_float16_overflow_skips_the_step_and_lowers_the_scale():
    system = small_system(amp="float16")
    before = weights_of(system)
    assert system.precision.scaler.get_scale() == 65536.0, "float16 without a scaler"
    overflow_once(system)
    result, flow = step_and_flow(system, real_batch())
    assert flow.after.output.features.dtype == torch.float16
    assert unmoved(before, system), "an overflow moves the weights"
    assert (result.applied, system.precision.skipped_steps) == (False, 1)
    assert (result.memory["stored"], system.memory_threshold.ema) == (0, 0.2)
    assert system.precision.scaler.get_scale() == 32768.0
    result, _ = step_and_flow(system, real_batch(), step=2)
    assert (result.applied, system.precision.skipped_steps) == (True, 1)
    assert not unmoved(before, system)
    assert all(torch.isfinite(value).all() for value in weights_of(system).values())


def test_real_overflow_lowers_the_scale_until_a_step_fits():
    system = small_system(amp="float16")
    system.precision = MixedPrecision(CPU, "float16", init_scale=2.0**18)
    before = weights_of(system)
    tries = 1
    while not training_step(system, real_batch(), 0, 1).applied:
        assert unmoved(before, system), "an overflow moves the weights"
        assert tries < 12, "the scale is not lowered"
        tries += 1
    assert tries > 1, "the scale is not applied to the loss"
    assert system.precision.skipped_steps == tries - 1
    assert system.precision.scaler.get_scale() == 2.0 ** (18 - system.precision.skipped_steps)
    assert not unmoved(before, system)


def test_bfloat16_trains_float32_weights_without_a_scaler():
    system = small_system(amp="bfloat16")
    before = weights_of(system)
    result, flow = step_and_flow(system, real_batch())
    assert not system.precision.scaler.is_enabled()
    assert flow.after.output.features.dtype == torch.bfloat16, "the agent runs outside autocast"
    assert all(value.dtype == torch.float32 for value in weights_of(system).values())
    assert result.applied
    assert not unmoved(before, system)
    overflow_once(system)
    before = weights_of(system)
    taken = training_step(system, real_batch(), 0, 2).applied
    assert unmoved(before, system), "an overflow moves the weights"
    assert not taken


def test_every_weight_of_the_agent_has_a_gradient_under_bfloat16():
    system = small_system(amp="bfloat16")
    step_and_flow(system, real_batch(same_size=False))
    silent = [n for n, p in system.agent.named_parameters() if p.grad is None or not p.grad.norm() > 0]
    assert not silent, f"no gradient reaches {silent}"


def test_nonfinite_loss_in_float32_skips_the_step_and_is_counted():
    system = small_system()
    before = weights_of(system)
    system.efe_loss.anchor.fill_(math.nan)
    result, _ = step_and_flow(system, real_batch())
    assert math.isnan(result.loss["combined"])
    assert unmoved(before, system), "a loss that is not a number moves the weights"
    assert (result.applied, system.precision.skipped_steps) == (False, 1)


def test_every_component_is_clipped():
    limit = 1e-3
    system = small_system(clip_norm=limit)
    system.memory_threshold.ema = 0.0  # the first step stores its pairs, so that the second reads them
    system.policy.config = replace(system.policy.config, rl_clip_norm=limit)
    training_step(system, real_batch(), 0, 1)
    applied: dict[str, float] = {}

    def note(name: str, parameters: Iterable[nn.Parameter]) -> None:
        gradients = [p.grad.double().norm().item() for p in parameters if p.grad is not None]
        applied[name] = math.hypot(*gradients)

    def main(*_: object) -> None:
        for component in system.components:
            note(component.name, component.parameters)

    system.optimizer.register_step_pre_hook(main)
    system.policy.optimizer.register_step_pre_hook(lambda *_: note("policy", system.policy.parameters()))
    result = training_step(system, real_batch(4), 0, 2)
    assert set(applied) == {"agent", "memory", "efe_loss", "lm", "prompt", "policy"}
    for name, norm in applied.items():
        assert norm <= limit * 1.0001, f"{name} is not clipped"
        assert norm > 0.99 * limit, f"{name} had nothing to clip"
    assert all(norm > limit for norm in result.grad_norm.values()), "not the norms before clipping"


def no_skip(patch: Patch) -> None:
    def step(loss, optimizers, components, precision, clip_norm):
        (optimizer,) = optimizers
        norms = {c.name: nn.utils.clip_grad_norm_(c.parameters, clip_norm) for c in components}
        optimizer.step()
        return norms, torch.tensor(True)

    patch.setattr(step_module, "clip_and_step", step)


def agent_alone_is_clipped(patch: Patch) -> None:
    def step(loss, optimizers, components: Iterable[Component], precision, clip_norm):
        (optimizer,) = optimizers
        limits = {c.name: clip_norm if c.name == "agent" else math.inf for c in components}
        norms = {c.name: nn.utils.clip_grad_norm_(c.parameters, limits[c.name]) for c in components}
        optimizer.step()
        return norms, torch.tensor(True)

    patch.setattr(step_module, "clip_and_step", step)


def policy_is_not_clipped(patch: Patch) -> None:
    def update(self: PolicyRefinedAgent, info, reward):
        self.config = replace(self.config, rl_clip_norm=math.inf)
        return learn(self, info, reward)

    learn = PolicyRefinedAgent.update
    patch.setattr(PolicyRefinedAgent, "update", update)


def agent_outside_autocast(patch: Patch) -> None:
    patch.setattr(MixedPrecision, "autocast", lambda self: torch.autocast("cpu", enabled=False))


# What the proofs are worth


@pytest.mark.parametrize(
    ("take_out", "proof", "complaint"),
    [
        (no_skip, test_real_overflow_lowers_the_scale_until_a_step_fits, "not applied to the loss"),
        (no_skip, test_float16_overflow_skips_the_step_and_lowers_the_scale, "an overflow moves"),
        (no_skip, test_nonfinite_loss_in_float32_skips_the_step_and_is_counted, "not a number moves"),
        (no_skip, test_bfloat16_trains_float32_weights_without_a_scaler, "an overflow moves"),
        (agent_outside_autocast, test_bfloat16_trains_float32_weights_without_a_scaler, "outside autocast"),
        (agent_alone_is_clipped, test_every_component_is_clipped, "memory is not clipped"),
        (policy_is_not_clipped, test_every_component_is_clipped, "policy is not clipped"),
    ],
)
def test_proof_fails_when_the_fix_is_taken_out(
    take_out: Callable[[Patch], None], proof: Callable[[], None], complaint: str, monkeypatch: Patch
):
    take_out(monkeypatch)
    with pytest.raises(AssertionError, match=complaint):
        proof()
