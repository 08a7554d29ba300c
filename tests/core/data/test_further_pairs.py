"""Pairs of a task beyond its demonstrations: what they are shown with, and how many an epoch has."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest

from arc_core.data.dataset import ARCDataset, plan_batches
from arc_core.data.tasks import Pair, Task, TaskSet

MOST = 6


def pair(rng: np.random.Generator) -> Pair:
    return Pair(*(rng.integers(0, 10, rng.integers(1, 12, 2)).astype(np.int8) for _ in range(2)))


@pytest.fixture(scope="module")
def tasks() -> TaskSet:
    rng = np.random.default_rng(0)
    return TaskSet(tuple(Task(name, tuple(pair(rng) for _ in range(3)), (pair(rng),)) for name in "abc"))


@pytest.fixture(scope="module")
def further() -> dict[str, list[Pair]]:
    rng = np.random.default_rng(1)
    return {"a": [pair(rng) for _ in range(40)], "c": [pair(rng)]}


@pytest.fixture(scope="module")
def dataset(tasks: TaskSet, further: dict[str, list[Pair]]) -> ARCDataset:
    return ARCDataset(tasks=tasks, further=further, most_of_task=MOST, augment=True, recolor=False, seed=5)


def test_a_tasks_own_pairs_come_first_and_are_shown_with_the_others_alone(
    tasks: TaskSet, further: dict[str, list[Pair]]
):
    dataset = ARCDataset(tasks=tasks, further=further)
    assert len(dataset) == 43 + 3 + 4
    for task in tasks.tasks:
        own = [example for example in dataset if example.task_id == task.id]
        shown = [*task.train, *further.get(task.id, ())]
        assert [example.pair_index for example in own] == list(range(len(shown)))
        for example, wanted in zip(own, shown, strict=True):
            assert example.input is wanted.input
            assert example.target is wanted.output
            assert example.context == tuple(one for one in task.train if one is not wanted)


def test_test_inputs_are_the_tasks_own_alone(tasks: TaskSet, further: dict[str, list[Pair]]):
    assert len(ARCDataset(tasks=tasks, further=further, part="test")) == 3


@pytest.mark.parametrize("size", [1, 4, 100])
def test_an_epoch_shows_each_pair_once_and_no_task_more_than_its_share(dataset: ARCDataset, size: int):
    planned = plan_batches(dataset, size, seed=1, epoch=2)
    keys = [dataset.key(index) for batch in planned for index in batch]
    assert len(set(keys)) == len(keys)
    assert Counter(task for task, _ in keys) == {"a": MOST, "b": 3, "c": 4}
    assert max(map(len, planned)) <= size


def test_which_pairs_an_epoch_shows_is_a_function_of_seed_and_epoch(dataset: ARCDataset):
    def shown(seed: int, epoch: int) -> set[tuple[str, int]]:
        planned = plan_batches(dataset, 4, seed=seed, epoch=epoch)
        return {dataset.key(index) for batch in planned for index in batch}

    assert shown(1, 2) == shown(1, 2)
    assert shown(1, 2) != shown(1, 3)
    assert shown(1, 2) != shown(2, 2)
    assert len(set().union(*(shown(1, epoch) for epoch in range(200)))) == len(dataset)


def test_what_was_trained_on_already_is_not_made_up_for_by_other_pairs(dataset: ARCDataset):
    first, *rest = plan_batches(dataset, 4, seed=1, epoch=0)
    done = {dataset.key(index) for index in first}
    again = plan_batches(dataset, 3, seed=1, epoch=0, left_out=done)
    assert sorted(chain(*again)) == sorted(chain(*rest))


def test_the_sides_of_some_are_those_that_all_have(dataset: ARCDataset):
    some = np.array([40, 3, 7, 45])
    assert dataset.shapes(3, some).tolist() == dataset.shapes(3)[some].tolist()


def test_tasks_without_a_pair_that_fits_have_no_example(tasks: TaskSet):
    small = Pair(*(np.zeros((1, 1), dtype=np.int8) for _ in range(2)))
    assert ARCDataset(tasks=tasks, max_cells=1, further={"b": [small]}).task_ids == ["b"]
    assert ARCDataset(tasks=tasks).task_ids == ["a", "b", "c"]
