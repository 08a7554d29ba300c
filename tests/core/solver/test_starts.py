"""Several starts: who begins where, what each has of the budget, and what all of them answer together."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from arc_core.data.tasks import Pair, Task
from arc_core.evaluation.pace import Cost, MachinePace
from arc_core.solver.adaptation import Adaptation
from arc_core.solver.config import SolverConfig
from arc_core.solver.solver import Solver
from arc_core.solver.start import SolverStart, fresh_net
from arc_core.solver.voting import choose, choose_among
from arc_core.solver.weights_file import TASK_PROMPTS

CONFIG = SolverConfig.from_mapping(
    {"width": 16, "prompt_dim": 12, "steps": 1, "context_dim": 4, "amp": "off", "batch_cells": 60}
    | {"adapt_lr": 5e-3, "memory": 1, "color_maps": 2, "start_steps": 50, "stop_loss": 0.0}
)


def recolor_task(seed=0):
    """Every 1 becomes 2: a rule that fifty steps learn."""
    rng = np.random.default_rng(seed)
    grids = [rng.integers(0, 2, (3, 4)).astype(np.int8) for _ in range(4)]
    return Task("recolor", tuple(Pair(grid, grid * 2) for grid in grids[:3]), (Pair(grids[3], None),))


def said(choice):
    return [grid.tolist() for grid in choice.attempts], choice.confidence


def steps_of(solver):
    return [start._adaptation.step for start in solver.starts]


@pytest.fixture
def idle(monkeypatch):
    """Steps that change nothing, and cost nothing."""

    def train(self, batch, steps):
        del batch, steps
        self.step += 1
        return 1.0

    monkeypatch.setattr(Adaptation, "train", train)


@pytest.mark.parametrize("given", [False, True])
def test_a_short_budget_gives_what_one_start_alone_gives(given):
    known = torch.randn(5, 1, 12, generator=torch.Generator().manual_seed(3))
    weights = {**fresh_net(CONFIG, 9).state_dict(), TASK_PROMPTS: known} if given else None
    (answer,) = Solver(recolor_task(), CONFIG, weights, seed=4).solve(20)
    alone = SolverStart(recolor_task(), CONFIG, weights, seed=4)
    assert alone.adapt(20) == 20
    assert len(alone.votes) == 3
    assert said(answer.choice) == said(choose([ballot for moment in alone.votes for ballot in moment[0]]))
    assert answer.single.tolist() == alone.votes[-1][0][0].grid.tolist()


@pytest.mark.usefixtures("idle")
def test_starts_have_the_given_weights_random_ones_narrower_ones_and_the_given_ones_again():
    known = torch.randn(5, 1, 12, generator=torch.Generator().manual_seed(3))
    net = fresh_net(CONFIG, 9)
    solver = Solver(recolor_task(), CONFIG, {**net.state_dict(), TASK_PROMPTS: known})
    solver.solve(200)
    assert [start.config.width for start in solver.starts] == [16, 16, 12, 16]
    stems = [start._adaptation._net.stem.weight for start in solver.starts]
    assert [torch.equal(stem, net.stem.weight) for stem in stems] == [True, False, False, True]
    prompts = [start._start_prompt for start in solver.starts]
    torch.testing.assert_close(prompts[0], prompts[3])
    namings = {start.placed.views[-1].colors for start in solver.starts}
    assert len(namings) == 4


@pytest.mark.usefixtures("idle")
def test_without_given_weights_all_starts_are_random_and_different():
    solver = Solver(recolor_task(), CONFIG)
    solver.solve(200)
    stems = [start._adaptation._net.stem.weight for start in solver.starts]
    assert [start.config.width for start in solver.starts] == [16, 16, 12, 16]
    assert not any(torch.equal(a, stems[3]) for a in stems[:2])
    assert not torch.equal(stems[0], stems[1])


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize(
    ("steps", "most", "each"),
    [
        (0, 4, [0]),
        (99, 4, [99]),
        (100, 4, [50, 50]),
        (170, 4, [56, 57, 57]),
        (500, 4, [125] * 4),
        (500, 1, [500]),
    ],
)
def test_a_budget_is_divided_evenly_among_as_many_starts_as_it_is_long_enough_for(steps, most, each):
    solver = Solver(recolor_task(), replace(CONFIG, max_starts=most))
    solver.solve(steps)
    assert steps_of(solver) == each


@pytest.mark.parametrize(
    ("stop_loss", "most", "each"), [(1.0, 4, [50, 50]), (1.0, 1, [100]), (0.0, 4, [100])]
)
def test_a_start_that_has_nothing_left_to_learn_leaves_its_steps_to_another(stop_loss, most, each):
    config = replace(CONFIG, start_steps=100, stop_loss=stop_loss, max_starts=most)
    solver = Solver(recolor_task(), config)
    (answer,) = solver.solve(100)
    assert steps_of(solver) == each
    assert [len(start.votes) for start in solver.starts] == [1, 3] if len(each) > 1 else [3]
    assert (answer.choice.attempts[0] == 2 * recolor_task().test[0].input).all()


@pytest.mark.usefixtures("idle")
def test_a_start_goes_on_where_its_loss_is_not_nothing_or_a_demonstration_is_wrong():
    loss_too_high = Solver(recolor_task(), replace(CONFIG, start_steps=100, stop_loss=0.5))
    loss_too_high.solve(120)
    assert steps_of(loss_too_high) == [120]
    wrong = Solver(recolor_task(), replace(CONFIG, start_steps=100, stop_loss=1.0))
    wrong.starts[0]._adaptation.train = lambda batch, steps: _step(wrong.starts[0]._adaptation)
    wrong.solve(120)
    assert not all(wrong.look(0, 0.0).exact)
    assert steps_of(wrong) == [120]


def _step(adaptation):
    adaptation.step += 1
    return 0.0


def test_several_starts_give_the_same_answers_again_and_choose_among_all_their_votes():
    solvers = [Solver(recolor_task(), CONFIG, seed=2) for _ in range(2)]
    (first,), (again,) = (solver.solve(110) for solver in solvers)
    assert said(first.choice) == said(again.choice)
    starts = solvers[0].starts
    fits = [sum(start.look(0, 0.0).exact) / len(start.look(0, 0.0).exact) for start in starts]
    assert said(first.choice) == said(choose_among([start.ballots_on(0) for start in starts], fits))
    assert solvers[0].best is starts[fits.index(max(fits))]
    assert solvers[0].look(0, 0.0).exact == solvers[0].best.look(0, 0.0).exact


def test_a_watcher_sees_the_steps_of_all_starts_and_whose_they_are():
    looks = []
    Solver(recolor_task(), replace(CONFIG, start_steps=100, stop_loss=1.0)).solve(120, looks.append, looks=4)
    assert [(look.step, look.start, look.starts) for look in looks] == [
        (1, 1, 1), (30, 1, 1), (51, 2, 2), (60, 2, 2), (90, 2, 2), (120, 2, 2)
    ]  # fmt: skip
    assert {look.steps for look in looks} == {120}


def test_what_each_start_costs_beside_its_steps_is_paid_from_the_budget():
    solver = Solver(recolor_task(), replace(CONFIG, max_steps=10**6))
    pace = MachinePace(train=Cost(1.0, 0.0), predict=Cost(0.5, 0.0))
    votes = 3 * 16 * 0.5
    assert pace.steps(solver, 60 + votes) == 60
    assert pace.steps(solver, 99 + votes) == 99
    # As many steps for two starts as there are without what the second one's votes cost.
    assert pace.steps(solver, 100 + votes) == 99
    assert pace.steps(solver, 100 + 2 * votes) == 100
    # A step of the third start costs three quarters of another one's.
    assert pace.steps(solver, 165 + 3 * votes) == 180
    assert pace.steps(solver, 900 + 4 * votes) == 960
    one = Solver(recolor_task(), replace(CONFIG, max_steps=10**6, max_starts=1))
    assert pace.steps(one, 900 + votes) == 900
