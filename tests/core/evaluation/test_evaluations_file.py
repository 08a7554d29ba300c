"""The recorded evaluations: what is written is read, and two systems are compared over joined lists."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from arc_core.data.seen import held_out
from arc_core.data.tasks import load_tasks
from benchmarks.evaluations import Outcome, compare, main, outcomes_of, read_outcomes, write_outcomes

RECORDED = Path(__file__).parents[3] / "docs" / "evaluations.csv"

ONE = Outcome("a", "list", 12.0, "t0", 1, 3, 3, 200, 11.5)


def outcomes(system: str, tasks: str, solved: str, asked: float = 12.0) -> list[Outcome]:
    return [
        replace(ONE, system=system, tasks=tasks, asked=asked, task=f"t{place}", solved=int(mark))
        for place, mark in enumerate(solved)
    ]


def test_what_is_written_is_read(tmp_path: Path):
    kept = [*outcomes("a", "x", "01"), *outcomes("b", "x", "1", asked=45.0)]
    write_outcomes(tmp_path / "file.csv", kept[::-1])
    assert read_outcomes(tmp_path / "file.csv") == kept
    assert read_outcomes(tmp_path / "missing.csv") == []


def test_a_finished_evaluation_is_taken_task_by_task(tmp_path: Path):
    task = {"solved": True, "steps": 7, "seconds": 1.26, "fit": [2, 3], "confidence": [[1.0, 0.0]]}
    results = {"protocol": {"seconds_per_task": 45}, "tasks": {"abc": task}}
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert outcomes_of(tmp_path, "s", "l") == [Outcome("s", "l", 45.0, "abc", 1, 2, 3, 7, 1.3)]


def test_an_evaluation_that_is_added_again_takes_the_place_of_its_own_lines_alone(
    tmp_path: Path, monkeypatch
):
    file, kept = tmp_path / "file.csv", outcomes("s", "l", "0", asked=45.0)
    write_outcomes(file, kept)
    for mark in (False, True):
        task = {"solved": mark, "steps": 7, "seconds": 1.0, "fit": [2, 3]}
        results = {"protocol": {"seconds_per_task": 12}, "tasks": {"abc": task}}
        (tmp_path / "results.json").write_text(json.dumps(results))
        monkeypatch.setattr("sys.argv", ["evaluations", "add", str(file), "s", "l", str(tmp_path)])
        main()
    assert read_outcomes(file) == [Outcome("s", "l", 12.0, "abc", 1, 2, 3, 7, 1.0), *kept]


def test_lists_are_joined_and_only_shared_tasks_of_the_budget_count():
    known = [
        *outcomes("a", "x", "111100"),
        *outcomes("a", "y", "111"),
        *outcomes("a", "z", "1"),
        *outcomes("a", "x", "000000", asked=45.0),
        *outcomes("b", "x", "000110"),
        *outcomes("b", "y", "000"),
    ]
    lines = compare(known, 12.0, "a", "b")
    # a alone: three of x and three of y; b alone: one of x. Exact: 2 (1 + 7) / 2^7.
    assert lines[0] == "12 s a task; x, y: 9 tasks"
    assert lines[1].startswith("a: 7 solved, 77.8%")
    assert lines[3] == "a alone 6, b alone 1, McNemar's exact p = 0.12"
    with pytest.raises(ValueError, match="share no task at 45 s"):
        compare(known, 45.0, "a", "b")


def test_the_recorded_evaluations_are_of_whole_fixed_lists():
    lists = {
        "held-out": {task.id for task in held_out(load_tasks("arcagi1").tasks)},
        "evaluation": {task.id for task in load_tasks("arcagi1", "evaluation").tasks[:100]},
    }
    found: dict[tuple[str, str, float], list[str]] = {}
    for outcome in read_outcomes(RECORDED):
        found.setdefault(outcome.evaluation, []).append(outcome.task)
    assert found
    for (_, name, _), tasks in found.items():
        assert len(tasks) == 100
        assert set(tasks) == lists[name]
