"""A run in a real terminal whose process and console are both killed: somebody is told all the same."""

import contextlib
import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from alert_server import serving
from command import PATIENCE_SECONDS, SMALL, end_engine
from raw_events import read_lines
from terminal import terminal

from arc_core.run.directory import RunDirectory, lock_holder
from arc_tui.alerts.starting import LOG

pytestmark = pytest.mark.slow


def test_a_crash_is_told_when_training_and_console_are_killed_together(tmp_path: Path):
    run = RunDirectory(tmp_path / "runs" / "mine")
    options = [*SMALL[1:], "--max_batches", "400", "--name", "mine"]
    with serving() as server, contextlib.ExitStack() as held:
        held.callback(end_engine, run)
        named = {"TERM_PROGRAM": "WezTerm"}
        opened = held.enter_context(
            terminal(tmp_path, "train", *options, "--alert", server.url, variables=named)
        )
        opened.until("RUNNING")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while b"\x1b]9;4;1;" not in opened.output:
            assert time.monotonic() < deadline
            opened.look()
        assert server.url not in run.run_json.read_text()
        (watcher,) = (
            process
            for process in psutil.process_iter(["cmdline"])
            if {"arc_tui.alerts.watcher", str(run.path)} <= {*(process.info["cmdline"] or ())}
        )
        trainer = lock_holder(run)
        assert trainer is not None
        opened.kill(signal.SIGKILL)
        os.kill(trainer, signal.SIGKILL)
        (posted,) = server.wait_for(1)
        assert posted.headers["Title"] == "mine has crashed"
        watcher.wait(PATIENCE_SECONDS)
        assert read_lines(run.events)[-1]["type"] != "run_finished"
        assert (run.path / LOG).read_text() == ""
