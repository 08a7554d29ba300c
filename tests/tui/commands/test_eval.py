"""What an evaluation refuses and keeps, without starting a solving process."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from arc_core.base.errors import ConfigError, DataError, RunError
from arc_core.data.kaggle import Attempts, challenges
from arc_core.data.tasks import load_tasks
from arc_core.evaluation.folder import InputAnswer, TaskAnswer
from arc_core.evaluation.solving import AgentSystem
from arc_core.solver.config import SolverConfig
from arc_tui import cli
from arc_tui.commands import evaluation as eval_command
from arc_tui.results.evaluations import list_evals
from arc_tui.runs import evaluating

GRID = np.array([[1, 2]], np.int8)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


def asked(**values):
    given = {
        "dataset": "arcagi1", "split": "evaluation", "limit": 2, "tasks": None, "held_out": False,
        "seconds_per_task": 45.0, "steps_per_task": None, "seed": 0, "device": "cpu", "weights": "none",
        "settings": {}, "allow_seen": False, "name": "a",
    }  # fmt: skip
    return eval_command.Asked(**given | values)


def answer(task, *, grids=(GRID, GRID), inputs=1):
    one = InputAnswer(Attempts(*grids), (0.75, 0.25), grids[0], "same")
    return TaskAnswer(task, (one,) * inputs, 10, 1.5, 2, 3)


def main(*arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main(["eval", *arguments])
    return caught.value.code


def test_asking_the_same_again_finds_the_same_folder_and_anything_else_is_refused(tmp_path):
    folder, tasks = eval_command.begin(asked(), tmp_path)
    assert [task.id for task in tasks] == ["00576224", "009d5c81"]
    assert eval_command.begin(asked(), tmp_path)[0] == folder
    for other in ({"seed": 1}, {"limit": 3}, {"settings": {"width": "32"}}, {"seconds_per_task": 1.0}):
        with pytest.raises(ConfigError, match="asks something else"):
            eval_command.begin(asked(**other), tmp_path)
    again, known = eval_command.reopen("latest", tmp_path)
    assert (again, [task.id for task in known]) == (folder, [task.id for task in tasks])


def test_an_evaluation_of_before_goes_on_where_all_that_it_asks_is_still_there(tmp_path):
    folder, _ = eval_command.begin(asked(), tmp_path)
    written = folder.path / "eval.json"
    content = json.loads(written.read_text())
    content["settings"] |= {"bidirectional": "off", "lambda_bi": 0.5, "warm_up": "off", "rl_refinement": 0.0}
    written.write_text(json.dumps(content))
    assert eval_command.begin(asked(), tmp_path)[0] == folder
    again, _ = eval_command.reopen("a", tmp_path)
    assert AgentSystem(again.assignment(), torch.device("cpu")).config == SolverConfig()
    content["settings"]["rl_refinement"] = 0.2
    written.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"rl_refinement 0\.2 is not there any more"):
        eval_command.begin(asked(), tmp_path)


def test_an_evaluation_of_before_several_starts_goes_on_with_one(tmp_path):
    folder, _ = eval_command.begin(asked(), tmp_path)
    written = folder.path / "eval.json"
    content = json.loads(written.read_text())
    del content["settings"]["max_starts"]
    written.write_text(json.dumps(content))
    again, _ = eval_command.reopen("a", tmp_path)
    assert AgentSystem(again.assignment(), torch.device("cpu")).config.max_starts == 1
    with pytest.raises(ConfigError, match="asks something else"):
        eval_command.begin(asked(), tmp_path)


def test_the_start_of_an_id_and_of_a_name_is_enough(tmp_path):
    folder, tasks = eval_command.begin(asked(limit=None, tasks=["0057622"], name="mine_1"), tmp_path)
    assert [task.id for task in tasks] == ["00576224"]
    assert eval_command.reopen("mi", tmp_path)[0] == folder
    eval_command.begin(asked(name="mine_2"), tmp_path)
    with pytest.raises(RunError, match="mine is the start of 2 evaluations: mine_1, mine_2"):
        eval_command.reopen("mine", tmp_path)


def test_an_evaluation_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    def killed(path, tasks):
        assert not (tmp_path / "a").exists()
        # What a process leaves that is killed here, its clean-up not done.
        shutil.copytree(path.parent, tmp_path / ".tmp-1-a")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(evaluating, "write_blind", killed)
        with pytest.raises(KeyboardInterrupt):
            eval_command.begin(asked(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".tmp-1-a"]
    with pytest.raises(RunError, match="There is no evaluation in"):
        eval_command.reopen("latest", tmp_path)
    assert list_evals(tmp_path) == []
    folder, tasks = eval_command.begin(asked(), tmp_path)
    assert json.loads(folder.challenges.read_text()) == challenges(tasks)


def test_the_folder_holds_no_test_output_until_it_is_scored(tmp_path):
    folder, tasks = eval_command.begin(asked(), tmp_path)
    assert json.loads(folder.challenges.read_text()) == challenges(tasks)
    outputs = [pair.output.tolist() for task in tasks for pair in task.test]
    for path in folder.path.rglob("*"):
        if path.is_file():
            assert all(json.dumps(output) not in path.read_text() for output in outputs)


def test_answers_come_back_as_they_were_written_under_any_task_id(tmp_path):
    folder, _ = eval_command.begin(asked(), tmp_path)
    for task in ("00576224", "../escape", "nul\x00", "ä" * 200):
        folder.write_answer(answer(task))
        again = folder.answer(task)
        assert (again.task, again.steps, again.seconds) == (task, 10, 1.5)
        assert (again.inputs[0].attempts.first == GRID).all()
        assert folder.answer_path(task).parent == folder.path / "answers"
    (folder.answer_path("00576224")).write_text('{"task": "00576224"}')
    with pytest.raises(RunError, match="not as it was written"):
        folder.answer("00576224")


def test_a_claim_is_held_by_one_alone(tmp_path):
    folder, _ = eval_command.begin(asked(), tmp_path)
    with folder.claim("00576224") as first:
        assert first
        with folder.claim("00576224") as second, folder.claim("009d5c81") as other:
            assert (second, other) == (False, True)
    with folder.claim("00576224") as again:
        assert again


def test_a_finished_evaluation_is_scored_with_votes_and_without(tmp_path, capsys):
    folder, tasks = eval_command.begin(asked(), tmp_path)
    right = [task.test[0].output for task in tasks]
    folder.write_answer(answer(tasks[0].id, grids=(GRID, right[0])))
    folder.write_answer(answer(tasks[1].id, grids=(right[1], GRID)))
    assert eval_command.run(folder, tasks, 1) == 0
    assert capsys.readouterr().out.startswith("Evaluation a: 2 tasks, 0 to do")
    results = json.loads(folder.results.read_text())
    assert results["scores"]["inputs_solved"]["pass_2"]["count"] == 2
    assert results["scores"]["inputs_solved"]["pass_1"]["count"] == 1
    assert results["single_view"]["inputs_solved"]["pass_2"]["count"] == 1
    assert results["seconds"] == {"total": 3.0, "per_task": 1.5, "of": "cpu"}


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("import sys; sys.stderr.write('Error: No such thing.'); sys.exit(2)", "No such thing."),
        ("raise ValueError('broken')", "ended unexpectedly: ValueError: broken"),
        ("pass", "left 2 tasks undone"),
    ],
)
def test_a_solving_process_that_fails_is_told_in_its_own_words(tmp_path, script, sentence):
    import sys

    folder, tasks = eval_command.begin(asked(), tmp_path)
    with pytest.raises(RunError, match=sentence):
        eval_command.run(folder, tasks, 1, lambda folder: [sys.executable, "-c", script])


def test_solving_processes_end_when_the_evaluation_does(tmp_path):
    import sys

    folder, _ = eval_command.begin(asked(), tmp_path)
    script = "import sys; sys.stdin.read()"
    with evaluating.Workers(folder, 2, lambda folder: [sys.executable, "-c", script]) as workers:
        assert workers.alive
    assert not workers.alive


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--tasks nonsense", "There is no task nonsense among the 400 tasks."),
        ("--tasks 00", "00 is the start of "),
        ("--weights nowhere", "There are no weights"),
        ("--set widht=3", "There is no setting widht; did you mean width?"),
        ("--set width", "--set takes key=value, not width."),
        ("--device tpu", '--device is "tpu", but must be cpu or cuda.'),
        ("--resume nothing", "There is no evaluation nothing in evals."),
        ("--resume latest", "There is no evaluation in evals."),
        ("--name ../x --limit 1", "path separators are not allowed"),
        ("--split test", '--split is "test"'),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(arguments, sentence, capsys, tmp_path):
    assert main(*arguments.split(), *([] if "--weights" in arguments else ["--weights", "none"])) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("evals/*"))


def test_the_start_of_several_runs_names_is_told_as_such(tmp_path, capsys):
    for name in ("mine_a", "mine_b"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "run.json").write_text("{}")
    assert main("--weights", "mine", "--limit", "1") == 2
    error = capsys.readouterr().err
    assert "There are no weights mine, neither a file nor a run" in error
    assert "mine_a" in error
    assert "mine_b" in error
    assert not list(tmp_path.glob("evals/*"))


def test_the_held_out_list_is_always_the_same_hundred():
    tasks = eval_command.chosen_tasks(asked(split="training", held_out=True, limit=None))
    known = {task.id for task in load_tasks("arcagi1").tasks}
    assert len(tasks) == 100
    assert {task.id for task in tasks} <= known
    assert [task.id for task in tasks[:3]] == sorted(task.id for task in tasks)[:3]
    with pytest.raises(DataError, match="no task"):
        eval_command.chosen_tasks(asked(tasks=["nope"]))
