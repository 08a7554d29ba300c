"""The job of docs/examples/slurm: warned before its time is over, requeued, and done in the next one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import ARC_TUI, PATIENCE_SECONDS, SMALL, Living, end_engine, environment
from raw_events import LogReader, counting, read_lines

from arc_core.run.checkpoint_index import list_checkpoints, problems_of, read_state
from arc_core.run.directory import RunDirectory

SCRIPT = Path(__file__).parents[2] / "docs/examples/slurm/train.sbatch"
OPTIONS = [*SMALL[1:], "--max_batches", "30"]
JOB = "7"

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def job(folder: Path) -> Iterator[Living]:
    """Start the script as Slurm does: in the folder of the job, with its number, `scontrol` on the path."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    scontrol = tools / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {folder}/requeued\n')
    scontrol.chmod(0o755)
    place = f"{tools}:{ARC_TUI.parent}:{os.environ['PATH']}"
    run = RunDirectory(folder / "runs" / f"slurm_{JOB}")
    output = folder / "output.txt"
    with output.open("ab") as stream:
        process = subprocess.Popen(
            ["bash", str(SCRIPT), *OPTIONS],
            cwd=folder,
            env=environment(folder) | {"PATH": place, "SLURM_JOB_ID": JOB},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    with process:
        try:
            yield Living(process, run, output, LogReader(run.events, from_end=True))
        finally:
            end_engine(run)
            process.kill()


def requeued(folder: Path) -> list[str]:
    path = folder / "requeued"
    return path.read_text().splitlines() if path.exists() else []


def saved_at_last_step(run: RunDirectory) -> bool:
    newest = list_checkpoints(run.checkpoints)[-1]
    steps = [event["step"] for event in read_lines(run.events) if event["type"] == "step"]
    return problems_of(newest) == [] and read_state(newest)["position"]["step"] == steps[-1]


@pytest.mark.timeout(4 * PATIENCE_SECONDS)
def test_a_job_that_is_warned_saves_asks_for_the_next_and_that_one_ends_the_run(tmp_path: Path):
    with job(tmp_path) as first:
        first.until_step(3)
        first.process.send_signal(signal.SIGUSR1)
        assert first.end() == 0, first.said()
        assert requeued(tmp_path) == [f"requeue {JOB}"]
        assert read_lines(first.run.events)[-1]["reason"] == "stopped by a signal"
        assert saved_at_last_step(first.run)
    with job(tmp_path) as preempted:
        preempted.until_step(8)
        preempted.process.send_signal(signal.SIGTERM)
        os.kill(preempted.engine, signal.SIGUSR2)  # schedulers tell every process of a job
        assert preempted.end() == 0, preempted.said()
        assert saved_at_last_step(preempted.run)
    with job(tmp_path) as last:
        assert last.end() == 0, last.said()
    assert requeued(tmp_path) == [f"requeue {JOB}"], "neither a preempted job nor a finished run asks again"
    events = read_lines(last.run.events)
    assert events[-1]["reason"] == "completed"
    assert [e["step"] for e in counting(events) if e["type"] == "step"] == [*range(1, 31)]
