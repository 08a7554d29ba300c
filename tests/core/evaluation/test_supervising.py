"""Solving processes that are killed: tried again, given up in the end, and never in the way of the others.

The processes are scripts that speak as a solving process does and answer without solving.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from arc_core.base.errors import DataError, RunError
from arc_core.data.scoring import score
from arc_core.data.seen import write_blind
from arc_core.data.tasks import Pair, Task
from arc_core.evaluation.folder import Assignment, EvalFolder, TaskAnswer, voted
from arc_core.evaluation.outcome import conclude
from arc_core.evaluation.supervising import FolderDesk, Workers, follow

GRID = np.array([[1, 2]], np.int8)
NAMES = ("bad", "good", "other")

SOLVING = """
import json, os, pathlib, signal, sys
folder, device = pathlib.Path(sys.argv[1]), sys.argv[2]
INPUT = {"attempts": [["12"], ["1"]], "confidence": [1, 0], "single": ["12"], "size_rule": "same"}

def answer(task):
    content = {"task": task, "inputs": [INPUT], "steps": 1, "seconds": 1.0, "fit": 0, "demonstrations": 1}
    (folder / f"answers/.{task}").write_text(json.dumps(content))
    os.rename(folder / f"answers/.{task}", folder / f"answers/{task}.json")

def begin(task):
    with open(folder / f"tried_{task}", "a") as file:
        file.write(device + "\\n")
    return len((folder / f"tried_{task}").read_text().split())

os.write(1, b".")
for line in sys.stdin:
    task = json.loads(line)
    tries = begin(task)
    PLANTED
    answer(task)
    os.write(1, b".")
"""
KILLED = "if task == 'bad' and tries <= {}: os.kill(os.getpid(), signal.SIGKILL)"


def command(planted: str = ""):
    script = SOLVING.replace("PLANTED", planted or "pass")
    return lambda folder, device: [sys.executable, "-c", script, str(folder.path), device]


def tasks() -> list[Task]:
    return [Task(name, (Pair(GRID, GRID),), (Pair(GRID, GRID),)) for name in NAMES]


@pytest.fixture
def folder(tmp_path: Path) -> EvalFolder:
    made = EvalFolder(tmp_path / "eval")
    made.make(
        Assignment(
            dataset="mine", split="training", tasks=NAMES, seconds_per_task=None, steps_per_task=1, seed=0,
            device="cpu", settings={}, weights=None, weights_sha256=None, seen=(),
        )
    )  # fmt: skip
    write_blind(made.challenges, tasks())
    return made


def solve(folder: EvalFolder, planted: str = "", processes: int = 1, **options) -> list[TaskAnswer]:
    """Run it to its end; returns the answers in the order in which they were told."""
    told: list[TaskAnswer] = []
    desk = FolderDesk(folder, **options)
    with Workers(folder, [f"cuda:{n}" for n in range(processes)], desk, command(planted)) as workers:
        follow(folder, workers, lambda answer, left: told.append(answer))
    return told


def tries(folder: EvalFolder, task: str) -> int:
    return len((folder.path / f"tried_{task}").read_text().split())


def test_a_task_whose_process_is_killed_twice_is_put_off_and_solved_by_the_third(folder):
    told = solve(folder, KILLED.format(2))
    assert [answer.task for answer in told] == ["good", "other", "bad"]
    assert [answer.failure for answer in told] == [None] * 3
    assert tries(folder, "bad") == 3


def test_a_task_over_which_three_processes_end_fails_and_the_rest_is_solved(folder):
    told = {answer.task: answer for answer in solve(folder, KILLED.format(99))}
    assert tries(folder, "bad") == 3
    assert folder.failures(NAMES) == ["bad"]
    assert told["bad"].failure == (
        "its solving process ended 3 times: killed by SIGKILL, perhaps for want of memory"
    )
    assert told["good"].failure is told["other"].failure is None


def test_a_failed_task_is_submitted_without_attempts_and_counts_as_not_solved(folder):
    solve(folder, KILLED.format(99))
    report = conclude(folder, tasks())
    assert report is not None
    assert report.by_task() == {"bad": False, "good": True, "other": True}
    assert report.blank == 2
    assert json.loads(folder.submission.read_text())["bad"] == [{"attempt_1": [], "attempt_2": []}]
    results = json.loads(folder.results.read_text())
    assert "killed by SIGKILL" in results["tasks"]["bad"]["failure"]
    assert "failure" not in results["tasks"]["good"]


def test_a_failed_task_is_tried_again_once_its_failure_is_forgotten(folder):
    solve(folder, KILLED.format(99))
    before = folder.answer_path("good").read_bytes()
    folder.forget_failures(NAMES)
    assert folder.pending(NAMES) == ["bad"]
    told = {answer.task: answer for answer in solve(folder)}
    assert told["bad"].failure is None
    assert folder.answer_path("good").read_bytes() == before
    assert score(voted(folder.answers()), {name: [GRID] for name in NAMES}).tasks().count == 3


def test_an_exception_is_told_by_its_last_line(folder):
    told = solve(folder, "if task == 'bad': raise MemoryError('no room')", most_deaths=1)
    (failure,) = (answer.failure for answer in told if answer.failure)
    assert failure == "its solving process ended unexpectedly: MemoryError: no room"


def test_an_answer_that_was_written_before_the_process_was_killed_counts(folder):
    told = solve(folder, "if task == 'bad': answer(task); os.kill(os.getpid(), signal.SIGKILL)")
    assert [answer.failure for answer in told] == [None] * 3
    assert tries(folder, "bad") == 1


def test_each_of_several_processes_has_its_device_and_no_task_is_done_twice(folder):
    wait = "while len(list(folder.glob('tried_*'))) < 3: pass"  # so that each process has one
    solve(folder, wait, processes=3)
    used = [(folder.path / f"tried_{name}").read_text() for name in NAMES]
    assert sorted(used) == ["cuda:0\n", "cuda:1\n", "cuda:2\n"]


def test_a_refusal_in_the_middle_ends_the_evaluation_in_its_own_words(folder):
    planted = "sys.stderr.write('Error: The weights are gone.'); sys.exit(2)"
    with pytest.raises(RunError, match=r"^The weights are gone\.$"):
        solve(folder, planted)


def test_an_answer_without_attempts_is_damaged_where_no_failure_is_told(folder):
    solve(folder, KILLED.format(99))
    path = folder.answer_path("bad")
    content = json.loads(path.read_text())
    del content["failure"]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="0x0"):
        folder.answer("bad")
