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


def prepared(folder: Path, name: str) -> EvalFolder:
    """An evaluation that is begun and not solved."""
    write_tasks(folder)
    options = [*arguments("solver", name), "--prepare"]
    subprocess.run(options, cwd=folder, env=environment(folder), check=True, stdout=subprocess.DEVNULL)
    return EvalFolder(folder / "evals" / name)


def torchrun(folder: Path, name: str, *options: str) -> subprocess.Popen[str]:
    command = [ARC_TUI.with_name("torchrun"), "--standalone", "--nproc-per-node", "2"]
    return subprocess.Popen(
        [*command, *options, "-m", "arc_core.evaluation", name], cwd=folder, env=environment(folder),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def processes_of(folder: EvalFolder, module: str) -> list[int]:
    """The processes that run a module for an evaluation."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if module.encode() in words and {str(folder.path).encode(), folder.path.name.encode()} & {*words}:
            found.append(int(place.name))
    return found


@pytest.mark.parametrize("system", ["solver"], indirect=True)
def test_two_processes_of_torchrun_give_the_submission_of_one_worker(uninterrupted, tmp_path):
    folder = prepared(tmp_path, "both")
    process = torchrun(tmp_path, "both")
    printed, _ = process.communicate(timeout=240)
    assert process.returncode == 0, printed
    assert folder.submission.read_bytes() == (uninterrupted[0] / "submission.json").read_bytes()
    results = [json.loads((path / "results.json").read_text()) for path in (folder.path, uninterrupted[0])]
    assert results[0]["scores"] == results[1]["scores"]


@pytest.mark.slow
@pytest.mark.parametrize("system", ["solver"], indirect=True)
@pytest.mark.parametrize("restarts", ["0", "1"])
def test_torchrun_whose_processes_are_killed_goes_on_by_itself_or_by_the_same_command(
    uninterrupted, tmp_path, restarts
):
    folder = prepared(tmp_path, "both")
    tasks = folder.assignment().tasks
    process = torchrun(tmp_path, "both", "--max-restarts", restarts)
    deadline = time.monotonic() + 200
    while len(folder.pending(tasks)) == len(tasks):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for pid in processes_of(folder, "arc_core.evaluation"):
        if b"torchrun" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    printed, _ = process.communicate(timeout=240)
    assert (process.returncode == 0) == (restarts == "1"), printed
    if restarts == "0":
        again = torchrun(tmp_path, "both")
        printed, _ = again.communicate(timeout=240)
        assert again.returncode == 0, printed
    assert folder.submission.read_bytes() == (uninterrupted[0] / "submission.json").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("system", ["solver"], indirect=True)
def test_solving_processes_that_are_killed_change_nothing_of_the_submission(uninterrupted, tmp_path):
    write_tasks(tmp_path)
    folder = EvalFolder(tmp_path / "evals" / "killed")
    process = subprocess.Popen(
        arguments("solver", "killed"), cwd=tmp_path, env=environment(tmp_path),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    killed: set[int] = set()
    while len(killed) < 2 and process.poll() is None:
        started = folder.path.exists() and len(list((folder.path / "answers").iterdir())) >= len(killed)
        for pid in set(processes_of(folder, "arc_core.evaluation.worker")) - killed if started else ():
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        time.sleep(0.01)
    printed, _ = process.communicate(timeout=240)
    assert process.returncode == 0, printed
    assert len(killed) == 2
    assert "failed" not in printed
    assert folder.submission.read_bytes() == (uninterrupted[0] / "submission.json").read_bytes()
