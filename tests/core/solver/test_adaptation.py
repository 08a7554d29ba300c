"""A step of the adaptation: in float16 as in float32, and without harm where its numbers are not finite."""

import copy
import math

import numpy as np
import torch

from arc_core.data.sizes import Placement
from arc_core.pipeline.canvas import Item, pack
from arc_core.solver.adaptation import Adaptation
from arc_core.solver.config import SolverConfig
from arc_core.solver.start import fresh_net

CPU = torch.device("cpu")


def config(**settings):
    small = {"width": 16, "prompt_dim": 12, "steps": 2, "context_dim": 4, "color_maps": 1, "amp": "off"}
    return SolverConfig.from_mapping(small | settings)


def demonstrations():
    rng = np.random.default_rng(0)
    grids = [rng.integers(0, 10, (6, 6)).astype(np.int8) for _ in range(4)]
    return pack([Item(grids[i], grids[i + 1], Placement((6, 6)), 0) for i in (0, 2)])


def weights(adaptation):
    return [copy.deepcopy(part.state_dict()) for part in (adaptation._net, adaptation._mean_net)]


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
