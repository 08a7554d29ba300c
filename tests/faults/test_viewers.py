"""Whoever watches a run, or stops watching it in whatever way, training does not notice."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from command import ARC_TUI, PATIENCE_SECONDS, end_engine, environment, training
from raw_events import read_lines
from small_run import measured, small_config, told, write_tasks
from small_run import new_run as new_run_in
from small_run import train as train_here

from arc_core.run.commands import send
from arc_core.run.directory import RunDirectory, is_alive, lock_holder
from arc_core.run.event_forms import Event, StepEvent
from arc_core.run.events import EventReader
from arc_core.run.resolving import to_toml
from arc_tui.runs.engine import follow

pytestmark = pytest.mark.slow

STEPS = 120
VIEWERS = 20
MOST_GROWTH = 64 << 20
"""Bytes that the training process may grow by after its first steps; 20 viewers would show."""

IN_ITS_OWN_TERMINAL = (
    "import fcntl, os, sys, termios\n"
    "os.setsid()\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execv(sys.argv[1], sys.argv[1:])\n"
)


def prepare(folder: Path) -> None:
    write_tasks(folder / "tasks", tuple(f"task{number:03d}" for number in range(STEPS)))


def options(folder: Path) -> list[str]:
    """What makes `train` train the reference's run."""
    file = folder / "config.toml"
    file.write_text(to_toml(small_config(folder, checkpoint_every=30)))
    return ["--headless", "--config", str(file), "--name", "watched"]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict]:
    """What the steps of a run measure that nobody watches."""
    folder = tmp_path_factory.mktemp("reference")
    prepare(folder)
    run = new_run_in(folder, checkpoint_every=30)
    assert train_here(run) == "completed"
    return measured(read_lines(run.events))


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDirectory]:
    """A run that is to be trained; its process is ended whatever happens."""
    prepare(tmp_path)
    made = RunDirectory(tmp_path / "runs" / "watched")
    yield made
    end_engine(made)


def events_to_the_end(run: RunDirectory, reader: EventReader) -> Iterator[Event]:
    for batch in follow(reader, lambda: not is_alive(run)):
        yield from batch


def until_step(events: Iterator[Event], step: int) -> None:
    next(event for event in events if isinstance(event, StepEvent) and event.step >= step)


def assert_undisturbed(run: RunDirectory, reference: dict[int, dict]) -> None:
    """The run went to its end without missing, repeating or changing a step."""
    events = read_lines(run.events)
    assert events[-1]["type"] == "run_finished"
    assert events[-1]["reason"] == "completed"
    assert [event["step"] for event in events if event["type"] == "step"] == list(range(1, STEPS + 1))
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert measured(events) == reference
    assert told(run, "warning") == []
    assert not is_alive(run)


def test_hang_ups_and_a_killed_console_are_not_noticed(
    run: RunDirectory, tmp_path: Path, reference: dict[int, dict]
) -> None:
    with training(tmp_path, "watched", *options(tmp_path)) as living:
        living.until_step(5)
        engine = living.engine
        os.kill(engine, signal.SIGHUP)
        living.until_step(15)
        os.kill(engine, signal.SIGHUP)
        living.process.kill()
        assert living.end() == -signal.SIGKILL
        events = events_to_the_end(run, EventReader(run.events, from_end=True))
        until_step(events, 40)
        assert lock_holder(run) == engine
        for _ in events:
            pass
    assert_undisturbed(run, reference)


def test_a_terminal_that_nobody_reads_and_that_is_closed_is_not_noticed(
    run: RunDirectory, tmp_path: Path, reference: dict[int, dict]
) -> None:
    master, slave = pty.openpty()
    console = subprocess.Popen(
        [sys.executable, "-c", IN_ITS_OWN_TERMINAL, str(ARC_TUI), "train", *options(tmp_path)],
        cwd=tmp_path,
        env=environment(tmp_path) | {"TERM": "xterm-256color"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    with console:
        assert os.read(master, 1), "the console has begun to write"
        while not run.events.exists() or not told(run, "run_started"):
            assert console.poll() is None
            with contextlib.suppress(subprocess.TimeoutExpired):
                console.wait(0.05)
        events = events_to_the_end(run, EventReader(run.events))
        until_step(events, 40)
        assert console.poll() is None
        os.close(master)  # the kernel hangs up on the console's session
        assert console.wait(PATIENCE_SECONDS) != 0
        until_step(events, 80)
        for _ in events:
            pass
    assert_undisturbed(run, reference)


def test_twenty_viewers_some_stopped_and_some_killed_are_not_noticed(
    run: RunDirectory, tmp_path: Path, reference: dict[int, dict]
) -> None:
    folder = tmp_path / "seen"
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        living = stack.enter_context(training(tmp_path, "watched", *options(tmp_path)))
        living.until_step(1)
        send(run.commands, "pause")
        living.until(lambda event: event["type"] == "paused")
        engine = psutil.Process(living.engine)
        viewers: list[subprocess.Popen[bytes]] = []
        for number in range(VIEWERS):
            output = stack.enter_context((folder / str(number)).open("wb"))
            command = [ARC_TUI, "logs", "watched", "--follow"]
            viewer = subprocess.Popen(
                command, cwd=tmp_path, env=environment(tmp_path), stdout=output, stderr=output
            )
            stack.callback(viewer.wait, PATIENCE_SECONDS)
            stack.callback(viewer.kill)
            viewers.append(viewer)
        while any(not (folder / str(number)).stat().st_size for number in range(VIEWERS)):
            assert all(viewer.poll() is None for viewer in viewers)
            with contextlib.suppress(subprocess.TimeoutExpired):
                viewers[0].wait(0.1)

        send(run.commands, "resume")
        stopped, killed, others = viewers[:6], viewers[6:10], viewers[10:]
        living.until_step(20)
        for viewer in stopped:
            viewer.send_signal(signal.SIGSTOP)
        living.process.send_signal(signal.SIGSTOP)  # the console itself
        grown_from = engine.memory_info().rss
        events = events_to_the_end(run, EventReader(run.events))
        until_step(events, 50)
        for viewer in killed:
            viewer.kill()
        until_step(events, STEPS)
        grown_to = engine.memory_info().rss
        for _ in events:
            pass
        assert grown_to - grown_from < MOST_GROWTH
        for viewer in stopped:
            assert viewer.poll() is None
            viewer.send_signal(signal.SIGCONT)
        living.process.send_signal(signal.SIGCONT)
        assert living.end() == 0
        assert [viewer.wait(PATIENCE_SECONDS) for viewer in (*stopped, *others)] == [0] * 16
    assert_undisturbed(run, reference)
    seen = {(folder / str(number)).read_bytes() for number in range(VIEWERS) if viewers[number] not in killed}
    assert len(seen) == 1, "who was stopped has missed nothing either"
    assert b"Finished: completed" in seen.pop()
