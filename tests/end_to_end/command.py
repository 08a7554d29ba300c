"""Runs the installed `arc-tui` command in a process of its own, and watches the run that it trains."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from raw_events import Line, LogReader, read_lines

from arc_core.run.directory import RunDirectory, is_alive, lock_holder

ARC_TUI = Path(sys.executable).with_name("arc-tui")
PATIENCE_SECONDS = 120.0

SMALL = [
    *("--headless", "--device", "cpu", "--epochs", "1", "--agent_lr", "1e-5", "--qwen_lr", "1e-4"),
    *("--set", "hidden_dim=64", "--set", "small_cells=60", "--set", "validation_inputs=6"),
    *("--batch-size", "8", "--set", "schedule=constant", "--set", "warmup_steps=0"),
]
"""Options of a run of quick steps, in the seed's spelling; slow learning keeps every reward live."""

SEED = ["--preset", "seed", "--lm", "tiny", "--set", "optimizer=adamw"]
"""What makes it a run with every term and part of the seed on."""


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str
    run: RunDirectory

    @property
    def events(self) -> list[Line]:
        return read_lines(self.run.events)

    def of(self, kind: str) -> list[Line]:
        return [event for event in self.events if event["type"] == kind]


def environment(folder: Path) -> dict[str, str]:
    """One thread, as two tests' tensors are tiny, and nothing of the user's own settings."""
    return os.environ | {"OMP_NUM_THREADS": "1", "XDG_CONFIG_HOME": str(folder / "config")}


def train(
    folder: Path, name: str, *options: str, timeout: float = PATIENCE_SECONDS, threads: int | None = 1
) -> Finished:
    """Run `arc-tui train` in a folder to its end; `threads=None` leaves them to torch."""
    settings = environment(folder)
    if threads is None:
        del settings["OMP_NUM_THREADS"]
    run = RunDirectory(folder / "runs" / name)
    try:
        done = subprocess.run(
            [ARC_TUI, "train", *options, "--name", name],
            cwd=folder,
            env=settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    finally:
        end_engine(run)
    return Finished(done.returncode, done.stdout, done.stderr, run)


def end_engine(run: RunDirectory) -> None:
    """End a training process that has outlived its command, as it is made to."""
    if run.path.is_dir() and is_alive(run) and (pid := lock_holder(run)):
        os.kill(pid, signal.SIGKILL)


@dataclass
class Living:
    """A command under way, and the events of its run as they come."""

    process: subprocess.Popen[bytes]
    run: RunDirectory
    output: Path
    reader: LogReader
    _unseen: list[Line] = field(default_factory=list)

    def until(self, wanted: Callable[[Line], bool]) -> Line:
        """Return the next event that is wanted; those before it are taken."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            self._unseen += self.reader.poll()
            while self._unseen:
                event = self._unseen.pop(0)
                if wanted(event):
                    return event
            if ended:
                raise AssertionError(f"the run ended without that event:\n{self.said()}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)
        raise AssertionError(f"no such event in {PATIENCE_SECONDS} s:\n{self.said()}")

    def until_step(self, step: int) -> Line:
        return self.until(lambda event: event["type"] == "step" and event["step"] >= step)

    @property
    def engine(self) -> int:
        """Process id of the training process."""
        pid = lock_holder(self.run)
        assert pid is not None
        return pid

    def end(self) -> int:
        """Wait for the command to end and return its exit code."""
        return self.process.wait(PATIENCE_SECONDS)

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")


@contextlib.contextmanager
def training(folder: Path, name: str, *options: str, command: Path = ARC_TUI) -> Iterator[Living]:
    """Start `arc-tui train`; whatever of it still runs at the end is ended."""
    run = RunDirectory(folder / "runs" / name)
    output = folder / "output.txt"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [command, "train", *options],
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    with process:
        try:
            yield Living(process, run, output, LogReader(run.events, from_end=True))
        finally:
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(30)
            end_engine(run)
            process.kill()
