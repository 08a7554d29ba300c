"""Scores against an independent scorer written from Kaggle's rules, and the arithmetic beside them."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kaggle_scorer import kaggle_score

from arc_core.base.errors import DataError
from arc_core.data.kaggle import Attempts, read_solutions, read_submission, solutions, submission
from arc_core.data.scoring import cell_accuracy, mcnemar, score, wilson_interval
from arc_core.data.tasks import Pair, Task, load_tasks


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def random_answers(tasks, seed):
    """For each test input two attempts, each the truth, the truth with a wrong cell, or another size."""
    rng = np.random.default_rng(seed)
    answers = {}
    for task in tasks:
        entries = []
        for pair in task.test:
            options = [
                pair.output,
                (pair.output + (np.arange(pair.output.size) == 0).reshape(pair.output.shape)) % 10,
            ]
            options.append(np.zeros((1, 2), np.int8))
            first, second = (options[i].astype(np.int8) for i in rng.integers(0, 3, 2))
            entries.append(Attempts(first, second))
        answers[task.id] = tuple(entries)
    return answers


@pytest.fixture(scope="module")
def tasks():
    return load_tasks("arcagi1", "evaluation").tasks[:40]


@pytest.mark.parametrize("seed", range(3))
def test_inputs_solved_agree_with_a_scorer_written_from_kaggles_rules(tmp_path, tasks, seed):
    answers = random_answers(tasks, seed)
    path = write(tmp_path / "submission.json", submission(answers))
    truth = write(tmp_path / "solutions.json", solutions(tasks))
    report = score(read_submission(path), read_solutions(truth), tasks)
    assert report.share("either").value == pytest.approx(kaggle_score(path, truth))
    assert 0 < report.share("either").count < report.share("either").total
    assert report.share("first").count < report.share("either").count


def test_a_task_counts_only_if_all_of_its_inputs_are_solved():
    grids = [np.full((2, 2), color, np.int8) for color in range(4)]
    answers = {
        "a": (Attempts(grids[0], grids[3]), Attempts(grids[3], grids[1])),
        "b": (Attempts(grids[2], grids[2]), Attempts(grids[3], grids[3])),
    }
    report = score(answers, {"a": [grids[0], grids[1]], "b": [grids[2], grids[0]]})
    assert report.by_task() == {"a": True, "b": False}
    assert report.by_task("first") == {"a": False, "b": False}
    assert (report.share("either").count, report.share("first").count) == (3, 2)


def test_solved_inputs_are_told_by_size_rule_and_add_up(tasks):
    report = score(random_answers(tasks, 0), {t.id: [p.output for p in t.test] for t in tasks}, tasks)
    assert "same" in report.rules
    assert sum(report.share("either", rule).total for rule in report.rules) == len(report.inputs)
    assert sum(report.share("either", rule).count for rule in report.rules) == report.share("either").count


def test_cells_outside_either_grid_are_wrong():
    answer, target = np.zeros((2, 3), np.int8), np.zeros((3, 2), np.int8)
    assert cell_accuracy(answer, target) == pytest.approx(4 / 9)
    target[0, 0] = 1
    assert cell_accuracy(answer, target) == pytest.approx(3 / 9)


@given(st.integers(0, 60), st.integers(0, 60))
def test_wilsons_interval_solves_its_defining_equation(a, b):
    count, total = min(a, b), max(a, b)
    low, high = wilson_interval(count, total)
    if total == 0:
        assert (low, high) == (0, 1)
        return
    share = count / total
    assert 0 <= low <= share <= high <= 1
    for bound in (low, high):
        if 0 < bound < 1:
            deviation = abs(share - bound) / math.sqrt(bound * (1 - bound) / total)
            assert deviation == pytest.approx(1.959963984540054, rel=1e-6)


@pytest.mark.parametrize(
    ("first", "second", "expected"), [(0, 0, 1.0), (5, 5, 1.0), (1, 9, 22 / 1024), (8, 0, 2 / 256)]
)
def test_mcnemar_is_the_binomial_tail_counted_by_hand(first, second, expected):
    assert mcnemar(first, second) == pytest.approx(expected)
    assert mcnemar(second, first) == pytest.approx(expected)


GRID = [[1, 2]]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([], "must be an object of task ids"),
        ({"a": {}}, "task a must be a list"),
        ({"a": []}, "task a must be a list"),
        (
            {"a": [[GRID, GRID]]},
            r"test input 0 \(zero-based\) must be an object with attempt_1 and attempt_2",
        ),
        ({"a": {"attempt_1": GRID, "attempt_2": GRID}}, "task a must be a list with one entry for each"),
        ({"a": [{"attempt_1": GRID, "attempt_2": GRID, "attempt_3": GRID}]}, "two attempts are allowed"),
        ({"a": [{"attempt_1": GRID, "attempt_2": [[1], [1, 2]]}]}, "attempt_2 is ragged"),
        ({"a": [{"attempt_1": [[10]], "attempt_2": GRID}]}, "attempt_1 holds 10"),
        ({"a": [{"attempt_1": [[1], []], "attempt_2": GRID}]}, "attempt_1 is ragged"),
        ({"a": [{"attempt_1": "", "attempt_2": GRID}]}, "attempt_1 is not a grid"),
    ],
)
def test_what_kaggle_would_not_take_is_refused_in_one_sentence(tmp_path, content, sentence):
    with pytest.raises(DataError, match=sentence) as caught:
        read_submission(write(tmp_path / "s.json", content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("blank", [None, [], [[]], [[], []], "missing"])
def test_a_blank_attempt_is_a_wrong_one_and_is_counted(tmp_path, blank):
    entry = {"attempt_1": GRID} if blank == "missing" else {"attempt_1": GRID, "attempt_2": blank}
    turned = {"attempt_2": GRID} if blank == "missing" else {"attempt_1": blank, "attempt_2": GRID}
    answers = read_submission(write(tmp_path / "s.json", {"a": [entry, turned, {}, None]}))
    truth = np.array(GRID, np.int8)
    report = score(answers, {"a": [truth] * 4})
    assert [(x.first, x.either, x.blank) for x in report.inputs] == [
        (True, True, 1), (False, True, 1), (False, False, 2), (False, False, 2),
    ]  # fmt: skip
    assert [x.cells_best for x in report.inputs] == [1.0, 1.0, 0.0, 0.0]
    assert (report.blank, report.to_json()["blank_attempts"]) == (6, 6)


def test_missing_and_unknown_tasks_and_entries_are_refused():
    one = np.ones((1, 1), np.int8)
    answers = {"a": (Attempts(one, one),)}
    with pytest.raises(DataError, match="lacks 1 of 2 tasks, the first of them b"):
        score(answers, {"a": [one], "b": [one]})
    assert score(answers, {"a": [one], "b": [one]}, partial=True).tasks().total == 1
    with pytest.raises(DataError, match="task a, which has no solution"):
        score(answers, {"b": [one]})
    with pytest.raises(DataError, match="1 entries for task a, which has 2 test inputs"):
        score(answers, {"a": [one, one]})
    with pytest.raises(DataError, match="no task"):
        score({}, {})


def test_solutions_of_a_task_without_outputs_are_refused():
    grid = np.ones((1, 1), np.int8)
    with pytest.raises(DataError, match="output is not known"):
        solutions([Task("a", (Pair(grid, grid),), (Pair(grid, None),))])
