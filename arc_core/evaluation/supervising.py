"""Solving processes: started, handed tasks, and started again when they are killed. No torch.

A process ends unexpectedly mostly because the system is out of memory and kills it. The task that it was at
is put off and tried again; the third time it has failed, and the rest goes on.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import selectors
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from arc_core.base.errors import RunError
from arc_core.base.text import cause, printable
from arc_core.data.seen import load_blind
from arc_core.evaluation.folder import EvalFolder, TaskAnswer

SOLVING = "arc_core.evaluation.worker"
"""The module that runs as a solving process."""

POLL_SECONDS = 0.2
PATIENCE_SECONDS = 10.0

REFUSED = 2
"""Exit code of a process that refuses what it was given, having said why."""

MOST_DEATHS = 3
"""So many processes may end over a task, and a process so many times in a row before it is ready for one."""

Command = Callable[[EvalFolder, str], Sequence[str]]
"""Gives the command line of a process that solves an evaluation's tasks on a device."""


def solving_process(folder: EvalFolder, device: str) -> list[str]:
    """Return the command line of a solving process."""
    return [sys.executable, "-m", SOLVING, str(folder.path), device]


def watched_process(folder: EvalFolder, device: str) -> list[str]:
    """The same for one that tells how it goes."""
    return [*solving_process(folder, device), "--watch"]


class Desk(Protocol):
    """Where tasks are handed out."""

    def take(self) -> str | None:
        """A task to be done by whoever takes it; None while there is none."""
        ...

    def done(self, task: str) -> None:
        """Note that the answers of a task that was taken are in the folder."""
        ...

    def died(self, task: str, how: str) -> None:
        """Take a task back, over which a process has ended, in words, or let it fail for good."""
        ...


class FolderDesk:
    """Hands out the tasks that an evaluation's folder has no answers of, to processes of this machine.

    Args:
        folder: Of the evaluation.
        most_deaths: So many processes may end over a task.
    """

    def __init__(self, folder: EvalFolder, most_deaths: int = MOST_DEATHS) -> None:
        self._folder = folder
        self._waiting = deque(folder.pending(folder.assignment().tasks))
        self._deaths: Counter[str] = Counter()
        self._most_deaths = most_deaths

    def take(self) -> str | None:
        """See `Desk`."""
        return self._waiting.popleft() if self._waiting else None

    def done(self, task: str) -> None:
        """See `Desk`; the folder tells already."""

    def died(self, task: str, how: str) -> None:
        """See `Desk`."""
        if not self._folder.pending([task]):  # answered before it ended
            return
        self._deaths[task] += 1
        if self._deaths[task] >= self._most_deaths:
            give_up(self._folder, task, self._deaths[task], how)
        else:
            self._waiting.append(task)


def leave_out(folder: EvalFolder, why: str) -> None:
    """Let the tasks fail that have no answers yet."""
    waiting = set(folder.pending(folder.assignment().tasks))
    for task in load_blind(folder.challenges).tasks:
        if task.id in waiting:
            folder.write_answer(TaskAnswer.without_attempts(task, why))


def give_up(folder: EvalFolder, name: str, deaths: int, how: str) -> None:
    """Let a task fail for good, over which so many processes have ended, the last one as told."""
    (task,) = (task for task in load_blind(folder.challenges).tasks if task.id == name)
    times = "unexpectedly" if deaths == 1 else f"{deaths} times"
    folder.write_answer(TaskAnswer.without_attempts(task, f"its solving process ended {times}: {how}"))


@dataclass(eq=False)
class _Process:
    number: int
    device: str
    handle: subprocess.Popen[bytes]
    ready: bool = False
    task: str | None = None
    """What it is at."""


class Workers:
    """Solving processes of one evaluation; they end when this process does.

    Args:
        folder: Of the evaluation.
        devices: `cpu` or `cuda:N`, one for each process.
        desk: Hands out the tasks.
        command: Gives the command line of a process.
        keeps_logs: Whether the folder, and what the processes print into it, outlives them.
    """

    def __init__(
        self,
        folder: EvalFolder,
        devices: Sequence[str],
        desk: Desk,
        command: Command = solving_process,
        *,
        keeps_logs: bool = True,
    ) -> None:
        self._folder = folder
        self._devices = devices
        self._desk = desk
        self._command = command
        self._keeps_logs = keeps_logs
        self._processes: dict[int, _Process] = {}
        self._early_deaths: Counter[int] = Counter()
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Workers:
        for number in range(len(self._devices)):
            self._log(number).unlink(missing_ok=True)
            self._start(number)
        return self

    def __exit__(self, *_: object) -> None:
        processes = list(self._processes.values())
        for process in processes:
            assert process.handle.stdin is not None
            process.handle.stdin.close()
        for process in processes:
            try:
                process.handle.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.handle.kill()
            self._forget(process)
        self._selector.close()

    @property
    def ready(self) -> bool:
        """Whether one is ready to solve, so that the pace is known."""
        return any(process.ready for process in self._processes.values())

    def step(self, seconds: float = POLL_SECONDS) -> None:
        """See to what the processes tell within so many seconds, and hand out what is to do.

        Raises:
            RunError: If a process refused its input, with its own sentence, or never became ready.
        """
        for key, _ in self._selector.select(seconds):
            process: _Process = key.data
            if not os.read(key.fd, 1):
                self._ended(process)
            elif process.task is None:
                process.ready = True
                self._early_deaths[process.number] = 0
            else:
                self._desk.done(process.task)
                process.task = None
        for process in self._processes.values():
            if process.ready and process.task is None and (task := self._desk.take()) is not None:
                self._give(process, task)

    def _start(self, number: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        log = os.open(self._log(number), flags, 0o600)
        device = self._devices[number]
        try:
            handle = subprocess.Popen(
                list(self._command(self._folder, device)),
                bufsize=0,
                stdin=subprocess.PIPE,  # its end tells the process that this one is gone
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        finally:
            os.close(log)
        process = self._processes[number] = _Process(number, device, handle)
        assert handle.stdout is not None
        self._selector.register(handle.stdout, selectors.EVENT_READ, process)

    def _give(self, process: _Process, task: str) -> None:
        process.task = task
        assert process.handle.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, as the next step finds
            process.handle.stdin.write(json.dumps(task).encode() + b"\n")

    def _ended(self, process: _Process) -> None:
        returncode = process.handle.wait()
        self._forget(process)
        said = self._last_line(process.number)
        if returncode == REFUSED and said:
            raise RunError(said.removeprefix("Error: "))
        how = said if returncode >= 0 and said else cause(returncode)
        if process.task is not None:
            self._desk.died(process.task, how)
        else:
            self._early_deaths[process.number] += 1
            if self._early_deaths[process.number] == MOST_DEATHS:
                log = printable(str(self._log(process.number)))
                more = f" ({log} holds what it printed)" if self._keeps_logs else ""
                raise RunError(f"A solving process ended unexpectedly: {how}{more}")
        self._start(process.number)

    def _forget(self, process: _Process) -> None:
        """Close what is held of a process that has ended, or is about to."""
        stdout = process.handle.stdout
        assert stdout is not None
        self._selector.unregister(stdout)
        del self._processes[process.number]
        with process.handle:  # closes its pipes and waits for it
            pass

    def _log(self, number: int) -> Path:
        """Where a process prints to."""
        return self._folder.path / f"worker_{number}.log"

    def _last_line(self, number: int) -> str:
        """What a process printed last; empty for nothing."""
        lines = self._log(number).read_text(encoding="utf-8", errors="replace").splitlines()
        return next((printable(line, 300) for line in reversed(lines) if line.strip()), "")


def follow(
    folder: EvalFolder,
    workers: Workers,
    on_done: Callable[[TaskAnswer, int], None],
    on_step: Callable[[], None] = lambda: None,
    seconds: float | None = None,
) -> None:
    """Have an evaluation's tasks done.

    Args:
        folder: Of the evaluation.
        workers: At work on it.
        on_done: Told each task that is done, those of earlier processes first, and how many are left.
        on_step: Called a few times a second.
        seconds: After so many it ends, whatever is left; None waits for all.

    Raises:
        RunError: If a process refused its input, or never became ready.
    """
    tasks = folder.assignment().tasks
    told: set[str] = set()
    end = math.inf if seconds is None else time.monotonic() + seconds
    while True:
        waiting = set(folder.pending(tasks))
        for task in tasks:
            if task not in waiting and task not in told:
                told.add(task)
                on_done(folder.answer(task), len(tasks) - len(told))
        if not waiting or time.monotonic() >= end:
            return
        workers.step()
        on_step()
