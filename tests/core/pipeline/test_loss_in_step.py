"""The loss as a training step calls it."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from loss_calls import js_by_numpy, softmax

from arc_core.data.dataset import Example
from arc_core.pipeline.agent import one_hot
from arc_core.pipeline.batch import collate
from arc_core.pipeline.loss_terms import consistency_term
from arc_core.pipeline.resize import resize_logits
from arc_core.pipeline.step import training_step
from arc_core.pipeline.system import ArcSystem


@pytest.mark.parametrize("backward", ["planner", "flip"])
def test_the_backward_plan_stands_beside_the_forward_one_in_reversed_time(
    make_system: Callable[..., ArcSystem], make_examples: Callable[..., list[Example]], backward: str
) -> None:
    system = make_system(refine=False, hard_cell_gain=0.0, backward=backward)
    batch = collate(make_examples(1, seed=4))
    assert batch.targets is not None
    size = tuple(batch.targets.sizes[0].tolist())
    with torch.no_grad():
        flow = system.flow(batch, explore=False)
        forward = F.interpolate(
            flow.after.logits[0].permute(0, 3, 1, 2), size=size, mode="bilinear", align_corners=False
        ).permute(0, 2, 3, 1)
        truth = one_hot(batch.targets.cells, batch.targets.mask)
        plan = system.agent.reconstruct(truth, flow.prompt, batch.targets.mask)
        back = resize_logits(plan[:, -1:], batch.targets.sizes, batch.inputs.sizes, batch.inputs.canvas)
        surprise = consistency_term(back[:, 0], batch.inputs.cells, batch.inputs.mask, batch.inputs.mask)
    expected = 0.0 if backward == "flip" else surprise.item()
    other = forward if backward == "flip" else plan[0]
    steps = len(forward)
    for step in range(steps):  # forward step t beside backward step T + 1 - t
        expected += js_by_numpy(softmax(forward[step]), softmax(other[steps - 1 - step])).mean() / steps
    found = training_step(system, batch, epoch=0, step=1).loss["bidirectional"]
    assert found == pytest.approx(0.5 * expected, rel=1e-4)


def test_with_the_flipped_plan_there_is_no_judge_of_reversibility(
    make_system: Callable[..., ArcSystem], make_examples: Callable[..., list[Example]]
) -> None:
    batch = collate(make_examples(4))
    reward = {}
    for backward in ("flip", "planner"):
        system = make_system(backward=backward, agent_lr=1e-3)
        planner = [weight.detach().clone() for weight in system.agent.backward_planner.parameters()]
        reward[backward] = training_step(system, batch, epoch=0, step=1).reward["d_rev"]
        moved = [
            not torch.equal(a, b)
            for a, b in zip(planner, system.agent.backward_planner.parameters(), strict=True)
        ]
        assert all(moved) if backward == "planner" else not any(moved)
    assert reward["flip"] == 0.0, "an untrained planner judges"
    assert reward["planner"] != 0.0


def test_every_weight_of_the_agent_and_the_loss_is_trained(
    make_system: Callable[..., ArcSystem], make_examples: Callable[..., list[Example]]
) -> None:
    system = make_system(optimizer="adamw", weight_decay=0.0)
    kept = {
        name: parameter.detach().clone()
        for module in (system.agent, system.efe_loss, system.qwen)
        for name, parameter in module.named_parameters()
    }
    training_step(system, collate(make_examples(4)), epoch=0, step=1)
    still = [
        name
        for module in (system.agent, system.efe_loss, system.qwen)
        for name, parameter in module.named_parameters()
        if torch.equal(parameter, kept[name])
    ]
    assert still == ["demonstrations.nothing"]  # all pairs had demonstrations
