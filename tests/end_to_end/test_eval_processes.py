"""`arc-tui eval` with real solving processes: killed and resumed, blind to outputs, scored from its file."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command import ARC_TUI, environment

from arc_core.data.kaggle import challenges, solutions
from arc_core.data.tasks import load_tasks
from arc_core.evaluation.folder import EvalFolder

QUICK = ["--steps-per-task", "2", "--workers", "1", "--set", "amp=off"]
SMALL = {
    "solver": ["--weights", "none", "--set", "width=8", "--set", "color_maps=1"],
    "pipeline": [
        *("--system", "pipeline", "--preset", "seed", "--set", "lm=tiny", "--set", "hidden_dim=16"),
        *("--set", "prompt_dim=16", "--set", "max_steps=2", "--set", "memory_capacity=8"),
    ],
}
"""Options for quick steps of each system."""

TASKS = 3


def arguments(system, name):
    return [ARC_TUI, "eval", "--dataset", "tasks", "--name", name, *QUICK, *SMALL[system]]


def run(folder, system, name):
    return subprocess.run(
        arguments(system, name), cwd=folder, env=environment(folder), capture_output=True, text=True,
        check=False, timeout=240,
    )  # fmt: skip


def write_tasks(folder: Path, *, replaced: bool = False) -> None:
    """Small evaluation tasks as files; with `replaced` every test output is another grid."""
    chosen = [task for task in load_tasks("arcagi1", "evaluation").tasks if _cells(task) < 150][:TASKS]
    content, outputs = challenges(chosen), solutions(chosen)
    (folder / "tasks" / "evaluation").mkdir(parents=True)
    for name, task in content.items():
        for pair, output in zip(task["test"], outputs[name], strict=True):
            pair["output"] = [[7, 7, 7]] if replaced else output
        (folder / "tasks" / "evaluation" / f"{name}.json").write_text(json.dumps(task))


def _cells(task):
    return max(p.input.size + p.output.size for p in (*task.train, *task.test))


@pytest.fixture(scope="module", params=list(SMALL))
def system(request):
    return request.param


@pytest.fixture(scope="module")
def uninterrupted(system, tmp_path_factory):
    """A whole evaluation: its folder and what was printed."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    write_tasks(folder)
    done = run(folder, system, "whole")
    assert done.returncode == 0, done.stderr
    return folder / "evals" / "whole", done.stdout


def test_an_evaluation_ends_with_a_scored_submission(system, uninterrupted):
    folder, printed = uninterrupted
    assert f"[   {TASKS}/{TASKS}]" in printed
    assert "Test inputs solved" in printed
    assert "test-time training" in printed
    results = json.loads((folder / "results.json").read_text())
    assert results["protocol"]["system"] == system
    assert results["protocol"]["steps_per_task"] == 2
    assert results["seconds"]["total"] > 0
    assert results["scores"]["inputs_solved"]["pass_2"]["total"] >= TASKS
    assert set(results["tasks"]) == set(results["protocol"]["tasks"])
    assert "output" not in (folder / "challenges.json").read_text().split('"test"')[1].split('"train"')[0]


def test_a_scorer_written_from_kaggles_rules_accepts_the_submission(uninterrupted, tmp_path):
    from kaggle_scorer import kaggle_score

    folder, _ = uninterrupted
    tasks = load_tasks(folder.parent.parent / "tasks", "evaluation").tasks
    (tmp_path / "solutions.json").write_text(json.dumps(solutions(tasks)))
    share = kaggle_score(folder / "submission.json", tmp_path / "solutions.json")
    assert (
        share
        == json.loads((folder / "results.json").read_text())["scores"]["inputs_solved"]["pass_2"]["share"]
    )


def test_replacing_every_test_output_changes_no_byte_of_the_submission(system, uninterrupted, tmp_path):
    write_tasks(tmp_path, replaced=True)
    done = run(tmp_path, system, "blind")
    assert done.returncode == 0, done.stderr
    other = tmp_path / "evals" / "blind"
    for name in ("submission.json", "challenges.json"):
        assert (other / name).read_bytes() == (uninterrupted[0] / name).read_bytes()
    assert json.loads((other / "results.json").read_text())["scores"]["inputs_solved"]["pass_2"]["count"] == 0


def test_killed_in_the_middle_and_resumed_it_gives_the_same_submission(system, uninterrupted, tmp_path):
    write_tasks(tmp_path)
    folder = EvalFolder(tmp_path / "evals" / "killed")
    tasks = json.loads((uninterrupted[0] / "eval.json").read_text())["tasks"]
    process = subprocess.Popen(
        arguments(system, "killed"), cwd=tmp_path, env=environment(tmp_path),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 200
        while not (folder.path.exists() and len(folder.pending(tasks)) < len(tasks)):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    left = folder.pending(tasks)
    assert not folder.submission.exists()
    done = subprocess.run(
        [ARC_TUI, "eval", "--resume", "killed"], cwd=tmp_path, env=environment(tmp_path), capture_output=True,
        text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"{len(tasks)} tasks" in done.stdout
    assert "(done before)" in done.stdout
    assert 0 < len(left) < len(tasks)
    assert folder.submission.read_bytes() == (uninterrupted[0] / "submission.json").read_bytes()
