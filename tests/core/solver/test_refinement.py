"""Refining the prompt after the adaptation: rewarded as in the seed, used only where it gains something."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from arc_core.data.sizes import Placement
from arc_core.data.tasks import Pair, Task
from arc_core.pipeline.canvas import Item, pack
from arc_core.pipeline.canvas_planner import Planned
from arc_core.pipeline.reward import color_similarity, per_cell_accuracy, size_similarity
from arc_core.solver.adaptation import Adaptation
from arc_core.solver.config import SolverConfig
from arc_core.solver.refinement import PromptRefinement
from arc_core.solver.solver import Solver
from arc_core.solver.start import fresh_net

SMALL = {"width": 16, "prompt_dim": 12, "steps": 2, "context_dim": 4, "color_maps": 2, "amp": "off"}
CONFIG = SolverConfig.from_mapping(SMALL | {"batch_cells": 300})
CPU = torch.device("cpu")


def demonstrations(sizes=((3, 4), (5, 2), (3, 3))):
    rng = np.random.default_rng(0)
    return [
        Item(
            rng.integers(0, 10, size).astype(np.int8),
            rng.integers(0, 10, size).astype(np.int8),
            Placement(size),
            0,
        )
        for size in sizes
    ]


def steerable(batch, change):
    """Plans that are the more right the further the prompt is moved along (1, ..., 1), and wrong before."""
    prompts = torch.zeros(len(batch), 12) if change is None else change
    lead = 40 * prompts.mean(dim=-1)[:, None, None, None]
    right, wrong = (F.one_hot((batch.targets + k) % 10, 10).float() for k in (0, 1))
    # Cells differ in how far it takes, so that each little way is worth something.
    needed = torch.linspace(0.01, 2, batch.targets[0].numel()).view(1, *batch.targets.shape[1:], 1)
    logits = lead * right + needed * wrong
    return Planned(logits[:, None], torch.zeros(len(batch), 2, 30), prompts)


def test_a_policy_finds_the_direction_that_is_rewarded():
    items = demonstrations()
    refinement = PromptRefinement(steerable, 12, CPU, seed=1)
    gained = refinement.learn(lambda step: items, 60)
    assert gained > 0.1
    assert refinement.useful
    change = refinement.change(items, torch.zeros(3, 12))
    assert (change.mean(dim=-1) > 0.02).all()


def test_a_policy_that_gains_nothing_is_not_used():
    refinement = PromptRefinement(lambda batch, change: steerable(batch, None), 12, CPU, seed=1)
    assert refinement.learn(lambda step: demonstrations(), 3) == 0
    assert not refinement.useful


def test_the_reward_is_made_of_the_seeds_four_metrics():
    items = demonstrations()
    batch = pack(items)
    torch.manual_seed(0)
    planned = Planned(
        torch.randn(3, 2, *batch.out_mask.shape[1:], 10), torch.randn(3, 2, 30), torch.randn(3, 12)
    )
    calls = []

    def found_again(batch, colors, prompts):
        calls.append((colors, prompts))
        return torch.tensor([0.1, 0.2, 0.3])

    prompts = torch.randn(3, 12)
    scores = PromptRefinement(lambda *_: planned, 12, CPU, 1, found_again)._scores(batch, planned, prompts)
    for number, item in enumerate(items):
        height, width = item.target.shape
        grid = planned.logits[number, -1, :height, :width].argmax(-1)
        target = torch.from_numpy(item.target.astype(np.int64))
        guess = tuple((planned.size_logits[number].argmax(-1) + 1).tolist())
        expected = [
            per_cell_accuracy(grid, target),
            size_similarity(guess, (height, width)),
            color_similarity(grid, target),
            0.1 * (number + 1),
        ]
        found = [scores.accuracy, scores.size, scores.color, scores.reversibility]
        assert [one[number].item() for one in found] == pytest.approx(expected, abs=1e-5)
    ((colors, judged),) = calls
    assert torch.equal(colors, planned.logits[:, -1].argmax(-1))
    assert judged is prompts


def test_learning_is_reproducible_and_leaves_the_worlds_randomness_alone():
    items = demonstrations()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    changes = []
    for _ in range(2):
        refinement = PromptRefinement(steerable, 12, CPU, seed=1)
        refinement.learn(lambda step: items, 5)
        changes.append(refinement.change(items, torch.zeros(3, 12)))
    assert torch.equal(*changes)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("bidirectional", ["off", "planner"])
def test_predictions_are_those_under_the_refined_prompt_where_it_is_useful(bidirectional, monkeypatch):
    config = SolverConfig.from_mapping(SMALL | {"bidirectional": bidirectional})
    adaptation = Adaptation(fresh_net(config, 1), config, CPU, seed=1)
    for parameter in adaptation._mean_net.parameters():  # zeros of the start would hide the prompt
        if parameter.abs().sum() == 0:
            torch.nn.init.normal_(parameter, std=0.1)
    items = demonstrations()
    _, before = adaptation.plan(items)
    adaptation.refine(lambda step: items, 2)
    refinement = adaptation._refinement
    for useful in (False, True):
        refinement.useful = useful
        _, after = adaptation.plan(items)
        moved = refinement.change(items, before.prompts) if useful else torch.zeros(3, 12)
        torch.testing.assert_close(after.prompts, before.prompts + moved)
        assert torch.equal(after.logits, before.logits) == (not useful)


def test_the_refinement_takes_its_share_of_the_steps_and_comes_before_the_last_votes(monkeypatch):
    rng = np.random.default_rng(1)
    pairs = [Pair(*(rng.integers(0, 3, (4, 4)).astype(np.int8) for _ in range(2))) for _ in range(3)]
    seen = []

    def refine(self, draw, steps):
        seen.append((self.step, steps, len(draw(0))))
        return 0.0

    monkeypatch.setattr(Adaptation, "refine", refine)
    config = SolverConfig.from_mapping(SMALL | {"batch_cells": 300, "rl_refinement": 0.25})
    solver = Solver(Task("t", tuple(pairs), (Pair(pairs[0].input, None),)), config)
    ballots = []
    (start,) = solver.starts
    monkeypatch.setattr(start, "ballots", lambda vote=start.ballots: ballots.append(len(seen)) or vote())
    solver.solve(12)
    assert seen == [(9, 3, 3 * start.views_a_step)]
    assert ballots == [0, 0, 1]


def test_without_a_share_nothing_is_refined(monkeypatch):
    monkeypatch.setattr(Adaptation, "refine", None)
    pairs = [Pair(np.ones((2, 2), np.int8), np.ones((2, 2), np.int8))] * 2
    Solver(Task("t", tuple(pairs), (Pair(pairs[0].input, None),)), CONFIG).solve(2)
