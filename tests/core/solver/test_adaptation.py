"""A step of the adaptation: what it learns by which loss, in which precision, and what does it no harm."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from arc_core.data.sizes import Placement
from arc_core.pipeline.canvas import Item, pack
from arc_core.pipeline.loss_terms import step_weights
from arc_core.solver.adaptation import CLIP_NORM, Adaptation, TaskPrompt, rate_factor
from arc_core.solver.config import SolverConfig
from arc_core.solver.start import fresh_net

CPU = torch.device("cpu")


def config(**settings):
    small = {"width": 16, "prompt_dim": 12, "steps": 2, "context_dim": 4, "color_maps": 1, "amp": "off"}
    return SolverConfig.from_mapping(small | settings)


def demonstrations():
    rng = np.random.default_rng(0)
    grids = [rng.integers(0, 10, (6, 6)).astype(np.int8) for _ in range(4)]
    return pack([Item(grids[i], grids[i + 1], Placement((6, 6))) for i in (0, 2)])


def weights(adaptation):
    return [copy.deepcopy(part.state_dict()) for part in (adaptation._net, adaptation._means.agent)]


def test_a_step_whose_loss_is_not_finite_changes_no_weight_and_the_next_one_trains():
    adaptation = Adaptation(fresh_net(config(), 0), config(), CPU)
    adaptation.train(demonstrations(), 10)
    kept = adaptation._prompt.task.detach().clone()
    before = weights(adaptation)[0]
    with torch.no_grad():
        adaptation._prompt.task.fill_(math.nan)
    assert math.isnan(adaptation.train(demonstrations(), 10))
    assert adaptation.precision.skipped_steps == 1
    after = weights(adaptation)[0]
    assert all(torch.equal(before[name], after[name]) for name in before)
    with torch.no_grad():
        adaptation._prompt.task.copy_(kept)
    assert math.isfinite(adaptation.train(demonstrations(), 10))
    assert not torch.equal(weights(adaptation)[0]["colors.weight"], before["colors.weight"])


def test_gradients_too_small_for_float16_still_move_the_weights():
    """Adam's first step hardly depends on a gradient's size, unless the gradient was lost."""
    moved = {}
    for precision in ("off", "float16"):
        net = fresh_net(config(), 0)
        with torch.no_grad():
            net.colors.weight.mul_(1e-6)
        start = net.planner[0].out.weight.detach().clone()
        adaptation = Adaptation(net, config(amp=precision, weight_decay=0.0), CPU)
        adaptation.train(demonstrations(), 10)
        moved[precision] = (net.planner[0].out.weight.detach() != start).float().mean().item()
    assert moved["off"] > 0.9
    assert moved["float16"] > 0.9 * moved["off"]


ON = {
    **{f"lambda_{name}": {f"lambda_{name}": 0.7} for name in ("risk", "amb", "z", "prompt", "size")},
    **{kind: {"lambda_bi": 0.7, "backward": kind} for kind in ("planner", "flip")},
    "lambda_cons": {"lambda_cons": 0.3},
    "hard_cell_gain": {"hard_cell_gain": 4.0},
}


def adapted(steps=3, **settings):
    adaptation = Adaptation(fresh_net(config(), 5), config(**settings), CPU, seed=7)
    for _ in range(steps):
        adaptation.train(demonstrations(), 6)
    return adaptation


def learned(**settings):
    """All of net and prompt that an adaptation has learned and averaged, in their order."""
    done = adapted(**settings)
    parts = (done._net, done._prompt, done._means)
    return [p.detach().clone() for part in parts for p in part.parameters()]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_with_every_term_off_a_step_goes_down_the_cross_entropy_of_plans_and_sizes():
    net, prompt = fresh_net(config(), 5), TaskPrompt(12, 1, torch.zeros(8, 12))
    parameters = [*net.parameters(), *prompt.parameters()]
    means = copy.deepcopy(parameters)
    optimizer = torch.optim.AdamW(parameters, lr=1, weight_decay=config().weight_decay, fused=True)
    batch = demonstrations()
    for step in range(3):
        optimizer.param_groups[0]["lr"] = config().adapt_lr * rate_factor(step, 6)
        planned = net(batch, prompt(batch.views))
        loss = 0.1 * 2 * F.cross_entropy(planned.size_logits.flatten(0, 1), batch.out_sizes.flatten() - 1)
        for place, weight in enumerate(step_weights(2)):
            loss = loss + weight * F.cross_entropy(
                planned.logits[:, place].flatten(0, -2), batch.targets.flatten()
            )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        optimizer.step()
        with torch.no_grad():
            for mean, value in zip(means, parameters, strict=True):
                mean.lerp_(value, 1 - min(config().ema, (step + 1) / (step + 11)))
    torch.testing.assert_close(learned(), [p.detach() for p in (*parameters, *means)])


@pytest.mark.parametrize("settings", [{"backward": "flip"}, {"lambda_step": 1.0}])
def test_what_has_no_gradient_for_the_agent_changes_nothing_that_it_learns(settings):
    assert same(learned(**settings), learned())


@pytest.mark.parametrize("name", ON)
def test_what_is_on_changes_what_is_learned_the_same_way_each_time(name):
    first = learned(**ON[name])
    torch.rand(3)
    assert same(learned(**ON[name]), first)
    assert not same(learned(), first)


def test_what_the_loss_learns_itself_is_trained_beside_the_net():
    settings = {"lambda_risk": 1.0, "lambda_z": 1.0, "lambda_bi": 0.5, "lambda_prompt": 0.3}
    before, after = (
        [p.detach().clone() for part in (done._efe_loss, done._backward) for p in part.parameters()]
        for done in (adapted(0, **settings), adapted(2, **settings))
    )
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert adapted(0)._backward is None


def test_the_anchor_is_at_the_colours_of_the_outputs_and_prompts_are_told_from_earlier_outcomes():
    done = adapted(2, lambda_z=1.0, lambda_prompt=0.3)
    shares = demonstrations().targets.flatten().bincount(minlength=10) / 72
    torch.testing.assert_close(done._efe_loss.anchor, (shares + 1e-3) / 1.01)
    assert done._efe_loss.past_seen == 4
    assert adapted(2)._efe_loss.past_seen == 0
