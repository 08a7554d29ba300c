"""The memory: what it keeps, what it lets go, and what it lends to whom."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from arc_core.pipeline.memory import PermanentSolver

FEATURES, PROMPT = 8, 6


def memory_of(capacity: int = 4, neighbors: int = 3) -> PermanentSolver:
    torch.manual_seed(0)
    return PermanentSolver(PROMPT, FEATURES, capacity=capacity, neighbors=neighbors)


def put(
    memory: PermanentSolver, task: str, accuracy: float, pair: int = 0, grid: Tensor | None = None
) -> bool:
    """Store random features and prompt under a key."""
    grid = torch.tensor([[1, 2], [3, 4], [5, 6]]) if grid is None else grid
    features, prompt = torch.randn(1, FEATURES), torch.randn(1, PROMPT)
    return memory.store([(task, pair)], features, prompt, [grid.numpy()], [accuracy]) == [0]


@pytest.fixture
def memory() -> PermanentSolver:
    """Full: tasks a, b, c, d with accuracies 0.5, 0.3, 0.9, 0.3."""
    memory = memory_of()
    for task, accuracy in zip("abcd", (0.5, 0.3, 0.9, 0.3), strict=True):
        assert put(memory, task, accuracy)
    return memory


def tasks(memory: PermanentSolver) -> set[str]:
    return {task for task, _ in memory.keys}


def test_a_stored_pair_is_held_as_it_was_given() -> None:
    memory = memory_of()
    features, prompt, grid = torch.randn(FEATURES), torch.randn(PROMPT), torch.tensor([[7, 8, 9]])
    assert len(memory) == 0
    assert memory.store([("a", 2)], features[None], prompt[None], [grid.numpy()], [0.75]) == [0]
    assert len(memory) == 1
    assert memory.keys == [("a", 2)]
    assert torch.equal(memory.features[0], features)
    assert torch.equal(memory.prompts[0], prompt)
    assert memory.accuracy[0] == 0.75
    assert memory.sizes[0].tolist() == [1, 3]
    assert memory.grids[0, :1, :3].tolist() == [[7, 8, 9]]
    assert memory.grids[0].sum() == 24


def test_a_grid_leaves_nothing_of_a_larger_one_before_it() -> None:
    memory = memory_of()
    put(memory, "a", 0.5, grid=torch.full((30, 30), 9))
    put(memory, "a", 0.6, grid=torch.tensor([[1]]))
    assert memory.sizes[0].tolist() == [1, 1]
    assert memory.grids[0].sum() == 1


@pytest.mark.parametrize(("accuracy", "replaced"), [(0.6, True), (0.5, True), (0.4, False)])
def test_a_pair_is_replaced_unless_it_was_solved_better(
    memory: PermanentSolver, accuracy: float, replaced: bool
) -> None:
    before = memory.prompts[0].clone()
    assert put(memory, "a", accuracy) == replaced
    assert len(memory) == 4
    assert memory.keys[0] == ("a", 0)
    assert torch.equal(memory.prompts[0], before) != replaced


def test_two_pairs_of_a_task_are_two_entries() -> None:
    memory = memory_of()
    put(memory, "a", 0.5, pair=0)
    put(memory, "a", 0.5, pair=1)
    assert memory.keys == [("a", 0), ("a", 1)]


def test_the_least_accurate_and_then_the_oldest_makes_room(memory: PermanentSolver) -> None:
    gone = []
    for task, accuracy in (("e", 0.4), ("f", 0.4), ("g", 0.4), ("h", 1.0)):
        before = tasks(memory)
        assert put(memory, task, accuracy)
        gone += before - tasks(memory)
    assert gone == ["b", "d", "e", "f"]
    assert tasks(memory) == {"c", "a", "g", "h"}


def test_a_replaced_pair_counts_as_new(memory: PermanentSolver) -> None:
    put(memory, "b", 0.3)
    put(memory, "e", 0.4)
    assert tasks(memory) == {"a", "b", "c", "e"}


def test_a_pair_weaker_than_all_is_not_stored_when_full(memory: PermanentSolver) -> None:
    assert not put(memory, "e", 0.2)
    assert tasks(memory) == set("abcd")


def test_an_evicted_pair_can_come_back(memory: PermanentSolver) -> None:
    put(memory, "e", 0.4)
    assert "b" not in tasks(memory)
    assert put(memory, "b", 0.8)
    assert "b" in tasks(memory)
    assert put(memory, "b", 0.9)
    assert len(memory) == len(set(memory.keys)) == 4


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefg"), st.integers(0, 1), st.sampled_from([0.2, 0.4, 0.6])),
        max_size=40,
    )
)
def test_it_behaves_as_a_list_kept_by_accuracy_and_age(stores: list[tuple[str, int, float]]) -> None:
    memory = memory_of(capacity=3)
    model: dict[tuple[str, int], tuple[float, int]] = {}  # key -> accuracy, age
    for age, (task, pair, accuracy) in enumerate(stores):
        key = (task, pair)
        if key in model:
            keep = accuracy >= model[key][0]
        elif len(model) < 3:
            keep = True
        else:
            weakest = min(model, key=lambda each: model[each])
            keep = model[weakest][0] <= accuracy
            if keep:
                del model[weakest]
        if keep:
            model[key] = (accuracy, age)
        assert put(memory, task, accuracy, pair) == keep
        assert set(memory.keys) == set(model)
        for slot, held in enumerate(memory.keys):
            assert memory.accuracy[slot].item() == pytest.approx(model[held][0])


def test_an_empty_memory_adds_nothing() -> None:
    recall = memory_of().recall(torch.randn(3, FEATURES), ["a", "b", "c"])
    assert recall.hits.tolist() == [0, 0, 0]
    assert torch.equal(recall.addition, torch.zeros(3, PROMPT))


def test_recall_reads_the_nearest_entries_of_other_tasks_only(memory: PermanentSolver) -> None:
    """An independent computation of attention over the cosine of the keys."""
    features, own = torch.randn(3, FEATURES), ["a", "c", "new"]
    recall = memory.recall(features, own)
    for index, task in enumerate(own):
        slots = [slot for slot, key in enumerate(memory.keys) if key[0] != task]
        similarity = torch.stack(
            [
                F.cosine_similarity(memory.key(features[index]), memory.key(memory.features[slot]), dim=0)
                for slot in slots
            ]
        )
        best = similarity.argsort(descending=True)[:3]
        weights = (similarity[best] / 0.1).softmax(dim=0)
        values = memory.value(memory.prompts[[slots[i] for i in best.tolist()]])
        torch.testing.assert_close(recall.addition[index], memory.gate * (weights @ values))
        assert recall.hits[index] == 3


def test_a_tasks_own_entries_change_nothing_for_it(memory: PermanentSolver) -> None:
    features = torch.randn(1, FEATURES)
    before = memory.recall(features, ["a"]).addition
    memory.prompts[0] += 100.0
    memory.features[0] = features[0]
    assert torch.equal(memory.recall(features, ["a"]).addition, before)
    assert not torch.equal(memory.recall(features, ["z"]).addition, before)


def test_a_task_alone_in_the_memory_finds_nothing_and_trains_nothing_wrong() -> None:
    memory = memory_of()
    put(memory, "a", 0.5, pair=0)
    put(memory, "a", 0.6, pair=1)
    recall = memory.recall(torch.randn(2, FEATURES), ["a", "b"])
    assert recall.hits.tolist() == [0, 2]
    assert torch.equal(recall.addition[0], torch.zeros(PROMPT))
    recall.addition.square().sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in memory.parameters())


@pytest.mark.parametrize(("neighbors", "hits"), [(1, 1), (3, 3), (50, 4)])
def test_no_more_neighbours_are_read_than_there_are(neighbors: int, hits: int) -> None:
    memory = memory_of(neighbors=neighbors)
    for task in "abcd":
        put(memory, task, 0.5)
    assert memory.recall(torch.randn(1, FEATURES), ["z"]).hits.tolist() == [hits]


def test_gradient_reaches_key_value_gate_and_the_query(memory: PermanentSolver) -> None:
    features = torch.randn(2, FEATURES, requires_grad=True)
    memory.recall(features, ["a", "z"]).addition.square().sum().backward()
    for name, parameter in memory.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.norm() > 0, name
    assert features.grad is not None
    assert not memory.prompts.requires_grad


def test_bookkeeping_and_buffers_restore_the_whole_memory(memory: PermanentSolver) -> None:
    restored = memory_of()
    restored.load_state_dict(memory.state_dict())
    restored.restore_bookkeeping(memory.bookkeeping)
    features = torch.randn(2, FEATURES)
    assert torch.equal(
        restored.recall(features, ["a", "z"]).addition, memory.recall(features, ["a", "z"]).addition
    )
    for one in (memory, restored):  # it also goes on as it would have
        torch.manual_seed(1)
        put(one, "e", 0.4)
        put(one, "a", 0.7)
    assert restored.keys == memory.keys
    assert restored.bookkeeping == memory.bookkeeping
    for name, buffer in memory.named_buffers():
        assert torch.equal(buffer, restored.get_buffer(name)), name


def test_the_nearest_prompts_are_of_other_tasks_and_nothing_stands_for_those_that_are_missing(
    memory: PermanentSolver,
) -> None:
    query = memory.features[2:3].clone()  # looks exactly like task c
    found = memory.nearest(query, ["x"], 6)
    assert found.shape == (1, 6, PROMPT)
    assert torch.equal(found[0, 0], memory.prompts[2])
    assert not found[0, 4:].any()
    own = memory.nearest(query, ["c"], 4)
    assert not (own[0, :3, None] == memory.prompts[2]).all(dim=-1).any()
    assert not own[0, 3:].any()
    assert not memory_of().nearest(query, ["x"], 2).any()
