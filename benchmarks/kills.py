"""Kills training processes at planned points and resumes them, and counts what came of it.

    python -m benchmarks.kills [--kills 3000] [--tally kills.jsonl] [--seed 1]

Every kill is a `kill -9` of a real training process, forked from this one once torch and the models are
warm. Each process is killed at a point that is observed, not timed: at, within or after one call on the run
directory, within a step or while a snapshot is copied. Runs are killed several times over, resumed in between
and then let through; after each kill and at the end the run is held against the promises (see
`tests/faults/harness.py`), and its parameters against those of the uninterrupted run.

Points are those that any process has shown so far; the one killed least often is next. Every kill is written
to the tally at once: an interrupted call goes on from there, and what it counted is never lost.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # their threads would not survive a fork
os.environ["OMP_NUM_THREADS"] = "1"
_TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(_TESTS / "faults"), str(_TESTS)]

import torch
from harness import (
    VARIANTS,
    WINDOWS,
    Chain,
    Settings,
    make_run,
    start_forked,
    window_of,
    write_dataset,
)
from injection import Injector, Plan
from outcome import Outcome

from arc_core import process
from arc_core.run.checkpoint_index import TEMPORARY_PREFIX
from arc_core.run.directory import RunDirectory

MOST_IN_A_CHAIN = 8
MOST_OCCURRENCES = 8
"""Of a call that a process makes often, the first so many are killed."""

MOST_SHOWN = 20

Point = tuple[str, str]
"""An operation, and whether the kill comes before, within (`half`) or after it."""

Situation = tuple[bool, str, bool, bool]
"""What decides which calls a process makes: whether it is the first of its run, the run's variant, and
whether the one before left a torn event, or an unfinished file or folder."""


class Tally:
    """What has been killed so far, kept in a file of one JSON object a line.

    Args:
        path: The file; what it holds already counts.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.kills: Counter[Point] = Counter()
        self.missed: Counter[Point] = Counter()
        self.runs = 0
        self.seconds = 0.0
        if path.exists():
            content = path.read_text(encoding="utf-8")
            whole = content[: content.rfind("\n") + 1]  # this script may have been killed too
            path.write_text(whole, encoding="utf-8")
            for line in whole.splitlines():
                self._count(json.loads(line))

    @property
    def total(self) -> int:
        """Kills so far."""
        return self.kills.total()

    def add(self, **entry: Any) -> None:
        """Count one thing and write it down."""
        self._count(entry)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def _count(self, entry: dict[str, Any]) -> None:
        self.seconds += entry.get("seconds", 0.0)
        match entry["what"]:
            case "killed":
                self.kills[entry["operation"], entry["when"]] += 1
            case "missed":
                self.missed[entry["operation"], entry["when"]] += 1
            case _:
                self.runs += 1

    def by_window(self) -> dict[str, tuple[int, int]]:
        """For each window the kills in it and the different points."""
        found = dict.fromkeys(WINDOWS, (0, 0))
        for (operation, _), kills in self.kills.items():
            total, points = found[window_of(operation)]
            found[window_of(operation)] = (total + kills, points + 1)
        return found


class Campaign:
    """Kills runs until there are enough kills.

    Args:
        folder: Where runs are made; each is removed once it has kept its promises.
        tally: Where kills are counted.
        seed: Of the choice of points.
    """

    def __init__(self, folder: Path, tally: Tally, seed: int) -> None:
        self._folder = folder
        self._tally = tally
        self._random = random.Random(seed + tally.total)
        self._occurrences: dict[Situation, Counter[str]] = defaultdict(Counter)
        self._chains = 0
        self._interrupted = False
        self._dataset = write_dataset(folder / "dataset")
        torch.set_num_threads(1)
        self._expected = {variant: self._uninterrupted(variant) for variant in VARIANTS}

    def _uninterrupted(self, variant: str) -> Outcome:
        """Train a run to its end in this process, which warms it up too."""
        sets, settings = VARIANTS[variant]
        run = make_run(self._folder / "runs", f"uninterrupted-{variant}", self._dataset, **settings)
        with Injector(run.path, lambda *_: None, Settings(run.path) if sets else None) as injector:
            code = process.main(run.path)
        # Not an exception, which would be lost if it came up within a fork.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupt)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        assert code == 0
        for first, torn, unfinished in itertools.product((True, False), repeat=3):
            self._learn((first, variant, torn, unfinished), injector.counts)
        return Outcome.of(run)

    def _interrupt(self, *_: object) -> None:
        self._interrupted = True

    def run(self, kills: int) -> None:
        """Go on until the tally holds so many kills.

        Raises:
            AssertionError: If a promise is broken; the run is left for a look at it.
            KeyboardInterrupt: If it was interrupted, once the process under way has ended.
        """
        while self._tally.total < kills:
            self._chain(kills)

    def _chain(self, kills: int) -> None:
        self._chains += 1
        variant = list(VARIANTS)[self._chains % len(VARIANTS)]
        sets, settings = VARIANTS[variant]
        run = make_run(self._folder / "runs", f"chain-{self._chains}", self._dataset, **settings)
        side = self._folder / f"side-{self._chains}"
        chain = Chain(run, side, start_forked, sets, self._expected[variant])
        killed = True
        while killed and len(chain.kills) < MOST_IN_A_CHAIN and self._tally.total < kills:
            situation = (not chain.kills, variant, *_left_behind(run))
            plan = self._next(situation)
            began = time.monotonic()
            killed = chain.go_on(plan)
            what, seconds = "killed" if killed else "missed", time.monotonic() - began
            self._tally.add(what=what, operation=plan.operation, when=plan.when, seconds=seconds)
            self._learn(situation, chain.counts)
            if self._interrupted:
                raise KeyboardInterrupt
        if killed:
            chain.go_on()
        self._tally.add(what="completed", kills=len(chain.kills))
        run.remove()
        shutil.rmtree(chain.side)

    def _learn(self, situation: Situation, counts: dict[str, int]) -> None:
        known = self._occurrences[situation]
        for operation, count in counts.items():
            window_of(operation)  # there is one for each
            known[operation] = max(known[operation], count)

    def _next(self, situation: Situation) -> Plan:
        """The point that was struck least, of all or of the window that was; a miss counts half a kill."""
        known = self._occurrences[situation]
        struck = {point: 2 * self._tally.kills[point] + self._tally.missed[point] for point in _points(known)}
        if self._random.random() < 0.5:
            windows: Counter[str] = Counter()
            for (operation, _), count in struck.items():
                windows[window_of(operation)] += count
            least = min(windows.values())
            struck = {p: n for p, n in struck.items() if windows[window_of(p[0])] == least}
        fewest = min(struck.values())
        operation, when = self._random.choice([point for point in struck if struck[point] == fewest])
        most = min(known[operation], MOST_OCCURRENCES) if self._tally.kills[operation, when] else 1
        return Plan(operation, when, self._random.randint(1, most))

    def never_hit(self) -> list[Point]:
        """Points that were seen and never killed."""
        seen = {point for known in self._occurrences.values() for point in _points(known)}
        return sorted(point for point in seen if not self._tally.kills[point])


def _left_behind(run: RunDirectory) -> tuple[bool, bool]:
    log = run.events.read_bytes() if run.events.exists() else b""
    torn = bool(log) and not log.endswith(b"\n")
    return torn, any(run.path.rglob(f"{TEMPORARY_PREFIX}*"))


def _points(operations: Iterable[str]) -> list[Point]:
    return [(operation, when) for operation in operations for when in _moments(operation)]


def _moments(operation: str) -> tuple[str, ...]:
    verb = operation.removeprefix("hint ").split()[0]
    if verb == "write":
        return ("before", "half", "after")
    if verb in ("update", "parameters") or "read" in operation or "list" in operation:
        return ("before",)
    return ("before", "after")


def main() -> None:
    """Kill, and print what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=3000, help="How many, those in the tally included.")
    parser.add_argument("--tally", type=Path, default=Path("kills.jsonl"), help="Where to keep count.")
    parser.add_argument("--seed", type=int, default=1, help="Of the choice of points.")
    given = parser.parse_args()
    tally = Tally(given.tally)
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    campaign = Campaign(folder, tally, given.seed)
    try:
        campaign.run(given.kills)
    except AssertionError as error:
        print(f"A promise is broken; its run is left in {folder}.\n{error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(f"Interrupted; the same command goes on from {given.tally}.", file=sys.stderr)
    finally:
        _show(tally, campaign)
    shutil.rmtree(folder)


def _show(tally: Tally, campaign: Campaign) -> None:
    points, runs = len(tally.kills), tally.runs
    print(f"{tally.total} kills at {points} points, {runs} runs completed, {tally.seconds:.0f} s")
    for window, (kills, points) in tally.by_window().items():
        print(f"  {window:10} {kills:5} kills at {points:3} points")
    if never := campaign.never_hit():
        shown = ", ".join(" ".join(point) for point in never[:MOST_SHOWN])
        print(f"{len(never)} points that were seen and never hit: {shown}")


if __name__ == "__main__":
    main()
