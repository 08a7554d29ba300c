"""Threads by what other programs leave free, and the word that they are held up."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arc_core.base.other_load import OtherLoad
from arc_core.training import threads as threads_module
from arc_core.training.threads import LoadWatch, choose_threads, threads_beside


class Told(OtherLoad):
    """Others that keep so many cores busy, one number a look."""

    def __init__(self, *busy: float | None) -> None:
        self.left = list(busy)

    def cores(self) -> float | None:
        return self.left.pop(0)


@pytest.mark.parametrize(("busy", "threads"), [(0.0, 2), (0.05, 2), (0.25, 2), (0.3, 1), (1.0, 1), (7.0, 1)])
def test_two_threads_are_left_at_what_measures_as_break_even(busy: float, threads: int) -> None:
    assert threads_beside(busy, 2, 2) == threads


@given(busy=st.floats(0, 200), most=st.integers(1, 128), cores=st.integers(1, 128))
def test_threads_are_at_least_one_and_no_more_than_there_can_be(busy: float, most: int, cores: int) -> None:
    threads = threads_beside(busy, most, cores)
    assert 1 <= threads <= most
    assert threads_beside(busy + 1, most, cores) in (threads, threads - 1)


def test_a_busy_machine_gives_fewer_threads_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads, said = choose_threads(None, None, 2, Told(0.9), 2)
    assert threads == 1
    assert said is not None
    assert said.message.startswith("Other programs keep 0.9 of 2 cores busy")
    assert "threads=2" in said.advice
    assert choose_threads(None, None, 2, Told(0.1), 2) == (2, None)
    assert choose_threads(None, None, 2, Told(None), 2) == (2, None)


def test_what_is_set_or_was_trained_with_is_kept_whatever_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert choose_threads(2, 1, 2, Told(2.0), 2) == (2, None)
    assert choose_threads(None, 2, 2, Told(2.0), 2) == (2, None)
    assert choose_threads(None, 1, 2, Told(0.0), 2) == (1, None)
    assert choose_threads(None, 16, 2, Told(0.0), 2) == (2, None)  # then refused as another number
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert choose_threads(None, None, 2, Told(2.0), 2) == (2, None)


def test_a_program_beside_is_seen_and_this_one_is_not() -> None:
    load = OtherLoad()
    ends = time.monotonic() + 1.0
    while time.monotonic() < ends:  # this process, busy
        pass
    before = load.cores()
    beside = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(2.0)
        during = load.cores()
    finally:
        beside.kill()
        beside.wait()
    assert before is not None
    assert during is not None
    # It may get less than a core where more programs want one; then those others are seen.
    assert during > 0.25
    assert load.cores() is None  # too short a time


def test_the_load_that_holds_up_threads_is_told_once_with_its_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(threads_module.time, "monotonic", lambda: now)
    watch = LoadWatch(2, Told(0.0, 0.9, 0.9, 0.9, 0.0, 0.9, 0.9), 2)
    found = []
    for pairs in (1440, 420, 420, 420, 1440, 420, 420):
        assert watch.after_step(pairs // 2) is None  # not yet time for a look
        now += 30.0
        found.append(watch.after_step(pairs - pairs // 2))
    assert [finding is not None for finding in found] == [False, False, True, False, False, False, True]
    assert found[2].message == (
        "Other programs keep 0.9 of 2 cores busy, and 2 threads wait for each other: "
        "14 pairs/s, 48 while they did not."
    )
    assert "threads=1" in found[2].advice


def test_one_thread_is_never_held_up_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(threads_module.time, "monotonic", lambda: now)
    watch = LoadWatch(1, Told(*[2.0] * 4), 2)
    for _ in range(4):
        now += 30.0
        assert watch.after_step(100) is None
