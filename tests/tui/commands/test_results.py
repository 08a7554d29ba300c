"""`arc-tui inspect results` as it is typed."""

import json
from pathlib import Path

import numpy as np
import pytest
from eval_files import (
    FAILED,
    PARTLY,
    SECOND,
    SIZE,
    SOLVED,
    answer,
    assignment,
    make_eval,
    make_finished,
    make_folder,
)
from recordings import RECORDED

from arc_core.data.kaggle import challenges
from arc_core.data.tasks import Pair, Task
from arc_tui import cli


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("COLUMNS", "100")


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as caught:
        cli.main(["inspect", "results", *arguments])
    captured = capsys.readouterr()
    assert caught.value.code == code, captured.err
    output = captured.out if code != 2 else captured.err
    assert all(line.isprintable() for line in output.splitlines())
    return output


def as_recorded(request: pytest.FixtureRequest, name: str, found: str) -> bool:
    golden = RECORDED / name
    if request.config.getoption("--snapshot-update"):
        golden.write_text(found)
    return found == golden.read_text()


def test_json_of_an_evaluation_is_as_recorded(capsys, request: pytest.FixtureRequest):
    make_eval(Path("evals"))
    found = json.loads(run(capsys, "first", "--json"))
    found["path"] = Path(found["path"]).relative_to(Path.cwd()).as_posix()
    assert as_recorded(request, "results.json", json.dumps(found, indent=1) + "\n")


def test_text_of_an_evaluation_is_as_recorded(capsys, request: pytest.FixtureRequest):
    make_eval(Path("evals"))
    assert as_recorded(request, "results.txt", run(capsys, "first"))


def test_text_and_json_of_two_evaluations_are_as_recorded(capsys, request: pytest.FixtureRequest):
    make_finished(Path("evals"), "a", {SOLVED, SECOND, SIZE})
    make_finished(Path("evals"), "b", {SOLVED, FAILED}, seed=7)
    found = json.loads(run(capsys, "a", "b", "--json"))
    for one in ("first", "second"):
        found[one]["path"] = Path(found[one]["path"]).relative_to(Path.cwd()).as_posix()
    text = run(capsys, "a", "b")
    assert as_recorded(request, "results_pair.txt", text + json.dumps(found, indent=1) + "\n")


def test_one_task_is_printed_with_its_grids(capsys, request: pytest.FixtureRequest):
    make_eval(Path("evals"))
    text = run(capsys, "first", "--task", PARTLY)
    assert run(capsys, "first", "--task", PARTLY[:-1]) == text
    assert as_recorded(request, "results_task.txt", text)
    found = json.loads(run(capsys, "first", "--task", PARTLY, "--json"))
    assert found["solved_by"] == [1, 0, 0]
    assert [len(entry["attempts"]) for entry in found["test"]] == [2, 2, 2]
    assert [x["cells"] for x in found["test"][0]["attempts"]] == [1.0, 0.0]


def test_lists_are_filtered_and_sorted(capsys):
    make_eval(Path("evals"))
    found = json.loads(run(capsys, "first", "--only", "failed", "--sort", "cells", "--json"))
    assert [one["task"] for one in found["list"]] == [SIZE, FAILED, PARTLY]
    assert (found["shown"], found["tasks"]) == (3, 7)
    assert "1 of 7 tasks" in run(capsys, "first", "--size", "ratio")


def test_without_a_name_all_evaluations_are_listed(capsys):
    assert run(capsys) == "There is no evaluation in evals.\n"
    make_eval(Path("evals"))
    lines = run(capsys).splitlines()
    assert lines[0].split() == ["EVALUATION", "DATASET", "DONE", "SOLVED", "BEGUN"]
    assert lines[1].split()[:5] == ["first", "tasks", "training", "6/7", "-"]
    (found,) = json.loads(run(capsys, "--json"))
    assert (found["name"], found["done"], found["solved"]) == ("first", 6, None)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("nothing", "There is no evaluation nothing in evals."),
        ("latest --evals-dir elsewhere", "There is no evaluation in elsewhere."),
        ("first --only first", '--only is "first", but must be one of all, solved'),
        ("first first --only solved", '--only is "solved", but must be one of all, first'),
        ("first --sort size", '--sort is "size", but must be one of id, confidence, cells.'),
        ("first --size big", '--size is "big", but must be one of all, constant'),
        ("first --task 0", "0 is the start of "),
        ("first --task nope", "first does not ask task nope."),
        ("--task nope", "--task goes with one evaluation."),
        ("first first --task 0", "--task goes with one evaluation."),
    ],
)
def test_bad_input_is_one_sentence(capsys, arguments: str, sentence: str):
    make_eval(Path("evals"))
    error = run(capsys, *arguments.split(), code=2)
    assert sentence in error
    assert error.count("\n") == 1


def test_names_that_would_steer_a_terminal_are_escaped(capsys, tmp_path: Path):
    grid = np.array([[1, 2]], np.int8)
    evil = "\x1b]0;owned\x07[red]"
    task = Task(evil, (Pair(grid, grid),), (Pair(grid, grid),))
    raw = challenges([task])
    raw[evil]["test"][0]["output"] = grid.tolist()
    Path("evil.json").write_text(json.dumps(raw))
    folder = make_folder(Path("evals"), "a", assignment([evil], dataset="evil.json"), [task])
    folder.write_answer(answer(evil, [(grid, grid)], rule="same\x1b[2J"))
    shown = run(capsys, "a")
    assert r"\x1b]0;owned\x07[red]" in shown
    assert r"same\x1b[2J" in shown
    assert "[red]" in run(capsys, "a", "--task", evil)
