import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arc_core.data.dataset import ARCDataset, augment_example, plan_batches
from arc_core.data.grids import to_rows
from arc_core.data.tasks import Pair, Task, TaskSet, load_tasks


@pytest.fixture(scope="module")
def arcagi2():
    return load_tasks("arcagi2")


def padding_share(dataset, batches, *, epoch=0):
    """Padded cells over all cells, where a batch's inputs and targets are padded to their largest sides."""
    shapes = dataset.shapes(epoch)
    filled = total = 0
    for batch in batches:
        sides = shapes[list(batch)]  # [B, 4]
        filled += int((sides[:, 0] * sides[:, 1] + sides[:, 2] * sides[:, 3]).sum())
        height, width, target_height, target_width = sides.max(axis=0).tolist()
        total += len(batch) * (height * width + target_height * target_width)
    return 1 - filled / total if total else 0.0


def random_tasks(count=40, seed=0, pairs=4):
    rng = np.random.default_rng(seed)

    def pair():
        shape, other = rng.integers(1, 31, 2), rng.integers(1, 31, 2)
        return Pair(rng.integers(0, 10, shape, dtype=np.int8), rng.integers(0, 10, other, dtype=np.int8))

    return TaskSet(
        tuple(Task(f"t{i:03d}", tuple(pair() for _ in range(pairs)), (pair(),)) for i in range(count))
    )


def flat(example):
    """All of an example as plain values, to compare."""
    pairs = [(to_rows(pair.input), to_rows(pair.output)) for pair in example.context]
    return example.task_id, example.pair_index, pairs, to_rows(example.input), to_rows(example.target)


class TestExamples:
    def test_a_train_pair_is_shown_with_the_other_train_pairs(self):
        tasks = random_tasks(3)
        dataset = ARCDataset(tasks=tasks)
        for example in dataset:
            task = tasks.tasks[int(example.task_id[1:])]
            own = task.train[example.pair_index]
            assert example.input is own.input
            assert example.target is own.output
            assert example.context == tuple(pair for pair in task.train if pair is not own)

    def test_a_test_pair_is_shown_with_all_train_pairs(self):
        tasks = random_tasks(3)
        for example, task in zip(ARCDataset(tasks=tasks, part="test"), tasks.tasks, strict=True):
            assert example.context == task.train
            assert example.input is task.test[0].input

    @pytest.mark.parametrize("augment", [False, True])
    def test_a_test_context_does_not_depend_on_the_test_output(self, augment):
        tasks = random_tasks(5)
        hidden = TaskSet(tuple(task.without_test_outputs() for task in tasks.tasks))
        known = ARCDataset(tasks=tasks, part="test", augment=augment)
        unknown = ARCDataset(tasks=hidden, part="test", augment=augment)
        for one, other in zip(known, unknown, strict=True):
            assert other.target is None
            assert to_rows(one.input) == to_rows(other.input)
            assert [to_rows(p.output) for p in one.context] == [to_rows(p.output) for p in other.context]

    def test_a_single_demonstration_leaves_an_empty_context(self):
        dataset = ARCDataset(tasks=random_tasks(1, pairs=1), augment=True)
        assert dataset[0].context == ()

    def test_max_context_keeps_the_first_or_a_fresh_choice_when_augmenting(self):
        tasks = random_tasks(1, pairs=8)
        plain = ARCDataset(tasks=tasks, max_context=3)
        assert plain[0].context == tasks.tasks[0].train[1:4]
        assert len(ARCDataset(tasks=tasks, max_context=None)[0].context) == 7
        assert ARCDataset(tasks=tasks, max_context=0)[0].context == ()
        augmented = ARCDataset(tasks=tasks, max_context=3, augment=True)
        sizes = {
            tuple(sorted(pair.input.size for pair in augmented.example(0, e).context)) for e in range(20)
        }
        assert all(len(chosen) == 3 for chosen in sizes)
        assert len(sizes) > 5

    def test_indexing_ends_and_settings_are_checked(self):
        dataset = ARCDataset(tasks=random_tasks(2, pairs=2), augment=True)
        assert flat(dataset[-1]) == flat(dataset[3])
        with pytest.raises(IndexError):
            dataset[4]
        with pytest.raises(ValueError, match="epoch"):
            dataset.example(0, -1)
        for bad in ({"part": "both"}, {"seed": -1}, {"max_context": -1}):
            with pytest.raises(ValueError, match=next(iter(bad))):
                ARCDataset(tasks=random_tasks(1), **bad)

    @pytest.mark.parametrize("augment", [False, True])
    def test_grids_of_examples_are_read_only(self, augment):
        example = ARCDataset(tasks=load_tasks("arcagi1"), augment=augment)[0]
        grids = [example.input, example.target, example.context[0].input, example.context[0].output]
        assert not any(grid.flags.writeable for grid in grids)


class TestAugmentation:
    @settings(max_examples=30)
    @given(st.integers(0, 2**32), st.integers(0, 100), st.integers(0, 159))
    def test_an_example_is_a_function_of_seed_epoch_and_index(self, seed, epoch, index):
        one, other = (ARCDataset(tasks=TASKS, augment=True, seed=seed) for _ in range(2))
        other.example((index + 1) % len(other), epoch + 1)  # what was asked for before must not matter
        assert flat(one.example(index, epoch)) == flat(other.example(index, epoch))

    def test_seed_epoch_and_index_each_change_the_augmentation(self):
        base = ARCDataset(tasks=TASKS, augment=True, seed=1)
        reseeded = ARCDataset(tasks=TASKS, augment=True, seed=2)
        shown = {tuple(to_rows(base.example(0, epoch).input)) for epoch in range(20)}
        assert len(shown) == 20
        assert to_rows(base[0].input) != to_rows(reseeded[0].input)
        # the task's first input, as the query and as the next pair's context: two draws
        assert to_rows(base[0].input) not in [to_rows(pair.input) for pair in base[1].context]

    def test_without_augmentation_epochs_are_alike(self):
        dataset = ARCDataset(tasks=TASKS)
        assert flat(dataset.example(5, 0)) == flat(dataset.example(5, 9))

    def test_every_symmetry_is_drawn_and_colour_0_stays(self):
        dataset = ARCDataset(tasks=TASKS, augment=True)
        draws = [dataset._draw(index, 0) for index in range(len(dataset))]
        assert {symmetry for symmetry, _, _ in draws} == set(range(8))
        assert all(permutation[0] == 0 and set(permutation) == set(range(10)) for _, permutation, _ in draws)
        assert {permutation[1] for _, permutation, _ in draws} == set(range(1, 10))

    @settings(max_examples=30)
    @given(st.integers(0, 50), st.integers(0, 39))
    def test_a_copying_task_stays_a_copying_task(self, epoch, seed):
        rng = np.random.default_rng(seed)
        inputs = [rng.integers(0, 10, rng.integers(1, 31, 2), dtype=np.int8) for _ in range(4)]
        pairs = tuple(Pair(grid, grid.copy()) for grid in inputs)
        dataset = ARCDataset(tasks=TaskSet((Task("copy", pairs, pairs[:1]),)), augment=True, seed=seed)
        for index in range(len(dataset)):
            example = dataset.example(index, epoch)
            for pair in (*example.context, Pair(example.input, example.target)):
                np.testing.assert_array_equal(pair.input, pair.output)

    def test_context_and_query_get_the_same_symmetry_and_colors(self):
        # every pair has the same input, so after augmentation every input must still be the same
        grid = np.arange(6, dtype=np.int8).reshape(2, 3)
        pairs = tuple(Pair(grid, grid[::-1, : i + 1]) for i in range(3))
        dataset = ARCDataset(tasks=TaskSet((Task("a", pairs, pairs[:1]),)), augment=True)
        for epoch in range(16):
            example = dataset.example(0, epoch)
            assert all(np.array_equal(pair.input, example.input) for pair in example.context)

    def test_augmenting_by_nothing_changes_nothing(self):
        example = ARCDataset(tasks=TASKS)[0]
        assert flat(augment_example(example, 0, np.arange(10))) == flat(example)

    def test_shapes_are_those_of_the_examples(self):
        dataset = ARCDataset(tasks=TASKS, augment=True)
        expected = [example.input.shape + example.target.shape for example in dataset]
        assert dataset.shapes().tolist() == [list(shape) for shape in expected]


class TestBatches:
    @settings(max_examples=40)
    @given(st.integers(1, 50), st.integers(0, 2**32), st.integers(0, 9))
    def test_each_index_is_in_exactly_one_batch(self, batch_size, seed, epoch):
        batches = plan_batches(DATASET, batch_size, seed=seed, epoch=epoch)
        assert sorted(index for batch in batches for index in batch) == list(range(len(DATASET)))
        sizes = sorted(len(batch) for batch in batches)
        assert set(sizes[1:]) <= {batch_size}
        assert 1 <= sizes[0] <= batch_size

    def test_a_plan_is_reproducible_and_differs_by_seed_and_epoch(self):
        plans = [
            plan_batches(DATASET, 8, seed=seed, epoch=epoch)
            for seed, epoch in [(1, 0), (1, 0), (2, 0), (1, 1)]
        ]
        assert plans[0] == plans[1]
        assert plans[0] != plans[2]
        assert plans[0] != plans[3]

    def test_max_batches_keeps_the_first_of_the_same_plan(self):
        plan = plan_batches(DATASET, 8, seed=1, epoch=0)
        assert plan_batches(DATASET, 8, seed=1, epoch=0, max_batches=3) == plan[:3]

    def test_batches_of_an_epoch_are_not_in_order_of_size(self):
        shapes = DATASET.shapes()
        heights = [shapes[batch, 0].max() for batch in plan_batches(DATASET, 8, seed=1, epoch=0)]
        assert heights != sorted(heights)
        assert heights != sorted(heights, reverse=True)

    def test_an_empty_dataset_has_no_batches(self):
        dataset = ARCDataset(tasks=TaskSet(()))
        assert plan_batches(dataset, 8, seed=1, epoch=0) == []
        assert padding_share(dataset, []) == 0

    def test_impossible_batches_are_refused(self):
        for options in ({"batch_size": 0}, {"batch_size": 1, "max_batches": 0}):
            with pytest.raises(ValueError, match="at least 1"):
                plan_batches(DATASET, **options, seed=1, epoch=0)

    def test_padding_share_counts_padded_cells_of_inputs_and_targets(self):
        def pair(*sides):
            return Pair(np.zeros(sides[:2], np.int8), np.zeros(sides[2:], np.int8))

        task = Task("a", (pair(1, 2, 1, 1), pair(2, 1, 3, 1)), (pair(1, 1, 1, 1),))
        dataset = ARCDataset(tasks=TaskSet((task,)))
        assert padding_share(dataset, [[0], [1]]) == 0
        assert padding_share(dataset, [[0, 1]]) == pytest.approx(1 - 8 / 14)  # 2 x 2x2 and 2 x 3x1

    def test_grouping_by_size_pads_under_a_third_of_what_random_batches_pad(self, arcagi2):
        dataset = ARCDataset(tasks=arcagi2, augment=True)
        order = np.random.default_rng(0).permutation(len(dataset)).tolist()
        unsorted = padding_share(dataset, [order[i : i + 8] for i in range(0, len(order), 8)])
        planned = padding_share(dataset, plan_batches(dataset, 8, seed=42, epoch=0))
        assert planned < unsorted / 3


TASKS = random_tasks()
DATASET = ARCDataset(tasks=TASKS, augment=True)
