"""The guards of an honest score: fixed lists, blind files, and what was seen before under any name."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arc_core.base.errors import DataError
from arc_core.data.grids import dihedral, permute_colors
from arc_core.data.kaggle import challenges
from arc_core.data.seen import SeenTasks, choose_tasks, fingerprint, load_blind, refuse_seen, write_blind
from arc_core.data.tasks import Pair, Task, load_tasks


@pytest.fixture(scope="module")
def training():
    return load_tasks("arcagi1").tasks


@pytest.fixture(scope="module")
def evaluation():
    return load_tasks("arcagi1", "evaluation").tasks


def disguised(task, k=3, seed=1):
    """The same task turned, its colours renamed, its demonstrations reordered, under another id."""
    permutation = np.concatenate([[0], 1 + np.random.default_rng(seed).permutation(9)])

    def move(grid):
        return None if grid is None else permute_colors(dihedral(grid, k), permutation)

    pairs = [tuple(Pair(move(p.input), move(p.output)) for p in part) for part in (task.train, task.test)]
    return Task("another", pairs[0][::-1], pairs[1])


def test_the_list_is_the_first_by_id_whatever_the_order(training):
    chosen = choose_tasks(training[::-1], 3)
    assert [task.id for task in chosen] == sorted(task.id for task in training)[:3]
    assert [t.id for t in choose_tasks(training, ids=["05269061", "007bbfb7"])] == ["007bbfb7", "05269061"]
    with pytest.raises(DataError, match="no task nonsense"):
        choose_tasks(training, ids=["nonsense"])
    with pytest.raises(DataError, match="twice"):
        choose_tasks(training, ids=["007bbfb7", "007bbfb7"])


def test_a_blind_file_holds_no_test_output_and_everything_else(tmp_path, evaluation):
    write_blind(tmp_path / "challenges.json", evaluation[:5])
    text = (tmp_path / "challenges.json").read_text()
    for raw in json.loads(text).values():
        assert all(pair.keys() == {"input"} for pair in raw["test"])
    for blind, task in zip(load_blind(tmp_path / "challenges.json").tasks, evaluation, strict=False):
        assert all(pair.output is None for pair in blind.test)
        for mine, theirs in zip(blind.train, task.train, strict=True):
            assert (mine.input == theirs.input).all()
            assert (mine.output == theirs.output).all()


def test_blind_files_of_tasks_that_differ_in_test_outputs_are_byte_identical(tmp_path, evaluation):
    changed = [
        Task(t.id, t.train, tuple(Pair(p.input, np.full((1, 1), 5, np.int8)) for p in t.test))
        for t in evaluation[:5]
    ]
    write_blind(tmp_path / "a.json", evaluation[:5])
    write_blind(tmp_path / "b.json", changed)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_file_with_a_test_output_is_refused_to_the_predictor(tmp_path, evaluation):
    content = challenges(evaluation[:2])
    content[evaluation[1].id]["test"][0]["output"] = [[1]]
    (tmp_path / "challenges.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=f"holds an output of a test input of task {evaluation[1].id}"):
        load_blind(tmp_path / "challenges.json")


def test_solutions_lying_beside_a_blind_file_are_refused_too(tmp_path, evaluation):
    write_blind(tmp_path / "challenges.json", evaluation[:1])
    (tmp_path / "solutions.json").write_text(json.dumps({evaluation[0].id: [[[1]]]}))
    with pytest.raises(DataError, match="must not see it"):
        load_blind(tmp_path / "challenges.json")


@given(st.integers(0, 7), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_fingerprint_survives_symmetry_and_renaming_and_little_else(k, seed, grid_seed):
    rng = np.random.default_rng(grid_seed)
    pair = Pair(*(rng.integers(0, 4, rng.integers(3, 9, 2)).astype(np.int8) for _ in range(2)))
    moved = disguised(Task("a", (pair,), ()), k, seed).train[0]
    assert fingerprint(moved) == fingerprint(pair)
    other = pair.output.copy()
    other[0, 0] = 9
    assert fingerprint(Pair(pair.input, other)) != fingerprint(pair)


def test_small_pairs_say_nothing():
    assert fingerprint(Pair(np.zeros((3, 3), np.int8), np.zeros((1, 1), np.int8))) is None
    assert fingerprint(Pair(np.zeros((9, 9), np.int8), None)) is None


def test_a_task_is_recognised_under_another_name_and_in_disguise(evaluation):
    seen = SeenTasks.of([disguised(evaluation[7])])
    assert seen.overlap(evaluation[:20]) == [evaluation[7].id]
    again = SeenTasks.from_json(json.loads(json.dumps(seen.to_json())), "the file")
    assert again == seen


def test_arc_agi_2_training_holds_376_evaluation_tasks_of_arc_agi_1(evaluation):
    seen = SeenTasks.of(load_tasks("arcagi2").tasks)
    assert len(seen.overlap(evaluation)) == 376
    with pytest.raises(DataError, match=r"trained on 376 of these tasks.*--allow-seen"):
        refuse_seen(seen, evaluation, allowed=False)
    assert len(refuse_seen(seen, evaluation, allowed=True)) == 376


def test_arc_agi_1_repeats_two_of_its_own_training_tasks_in_evaluation(training, evaluation):
    assert SeenTasks.of(training).overlap(evaluation) == ["070dd51e", "50a16a69"]


def test_an_unreadable_record_of_what_was_seen_is_refused():
    for content in (None, {"ids": ["a"]}, {"ids": [1], "prints": []}):
        with pytest.raises(DataError, match="does not say which tasks"):
            SeenTasks.from_json(content, "the file")
