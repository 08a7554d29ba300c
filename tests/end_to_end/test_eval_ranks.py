"""Several processes of one evaluation over torch's store, as torchrun starts them; one is killed.

What solves is a script that speaks as a solving process does, so that who solves what, and when, is certain.
"""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import environment

from arc_core.data.kaggle import challenges, solutions
from arc_core.data.tasks import load_tasks
from arc_core.evaluation.folder import Assignment, EvalFolder
from arc_tui.runs.evaluating import hand_out

PATIENCE_SECONDS = 100.0

SOLVING = """
import json, os, pathlib, signal, sys, time
folder, held = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
rank = os.environ["RANK"]
os.write(1, b".")
for line in sys.stdin:
    task = json.loads(line)
    (held / f"{rank} is at {task}").touch()
    PLANTED
    one = {"attempts": [["1"], ["2"]], "confidence": [1, 0], "single": ["1"], "size_rule": rank}
    inputs = [one] * len(json.loads((folder / "challenges.json").read_text())[task]["test"])
    content = {"task": task, "inputs": inputs, "steps": 1, "seconds": 1.0, "fit": 0, "demonstrations": 1}
    (folder / "draft").write_text(json.dumps(content))
    os.rename(folder / "draft", folder / f"answers/{task}.json")
    os.write(1, b".")
"""
TOGETHER = "while len({x.name[0] for x in held.iterdir()}) < 2: time.sleep(0.01)"
"""Nobody is done before both ranks have a task."""

STUCK = "sys.stdin.read(); sys.exit()"
"""Never done, until whoever started it is gone."""

RANK = """
import functools, os, sys
from datetime import timedelta
from arc_core.evaluation import __main__ as rank, store
store.SILENT_SECONDS = 3.0
store.PATIENCE_SECONDS = 2.0
rank.MEETING_PATIENCE = timedelta(seconds=float(os.environ["MEETING_SECONDS"]))
script, held = sys.argv[2:]
command = lambda folder, device: [sys.executable, "-c", script, str(folder.path), held]
rank.Workers = functools.partial(rank.Workers, command=command)
sys.exit(rank.main([sys.argv[1]]))
"""


class Ranks:
    """Two processes of an evaluation; the second one cannot see the folder of the first."""

    def __init__(self, folder: Path) -> None:
        self.here, self.elsewhere, self.held = folder / "here", folder / "elsewhere", folder / "held"
        for path in (self.here, self.elsewhere, self.held):
            path.mkdir()
        tasks = [task for task in load_tasks("arcagi1").tasks if len(task.test) == 1][:4]
        self.tasks = [task.id for task in tasks]
        data = self.here / "tasks"
        data.mkdir()
        for name, content in challenges(tasks).items():
            for pair, output in zip(content["test"], solutions(tasks)[name], strict=True):
                pair["output"] = output
            (data / f"{name}.json").write_text(json.dumps(content))
        self.eval = EvalFolder(self.here / "evals" / "both")
        assignment = Assignment(
            dataset=str(data), split="training", tasks=tuple(self.tasks), seconds_per_task=None,
            steps_per_task=1, seed=0, device="cpu", settings={}, weights=None, weights_sha256=None, seen=(),
        )  # fmt: skip
        hand_out(self.eval, assignment, tasks)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, rank: int, planted: str = TOGETHER, meeting: float = 100.0) -> subprocess.Popen[str]:
        folder = self.elsewhere if rank else self.here
        process = subprocess.Popen(
            [sys.executable, "-c", RANK, "both", SOLVING.replace("PLANTED", planted), str(self.held)],
            cwd=folder,
            env=environment(folder)
            | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "TMPDIR": str(folder)}
            | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(self.port), "MEETING_SECONDS": str(meeting)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def until(self, rank: int) -> str:
        """Wait until a rank is at a task; returns which."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for path in self.held.iterdir():
                if path.name.startswith(f"{rank} is at "):
                    return path.name.split()[-1]
            time.sleep(0.01)
        raise AssertionError(f"rank {rank} has taken no task")

    def solvers(self) -> dict[str, str]:
        """Who has solved each task; the scripts leave their rank as the rule of sizes."""
        answers = self.eval.answers()
        return {task: answer.inputs[0].size_rule for task, answer in answers.items()}

    def end(self) -> None:
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.communicate()


@pytest.fixture
def ranks(tmp_path):
    made = Ranks(tmp_path)
    yield made
    made.end()


def test_both_processes_solve_and_the_first_has_all_answers_without_a_shared_disk(ranks):
    first, second = ranks.start(0), ranks.start(1)
    out, error = first.communicate(timeout=PATIENCE_SECONDS)
    assert first.returncode == 0, error
    assert second.wait(PATIENCE_SECONDS) == 0
    assert set(ranks.solvers().values()) == {"0", "1"}
    assert set(json.loads(ranks.eval.submission.read_text())) == set(ranks.tasks)
    assert json.loads(ranks.eval.results.read_text())["scores"]["tasks_solved"]["pass_2"]["total"] == 4
    assert [line.split()[0] in ranks.tasks for line in out.splitlines()[:4]] == [True] * 4
    assert not list(ranks.elsewhere.iterdir()), "what it was handed is gone again"


@pytest.mark.slow
def test_a_process_that_is_killed_loses_its_task_to_the_other(ranks):
    first = ranks.start(0)
    second = ranks.start(1, STUCK)
    lost = ranks.until(1)
    second.send_signal(signal.SIGKILL)
    _, error = first.communicate(timeout=PATIENCE_SECONDS)
    assert first.returncode == 0, error
    assert ranks.solvers() == dict.fromkeys(ranks.tasks, "0")
    assert ranks.eval.answer(lost).failure is None


@pytest.mark.slow
def test_a_task_that_kills_every_process_fails_and_is_told_by_the_first(ranks):
    deadly = ranks.tasks[1]
    planted = f"{TOGETHER}\n    if task == {deadly!r}: os.kill(os.getpid(), signal.SIGKILL)"
    first, second = ranks.start(0, planted), ranks.start(1, planted)
    out, error = first.communicate(timeout=PATIENCE_SECONDS)
    assert first.returncode == 0, error
    assert second.wait(PATIENCE_SECONDS) == 0
    why = "its solving process ended 3 times: killed by SIGKILL, perhaps for want of memory"
    assert ranks.eval.answer(deadly).failure == why
    assert f"{deadly}  {why}" in out
    assert ranks.eval.failures(ranks.tasks) == [deadly]


def assert_says_that_the_first_is_not_reached(process: subprocess.Popen[str]) -> None:
    _, error = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 2
    told = [line for line in error.splitlines() if line.startswith("Error: ")]
    assert len(told) == 1
    assert told[0].startswith("Error: The evaluation's first process is not reached at 127.0.0.1, port ")
    assert "Traceback" not in error


def test_a_process_whose_first_one_is_killed_says_so_in_one_sentence(ranks):
    first = ranks.start(0, STUCK)
    second = ranks.start(1, STUCK)
    ranks.until(1)
    first.send_signal(signal.SIGKILL)
    assert_says_that_the_first_is_not_reached(second)
    assert not list(ranks.elsewhere.iterdir())


def test_a_process_that_finds_no_first_one_says_so_in_one_sentence(ranks):
    assert_says_that_the_first_is_not_reached(ranks.start(1, meeting=1.0))
