"""Starts the training process, follows what it writes, and sees how it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import FrameType

from arc_core.base.files import open_regular
from arc_core.base.signals import ENDING
from arc_core.base.text import printable
from arc_core.run.directory import RunDirectory
from arc_core.run.event_forms import Event, ResumedEvent, RunFinishedEvent, RunStartedEvent
from arc_core.run.events import EventReader

REFUSED_INPUT = 2
"""Exit code of a training process that refuses what it was given, having said why."""

POLL_SECONDS = 0.1

LEFT_RUNNING: list[subprocess.Popen[bytes]] = []
"""Processes that go on without this one; kept, as a dropped handle warns of a process not waited for."""

Engine = Callable[[RunDirectory], Sequence[str]]
"""Gives the command line of the process that trains a run."""


@dataclass
class Outcome:
    """How a training process ended."""

    returncode: int = 0
    reason: str | None = None
    """What its `run_finished` event says; None if it wrote none."""
    stop_requests: int = 0
    """How often the user asked it to stop."""
    left_running: bool = False
    """Whether it goes on by itself."""

    @property
    def refusal(self) -> str | None:
        """The sentence with which it refused its input, if that is how it ended."""
        return self.reason if self.returncode == REFUSED_INPUT else None

    @property
    def crashed(self) -> bool:
        """Whether it ended otherwise than it should."""
        return self.returncode != 0 and self.refusal is None


class Program(StrEnum):
    """A module that runs as a process of its own."""

    TRAINING = "arc_core"
    GPUS = "arc_core.evaluation.gpus"
    FETCHING = "arc_core.pipeline.fetch_lm"
    EXPORTING = "arc_core.evaluation.export"
    COMMANDS = "arc_tui.cli"
    WATCHING = "arc_tui.alerts.watcher"
    SEAT = "arc_tui.serve.seat"

    def command(self, *arguments: str) -> list[str]:
        """Return its command line."""
        return [sys.executable, "-m", self, *arguments]


def engine_command(run: RunDirectory) -> list[str]:
    """Return the command line of the training process of a run."""
    return Program.TRAINING.command(str(run.path))


def start_engine(run: RunDirectory, engine: Engine = engine_command) -> subprocess.Popen[bytes]:
    """Start the training process in a session of its own, its output going to engine.log.

    Args:
        run: The run to train.
        engine: Gives the command line to start for it.
    """
    return start_apart(engine(run), run.engine_log)


def start_apart(
    command: Sequence[str], log: Path, stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, so that it goes on however this one ends.

    Args:
        command: Its command line.
        log: What it prints is added to this file.
        stdin: As `subprocess.Popen` takes it.

    Raises:
        RunError: If the log is no regular file.
    """
    fd = open_regular(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        return subprocess.Popen(command, stdin=stdin, stdout=fd, stderr=fd, start_new_session=True)
    finally:
        os.close(fd)


def supervise(
    run: RunDirectory,
    on_events: Callable[[list[Event]], None],
    on_stop_request: Callable[[int], None],
    engine: Engine = engine_command,
    *,
    detach: bool = False,
) -> Outcome:
    """Start the training process and follow its events until it has ended.

    Ctrl+C, SIGTERM, SIGUSR1 and SIGUSR2 are handed on as SIGTERM: the process checkpoints and ends, and is
    followed until then.

    Args:
        run: The run to train. Events that it has already are not shown again.
        on_events: Is given what is new; possibly an empty list.
        on_stop_request: Is told how often the user has asked to stop, once for each time.
        engine: Gives the command line to start for it.
        detach: Follow it only until it has begun to train, and leave it running then.
    """
    outcome = Outcome()
    told = 0
    reader = EventReader(run.events, from_end=True)
    with stop_signals() as requests:
        process = start_engine(run, engine)
        for events in follow(reader, lambda: process.poll() is not None):
            for event in events:
                if isinstance(event, RunFinishedEvent):
                    outcome.reason = event.reason
            on_events(events)
            if detach and any(isinstance(event, RunStartedEvent | ResumedEvent) for event in events):
                LEFT_RUNNING.append(process)
                outcome.left_running = True
                return outcome
            while told < len(requests):
                told += 1
                if process.poll() is None:
                    process.terminate()
                on_stop_request(told)
        outcome.returncode = process.wait()
        outcome.stop_requests = told
    return outcome


def follow(
    reader: EventReader,
    has_ended: Callable[[], bool],
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[list[Event]]:
    """Yield the events of a log in batches until its writer has ended and all is read.

    Args:
        reader: The log, from where it is to be followed.
        has_ended: Whether the writer can write no more.
        wait: Passes the seconds between two looks.

    Yields:
        What is new, at least every `POLL_SECONDS`; an empty batch when nothing is, so that the caller
        can see to other things.
    """
    while True:
        ended = has_ended()
        events = reader.poll()
        yield events
        if ended and not events:
            return
        if not events:
            wait(POLL_SECONDS)


class Supervisor:
    """Starts the process of a run for a console and sees how it ends; the process is watched, never owned.

    It is started as every other command starts it, in a session of its own, so it goes on however the
    console ends. `asyncio`'s subprocesses would be killed with their event loop.

    Args:
        engine: Gives the command line of the training process.
    """

    def __init__(self, engine: Engine = engine_command) -> None:
        self._engine = engine
        self.process: subprocess.Popen[bytes] | None = None
        """The process that was started last; None before one was."""
        self.started_at = 0.0
        """When that was, in seconds since the epoch."""
        self.run: RunDirectory | None = None
        """The run whose process was started last; None before one was."""
        self.outcome = Outcome()
        """How the process that was started last has ended, as far as it has."""

    @property
    def started(self) -> bool:
        """Whether this console has started a process."""
        return self.process is not None

    @property
    def running(self) -> bool:
        """Whether the process that this console started still runs."""
        return self.returncode is None and self.started

    @property
    def returncode(self) -> int | None:
        """Exit code of the process; None while it runs, and where none was started."""
        return self.process.poll() if self.process is not None else None

    def start(self, run: RunDirectory) -> None:
        """Start the training process of a run.

        Raises:
            RunError: If its engine.log is no regular file.
        """
        self.outcome = Outcome()
        self.started_at = time.time()
        self.process = start_engine(run, self._engine)
        self.run = run

    def finish(self) -> Outcome:
        """Return how it went, with the process left running if it still does."""
        if self.process is not None:
            if self.running:
                LEFT_RUNNING.append(self.process)
                self.outcome.left_running = True
            else:
                self.outcome.returncode = self.process.wait()
        return self.outcome


def last_lines(run: RunDirectory, count: int = 15) -> list[str]:
    """Return the end of the run's engine.log, safe to print."""
    try:
        fd = open_regular(run.engine_log, os.O_RDONLY)
    except OSError:
        return []
    with os.fdopen(fd, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 65_536))
        text = file.read().decode("utf-8", "replace")
    return [printable(line, 500) for line in text.splitlines()[-count:]]


@contextlib.contextmanager
def stop_signals() -> Generator[list[int]]:
    """Collect the signals that ask for an end in a list instead of ending this process."""
    requests: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        requests.append(number)

    before = {number: signal.signal(number, note) for number in ENDING}
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
