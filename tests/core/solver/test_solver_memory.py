"""The memory of pretrained prompts: what explains a task's demonstrations, and where adaptation starts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from arc_core.data.tasks import Pair, Task
from arc_core.data.views import make_views
from arc_core.evaluation.pace import Cost, MachinePace
from arc_core.pipeline.canvas import pack
from arc_core.pipeline.placed_task import PlacedTask
from arc_core.solver.config import SolverConfig
from arc_core.solver.memory import ASKED_CELLS, asked, prompt_losses
from arc_core.solver.solver import Solver
from arc_core.solver.start import SolverStart, fresh_net
from arc_core.solver.weights_file import TASK_PROMPTS

CONFIG = SolverConfig.from_mapping(
    {"width": 16, "prompt_dim": 12, "steps": 2, "context_dim": 4, "amp": "off"}
    | {"batch_cells": 300, "memory": 1}
)
OWN = make_views(1, (0,), symmetries=False)


def task_of(sizes, seed=0):
    rng = np.random.default_rng(seed)

    def pair(size):
        return Pair(*(rng.integers(0, 10, size).astype(np.int8) for _ in range(2)))

    return Task(f"t{seed}", tuple(pair(size) for size in sizes), (pair(sizes[0]),))


def livened(net):
    """Zeros of the start would hide what a prompt does."""
    generator = torch.Generator().manual_seed(1)
    for parameter in net.parameters():
        if parameter.abs().sum() == 0:
            parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
    return net


def test_each_prompts_loss_is_that_of_the_demonstrations_planned_under_it_alone():
    net = livened(fresh_net(CONFIG, 0))
    known = torch.randn(40, 1, 12, generator=torch.Generator().manual_seed(2))
    placed = PlacedTask(task_of([(5, 4), (3, 7)]), OWN)
    losses = prompt_losses(net, known, placed, CONFIG)
    for number in (0, 17, 39):
        by_hand = []
        for item in placed.demonstrations(0):
            with torch.no_grad():
                logits = net(pack([item]), known[number]).logits[0, -1]
            by_hand.append(F.cross_entropy(logits.flatten(0, 1), torch.tensor(item.target).long().flatten()))
        torch.testing.assert_close(losses[number], torch.stack(by_hand).mean(), atol=1e-4, rtol=1e-4)


def test_prompts_are_tried_on_the_smallest_demonstrations_and_on_one_at_least():
    small = PlacedTask(task_of([(15, 15), (10, 10), (10, 11), (30, 30)]), OWN)
    assert [item.input.shape for item in asked(small)] == [(10, 10), (10, 11)]
    large = asked(PlacedTask(task_of([(30, 30), (25, 25)]), OWN))
    assert [item.input.shape for item in large] == [(25, 25)]
    assert ASKED_CELLS < 25 * 25


@pytest.mark.parametrize("symmetries", [1, 8])
@pytest.mark.parametrize("memory", [0, 1, 2])
def test_adaptation_starts_from_the_prompts_that_explain_the_task_best(symmetries, memory):
    config = replace(CONFIG, memory=memory)
    net = livened(fresh_net(config, 0))
    known = torch.randn(6, symmetries, 12, generator=torch.Generator().manual_seed(3))
    task = task_of([(4, 4), (4, 5), (5, 5)])
    solver = SolverStart(task, config, {**net.state_dict(), TASK_PROMPTS: known})
    losses = prompt_losses(net, known, solver.placed, config)
    order = losses.argsort()[:memory] if memory else torch.arange(6)
    start = solver._adaptation._prompt.symmetries.detach()
    assert start.shape == (8, 12)
    torch.testing.assert_close(start, known[order].mean(dim=0).expand(8, 12))


def test_without_pretrained_prompts_the_start_is_random_by_task_and_seed_alone():
    task = task_of([(4, 4)])
    starts = [
        SolverStart(replace(task, id=name), CONFIG, seed=seed)._start_prompt
        for name, seed in (("a", 0), ("a", 0), ("a", 1), ("b", 0))
    ]
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])
    assert not torch.equal(starts[0], starts[3])


def test_looking_a_task_up_is_paid_from_its_budget():
    net = livened(fresh_net(CONFIG, 0))
    pace = MachinePace(train=Cost(0.0, 1e-5), predict=Cost(0.0, 1e-6))
    task = task_of([(10, 10), (10, 10)])
    known = torch.zeros(50, 1, 12)
    without = Solver(task, CONFIG, net.state_dict())
    weights = {**net.state_dict(), TASK_PROMPTS: known}
    looked_up = Solver(task, CONFIG, weights)
    assert looked_up.starts[0].memory_cells == 50 * 200
    assert SolverStart(task, replace(CONFIG, memory=0), weights).memory_cells == 0
    step = 1e-5 * without.starts[0].views_a_step * 200
    steps = [pace.steps(solver, 1.0) for solver in (without, looked_up)]
    assert steps[0] - steps[1] == pytest.approx(50 * 200 * 1e-6 / step, abs=1)
