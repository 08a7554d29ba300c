"""`arc-tui solve`: which task is meant, what is shown while it adapts, and the answers as text and JSON."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from textual.app import App

from arc_core.base.errors import RunError
from arc_core.data.finding import find_task
from arc_core.data.kaggle import Attempts, challenges
from arc_core.data.tasks import Pair, Task
from arc_core.evaluation.folder import InputAnswer, TaskAnswer
from arc_tui import cli
from arc_tui.commands.evaluation import Asked
from arc_tui.commands.solve import LEFT, answer_json, answer_rows, solve_task
from arc_tui.drawing.rows import plain
from arc_tui.solve.app import SolveApp

GRID = np.array([[1, 2, 3], [4, 5, 6]], np.int8)
OTHER = np.array([[1, 2], [4, 9]], np.int8)
TASK = Task("mine", (Pair(GRID, GRID),), (Pair(GRID, OTHER),))


def answer(first=OTHER, second=GRID):
    one = InputAnswer(Attempts(first, second), (0.6, 0.25), first, "same")
    return TaskAnswer("mine", (one,), 30, 2.5, 1, 1)


def told(task, answers):
    return "\n".join(map(plain, answer_rows(task, answers, 80)))


def test_answers_are_judged_only_where_the_output_is_known():
    shown = told(TASK, answer())
    assert "✓ solved by attempt 1  votes 60% and 25%" in shown
    assert "attempt 2 2x3 ≠ size 50%" in shown
    assert "mine: solved; 30 steps in 2.5 s, fits 1 of 1 demonstrations" in shown
    blind = TASK.without_test_outputs()
    assert "mine: not known whether solved" in told(blind, answer())
    assert "✓" not in told(blind, answer())
    assert "≠" not in told(blind, answer())
    assert "mine: not solved" in told(TASK, answer(GRID, GRID))
    assert answer_json(blind, answer())["solved"] is None
    assert answer_json(TASK, answer(GRID, GRID))["solved"] is False
    assert answer_json(TASK, answer())["answers"][0]["attempt_1"] == OTHER.tolist()


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


KILLED = "import os, sys; os.write(1, b'.'); sys.stdin.readline(); os.kill(os.getpid(), 9)"
FAILING = "import sys; sys.stderr.write('Error: No such thing.'); sys.exit(2)"


@pytest.fixture
def found(tmp_path, monkeypatch):
    """A task in a file, whose test output is not the input's size."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = tmp_path / "mine.json"
    test = [{"input": [[1]], "output": [[1, 2], [4, 9]]}]
    path.write_text(json.dumps({"train": challenges([TASK])["mine"]["train"], "test": test}))
    return find_task(str(path), None)


def run(found, script):
    asked = Asked(
        dataset=found.dataset, split=found.split, tasks=["mine"], seconds_per_task=1.0, steps_per_task=None,
        seed=0, device="cpu", weights="none", settings={}, allow_seen=True,
    )  # fmt: skip
    return solve_task(
        asked,
        found,
        as_json=False,
        command=lambda folder, device: [sys.executable, "-c", script, str(folder.path)],
    )


def test_into_a_pipe_the_answers_are_json_and_nothing_is_left_behind(found, tmp_path, capsys):
    assert run(found, WORKER) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["answers"][0]["attempt_1"] == [[1, 2], [4, 9]]
    assert (printed["solved"], printed["seen"]) == (True, False)
    assert (printed["dataset"], printed["split"]) == (str(tmp_path / "mine.json"), "training")
    assert [entry.name for entry in Path(tmp_path).iterdir()] == ["mine.json"]


@pytest.fixture
def screen(monkeypatch):
    """A terminal in which the screen is shown without being seen, and left by a key once `until` is so."""
    kept = {}

    def run_headless(app):
        async def steer(pilot):
            while app.is_running and not kept["until"](app):
                await pilot.pause(0.02)
            await pilot.press("q")

        return App.run(app, headless=True, size=(100, 30), auto_pilot=steer)

    monkeypatch.setattr("arc_tui.commands.solve.has_terminal", lambda: True)
    monkeypatch.setattr(SolveApp, "run", run_headless)
    return kept


def test_in_a_terminal_the_answers_are_printed_once_the_screen_is_left(found, tmp_path, screen, capsys):
    screen["until"] = lambda app: app.screen.state.answer is not None
    assert run(found, WORKER) == 0
    printed = capsys.readouterr().out
    assert "✓ solved by attempt 1  votes 50% and 50%" in printed
    assert "mine: solved; 1 steps in 1.0 s" in printed
    assert [entry.name for entry in Path(tmp_path).iterdir()] == ["mine.json"]


def test_leaving_before_there_are_answers_ends_the_process_and_says_so(found, tmp_path, screen, capsys):
    screen["until"] = lambda app: True
    assert run(found, "import sys; sys.stdin.read()") == LEFT
    assert capsys.readouterr().out == "mine was left before it was answered.\n"
    assert [entry.name for entry in Path(tmp_path).iterdir()] == ["mine.json"]


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (FAILING, "No such thing."),
        ("pass", "ended unexpectedly: with exit code 0"),
        (KILLED, "mine could not be solved: its solving process ended unexpectedly: killed by SIGKILL"),
    ],
)
def test_a_solving_process_that_fails_ends_the_screen_with_its_sentence(found, screen, script, sentence):
    screen["until"] = lambda app: False
    with pytest.raises(RunError, match=sentence):
        run(found, script)


def test_a_bad_task_is_one_sentence(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["solve", "nonsense", "--weights", "none"])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "Error: There is no task nonsense in arcagi1 or arcagi2.\n"
