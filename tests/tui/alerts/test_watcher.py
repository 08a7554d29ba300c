"""The process that sends a run's alerts: real processes, a real log, and a server on loopback."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fake_engine
import psutil
import pytest
from alert_server import serving
from live_run import LiveRun, living
from raw_events import read_lines
from recordings import make_run

from arc_core.run.directory import RunDirectory, is_alive, lock_holder
from arc_tui.alerts.starting import LOG, start_watcher
from arc_tui.runs.engine import LEFT_RUNNING, start_engine
from arc_tui.ui.settings import Settings


@contextlib.contextmanager
def watched(run: RunDirectory, address: str, **wanted) -> Iterator[subprocess.Popen[bytes]]:
    process = start_watcher(run, address, Settings(**wanted))
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        LEFT_RUNNING.remove(process)


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextlib.contextmanager
def engine(run: RunDirectory) -> Iterator[subprocess.Popen[bytes]]:
    """A training process that takes steps until it is told to end."""
    command = [sys.executable, fake_engine.__file__, "obey", str(run.path)]
    process = start_engine(run, lambda run: command)
    try:
        until(lambda: is_alive(run) and any(event["type"] == "step" for event in read_lines(run.events)))
        yield process
    finally:
        process.kill()
        process.wait()


def watches(process: subprocess.Popen[bytes], run: RunDirectory) -> bool:
    """Whether the watcher has read the log by now; it holds its lock then."""
    return any(Path(file.path).name == "alerts.lock" for file in psutil.Process(process.pid).open_files())


def test_a_training_process_that_is_killed_is_told_though_nobody_else_is_there(tmp_path: Path):
    run = make_run(tmp_path, [])
    with serving() as server, engine(run) as training, watched(run, server.url) as watcher:
        until(lambda: watches(watcher, run))
        training.kill()
        training.wait()
        (posted,) = server.wait_for(1)
        assert posted.headers["Title"] == "recorded has crashed"
        assert posted.body.startswith(
            "Its training process ended without a word. It has no checkpoint. Step "
        )
        assert watcher.wait(30) == 0, "the watcher ends with the run"
        assert (run.path / LOG).read_text() == ""


def test_a_training_process_that_hangs_has_stalled(tmp_path: Path):
    run = make_run(tmp_path, [])
    with serving() as server, engine(run) as training:
        training.send_signal(signal.SIGSTOP)
        with watched(run, server.url, stall_minutes=0.01) as watcher:
            (posted,) = server.wait_for(1)
            assert posted.headers["Title"] == "recorded has stalled"
            assert watcher.poll() is None, "it goes on watching"


def end(live: LiveRun) -> None:
    live.emit("run_finished", reason="completed")
    live.release()


def test_only_what_is_wanted_is_sent_and_the_watcher_ends_with_the_run(tmp_path: Path):
    with (
        serving() as server,
        living(tmp_path) as live,
        watched(live.run, server.url, on_best=False) as watcher,
    ):
        until(lambda: watches(watcher, live.run))
        live.emit("validation", step=41, split="training", inputs=9, exact=9, cell_accuracy=1.0)
        end(live)
        assert watcher.wait(30) == 0
        assert server.titles == ["recorded has finished"]


@pytest.mark.parametrize("code", [0, 500])
def test_a_server_that_hangs_or_fails_is_nothing_to_the_run(tmp_path: Path, code: int):
    run = make_run(tmp_path, [])
    with (
        serving(code) as server,
        engine(run) as training,
        watched(run, server.url, stall_minutes=0.01) as watcher,
    ):
        training.send_signal(signal.SIGSTOP)
        server.wait_for(1)
        training.send_signal(signal.SIGCONT)
        steps = len(read_lines(run.events))
        until(lambda: len(read_lines(run.events)) > steps + 20)
        training.terminate()
        assert training.wait(30) == 0
        assert read_lines(run.events)[-1]["type"] == "run_finished"
        assert watcher.poll() is None, "it is still at its first alert"


def test_the_address_stands_on_no_command_line_and_in_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with serving(404) as server, living(tmp_path) as live:
        monkeypatch.setenv("HOOK", f"{server.url}/s3cr3t")
        with watched(live.run, "env:HOOK") as watcher:
            until(lambda: watches(watcher, live.run))
            assert "s3cr3t" not in " ".join(psutil.Process(watcher.pid).cmdline())
            end(live)
            watcher.wait(30)
    told = (live.run.path / LOG).read_text()
    assert "http://127.0.0.1 did not take the alert of a finish in 1 try: it answers 404." in told
    for path in live.run.path.rglob("*"):
        assert path.is_dir() or b"s3cr3t" not in path.read_bytes()


def test_of_two_watchers_of_a_run_one_alone_sends(tmp_path: Path):
    with (
        serving() as server,
        living(tmp_path) as live,
        watched(live.run, server.url) as first,
        watched(live.run, server.url) as second,
    ):
        until(lambda: watches(first, live.run) and watches(second, live.run))
        end(live)
        assert first.wait(30) == second.wait(30) == 0
        assert server.titles == ["recorded has finished"]


def test_a_resumed_run_is_watched_while_the_alert_of_its_crash_is_still_on_its_way(tmp_path: Path):
    run = make_run(tmp_path, [])
    with serving(500, 200) as server:
        with engine(run) as training, watched(run, server.url) as first:
            until(lambda: watches(first, run))
            training.kill()
            server.wait_for(1)
            with engine(run) as again, watched(run, server.url) as second:
                until(lambda: watches(second, run))
                again.terminate()
                assert again.wait(30) == 0
                assert first.wait(30) == second.wait(30) == 0
        assert server.titles == [*(["recorded has crashed"] * 2), "recorded has ended"]


def test_a_watcher_that_is_told_to_end_still_tells_how_the_run_ends(tmp_path: Path):
    with serving() as server, living(tmp_path) as live, watched(live.run, server.url) as watcher:
        until(lambda: watches(watcher, live.run))
        os.kill(watcher.pid, signal.SIGTERM)
        end(live)
        assert watcher.wait(30) == 0
        assert server.titles == ["recorded has finished"]


def test_a_run_that_ends_before_its_watcher_has_looked_is_told(tmp_path: Path):
    with serving() as server, living(tmp_path) as live, watched(live.run, server.url) as watcher:
        end(live)
        assert watcher.wait(30) == 0
        assert server.titles == ["recorded has finished"]


def test_a_run_that_is_deleted_ends_its_watcher(tmp_path: Path):
    with serving() as server, living(tmp_path) as live, watched(live.run, server.url) as watcher:
        until(lambda: watches(watcher, live.run))
        live.run.remove()
        assert watcher.wait(30) == 0
        assert server.posted == []
        assert lock_holder(live.run) is None
