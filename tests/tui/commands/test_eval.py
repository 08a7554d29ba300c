"""What an evaluation refuses and keeps, without starting a solving process."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from arc_core.base.errors import ConfigError, DataError, RunError
from arc_core.data.kaggle import Attempts, challenges
from arc_core.data.tasks import load_tasks
from arc_core.evaluation.folder import InputAnswer, TaskAnswer
from arc_core.evaluation.solving import AgentSystem
from arc_core.evaluation.supervising import FolderDesk, Workers
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
    assert eval_command.run(folder, tasks, ["cpu"]) == 0
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
        ("pass", "ended unexpectedly: with exit code 0"),
    ],
)
def test_a_solving_process_that_fails_is_told_in_its_own_words(tmp_path, script, sentence):
    folder, tasks = eval_command.begin(asked(), tmp_path)
    with pytest.raises(RunError, match=sentence):
        eval_command.run(folder, tasks, ["cpu"], lambda folder, device: [sys.executable, "-c", script])


def test_solving_processes_end_when_the_evaluation_does(tmp_path):
    folder, _ = eval_command.begin(asked(), tmp_path)
    ended = tmp_path / "ended"
    ended.mkdir()
    script = f"import os, sys; sys.stdin.read(); open(f'{ended}/{{os.getpid()}}', 'w')"
    command = lambda folder, device: [sys.executable, "-c", script]  # noqa: E731
    with Workers(folder, ["cpu", "cpu"], FolderDesk(folder), command):
        assert not list(ended.iterdir())
    assert len(list(ended.iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--tasks nonsense", "There is no task nonsense among the 400 tasks."),
        ("--tasks 00", "00 is the start of "),
        ("--weights nowhere", "There are no weights"),
        ("--set widht=3", "There is no setting widht; did you mean width?"),
        ("--set width", "--set takes key=value, not width."),
        ("--device tpu", '--device is "tpu", but must be cpu or cuda, or cuda:N.'),
        ("--device cuda:x", '--device is "cuda:x", but must be cpu or cuda, or cuda:N.'),
        (
            "--workers-per-gpu 2",
            "--workers-per-gpu goes with --device cuda; on the CPU --workers says how many.",
        ),
        ("--device cuda --workers 2 --workers-per-gpu 1", "both say how many processes there are: give one."),
        ("--device cuda", "device cuda is not here: torch sees no GPU; use --device cpu."),
        ("--resume nothing", "There is no evaluation nothing in evals."),
        ("--resume latest", "There is no evaluation in evals."),
        ("--name ../x --limit 1", "path separators are not allowed"),
        ("--split test", '--split is "test"'),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(arguments, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert main(*arguments.split(), *([] if "--weights" in arguments else ["--weights", "none"])) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("evals/*"))


@pytest.mark.parametrize(
    ("asked_for", "workers", "per_gpu", "devices"),
    [
        ("cuda", None, None, ["cuda:0", "cuda:1"]),
        ("cuda", None, 2, ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]),
        ("cuda", 3, None, ["cuda:0", "cuda:1", "cuda:0"]),
        ("cpu", 2, None, ["cpu", "cpu"]),
    ],
)
def test_solving_processes_are_spread_over_the_gpus(monkeypatch, asked_for, workers, per_gpu, devices):
    asked_of = []

    def two_gpus(command, **_):
        asked_of.append(command[-1])
        return subprocess.CompletedProcess(command, 0, "cuda:0\ncuda:1\n", "")

    monkeypatch.setattr(evaluating.subprocess, "run", two_gpus)
    assert evaluating.choose_devices(asked_for, workers, per_gpu) == devices
    assert asked_of == ([] if asked_for == "cpu" else [asked_for])


def test_which_gpu_is_not_part_of_what_is_asked_but_the_kind_of_device_is(tmp_path):
    folder, _ = eval_command.begin(asked(device="cuda:1"), tmp_path)
    assert folder.assignment().device == "cuda"
    assert eval_command.begin(asked(device="cuda"), tmp_path)[0] == folder
    assert eval_command.reopen("a", tmp_path, "cuda:0")[0] == folder
    with pytest.raises(ConfigError, match="a was begun on cuda and goes on there: answers of cpu would be"):
        eval_command.reopen("a", tmp_path, "cpu")


def test_a_prepared_evaluation_is_begun_and_not_solved(tmp_path, capsys):
    assert main("--prepare", "--limit", "2", "--weights", "none", "--name", "p", "--device", "cuda") == 0
    folder = tmp_path / "evals" / "p"
    assert capsys.readouterr().out.splitlines()[1].endswith(f"-m arc_core.evaluation {folder}")
    assert sorted(path.name for path in folder.iterdir()) == [
        "answers", "challenges.json", "claims", "eval.json",
    ]  # fmt: skip
    assert not list((folder / "answers").iterdir())


def test_a_task_that_has_failed_is_told_and_tried_again_on_resuming(tmp_path, capsys):
    folder, tasks = eval_command.begin(asked(), tmp_path)
    folder.write_answer(answer(tasks[1].id))
    script = "import os, sys; os.write(1, b'.'); sys.stdin.readline(); os.kill(os.getpid(), 9)"
    command = lambda folder, device: [sys.executable, "-c", script]  # noqa: E731
    for _ in range(2):
        assert eval_command.run(folder, tasks, ["cpu"], command) == 0
        printed = capsys.readouterr().out
        assert printed.startswith("Evaluation a: 2 tasks, 1 to do")
        assert (
            f"{tasks[0].id}  failed: its solving process ended 3 times: killed by SIGKILL, perhaps" in printed
        )
        assert f"Failed, to be tried again by --resume: 1 tasks, {tasks[0].id}" in printed
        assert "Test inputs solved   0/2" in printed


def test_an_evaluation_whose_minutes_are_over_is_scored_and_goes_on_with_the_rest(tmp_path, capsys):
    folder, tasks = eval_command.begin(asked(), tmp_path)
    folder.write_answer(answer(tasks[1].id))
    script = "import os, sys; os.write(1, b'.'); sys.stdin.read()"
    command = lambda folder, device: [sys.executable, "-c", script]  # noqa: E731
    assert eval_command.run(folder, tasks, ["cpu"], command, total_minutes=0.001) == 0
    printed = capsys.readouterr().out
    assert f"Failed, to be tried again by --resume: 1 tasks, {tasks[0].id}" in printed
    assert "Test inputs solved   0/2" in printed
    assert folder.answer(tasks[0].id).failure == "not reached in 0.001 minutes (--total-minutes)"
    assert folder.submission.is_file()
    assert main("--evals-dir", str(tmp_path), "--name", "b", "--prepare", "--total-minutes", "1") == 2
    assert "--total-minutes does not go with --prepare" in capsys.readouterr().err


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
