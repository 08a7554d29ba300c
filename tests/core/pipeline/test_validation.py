"""Validation: nothing that is predicted may depend on a target, and every number is as by hand."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from arc_core.data.dataset import ARCDataset, Example
from arc_core.data.tasks import Pair, Task, TaskSet
from arc_core.pipeline.batch import Batch, collate
from arc_core.pipeline.step import training_step
from arc_core.pipeline.system import ArcSystem, Flow
from arc_core.pipeline.validation import Predicted, choose_inputs, predict, score

MakeExamples = Callable[..., list[Example]]
MakeSystem = Callable[..., ArcSystem]
Replacement = Callable[[np.ndarray], np.ndarray]

REPLACEMENTS: dict[str, Replacement] = {
    "other colours": lambda target: (9 - target).astype(np.int8),
    "another size": lambda target: np.full((target.shape[0] % 30 + 1, 30), 5, dtype=np.int8),
    "a single cell": lambda target: np.zeros((1, 1), dtype=np.int8),
}


@pytest.fixture(scope="module")
def trained(make_system: MakeSystem, make_examples: MakeExamples) -> ArcSystem:
    """A system that has learned a little and whose memory holds pairs, of the test inputs' tasks too."""
    system = make_system(agent_lr=1e-3, lm_train="frozen")
    system.memory_threshold.ema = 0.0
    for step in range(1, 6):
        training_step(system, collate(make_examples(4, seed=step)), epoch=0, step=step)
    assert len(system.memory) > 2
    return system


def one(*rows: str) -> np.ndarray:
    return np.array([[int(digit) for digit in row] for row in rows], dtype=np.int8)


def example_of(task: str, query: np.ndarray, target: np.ndarray | None, pair: int = 0) -> Example:
    return Example(task, pair, "test", (Pair(one("1"), one("2")),), query, target)


def answer_of(before: np.ndarray, after: np.ndarray) -> Predicted:
    return Predicted(torch.tensor(before), torch.tensor(after))


def bits(flow: Flow) -> list[Tensor]:
    """All that a flow says of its batch."""
    both = [x for p in (flow.before, flow.after) for x in (p.logits, p.output.size_logits, p.output.sizes)]
    return [flow.base_prompt, flow.prompt, *both]


def same(found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


# The leak test


@pytest.mark.parametrize("name", REPLACEMENTS)
def test_replacing_every_target_changes_no_prediction_of_a_test_input(
    trained: ArcSystem, make_examples: MakeExamples, name: str
) -> None:
    examples = make_examples(6, seed=9)
    replaced = [replace(e, target=REPLACEMENTS[name](e.target)) for e in examples]
    unknown = [replace(e, target=None) for e in examples]
    answers = predict(trained, examples, batch_size=4)
    for others in (predict(trained, replaced, batch_size=4), predict(trained, unknown, batch_size=4)):
        assert same([a.before for a in others], [a.before for a in answers])
        assert same([a.after for a in others], [a.after for a in answers])
    # The scores do depend on the targets, so they were replaced indeed.
    assert score(replaced, answers) != score(examples, answers)


@pytest.mark.parametrize("name", REPLACEMENTS)
@pytest.mark.parametrize("explore", [True, False])
@torch.no_grad()
def test_replacing_a_batchs_targets_changes_no_bit_of_its_flow(
    trained: ArcSystem, make_examples: MakeExamples, name: str, explore: bool
) -> None:
    examples = make_examples(4, seed=9)
    flows = []
    for targets in ([e.target for e in examples], [REPLACEMENTS[name](e.target) for e in examples]):
        batch = collate([replace(e, target=t) for e, t in zip(examples, targets, strict=True)])
        torch.manual_seed(5)
        flows.append(bits(trained.flow(batch, explore=explore)))
    assert same(*flows)


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("name", REPLACEMENTS)
@torch.no_grad()
def test_a_training_pairs_prediction_does_not_depend_on_its_own_target(
    trained: ArcSystem, make_examples: MakeExamples, name: str, augment: bool
) -> None:
    """In the dataset itself, where each pair's output is a demonstration of its task's other pairs."""
    pairs = tuple(Pair(e.input, e.target) for e in make_examples(3, seed=2))
    own = 1
    changed = tuple(
        Pair(p.input, REPLACEMENTS[name](p.output)) if index == own else p for index, p in enumerate(pairs)
    )
    batches: list[Batch] = []
    for train in (pairs, changed):
        tasks = TaskSet((Task("task0", train, (Pair(one("1"), one("1")),)),))
        batches.append(collate([ARCDataset(tasks=tasks, augment=augment).example(own, epoch=3)]))
    torch.manual_seed(5)
    first = bits(trained.flow(batches[0], explore=True))
    torch.manual_seed(5)
    assert same(bits(trained.flow(batches[1], explore=True)), first)
    assert not torch.equal(batches[0].targets.cells, batches[1].targets.cells)


@torch.no_grad()
def test_a_training_pairs_prediction_does_not_depend_on_its_tasks_memory(
    trained: ArcSystem, make_examples: MakeExamples
) -> None:
    batch = collate(make_examples(1, seed=9))
    assert batch.task_ids[0] in {task for task, _ in trained.memory.keys}
    before = bits(trained.flow(batch, explore=False))
    kept = trained.memory.prompts.clone()
    for slot, (task, _) in enumerate(trained.memory.keys):
        trained.memory.prompts[slot] += 10.0 * (task == batch.task_ids[0])
    changed = not torch.equal(kept, trained.memory.prompts)
    after = bits(trained.flow(batch, explore=False))
    trained.memory.prompts.copy_(kept)
    assert changed
    assert same(after, before)


# Predicting


@pytest.mark.parametrize("context", [0, 1, 6])
def test_one_demonstration_is_enough_and_none_does_not_crash(
    trained: ArcSystem, make_examples: MakeExamples, context: int
) -> None:
    for answer in predict(trained, make_examples(2, context=context), batch_size=8):
        for grid in (answer.before, answer.after):
            assert min(grid.shape) >= 1
            assert max(grid.shape) <= 30
            assert ((grid >= 0) & (grid <= 9)).all()


def test_answers_come_in_the_order_of_the_examples_whatever_the_batches(
    trained: ArcSystem, make_examples: MakeExamples
) -> None:
    examples = make_examples(7, seed=4)
    together = predict(trained, examples, batch_size=3)
    for example, answer in zip(examples, together, strict=True):
        (alone,) = predict(trained, [example], batch_size=1)
        assert same([alone.before, alone.after], [answer.before, answer.after])


def test_predicting_is_repeatable_and_draws_nothing(trained: ArcSystem, make_examples: MakeExamples) -> None:
    examples, state = make_examples(3), torch.get_rng_state()
    first = predict(trained, examples, batch_size=2)
    assert torch.equal(torch.get_rng_state(), state)
    second = predict(trained, examples, batch_size=2)
    assert same([a.after for a in first], [a.after for a in second])


def test_predicting_moves_nothing(trained: ArcSystem, make_examples: MakeExamples) -> None:
    def state() -> list[Tensor]:
        return [t.clone() for m in trained.modules.values() for t in m.state_dict().values()]

    before = state()
    predict(trained, make_examples(3), batch_size=2)
    assert same(state(), before)


def test_predicting_ends_early_when_told(trained: ArcSystem, make_examples: MakeExamples) -> None:
    calls: list[int] = []

    def go_on() -> bool:
        calls.append(len(calls))
        return len(calls) < 2

    assert len(predict(trained, make_examples(7), batch_size=2, between_batches=go_on)) == 4
    assert len(calls) == 2


# Scoring


def test_scores_and_baselines_are_as_by_hand() -> None:
    examples = [
        example_of("a", one("00", "11"), one("01", "11"), 0),
        example_of("a", one("55"), one("55", "55"), 1),
        example_of("b", one("3"), one("3"), 0),
    ]
    answers = [
        answer_of(one("00", "00"), one("01", "11")),  # 1 of 4 before, exact after
        answer_of(one("55", "55"), one("50", "55")),  # exact before, 3 of 4 after
        answer_of(one("4"), one("3")),
    ]
    found = score(examples, answers)
    assert (found.inputs, found.exact, found.tasks, found.tasks_solved) == (3, 2, 2, 1)
    assert found.cell_accuracy == pytest.approx((1 + 3 / 4 + 1) / 3)
    assert found.accuracy_delta == pytest.approx((3 / 4 - 1 / 4 + 1) / 3)
    assert found.size_accuracy == 1.0
    assert found.copy_cell_accuracy == pytest.approx((3 / 4 + 2 / 4 + 1) / 3)
    assert found.black_cell_accuracy == pytest.approx((1 / 4 + 0 + 0) / 3)


def test_a_grid_of_another_size_is_never_exact() -> None:
    found = score([example_of("a", one("11"), one("11"))], [answer_of(one("11"), one("11", "11"))])
    assert (found.exact, found.tasks_solved, found.size_accuracy) == (0, 0, 0.0)
    assert found.cell_accuracy == 0.5
    assert found.accuracy_delta == -0.5


def test_a_task_is_solved_only_with_all_its_inputs() -> None:
    examples = [example_of(task, one("1"), one("1"), pair) for task in "ab" for pair in range(2)]
    right, wrong = answer_of(one("1"), one("1")), answer_of(one("1"), one("2"))
    found = score(examples, [right, wrong, right, right])
    assert (found.exact, found.tasks, found.tasks_solved) == (3, 2, 1)


def test_an_input_without_target_cannot_be_scored() -> None:
    with pytest.raises(ValueError, match="task a has no target"):
        score([example_of("a", one("1"), None)], [answer_of(one("1"), one("1"))])


def test_answers_that_are_too_few_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        score([example_of("a", one("1"), one("1"))], [])


# Choosing


def inputs_of(pairs: Sequence[int], unknown: Sequence[int] = ()) -> list[Example]:
    """`pairs[i]` test inputs of task i; those of the tasks in `unknown` have no target."""
    return [
        example_of(f"t{task:02d}", one("1"), None if task in unknown else one("1"), pair)
        for task, count in enumerate(pairs)
        for pair in range(count)
    ]


def keys(examples: Sequence[Example]) -> list[Any]:
    return [(e.task_id, e.pair_index) for e in examples]


@settings(max_examples=60, deadline=None)
@given(pairs=st.lists(st.integers(1, 3), min_size=1, max_size=20), limit=st.integers(1, 40))
def test_chosen_inputs_are_whole_tasks_first_and_never_more_than_the_limit(
    pairs: list[int], limit: int
) -> None:
    examples = inputs_of(pairs)
    chosen = keys(choose_inputs(examples, limit))
    assert len(chosen) == min(limit, len(examples))
    assert len(set(chosen)) == len(chosen)
    by_task = {task: [pair for name, pair in chosen if name == task] for task, _ in chosen}
    if limit < len(examples):
        assert [task for task in by_task for _ in by_task[task]] == [task for task, _ in chosen]
    for place, (task, found) in enumerate(by_task.items()):
        assert found == list(range(len(found)))
        if place < len(by_task) - 1:  # only the last may be cut by the limit
            assert len(found) == pairs[int(task[1:])]


def test_the_choice_is_fixed_and_spread_over_the_tasks() -> None:
    examples = inputs_of([1] * 40)
    chosen = keys(choose_inputs(examples, 8))
    torch.manual_seed(99)
    assert keys(choose_inputs(examples, 8)) == chosen
    assert keys(choose_inputs(examples[::-1], 8)) == chosen
    assert chosen != keys(examples)[:8]
    assert set(keys(choose_inputs(examples, 9))) > set(chosen)


@pytest.mark.parametrize("limit", [None, 3, 100])
def test_inputs_without_target_are_left_out(limit: int | None) -> None:
    chosen = keys(choose_inputs(inputs_of([2, 2, 2], unknown=[1]), limit))
    assert {task for task, _ in chosen} == {"t00", "t02"}
    assert len(chosen) == min(limit or 4, 4)


def test_without_a_limit_all_come_in_their_order() -> None:
    examples = inputs_of([2, 1, 3])
    assert choose_inputs(examples, None) == examples
    assert choose_inputs(inputs_of([2], unknown=[0]), None) == []


def test_what_was_right_before_and_the_interval_of_the_gain_are_told() -> None:
    grid = one("12", "34")
    examples = [example_of("a", grid, grid, pair) for pair in range(4)]
    wrong = one("12", "30")
    found = score(examples, [answer_of(grid, grid), *[answer_of(wrong, grid)] * 2, answer_of(grid, wrong)])
    gains = [0.0, 0.25, 0.25, -0.25]
    half = 1.96 * float(np.std(gains, ddof=1)) / 2
    assert found.numbers == pytest.approx(
        {
            **{"base exact": 2, "base cells": (1 + 0.75 + 0.75 + 1) / 4},
            **{"delta from": np.mean(gains) - half, "delta to": np.mean(gains) + half},
        }
    )
