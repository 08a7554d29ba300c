"""What other programs on the machine cost a run: how many threads to take, and when to say that they wait.

Threads that compute one tensor together wait for the slowest of them. On two cores, beside another program
that wants one of them, two threads train 12 pairs/s where one trains 37; on an idle machine it is 52 and 38.
They break even where the other takes 0.28 of a core.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch

from arc_core.base.other_load import OtherLoad
from arc_core.run.checkpoint_index import read_state
from arc_core.training.diagnostics import Finding
from arc_core.training.ranks import Ranks

BREAK_EVEN = 0.28
"""Share of a core that may be taken from a thread before it is better left out."""

BETWEEN_LOOKS = 30.0
"""Seconds between two looks during a run."""

LOOKS = 2
"""Of as many in a row is told that other programs want the cores."""


def threads_beside(busy: float, most: int, cores: int) -> int:
    """How many threads train fastest beside programs that keep some of a machine's cores busy.

    Args:
        busy: Cores that they take.
        most: Threads that there may be.
        cores: Of the machine.
    """
    return max(1, min(most, math.floor(cores - busy + BREAK_EVEN)))


def fewer_threads(threads: int, most: int, busy: float, cores: int) -> Finding:
    """The warning that a run begins with fewer threads than there could be."""
    return Finding(
        "fewer_threads",
        f"Other programs keep {busy:.1f} of {cores} cores busy, so the run begins with {_threads(threads)} "
        f"instead of {most}, which would wait for each other.",
        f"The number decides a run's last digits, so the run keeps it; give threads={most} to have all.",
    )


def choose_threads(
    asked: int | None, before: int | None, most: int, load: OtherLoad, cores: int
) -> tuple[int, Finding | None]:
    """How many threads a run is to train with, and what to say of it.

    Args:
        asked: As the user has set; None leaves it open.
        before: That the run has trained with so far; None where it begins.
        most: That torch would take.
        load: Of the other programs.
        cores: Of the machine.
    """
    if asked is not None:
        return asked, None
    if before is not None:  # more than there can be are for `check_build` to refuse
        return min(before, most), None
    busy = load.cores()
    if busy is None or "OMP_NUM_THREADS" in os.environ:
        return most, None
    threads = threads_beside(busy, most, cores)
    return threads, None if threads == most else fewer_threads(threads, most, busy, cores)


def take_threads(
    asked: int | None,
    source: Path | None,
    ranks: Ranks,
    load: OtherLoad | None,
    warn: Callable[[Finding], None],
) -> tuple[int, LoadWatch | None]:
    """Have torch compute with as many threads as a run is to train with.

    Several processes must have as many each, as rounding would take them apart: the first one's number.
    It is its part of the machine, as to each of them the others look like other programs.

    Args:
        asked: As the user has set; None leaves it open.
        source: The checkpoint that the run goes on from.
        ranks: Its processes.
        load: Of other programs, watched from the start of the process; None begins now.
        warn: Tells a warning.

    Returns:
        The number, and what tells during the run when other programs hold it up; None in several processes.
    """
    state = {} if source is None else read_state(source)
    if not ranks.alone:
        before = state.get("threads") if state.get("processes", 1) == ranks.count else None
        most = max(1, torch.get_num_threads() // ranks.world.beside)
        threads = int(ranks.agree(str(asked or before or most))[0])
        torch.set_num_threads(threads)
        return threads, None
    load, cores = load or OtherLoad(), os.cpu_count() or 1
    threads, fewer = choose_threads(asked, state.get("threads"), torch.get_num_threads(), load, cores)
    if fewer is not None:
        warn(fewer)
    torch.set_num_threads(threads)
    return threads, LoadWatch(threads, load, cores)


class LoadWatch:
    """Tells during a run when other programs hold up its threads, and what that costs.

    Args:
        threads: That it trains with.
        load: Of the other programs.
        cores: Of the machine.
    """

    def __init__(self, threads: int, load: OtherLoad, cores: int) -> None:
        self._threads = threads
        self._load = load
        self._cores = cores
        self._looked = time.monotonic()
        self._pairs = 0
        self._held_up = 0
        self._best = 0.0

    def after_step(self, pairs: int) -> Finding | None:
        """Take in a step of so many pairs; a warning where one is due."""
        self._pairs += pairs
        seconds = time.monotonic() - self._looked
        if seconds < BETWEEN_LOOKS or (busy := self._load.cores()) is None:
            return None
        rate, self._pairs, self._looked = self._pairs / seconds, 0, time.monotonic()
        if threads_beside(busy, self._threads, self._cores) == self._threads:
            self._held_up, self._best = 0, max(self._best, rate)
            return None
        self._held_up += 1
        return self._held_up_by(busy, rate) if self._held_up == LOOKS else None

    def _held_up_by(self, busy: float, rate: float) -> Finding:
        cost = f", {self._best:.0f} while they did not" if self._best > rate else ""
        fewer = threads_beside(busy, self._threads, self._cores)
        return Finding(
            "held_up",
            f"Other programs keep {busy:.1f} of {self._cores} cores busy, and {_threads(self._threads)} wait "
            f"for each other: {rate:.0f} pairs/s{cost}.",
            f"Where that lasts, stop the run and resume it with threads={fewer}; its last digits change.",
        )


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
