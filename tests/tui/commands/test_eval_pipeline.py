"""What an evaluation of the pipeline asks, and which checkpoints it refuses; without solving processes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from small_run import new_run, train
from test_eval import asked as asked_of_solver
from test_eval import main

from arc_core.base.errors import CheckpointError, ConfigError, DataError, RunError
from arc_core.data.kaggle import Attempts, challenges, solutions
from arc_core.data.tasks import load_tasks
from arc_core.evaluation.folder import Assignment, InputAnswer, TaskAnswer
from arc_core.evaluation.pipeline_start import SOLVING
from arc_core.evaluation.solving import PipelineSystem
from arc_core.run.checkpoint_index import list_checkpoints
from arc_tui.commands import evaluation as eval_command

GRID = np.array([[1, 2]], np.int8)
UNSEEN = "009d5c81"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on two ARC-AGI-1 evaluation tasks, one of them under another id and with other colours."""
    folder = tmp_path_factory.mktemp("seen")
    small = [
        task
        for task in load_tasks("arcagi1", "evaluation").tasks
        if max(p.input.size + p.output.size for p in (*task.train, *task.test)) < 60
    ][:2]
    (folder / "tasks").mkdir()
    for name, task in zip((small[0].id, "another"), small, strict=True):
        (content,) = challenges([task]).values()
        for pair, output in zip(content["test"], solutions([task])[task.id], strict=True):
            pair["output"] = output
        text = json.dumps(content)
        if name == "another":
            text = text.translate(str.maketrans("123456789", "912345678"))
        (folder / "tasks" / f"{name}.json").write_text(text)
    run = new_run(folder, epochs=1, max_batches=2)
    train(run)
    return run, [task.id for task in small]


def asked(run, **values):
    return asked_of_solver(
        **{"system": "pipeline", "weights": str(run.path), "limit": None, "runs_dir": Path("runs")} | values
    )


def test_a_checkpoint_that_saw_a_task_by_id_or_by_content_is_refused_unless_told(trained, tmp_path, capsys):
    run, seen = trained
    given = asked(run, tasks=[*seen, UNSEEN])
    with pytest.raises(DataError, match=r"trained on 2 of these tasks.*--allow-seen"):
        eval_command.begin(given, tmp_path / "evals")
    assert not (tmp_path / "evals").exists()
    folder, tasks = eval_command.begin(asked(run, tasks=[*seen, UNSEEN], allow_seen=True), tmp_path / "evals")
    one = InputAnswer(Attempts(GRID, GRID), (0.75, 0.25), GRID, "none")
    for task in tasks:
        folder.write_answer(TaskAnswer(task.id, (one,) * len(task.test), 10, 1.5, 2, 3))
    assert eval_command.run(folder, tasks, ["cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    results = json.loads(folder.results.read_text())
    assert results["protocol"]["seen"] == sorted(seen)
    assert results["protocol"]["transductive"] == "the weights were trained on 2 of these tasks"
    assert any(line.startswith("Seen in training: ") for line in lines)
    alone = asked(run, tasks=[UNSEEN])
    honest = eval_command.assign(alone, eval_command.chosen_tasks(alone))
    assert honest.seen == ()


def test_the_assignment_holds_what_decides_the_answers(trained, tmp_path):
    run, _ = trained
    folder, _ = eval_command.begin(
        asked(run, tasks=[UNSEEN], settings={"lambda_risk": "0"}, seconds_per_task=0.0), tmp_path
    )
    found = folder.assignment()
    assert found.system == "pipeline"
    assert (found.seconds_per_task, found.steps_per_task) == (None, 0)
    assert found.settings.keys() == {"preset", *SOLVING}
    assert (found.settings["lambda_risk"], found.settings["hidden_dim"]) == (0.0, 16)
    assert found.weights == str(list_checkpoints(run.checkpoints)[-1])
    assert eval_command.begin(
        asked(run, tasks=[UNSEEN], settings={"lambda_risk": "0"}, steps_per_task=0), tmp_path
    )[0] == folder  # fmt: skip
    with pytest.raises(ConfigError, match="asks something else"):
        eval_command.begin(asked(run, tasks=[UNSEEN], seconds_per_task=0.0), tmp_path)


def test_an_evaluation_from_before_there_were_systems_is_the_solvers(tmp_path):
    folder, _ = eval_command.begin(asked_of_solver(), tmp_path)
    content = folder.assignment().to_json()
    del content["system"]
    assert Assignment.from_json(content) == folder.assignment()
    with pytest.raises(RunError, match="asks for a system another, which there is not"):
        Assignment.from_json(content | {"system": "another"})


def test_a_solving_process_refuses_a_checkpoint_that_changed_or_went_away(trained, tmp_path):
    run, _ = trained
    moved = tmp_path / "runs" / "moved"
    shutil.copytree(run.path, moved)
    folder, _ = eval_command.begin(asked(run, weights="moved", tasks=[UNSEEN]), tmp_path)
    assignment = folder.assignment()
    cpu = torch.device("cpu")
    assert PipelineSystem(assignment, cpu).pipeline.config.hidden_dim == 16
    path = list_checkpoints(moved / "checkpoints")[-1]
    (path / "agent.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"agent.safetensors has 0 bytes"):
        PipelineSystem(assignment, cpu)
    (path / "MANIFEST.json").write_text("{}")
    with pytest.raises(RunError, match="not those that this evaluation was begun with"):
        PipelineSystem(assignment, cpu)
    shutil.rmtree(path)
    with pytest.raises(RunError, match="Cannot read"):
        PipelineSystem(assignment, cpu)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--system nothing", 'system is "nothing", but must be solver or pipeline'),
        ("--preset seed", "--preset goes with --system pipeline"),
        ("--system pipeline --weights default", "No run of the pipeline comes with the package"),
        ("--system pipeline --weights nowhere", "There is no run nowhere"),
        ("--system pipeline --preset solver", "must be tiny or seed"),
        ("--system pipeline --set width=8", "There is no setting width"),
        ("--system pipeline --seconds-per-task -1", "greater than or equal to 0"),
    ],
)
def test_what_does_not_fit_the_system_is_refused_and_leaves_nothing(arguments, sentence, tmp_path, capsys):
    weights = [] if "--weights" in arguments else ["--weights", "none"]
    assert main(*arguments.split(), *weights, "--limit", "1") == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "evals").exists()
