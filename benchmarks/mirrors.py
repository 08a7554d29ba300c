"""What mirrors cost: training beside one, and a mirror's memory as a run's log grows.

    python -m benchmarks.mirrors [--to tensorboard trackio] [--steps 10000 1000000] [--rounds 3]

Training is paired: each round trains the same run with and without a mirror, in turns, and the ratio is that
of their speeds. Each has one thread, as a run otherwise takes as many as other programs leave free. What a
mirror computes it takes from what training leaves of the processors. The mirror of a long log is a process of
its own, whose peak resident set is told.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from arc_core.run.directory import RunDirectory, create_run
from arc_core.run.event_forms import StepEvent
from arc_core.run.events import EventReader
from benchmarks.growth import PROGRAM, cost_of
from benchmarks.long_log import write_log

TRACKERS = ("tensorboard", "trackio", "wandb")
WARM_STEPS = 10
"""First steps, which are not counted: the mirror's own start falls into them, as torch's does."""


def long_logs(folder: Path, trackers: list[str], lengths: list[int]) -> None:
    """Print time and memory of a mirror of each length of log."""
    for steps in lengths:
        run = create_run(folder / "runs", f"of-{steps}", {"created": 0.0})
        write_log(run.events, steps)
        for tracker in trackers:
            cost = cost_of([*PROGRAM, "mirror", run.name, "--to", tracker], folder)
            print(
                f"{steps:>9,} steps to {tracker:12s}{cost.wall:7.1f} s {cost.megabytes:7.1f} MB", flush=True
            )
        run.remove()


def seconds_of_a_step(folder: Path, name: str, batches: int, mirrors: list[str]) -> float:
    """Train a run and return the median of the seconds between two of its steps."""
    words = [
        "train",
        "--headless",
        "--device",
        "cpu",
        "--epochs",
        "1",
        "--set",
        "validate_on=none",
        "--set",
        "threads=1",
    ]
    words += ["--max-batches", str(batches), "--name", name, *mirrors]
    subprocess.run([sys.executable, *PROGRAM, *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    log = RunDirectory(folder / "runs" / name).events
    times = [event.time for event in EventReader(log) if isinstance(event, StepEvent)][WARM_STEPS:]
    return statistics.median(b - a for a, b in itertools.pairwise(times))


def beside_training(folder: Path, trackers: list[str], rounds: int, batches: int) -> None:
    """Print how fast training is beside a mirror, as a share of its speed without one."""
    for tracker in trackers:
        ratios: list[float] = []
        for number in range(rounds):
            pair = {True: ["--mirror", tracker], False: list[str]()}
            turns = sorted(pair, reverse=bool(number % 2))
            took = {
                turn: seconds_of_a_step(folder, f"{tracker}-{number}-{turn}", batches, pair[turn])
                for turn in turns
            }
            ratios.append(took[False] / took[True])
        told = ", ".join(f"{ratio:.3f}" for ratio in ratios)
        print(f"speed beside a mirror to {tracker}: {statistics.median(ratios):.3f} ({told})", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", nargs="*", default=[*TRACKERS], choices=TRACKERS)
    parser.add_argument("--steps", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3, help="0 leaves training out")
    parser.add_argument("--batches", type=int, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["TRACKIO_DIR"] = str(Path(name) / "trackio")
        long_logs(Path(name), given.to, given.steps)
        if given.rounds:
            beside_training(Path(name), given.to, given.rounds, given.batches)


if __name__ == "__main__":
    main()
