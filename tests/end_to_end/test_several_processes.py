"""Runs that train in two processes, one of which is killed."""

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from command import PATIENCE_SECONDS
from raw_events import read_lines
from safetensors.torch import load_file
from small_run import measured, new_run, told

from arc_core.run.checkpoint_index import list_checkpoints, problems_of
from arc_core.run.commands import send
from arc_core.run.directory import RunDirectory, is_alive

SETTINGS = {
    "processes": "2",
    "batch_size": 1,
    "checkpoint_every": 1,
    "keep_checkpoints": 2,
    "planner": "canvas",
}
SOON = 30.0
"""Seconds within which the other process must have ended, and the run be free to be resumed."""


class TwoProcesses:
    """The processes of a run, from their start."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.before = len(told(run, "step")) if run.events.exists() else 0
        with run.engine_log.open("ab") as log:
            self.first = psutil.Popen(
                [sys.executable, "-m", "arc_core", run.path],
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                stderr=log,
            )

    @property
    def second(self) -> psutil.Process:
        self.until(lambda: self.first.children())
        return self.first.children()[0]

    def until(self, true: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not true():
            assert time.monotonic() < deadline
            assert self.first.poll() is None, self.run.engine_log.read_text()
            time.sleep(0.02)

    def until_steps(self, count: int) -> None:
        """Wait until so many steps have been taken since the start."""
        self.until(lambda: self.run.events.exists() and len(told(self.run, "step")) - self.before >= count)

    def kill(self, rank: int) -> int:
        """Kill one of them; the exit code of the first, once both have ended and the run is free."""
        both = [self.first, self.second]
        both[rank].send_signal(signal.SIGKILL)
        code = self.first.wait(SOON)  # a process is a zombie while threads of it still end, and hold the lock
        deadline = time.monotonic() + SOON
        while lives(both[1]) or is_alive(self.run):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return code

    def finish(self) -> int:
        """Wait for the end."""
        return self.first.wait(5 * PATIENCE_SECONDS)


def lives(process: psutil.Process) -> bool:
    """Whether a process runs; one whose parent was killed may be left for nobody to wait for."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    left = psutil.Process().children(recursive=True)
    for process in left:
        process.kill()
    psutil.wait_procs(left)


def newest(run: RunDirectory) -> dict[str, bytes]:
    """Every tensor of the newest checkpoint."""
    path = list_checkpoints(run.checkpoints)[-1]
    assert problems_of(path) == []
    return {
        f"{file.name} {name}": tensor.float().numpy().tobytes()
        for file in path.rglob("*.safetensors")
        for name, tensor in load_file(file).items()
    }


def test_a_run_whose_second_process_is_killed_says_so_and_resumes_at_once(tmp_path: Path):
    run = new_run(tmp_path, epochs=3, **SETTINGS)
    processes = TwoProcesses(run)
    processes.until_steps(2)
    send(run.commands, "pause")
    processes.until(lambda: told(run, "paused"))
    send(run.commands, "resume")
    processes.until(lambda: told(run, "unpaused"))
    assert processes.kill(1) == 2
    said = told(run, "run_finished")[-1]["reason"]
    assert said.startswith("Process 1 of 2 was killed by SIGKILL, and the run with it: resume it to go on")
    again = TwoProcesses(run)
    assert again.finish() == 0
    steps = measured(read_lines(run.events))
    assert sorted(steps) == list(range(1, 19))
    assert {step["pairs"] for step in steps.values()} == {2}
    assert told(run, "run_finished")[-1]["reason"] == "completed"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_thirty_kills_of_either_process_change_nothing(tmp_path: Path):
    epochs = 30  # a quick machine takes six steps between two kills, and must not end before the last
    whole = new_run(tmp_path, "whole", epochs=epochs, **SETTINGS)
    assert TwoProcesses(whole).finish() == 0
    struck = new_run(tmp_path, "struck", epochs=epochs, **SETTINGS)
    chance = random.Random(0)
    for kill in range(30):
        processes = TwoProcesses(struck)
        assert processes.second.is_running()
        if chance.random() < 0.2:  # while they start
            time.sleep(chance.uniform(0.0, 4.0))
        else:
            processes.until_steps(chance.randint(1, 2))
            time.sleep(chance.uniform(0.0, 0.3))
        code = processes.kill(kill % 2)
        assert code == (-signal.SIGKILL if kill % 2 == 0 else 2), (kill, code)
    assert TwoProcesses(struck).finish() == 0
    assert newest(struck) == newest(whole)
    assert measured(read_lines(struck.events)) == measured(read_lines(whole.events))
