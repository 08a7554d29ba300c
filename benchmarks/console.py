"""What watching costs, and how fast the console answers, with the real training process in pseudo-terminals.

    python -m benchmarks.console [--seconds 15] [--rounds 3] [--presses 25] [--small]
                                [--steps 1000000]

Training is timed in turns with no console, one and five, so that a busy machine weighs on all alike; the
ratio of medians counts. The figures of long histories are those of `benchmarks.console_data`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import psutil

from arc_core.run.directory import RunDirectory, is_alive, lock_holder
from arc_core.run.event_forms import CommandAppliedEvent, Event, PausedEvent, StepEvent
from arc_core.run.events import EventReader
from benchmarks import console_data

ARC_TUI = Path(sys.executable).with_name("arc-tui")
COLUMNS, LINES = 160, 46
PATIENCE_SECONDS = 120.0
NAME = "bench"
LEAST_STEPS = 8
SETTLE_SECONDS = 3.0
"""A console has painted itself and read the log by then."""


class Console:
    """An `arc-tui` in a pseudo-terminal whose output is read, and timed, as it comes."""

    def __init__(self, folder: Path, *words: str) -> None:
        settings = os.environ | {
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "XDG_CONFIG_HOME": str(folder),
        }
        self._output = bytearray()
        self._news = threading.Condition()
        self.began = time.perf_counter()
        self.process = pexpect.spawn(
            str(ARC_TUI),
            list(words),
            cwd=str(folder),
            env=settings,
            dimensions=(LINES, COLUMNS),
            timeout=None,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while block := os.read(self.process.child_fd, 65_536):
                with self._news:
                    self._output += block
                    self._news.notify_all()

    def mark(self) -> int:
        """Return how much has been written so far."""
        return len(self._output)

    def until(self, sign: bytes, since: int) -> float:
        """Wait until something is written; return when that was seen, on the clock of `perf_counter`."""
        with self._news:
            found = self._news.wait_for(lambda: sign in self._output[since:], PATIENCE_SECONDS)
        if not found:
            raise TimeoutError(f"{sign!r} is not shown")
        return time.perf_counter()

    def press(self, keys: str) -> float:
        """Press keys; return when."""
        at = time.perf_counter()
        self.process.send(keys)
        return at

    def leave(self) -> None:
        """Detach."""
        self.process.send("q")
        deadline = time.monotonic() + SETTLE_SECONDS
        while self.process.isalive() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.process.close(force=True)


@contextlib.contextmanager
def training(folder: Path, *, small: bool) -> Iterator[RunDirectory]:
    """Train in the background with the default preset, or a small agent on one thread."""
    run = RunDirectory(folder / "runs" / NAME)
    words = ["train", "--detach", "--headless", "--name", NAME, "--device", "cpu", "--epochs", "1000"]
    words += ["--set", "validate_on=none", "--checkpoint-every", "1000000"]
    settings = dict(os.environ)
    if small:
        words += ["--set", "hidden_dim=64", "--set", "small_cells=150"]
        settings["OMP_NUM_THREADS"] = "1"
    subprocess.run([ARC_TUI, *words], cwd=folder, env=settings, check=True, stdout=subprocess.DEVNULL)
    try:
        yield run
    finally:
        trainer = lock_holder(run)
        if is_alive(run) and trainer is not None:
            os.kill(trainer, signal.SIGKILL)


def pairs_per_second(reader: EventReader, seconds: float) -> float:
    """Measure the rate of training over the next seconds, and over `LEAST_STEPS` steps at least."""
    all_new(reader)
    deadline = time.monotonic() + PATIENCE_SECONDS
    began = time.monotonic()
    steps: list[StepEvent] = []
    while time.monotonic() - began < seconds or len(steps) < LEAST_STEPS:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(steps)} steps in {PATIENCE_SECONDS:.0f} s")
        time.sleep(0.1)
        steps += [event for event in all_new(reader) if isinstance(event, StepEvent)]
    return sum(step.count("pairs") for step in steps[1:]) / (steps[-1].time - steps[0].time)


def all_new(reader: EventReader) -> list[Event]:
    """Return everything that has been written since the last look."""
    events: list[Event] = []
    while batch := reader.poll():
        events += batch
    return events


class News:
    """What a run tells from now on, event by event."""

    def __init__(self, run: RunDirectory) -> None:
        self._reader = EventReader(run.events, from_end=True)
        self._unseen: list[Event] = []

    def until(self, kind: type[Event]) -> Event:
        """Return the next event of a kind; those before it are taken."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            self._unseen += self._reader.poll()
            while self._unseen:
                event = self._unseen.pop(0)
                if isinstance(event, kind):
                    return event
            time.sleep(0.005)
        raise TimeoutError(f"no {kind.__name__}")


def speeds(folder: Path, run: RunDirectory, seconds: float, rounds: int) -> dict[int, list[float]]:
    """Time training with so many consoles open, in turns."""
    reader = EventReader(run.events, from_end=True)
    found: dict[int, list[float]] = {0: [], 1: [], 5: []}
    for _ in range(rounds):
        for count, rates in found.items():
            consoles = [Console(folder, "attach", NAME, "--read-only") for _ in range(count)]
            time.sleep(SETTLE_SECONDS)
            rates.append(pairs_per_second(reader, seconds))
            for console in consoles:
                console.leave()
    return found


def answers(console: Console, run: RunDirectory, presses: int) -> tuple[list[float], list[float]]:
    """Pause and go on again and again.

    Returns:
        Seconds from the key to the frame that shows PAUSING or PAUSED; and from the key to the answering
        event, as a multiple of the run's median step.
    """
    news = News(run)
    frames: list[float] = []
    acknowledged: list[float] = []
    steps = [event.time for event in all_new(EventReader(run.events)) if isinstance(event, StepEvent)]
    step = statistics.median(after - before for before, after in zip(steps[-40:], steps[-39:], strict=False))
    for _ in range(presses):
        since, sent = console.mark(), time.time()
        pressed = console.press("p")
        frames.append(console.until(b"PAUS", since) - pressed)
        applied = news.until(CommandAppliedEvent)
        acknowledged.append((applied.time - sent) / step)
        news.until(PausedEvent)
        since = console.mark()
        console.press("p")
        news.until(StepEvent)
        console.until(b"RUNNING", since)
    return frames, acknowledged


def cpu_share(pid: int, seconds: float) -> float:
    """Measure the share of one core that a process uses over the next seconds."""
    process = psutil.Process(pid)
    before = process.cpu_times()
    time.sleep(seconds)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / seconds


def percentile(values: list[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--presses", type=int, default=25)
    parser.add_argument("--steps", type=int, default=1_000_000, help="of the long history; 0 leaves it out")
    parser.add_argument("--small", action="store_true", help="train a small agent on one thread: short steps")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # ends the training too
    print(f"{os.cpu_count()} cores, terminal {COLUMNS}x{LINES}")
    with tempfile.TemporaryDirectory() as name, training(Path(name), small=given.small) as run:
        folder = Path(name)
        found = speeds(folder, run, given.seconds, given.rounds)
        alone = statistics.median(found[0])
        print(f"training alone: {alone:.1f} pairs/s ({', '.join(f'{rate:.1f}' for rate in found[0])})")
        for count in (1, 5):
            rate = statistics.median(found[count])
            each = ", ".join(f"{value:.1f}" for value in found[count])
            print(f"  with {count} console{'s' if count > 1 else ''}: {rate / alone:.3f} of that ({each})")
        console = Console(folder, "attach", NAME)
        painted = console.until(b"Loss", 0) - console.began
        print(f"first frame {painted:.2f} s after the command, beside training")
        time.sleep(SETTLE_SECONDS)
        print(f"console beside training: {cpu_share(console.process.pid, given.seconds):.1%} of a core")
        held = psutil.Process(console.process.pid).memory_full_info()
        print(f"  {held.rss / 1e6:.0f} MB of memory, {held.uss / 1e6:.0f} MB of it its own alone")
        frames, acknowledged = answers(console, run, given.presses)
        print(
            f"key to the frame that answers it: median {1e3 * statistics.median(frames):.0f} ms, "
            f"95th percentile {1e3 * percentile(frames, 0.95):.0f} ms of {len(frames)}"
        )
        print(
            f"key to the acknowledgement: median {statistics.median(acknowledged):.2f} steps, "
            f"95th percentile {percentile(acknowledged, 0.95):.2f}"
        )
        since = console.mark()
        console.press("p")
        console.until(b"PAUSED", since)
        time.sleep(SETTLE_SECONDS)
        print(f"console of a paused run: {cpu_share(console.process.pid, given.seconds):.1%} of a core")
        console.leave()
    if given.steps:
        console_data.main(["--steps", str(given.steps)])


if __name__ == "__main__":
    main()
