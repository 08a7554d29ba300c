"""What commands cost as a run's log grows, and as a folder of runs does.

    python -m benchmarks.growth [--steps 10000 100000 1000000] [--runs 1000] [--beside FOLDER]

Each command is a process of its own. Its memory is the most that the process ever held (its peak resident
set): bare Python 3.11 takes 11 MB of that, and 20 MB is the least that can be seen here. The runs of a folder
share one log, by hard links: what a command reads of it is the same, and a thousand logs need no room.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from arc_core.run.directory import create_run
from benchmarks.long_log import write_log

HERE = Path(__file__).parents[1]
PROGRAM = ["-m", "arc_tui.cli"]
COMMANDS = {"status": [], "logs": [], "export": ["--csv", "steps.csv"], "report": ["--output", "report.html"]}


@dataclass(frozen=True)
class Cost:
    """What one process took: seconds on the clock, seconds of processor time, and megabytes at most."""

    wall: float
    cpu: float
    megabytes: float


def cost_of(arguments: list[str], folder: Path, source: Path = HERE) -> Cost:
    """Run Python with these arguments in a folder, with the packages of a checkout.

    Raises:
        CalledProcessError: If it fails.
    """
    # A process counts what its parent held at its start, so this one stays small: it imports no numpy.
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env=os.environ | {"PYTHONPATH": str(source)},
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def long_runs(folder: Path, lengths: list[int], commands: list[str], sources: list[Path]) -> None:
    """Print a line for each command and length of a log."""
    for steps in lengths:
        run = create_run(folder / "runs", f"of-{steps}", {"created": 0.0})
        megabytes = write_log(run.events, steps) / 1e6
        print(f"log of {steps:,} steps: {megabytes:,.0f} MB")
        for command in commands:
            words = [*PROGRAM, command, run.name, *COMMANDS[command]]
            _tell(command, [cost_of(words, folder, source) for source in sources])
        run.remove()


def many_runs(folder: Path, count: int, steps: int, sources: list[Path]) -> None:
    """Print what it takes to list a folder of so many runs."""
    log = folder / "events.jsonl"
    write_log(log, steps)
    for number in range(count):
        os.link(log, create_run(folder / "many", f"run-{number}", {"created": 0.0}).events)
    words = [*PROGRAM, "runs", "--runs-dir", "many"]
    print(f"{count:,} runs of {steps:,} steps each")
    _tell("runs", [cost_of(words, folder, source) for source in sources])


def _tell(name: str, costs: list[Cost]) -> None:
    told = [f"{cost.wall:6.2f} s, {cost.cpu:6.2f} s CPU, {cost.megabytes:6.1f} MB" for cost in costs]
    print(f"  {name:14s}{'  beside '.join(told)}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--commands", nargs="*", default=[*COMMANDS], choices=[*COMMANDS])
    parser.add_argument("--runs", type=int, default=1000, help="0 leaves the folder of runs out")
    parser.add_argument("--run-steps", type=int, default=10_000)
    parser.add_argument("--beside", type=Path, help="another checkout, measured in turns with this one")
    given = parser.parse_args()
    sources = [HERE, *([given.beside.absolute()] if given.beside else [])]
    with tempfile.TemporaryDirectory() as name:
        _tell("arc-tui --help", [cost_of([*PROGRAM, "--help"], Path(name))])
        long_runs(Path(name), given.steps, given.commands, sources)
        if given.runs:
            many_runs(Path(name), given.runs, given.run_steps, sources)


if __name__ == "__main__":
    main()
