"""Where the outputs of pairs lie over their inputs, as a run lays them out."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from arc_core.data.dataset import ARCDataset
from arc_core.data.tasks import TaskSet
from arc_core.data.views import make_views
from arc_core.pipeline.canvas import CanvasBatch, Item, pack
from arc_core.pipeline.laying import Layouts
from arc_core.pipeline.padding import FEW_SIDES
from arc_core.pipeline.placed_task import PlacedTask


@pytest.fixture(scope="module")
def dataset() -> ARCDataset:
    return ARCDataset("arcagi1", augment=True, recolor=False, seed=3, max_cells=100)


def assert_same(one: CanvasBatch, other: CanvasBatch) -> None:
    for field in fields(CanvasBatch):
        if field.name in ("inputs", "aligned"):
            continue
        assert torch.equal(getattr(one, field.name), getattr(other, field.name)), field.name
    assert torch.equal(one.inputs.cells, other.inputs.cells)


def test_a_training_pair_lies_as_the_solver_lays_it_under_the_same_symmetry(dataset: ARCDataset):
    layouts, views = Layouts(dataset.tasks.tasks), make_views(1, (0,), symmetries=True)
    by_symmetry = {view.symmetry: number for number, view in enumerate(views)}
    tasks = {task.id: task for task in dataset.tasks.tasks}
    for index in range(0, len(dataset), 40):
        example = dataset.example(index, epoch=1)
        placed = PlacedTask(tasks[example.task_id].without_test_outputs(), views)
        item = placed.demonstrations(by_symmetry[example.symmetry])[example.pair_index]
        assert_same(layouts.lay([example]), pack([item], FEW_SIDES))


def test_a_further_pair_lies_as_if_it_were_a_demonstration(dataset: ARCDataset):
    task = dataset.tasks.tasks[1]
    known, asked = task.train[:-1], task.train[-1]
    shorter, further = replace(task, train=known), {task.id: [asked]}
    layouts = Layouts([shorter], further)
    for epoch in range(4):
        example = ARCDataset(tasks=TaskSet((shorter,)), augment=True, further=further).example(-1, epoch)
        assert example.pair_index == len(known)
        laid = layouts.lay([example])
        assert laid.out_sizes[0].tolist() == list(example.target.shape)
        placed = PlacedTask(shorter.without_test_outputs(), make_views(1, (0,), symmetries=False))
        wanted = placed.place(asked.input, asked.output).under(example.symmetry, asked.input.shape)
        item = Item(example.input, example.target, wanted, placed.copies, (example.symmetry, 0))
        assert_same(laid, pack([item], FEW_SIDES))


def test_colours_keep_their_names_where_they_are_not_to_be_renamed(dataset: ARCDataset):
    tasks = {task.id: task for task in dataset.tasks.tasks}
    turned = set()
    for index in range(0, len(dataset), 25):
        example = dataset.example(index, epoch=0)
        pair = tasks[example.task_id].train[example.pair_index]
        assert np.array_equal(np.bincount(example.input.ravel()), np.bincount(pair.input.ravel()))
        turned.add(example.symmetry)
    assert len(turned) > 4


def test_the_output_of_a_test_input_is_not_looked_at():
    tests = ARCDataset("arcagi1", part="test")
    layouts = Layouts(tests.tasks.tasks)
    for index in range(0, len(tests), 60):
        example = tests[index]
        blind = replace(example, target=None)
        assert_same(layouts.lay([example]), layouts.lay([blind]))
        assert not layouts.lay([example]).targets.any()


def test_without_a_rule_the_size_that_is_given_counts():
    tests = ARCDataset("arcagi1", part="test")
    layouts = Layouts(tests.tasks.tasks)
    example = next(one for one in tests if layouts.known_size(one) is None)
    assert layouts.lay([example]).out_sizes.tolist() == [list(example.input.shape)]
    assert layouts.lay([example], [(2, 5)]).out_sizes.tolist() == [[2, 5]]
