"""The queue with real training: its command and its runs are killed in the middle, and nothing is lost."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command import ARC_TUI, PATIENCE_SECONDS, SMALL, end_engine, environment
from raw_events import counting, read_lines

from arc_core.run.directory import RunDirectory, is_alive, lock_holder
from arc_tui.runs.queue import Queue

OPTIONS = [*SMALL[1:], "--max-batches", "80", "--set", "validate_on=none", "--checkpoint-every", "10"]


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not so within {PATIENCE_SECONDS} s"
        time.sleep(0.02)


def _steps(run: RunDirectory) -> list[int]:
    events = read_lines(run.events) if run.events.is_file() else []
    return [event["step"] for event in events if event["type"] == "step"]


def _start(folder: Path, ending: contextlib.ExitStack) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [ARC_TUI, "queue", "run"],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    ending.callback(process.kill)
    return process


@pytest.mark.slow
def test_queue_and_runs_that_are_killed_go_on_where_they_were(tmp_path: Path):
    add = [ARC_TUI, "queue", "add", "--name", "s", *OPTIONS, "--grid", "weight_decay=0,1e-6"]
    subprocess.run(add, cwd=tmp_path, env=environment(tmp_path), check=True, capture_output=True)
    one, two = (RunDirectory(tmp_path / "runs" / name) for name in ("s-1", "s-2"))
    queue = Queue(tmp_path / "runs")
    with contextlib.ExitStack() as ending:
        for run in (one, two):
            ending.callback(end_engine, run)
        first = _start(tmp_path, ending)
        _until(lambda: len(_steps(one)) >= 3)
        first.kill()
        first.wait()
        assert is_alive(one), "training outlives the queue"

        # One waits for it, the other takes what follows.
        second, third = _start(tmp_path, ending), _start(tmp_path, ending)
        _until(lambda: [entry.state.value for entry in queue.look()] == ["running", "running"])
        _until(lambda: len(_steps(one)) >= 25)
        engine = lock_holder(one)
        assert engine is not None
        os.kill(engine, signal.SIGKILL)
        assert {second.wait(PATIENCE_SECONDS), third.wait(PATIENCE_SECONDS)} == {0}
    assert [entry.state.value for entry in queue.look()] == ["done", "done"]
    for run, decay in ((one, 0.0), (two, 1e-6)):
        events = read_lines(run.events)
        counted = [event["step"] for event in counting(events) if event["type"] == "step"]
        assert counted == list(range(1, 81))
        assert run.read()["config"]["weight_decay"] == decay
    kinds = [event["type"] for event in read_lines(one.events)]
    assert (kinds.count("run_started"), kinds.count("resumed")) == (1, 1)
    assert [event["type"] for event in read_lines(two.events)].count("resumed") == 0
