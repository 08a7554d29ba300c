"""What an evaluation has solved, counted a second way, and what is said of damaged and foreign folders."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from eval_files import (
    BEGUN,
    DAMAGED,
    FAILED,
    PARTLY,
    PENDING,
    SECOND,
    SIZE,
    SOLVED,
    TASKS,
    answer,
    assignment,
    dataset,
    make_eval,
    make_finished,
    make_folder,
    spoilt,
    truths,
)  # fmt: skip

from arc_core.base.errors import ArcError, RunError
from arc_core.data.grids import to_rows
from arc_core.data.scoring import mcnemar
from arc_core.data.tasks import Pair, Task
from arc_core.evaluation.folder import EvalFolder, TaskAnswer, find_eval
from arc_tui.drawing.rows import plain
from arc_tui.results.choice import Chosen, chosen_tasks, size_rules
from arc_tui.results.evaluations import State, TaskResult, list_evals, newer, open_results
from arc_tui.results.groups import brief_groups, input_groups, paired_groups, result_groups
from arc_tui.results.pair import PairOutcome, ResultsPair
from arc_tui.results.rows import task_row
from arc_tui.results.text import results_lines, told

GRID = np.array([[1, 2], [3, 4]], np.int8)
INPUT = {"attempts": [["1"], ["2"]], "confidence": [1, 0], "single": ["1"], "size_rule": "same"}


@pytest.fixture
def evals(tmp_path: Path) -> Path:
    return tmp_path / "evals"


def ids(found) -> list[str]:
    return [one.id for one in found]


def by_id(results) -> dict[str, TaskResult]:
    return {found.id: found for found in results.tasks}


def test_every_task_is_told_what_became_of_it(evals: Path):
    results = open_results(make_eval(evals))
    assert {found.id: found.state for found in results.tasks} == {
        SOLVED: State.SOLVED, SECOND: State.SOLVED, FAILED: State.FAILED, SIZE: State.FAILED,
        PARTLY: State.FAILED, DAMAGED: State.DAMAGED, PENDING: State.PENDING,
    }  # fmt: skip
    found = by_id(results)
    assert found[SECOND].solved_by == (2,)
    assert found[PARTLY].solved_by == (1, 0, 0)
    assert (results.done, results.finished) == (6, False)
    assert "not as it was written" in (found[DAMAGED].problem or "")


def test_a_task_that_could_not_be_solved_is_a_failed_one_with_the_reason_in_place_of_its_grids(evals: Path):
    folder = make_finished(evals, "first", {SOLVED})
    other = open_results(make_finished(evals, "other", {SOLVED}))
    known = {found.id: found.task for found in other.tasks}
    why = "its solving process ended 3 times: killed by SIGKILL, perhaps for want of memory"
    folder.write_answer(TaskAnswer.without_attempts(known[FAILED], why))
    results = open_results(folder)
    found = by_id(results)[FAILED]
    assert (found.state, found.failure, found.solved_by) == (State.FAILED, why, (0,))
    assert results.report is not None
    assert (results.finished, results.report.tasks().count, results.report.blank) == (True, 1, 2)
    (group,) = input_groups(found)
    assert why in plain(group.title)
    assert [picture.name for picture in group.pictures] == ["input", "output"]
    (brief,) = brief_groups(found)
    assert [picture.name for picture in brief.pictures] == ["input", "output"]
    (paired,) = (one for one in ResultsPair(results, other).tasks if one.id == FAILED)
    assert any(why in plain(group.title) for group in paired_groups(paired, ("a", "b"))[0])
    lines = results_lines(results, results.tasks)
    assert f"{FAILED}: {why}" in lines
    assert why in plain(task_row(found, 120, 8))
    assert why in told(found)


def test_confidence_and_right_cells_are_means_over_the_test_inputs(evals: Path):
    found = by_id(open_results(make_eval(evals)))
    assert found[SOLVED].confidence == 0.9
    assert found[FAILED].cells == pytest.approx(6 / 9)
    assert found[SIZE].cells == pytest.approx(6 / 9), "6 of 9 rows are there and right"
    assert found[PARTLY].cells == pytest.approx(1 / 3), "one cell each: right, wrong, wrong"
    assert math.isnan(found[PENDING].confidence)
    assert math.isnan(found[DAMAGED].cells)


def test_the_report_scores_what_is_done_and_goes_by_the_solvers_size_rule(evals: Path):
    results = open_results(make_eval(evals))
    assert results.report is not None
    assert (results.report.tasks().count, results.report.tasks().total) == (2, 5)
    assert (results.report.share("either").count, results.report.share("either").total) == (3, 7)
    assert results.report.rules == size_rules(results.tasks) == ["constant", "ratio", "same"]
    assert results.report.share("either", "constant").count == 1


def test_outputs_that_are_not_known_leave_the_answers_unjudged(evals: Path):
    asked = assignment(["mine"], dataset="gone")
    task = Task("mine", (Pair(GRID, GRID),), (Pair(GRID, GRID),))
    folder = make_folder(evals, "a", asked, [task])
    folder.write_answer(answer("mine", [(GRID, GRID)]))
    results = open_results(folder)
    (found,) = results.tasks
    assert (found.state, results.report) == (State.UNKNOWN, None)
    assert results.notes[0].startswith("The outputs are not known: There is no dataset 'gone'")
    (group,) = input_groups(found)
    assert [picture.name for picture in group.pictures] == ["input", "attempt 1", "attempt 2"]
    assert "output not known" in plain(list(group.title))


def test_answers_that_came_since_are_read_and_others_kept(evals: Path):
    folder = make_eval(evals)
    before = open_results(folder)
    assert newer(before) is before
    (right,) = truths(PENDING)
    folder.write_answer(answer(PENDING, [(right, right)]))
    after = newer(before)
    assert after.finished
    assert by_id(after)[PENDING].state is State.SOLVED
    assert by_id(after)[SOLVED] is by_id(before)[SOLVED]


def test_answers_to_another_number_of_test_inputs_are_damaged(evals: Path):
    folder = make_eval(evals)
    folder.write_answer(answer(PENDING, [(GRID, GRID)] * 2))
    found = by_id(open_results(folder))[PENDING]
    assert (found.state, found.problem) == (State.DAMAGED, "It has 2 answers to 1 test inputs.")


def test_tasks_that_the_weights_have_seen_are_told(evals: Path):
    asked = assignment([SOLVED], dataset(evals), seen=(SOLVED,))
    folder = make_folder(evals, "a", asked, [])
    assert open_results(folder).notes == ("The weights were trained on 1 of these tasks.",)


def test_tasks_are_chosen_by_result_rule_and_words(evals: Path):
    tasks = open_results(make_eval(evals)).tasks
    assert ids(chosen_tasks(tasks, Chosen())) == TASKS
    assert ids(chosen_tasks(tasks, Chosen(only="solved"))) == sorted([SOLVED, SECOND])
    assert ids(chosen_tasks(tasks, Chosen(size="ratio"))) == [SIZE]
    assert ids(chosen_tasks(tasks, Chosen(only="failed", size="same"))) == [FAILED]
    assert ids(chosen_tasks(tasks, Chosen(words="CA9"))) == [SOLVED]


def test_tasks_are_sorted_and_those_without_a_number_stay_last(evals: Path):
    tasks = open_results(make_eval(evals)).tasks
    falling = [SOLVED, PARTLY, FAILED, SECOND, SIZE]
    last = sorted([DAMAGED, PENDING])
    assert ids(chosen_tasks(tasks, Chosen(order="confidence"))) == [*falling, *last]
    assert ids(chosen_tasks(tasks, Chosen(order="confidence", reverse=True))) == [*falling[::-1], *last]
    by_cells = ids(chosen_tasks(tasks, Chosen(order="cells")))
    assert by_cells[:2] == sorted([SOLVED, SECOND])
    assert by_cells[4:] == [PARTLY, *last]
    assert ids(chosen_tasks(tasks, Chosen(reverse=True))) == TASKS[::-1]


def test_two_evaluations_are_counted_against_each_other(evals: Path):
    first = open_results(make_finished(evals, "a", {SOLVED, SECOND, SIZE}))
    second = open_results(make_finished(evals, "b", {SOLVED, FAILED}, seed=7))
    pair = ResultsPair(first, second)
    outcomes = {found.id: found.outcome for found in pair.tasks}
    assert outcomes == {
        SOLVED: PairOutcome.BOTH, SECOND: PairOutcome.FIRST, SIZE: PairOutcome.FIRST,
        FAILED: PairOutcome.SECOND, DAMAGED: PairOutcome.NEITHER,
    }  # fmt: skip
    assert pair.p_value == mcnemar(2, 1) == 1.0
    assert pair.differences() == ["seed 0 and 7"]
    assert ids(chosen_tasks(pair.tasks, Chosen(only="first"))) == sorted([SECOND, SIZE])


def test_tasks_that_one_of_two_has_not_done_are_open(evals: Path):
    pair = ResultsPair(
        open_results(make_eval(evals)),
        open_results(make_finished(evals, "b", {SOLVED})),
    )
    assert len(pair.tasks) == 5, "those that both ask"
    assert {found.id for found in pair.tasks if found.outcome is PairOutcome.OPEN} == {DAMAGED}
    assert pair.count(PairOutcome.FIRST) == 1


def test_two_evaluations_without_a_common_task_are_refused(evals: Path):
    first = open_results(make_finished(evals, "a", set()))
    other = open_results(make_folder(evals, "b", assignment([PENDING], dataset(evals)), []))
    with pytest.raises(RunError, match="a and b have no task in common"):
        ResultsPair(first, other)


def test_a_task_is_drawn_with_its_attempts_held_against_the_output(evals: Path):
    found = by_id(open_results(make_eval(evals)))[SECOND]
    everything = result_groups(found)[0]
    assert [plain(list(group.title)).split("  ")[0] for group in everything] == [
        "test 0", *(f"demonstration {n}" for n in range(len(found.task.train))),
    ]  # fmt: skip
    (right,) = truths(SECOND)
    given, first, second, output = everything[0].pictures
    assert given.target is output.target is None
    assert first.grid == tuple(to_rows(spoilt(right, 2)))
    assert first.target == second.grid == output.grid == tuple(to_rows(right))
    assert "✓ solved by attempt 2  votes 40% and 30%" in plain(list(everything[0].title))
    (brief,) = brief_groups(found)
    assert [picture.name for picture in brief.pictures] == ["attempt 2", "output"]


def test_a_task_of_two_evaluations_is_drawn_with_the_attempts_of_both(evals: Path):
    pair = ResultsPair(
        open_results(make_eval(evals)),
        open_results(make_finished(evals, "b", {SOLVED})),
    )
    groups = {found.id: paired_groups(found, ("A first", "B b"))[0] for found in pair.tasks}
    assert [[p.name for p in group.pictures] for group in groups[SOLVED]] == [
        ["input", "output"], ["attempt 1", "attempt 2"], ["attempt 1", "attempt 2"],
    ]  # fmt: skip
    assert "not as it was written" in plain(list(groups[DAMAGED][1].title))


def test_evaluations_are_found_by_name_start_folder_and_as_the_latest(evals: Path):
    first, second = (
        make_finished(evals, "run_a", set()),
        make_finished(evals, "run_b", set()),
    )
    os.utime(first.path / "eval.json", (BEGUN + 5, BEGUN + 5))
    assert find_eval("latest", evals) == first
    assert find_eval("run_b", evals) == second
    assert find_eval(str(second.path), Path("nowhere")) == second
    with pytest.raises(RunError, match="run is the start of 2 evaluations: run_a, run_b"):
        find_eval("run", evals)
    with pytest.raises(RunError, match="There is no evaluation x in"):
        find_eval("x", evals)
    with pytest.raises(RunError, match="There is no evaluation in"):
        find_eval("latest", evals / "nowhere")


def test_a_list_of_evaluations_tells_how_far_each_is(evals: Path):
    folder = make_eval(evals)
    done = make_finished(evals, "second", {SOLVED})
    done.results.write_text(json.dumps({"scores": {"tasks_solved": {"pass_2": {"count": 1}}}}))
    (evals / "broken").mkdir()
    (evals / "broken" / "eval.json").write_text("{")
    (evals / "empty").mkdir()
    found = {one.path.name: one for one in list_evals(evals)}
    assert set(found) == {"first", "second", "broken"}
    assert (found["first"].done, found["first"].tasks, found["first"].solved) == (6, 7, None)
    assert (found["second"].done, found["second"].solved) == (5, 1)
    assert "is damaged" in (found["broken"].problem or "")
    assert folder.path == found["first"].path


@pytest.mark.parametrize(
    "content",
    [
        "[]", "{}", '{"tasks": 5}', '{"tasks": [1], "seen": []}', "nonsense",
        json.dumps({**assignment([SOLVED]).to_json(), "dataset": 5}),
        json.dumps({**assignment([SOLVED]).to_json(), "tasks": [["x"]]}),
        json.dumps({**assignment([SOLVED]).to_json(), "more": 5}),
    ],
)  # fmt: skip
def test_a_folder_that_is_not_as_it_was_written_is_refused_in_a_sentence(evals: Path, content: str):
    folder = make_folder(evals, "a", assignment([SOLVED]), [])
    (folder.path / "eval.json").write_text(content)
    with pytest.raises(ArcError, match=r"eval\.json"):
        open_results(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"steps": float("inf")}, {"inputs": 5}, {"inputs": [{}]}, {"fit": None}, {"seconds": "x"},
        {"inputs": [INPUT | {"attempts": [["1"]]}]}, {"inputs": [INPUT | {"attempts": [["x"], ["1"]]}]},
    ],
)  # fmt: skip
def test_a_damaged_answer_is_told_and_the_others_are_shown(evals: Path, change: dict):
    folder = make_eval(evals)
    whole = answer(PENDING, [(GRID, GRID)]).to_json()
    folder.answer_path(PENDING).write_text(json.dumps(whole | change))
    results = open_results(folder)
    assert by_id(results)[PENDING].state is State.DAMAGED
    assert results.count(State.SOLVED) == 2


def test_an_answer_file_that_is_a_link_is_not_followed(evals: Path):
    folder = make_eval(evals)
    folder.answer_path(PENDING).symlink_to(folder.answer_path(SOLVED))
    found = by_id(open_results(EvalFolder(folder.path)))[PENDING]
    assert "no regular file" in (found.problem or "")
