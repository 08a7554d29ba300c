"""What the solver makes of views: which are trained on, what a vote weighs, where outputs lie."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from arc_core.data.sizes import Placement
from arc_core.data.tasks import Pair, Task
from arc_core.data.views import make_views
from arc_core.pipeline.placed_task import PlacedTask
from arc_core.solver.config import SolverConfig
from arc_core.solver.start import SECOND_SIZE_WEIGHT, SolverStart

CONFIG = SolverConfig.from_mapping(
    {"width": 16, "prompt_dim": 16, "steps": 2, "context_dim": 4, "color_maps": 2, "amp": "off"}
    | {"batch_cells": 300}
)


def grid(seed, size):
    return np.random.default_rng(seed).integers(1, 10, size).astype(np.int8)


def task_without_a_size_rule():
    sizes = [(3, 4), (5, 2), (4, 4), (1, 6)]
    pairs = [Pair(grid(i, (6, 6)), np.ones(size, np.int8)) for i, size in enumerate(sizes)]
    return Task("sizes", tuple(pairs), (Pair(grid(9, (3, 6)), None),))


def task_of_crops(seed=0, pairs=4):
    """The output is the one coloured block of a black grid."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(pairs + 1):
        block = grid(10 * seed + number, rng.integers(2, 5, 2))
        corner = rng.integers(1, 4, 2)
        whole = np.zeros((9, 8), np.int8)
        whole[corner[0] : corner[0] + block.shape[0], corner[1] : corner[1] + block.shape[1]] = block
        made.append((Pair(whole, block), tuple(corner.tolist())))
    task = Task("crops", tuple(pair for pair, _ in made[:-1]), (made[-1][0],))
    return task, [corner for _, corner in made]


def test_a_vote_for_the_less_trusted_size_weighs_less():
    solver = SolverStart(task_without_a_size_rule(), CONFIG)
    (places,), (ballots,) = solver.placements(), solver.ballots()
    assert len(ballots) == 2 * len(solver.placed.views)
    weights = {
        placement.size: weight for placement, weight in zip(places, (1.0, SECOND_SIZE_WEIGHT), strict=True)
    }
    for ballot in ballots:
        assert ballot.weight == weights[ballot.shares.shape[:2]]


def test_sizes_that_are_read_off_turned_views_are_turned_back():
    solver = SolverStart(task_without_a_size_rule(), CONFIG)
    with torch.no_grad():  # the head that says: as the input, whichever way it is turned
        solver._adaptation._means.agent.size_head.body[-1].bias[-2:] = 50.0
    assert solver.placements()[0][0].size == (3, 6)


def test_steps_take_turns_between_views_that_are_turned_and_those_that_are_not():
    solver = SolverStart(task_without_a_size_rule(), replace(CONFIG, batch_cells=10**6))
    for step in range(4):
        shown = {item.view for item in solver.training_items(step)}
        wanted = {(v.symmetry, v.color_map) for v in solver.placed.views if v.symmetry % 2 == step % 2}
        assert shown == wanted


def test_pairs_are_placed_by_the_rule_of_the_tasks_size_where_it_gives_theirs():
    task, corners = task_of_crops()
    placed = PlacedTask(task, make_views(1, (0,), symmetries=False))
    for pair, corner in zip((*task.train, *task.test), corners, strict=True):
        assert placed.place(pair.input, pair.output) == Placement(pair.output.shape, corner)
    odd = grid(7, (7, 7))
    assert placed.place(task.train[0].input, odd) == Placement((7, 7))
    assert placed.queries[0].placements[0] == Placement(task.test[0].output.shape, corners[-1])


@pytest.mark.parametrize("symmetries", [True, False])
def test_what_adapts_holds_no_test_output(symmetries):
    solver = SolverStart(task_of_crops()[0], replace(CONFIG, symmetries=symmetries))
    assert all(pair.output is None for pair in solver.placed.task.test)
