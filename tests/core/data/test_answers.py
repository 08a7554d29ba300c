"""Answers of others are read as their own programs read them, and bad files are one sentence each."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from published_answers import attempt, write_benchmarking, write_varc

from arc_core.base.errors import DataError
from arc_core.data.answers import BENCHMARKING, KAGGLE, VARC, read_answers
from arc_core.data.kaggle import Attempts, submission
from arc_core.data.scoring import Paired, mcnemar, score
from arc_core.data.tasks import load_tasks

ONE, TWO, THREE = [[1]], [[2, 2]], [[3], [3]]


def grids(answers, task):
    return [(x.first.tolist(), x.second.tolist()) for x in answers.submission[task]]


def sentence_of(source):
    with pytest.raises(DataError) as caught:
        read_answers(source)
    message = str(caught.value)
    assert "\n" not in message
    return message


class TestBenchmarking:
    def test_a_folder_holds_two_attempts_at_each_test_input(self, tmp_path):
        folder = write_benchmarking(tmp_path / "o3", {"a": [[ONE, TWO], [THREE]], "b": [[TWO, None]]})
        (folder / ".checkpoints").mkdir()
        (folder / ".checkpoints" / "progress.json").write_text("{}")
        found = read_answers(folder)
        assert found.layout == BENCHMARKING
        assert grids(found, "a") == [(ONE, TWO), (THREE, [])]
        assert grids(found, "b") == [(TWO, [])]
        assert found.told() == ""

    def test_one_task_alone_may_be_named(self, tmp_path):
        folder = write_benchmarking(tmp_path / "o3", {"a": [[ONE, TWO]]})
        assert grids(read_answers(folder / "a.json"), "a") == [(ONE, TWO)]

    def test_an_attempt_says_which_test_input_it_answers(self, tmp_path):
        entries = [{"attempt_1": attempt(ONE, pair_index=1)}, {"attempt_1": attempt(TWO, pair_index=0)}]
        (tmp_path / "a.json").write_text(json.dumps(entries))
        assert grids(read_answers(tmp_path), "a") == [(TWO, []), (ONE, [])]

    def test_the_order_counts_where_every_attempt_says_the_same_test_input(self, tmp_path):
        entries = [{"attempt_1": attempt(ONE)}, {"attempt_1": attempt(TWO)}]
        (tmp_path / "a.json").write_text(json.dumps(entries))
        assert grids(read_answers(tmp_path), "a") == [(ONE, []), (TWO, [])]

    def test_an_answer_may_be_json_in_a_string(self, tmp_path):
        (tmp_path / "a.json").write_text(json.dumps([{"attempt_1": attempt("[[1]]")}]))
        assert grids(read_answers(tmp_path), "a") == [(ONE, [])]

    @pytest.mark.parametrize("answer", ["I give up", [[1], [1, 2]], [[11]], [[0] * 31], 7, [[1.5]]])
    def test_what_is_no_arc_grid_is_a_wrong_attempt_that_is_told(self, tmp_path, answer):
        write_benchmarking(tmp_path / "o3", {"a": [[answer, ONE]]})
        found = read_answers(tmp_path / "o3")
        assert grids(found, "a") == [([], ONE)]
        assert found.told().startswith("1 of 2 attempts is no ARC grid and counts as wrong: ")
        assert "task a, test input 0 (zero-based), attempt_1" in found.told()

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ("{", "is not JSON"),
            ({"a": 1}, "task a must be a list with one entry for each of its test inputs"),
            ([1], "must be an object with attempt_1 and attempt_2"),
            ([{"answer": ONE}], "must be an object with attempt_1 and attempt_2"),
            ([{"attempt_1": ONE}], "attempt_1 must be an object with an answer"),
            ([{"attempt_1": attempt(ONE), "attempt_3": attempt(ONE)}], "attempt_3: two attempts are allowed"),
            ([{"attempt_1": attempt(ONE, pair_index=10**9)}], "at most 100 are read"),
        ],
    )
    def test_a_bad_file_is_one_sentence(self, tmp_path, content, told):
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "a.json").write_text(text)
        found = sentence_of(tmp_path)
        assert told in found
        assert "a.json" in found

    def test_a_task_that_two_folders_answer_is_refused(self, tmp_path):
        for name in ("o3", "gpt"):
            write_benchmarking(tmp_path / name, {"a": [[ONE]]})
        assert "task a is answered in another folder too: name one of the folders" in sentence_of(tmp_path)


class TestVarc:
    def test_the_two_most_frequent_draws_count_and_of_equals_the_first(self, tmp_path):
        draws = [[ONE, TWO, THREE, TWO, THREE, TWO, THREE], [ONE]]
        found = read_answers(write_varc(tmp_path / "attempt_0", {"a": draws}))
        assert found.layout == VARC
        assert grids(found, "a") == [(TWO, THREE), (ONE, [])]
        assert found.votes["a"] == ((3 / 7, 3 / 7), (1.0, 0.0))

    def test_folders_of_attempts_vote_together(self, tmp_path):
        write_varc(tmp_path / "attempt_0", {"a": [[ONE, ONE, TWO]], "b": [[ONE]]})
        write_varc(tmp_path / "attempt_1", {"a": [[TWO, TWO]]})
        found = read_answers(tmp_path)
        assert grids(found, "a") == [(TWO, ONE)]
        assert grids(found, "b") == [(ONE, [])]

    def test_a_draw_of_padding_votes_and_is_wrong(self, tmp_path):
        found = read_answers(write_varc(tmp_path / "x", {"a": [[[[11]], [[11]], ONE]]}))
        assert grids(found, "a") == [([], ONE)]
        assert "is no ARC grid" in found.told()

    def test_the_key_answer_is_passed_over(self, tmp_path):
        path = tmp_path / "a_predictions.json"
        path.write_text(json.dumps({"0": [ONE], "answer": [TWO]}))
        assert grids(read_answers(path), "a") == [(ONE, [])]

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ([ONE], "must be an object of lists of grids"),
            ({}, "holds no test input"),
            ({"x": [ONE]}, "must map the numbers of its test inputs to lists of grids: 'x' does not"),
            ({"0": 1}, "must map the numbers of its test inputs to lists of grids: '0' does not"),
            ({"9" * 30: [ONE]}, "at most 100 are read"),
            ({"700": [ONE]}, "answers test input 700: at most 100 are read"),
        ],
    )
    def test_a_bad_file_is_one_sentence(self, tmp_path, content, told):
        (tmp_path / "a_predictions.json").write_text(json.dumps(content))
        found = sentence_of(tmp_path)
        assert told in found
        assert "a_predictions.json" in found


class TestKaggle:
    def test_a_file_and_a_folder_that_holds_it_say_the_same(self, tmp_path):
        one = Attempts(np.array(ONE, np.int8), np.array(TWO, np.int8))
        (tmp_path / "submission.json").write_text(json.dumps(submission({"a": (one,)})))
        for source in (tmp_path, tmp_path / "submission.json"):
            found = read_answers(source)
            assert found.layout == KAGGLE
            assert grids(found, "a") == [(ONE, TWO)]

    def test_places_without_answers_are_one_sentence(self, tmp_path):
        assert "does not exist" in sentence_of(tmp_path / "none")
        assert "holds no answers" in sentence_of(tmp_path)
        (tmp_path / "eval.json").write_text("{}")
        assert "is not finished" in sentence_of(tmp_path)


def test_arc_prizes_mean_over_tasks_agrees_with_its_own_way_of_counting(tmp_path):
    tasks = load_tasks("arcagi1", "evaluation").tasks[:60]
    rng = np.random.default_rng(0)
    answers, expected = {}, []
    for task in tasks:
        right = rng.integers(0, 3, len(task.test))  # 0: neither attempt, 1: the first, 2: the second
        answers[task.id] = [
            [pair.output.tolist() if place == which else ONE for place in (1, 2)]
            for pair, which in zip(task.test, right, strict=True)
        ]
        expected.append(Counter(right > 0)[True] / len(task.test))
    found = read_answers(write_benchmarking(tmp_path / "o3", answers))
    outputs = {task.id: [pair.output for pair in task.test] for task in tasks}
    report = score(found.submission, outputs)
    assert report.mean_over_tasks() == pytest.approx(sum(expected) / len(expected))
    assert report.mean_over_tasks() != report.share("either").value != report.tasks().value
    assert report.to_json()["mean_over_tasks"]["pass_2"] == report.mean_over_tasks()


def test_test_inputs_that_a_folder_leaves_out_count_as_not_attempted(tmp_path):
    found = read_answers(write_benchmarking(tmp_path / "o3", {"a": [[ONE]]}))
    report = score(found.of_inputs({"a": 2}), {"a": [np.array(ONE, np.int8)] * 2})
    assert report.mean_over_tasks() == 0.5
    assert report.blank == 3


def test_two_reports_are_counted_over_the_tasks_that_both_score():
    one, other = (np.full((1, 1), colour, np.int8) for colour in (1, 2))
    right, wrong = (Attempts(one, other),), (Attempts(other, other),)
    outputs = {task: [one] for task in "abcdefg"}
    first = dict.fromkeys("abcde", right) | {"f": wrong}
    second = dict.fromkeys("abcd", wrong) | {"e": right, "f": wrong, "g": right}
    reports = [score(answers, outputs, partial=True) for answers in (first, second)]
    found = Paired.of(*reports)
    assert (found.both, found.only_first, found.only_second, found.neither) == (1, 4, 0, 1)
    assert (found.tasks, found.p_value) == (6, mcnemar(4, 0))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 12) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["0", "1", "answer", "attempt_1", "attempt_2", "metadata", "pair_index", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


def outcome(source):
    """The answers, or the sentence that refuses them."""
    try:
        return read_answers(source)
    except DataError as error:
        return str(error)


@given(content=JSON_VALUES, name=st.sampled_from(["a.json", "a_predictions.json", "submission.json"]))
def test_whatever_json_a_file_holds_it_is_answers_or_one_sentence(tmp_path_factory, content, name):
    folder = tmp_path_factory.mktemp("answers")
    (folder / name).write_text(json.dumps(content))
    for source in (folder, folder / name):
        found = outcome(source)
        if isinstance(found, str):
            assert "\n" not in found
        else:
            assert all(isinstance(x, Attempts) for inputs in found.submission.values() for x in inputs)
