"""`arc-tui solve`: which task is meant, what is shown while it adapts, and the answers as text and JSON."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from arc_tui.grid_text import Picture, picture_lines, rows_of_pictures

from arc_core.data import Pair, Task, load_tasks
from arc_core.errors import DataError
from arc_core.evaluation import InputAnswer, TaskAnswer
from arc_core.kaggle import Attempts, challenges
from arc_tui import cli
from arc_tui.eval_command import Asked
from arc_tui.solve_command import adaptation_lines, answer_json, answer_lines, find_task, solve
from arc_tui.themes import load_theme

COLOURS = load_theme(folders=None).grid
GRID = np.array([[1, 2, 3], [4, 5, 6]], np.int8)
OTHER = np.array([[1, 2], [4, 9]], np.int8)
TASK = Task("mine", (Pair(GRID, GRID),), (Pair(GRID, OTHER),))


def answer(first=OTHER, second=GRID):
    one = InputAnswer(Attempts(first, second), (0.6, 0.25), first, "same")
    return TaskAnswer("mine", (one,), 30, 2.5, 1, 1)


def plain(lines):
    return [line.plain.rstrip() for line in lines]


def test_each_cell_shows_its_digit_on_its_colour_and_what_is_wrong_is_crossed():
    lines = picture_lines(Picture("a", GRID, OTHER), COLOURS)
    assert plain(lines) == ["a", " 1 2×3", " 4×5×6"]
    assert {len(line.plain) for line in lines} == {6}
    colours = [span.style.bgcolor.name for span in lines[1].spans]
    assert colours == [COLOURS[1], COLOURS[2], COLOURS[3]]


def test_pictures_stand_beside_each_other_as_far_as_there_is_room():
    pictures = [Picture("a", GRID), Picture("b", OTHER), Picture("c", GRID)]
    assert plain(rows_of_pictures(pictures, COLOURS, 12)) == [
        "a       b", " 1 2 3   1 2", " 4 5 6   4 9", "", "c", " 1 2 3", " 4 5 6",
    ]  # fmt: skip
    assert len(rows_of_pictures(pictures, COLOURS, 80)) == 3
    assert len(rows_of_pictures(pictures, COLOURS, 1)) == 11


def test_answers_are_judged_only_where_the_output_is_known():
    shown = "\n".join(plain(answer_lines(TASK, answer(), 80)))
    assert "first 60% right" in shown
    assert "second 25% wrong" in shown
    assert "mine: solved; 30 steps in 2.5 s, fits 1 of 1 demonstrations" in shown
    blind = TASK.without_test_outputs()
    shown = "\n".join(plain(answer_lines(blind, answer(), 80)))
    assert "not known whether solved" in shown
    assert "right" not in shown
    assert answer_json(blind, answer())["solved"] is None
    assert answer_json(TASK, answer(GRID, GRID))["solved"] is False
    assert answer_json(TASK, answer())["answers"][0]["attempt_1"] == OTHER.tolist()


def test_an_adaptation_is_shown_as_numbers_and_grids():
    event = {
        "type": "adaptation", "task": "mine", "step": 3, "steps": 9, "loss": 0.5, "seconds": 61.0,
        "exact": [False], "demonstrations": [["123", "450"]], "queries": [["12", "49"]],
    }  # fmt: skip
    lines = plain(adaptation_lines(TASK, event, COLOURS, 80))
    assert lines[0] == "mine  step 3 of 9  loss 0.5000  fits 0 of 1  0:01:01"
    assert lines[1:] == ["demonstration 0  test 0", " 1 2 3            1 2", " 4 5×0            4 9"]


def test_a_task_is_found_by_id_and_in_a_file(tmp_path):
    found = find_task("00576224", None)
    assert (found.dataset, found.split) == ("arcagi1", "evaluation")
    path = tmp_path / "one.json"
    path.write_text(json.dumps(challenges([TASK])["mine"]))
    assert find_task(str(path), None).task.test[0].output is None
    many = tmp_path / "many.json"
    many.write_text(json.dumps(challenges(load_tasks("arcagi1").tasks[:2])))
    with pytest.raises(DataError, match="holds 2 tasks"):
        find_task(str(many), None)
    assert find_task("00d62c1b", str(many)).task.id == "00d62c1b"
    with pytest.raises(DataError, match="There is no task nonsense in arcagi1 or arcagi2"):
        find_task("nonsense", None)


WORKER = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
task = json.loads((folder / "eval.json").read_text())["tasks"][0]
content = json.loads((folder / "challenges.json").read_text())
assert "output" not in json.dumps(content[task]["test"])
one = {"attempts": [["12", "49"], ["1"]], "confidence": [0.5, 0.5], "single": ["1"], "size_rule": "same"}
answer = {"task": task, "inputs": [one], "steps": 1, "seconds": 1.0, "fit": 0, "demonstrations": 1}
(folder / "answers" / f"{task}.json").write_text(json.dumps(answer))
"""


def test_into_a_pipe_the_answers_are_json_and_nothing_is_left_behind(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = tmp_path / "mine.json"
    path.write_text(
        json.dumps(
            {
                "train": challenges([TASK])["mine"]["train"],
                "test": [{"input": [[1]], "output": [[1, 2], [4, 9]]}],
            }
        )
    )
    found = find_task(str(path), None)
    asked = Asked(
        dataset=found.dataset, split=found.split, limit=None, tasks=["mine"], held_out=False,
        seconds_per_task=1.0, steps_per_task=None, seed=0, device="cpu", weights="none", settings={},
        allow_seen=True, name=None,
    )  # fmt: skip
    solve(
        asked, found, as_json=False, command=lambda folder: [sys.executable, "-c", WORKER, str(folder.path)]
    )
    printed = json.loads(capsys.readouterr().out)
    assert printed["answers"][0]["attempt_1"] == [[1, 2], [4, 9]]
    assert (printed["solved"], printed["seen"]) == (True, False)
    assert [entry.name for entry in Path(tmp_path).iterdir()] == ["mine.json"]


def test_a_bad_task_is_one_sentence(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["solve", "nonsense", "--weights", "none"])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "Error: There is no task nonsense in arcagi1 or arcagi2.\n"
