"""What steps add up to: their pace, and the means of an epoch."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from raw_events import PIPELINE
from small_run import new_run, told, train

from arc_core.training.telemetry import (
    PACE,
    RATE_WINDOW_SECONDS,
    EpochMeans,
    Pace,
)


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def event_of(loss: float | None, reward: float = 0.0, pairs: int = 4) -> dict[str, Any]:
    """A step event with these numbers; the others are 0."""
    event: dict[str, Any] = {group.name: {} for group in PIPELINE.groups if group.averaged}
    return event | {
        "pairs": pairs,
        "pairs_per_second": 0.0,
        "loss": {"combined": loss},
        "reward": {"total": reward},
        "step": 7,
        "rule": "not a number",
    }


# Pace


def test_the_rate_is_pairs_over_seconds(clock: FakeClock) -> None:
    pace = Pace(clock=clock)
    for _ in range(5):
        clock.now += 0.5
        rate = pace.add(4)
    assert rate == pytest.approx(8.0)


def test_the_first_step_has_a_rate(clock: FakeClock) -> None:
    pace = Pace(clock=clock)
    clock.now += 2.0
    assert pace.add(8) == pytest.approx(4.0)


def test_only_the_last_seconds_count(clock: FakeClock) -> None:
    pace = Pace(clock=clock)
    for _ in range(20):
        clock.now += 1.0
        pace.add(100)
    for _ in range(int(RATE_WINDOW_SECONDS)):
        clock.now += 1.0
        rate = pace.add(2)
    assert rate == pytest.approx(2.0)


def test_a_step_longer_than_the_window_has_its_own_rate(clock: FakeClock) -> None:
    pace = Pace(clock=clock)
    for _ in range(3):
        clock.now += 4 * RATE_WINDOW_SECONDS
        rate = pace.add(8)
    assert rate == pytest.approx(8 / (4 * RATE_WINDOW_SECONDS))


def test_a_pause_counts_neither_as_time_nor_against_the_rate(clock: FakeClock) -> None:
    pace = Pace(clock=clock)
    for _ in range(4):
        clock.now += 1.0
        pace.add(3)
    clock.now += 500.0
    pace.leave_out(500.0)
    assert pace.elapsed_seconds == pytest.approx(4.0)
    clock.now += 1.0
    assert pace.add(3) == pytest.approx(3.0)
    assert pace.elapsed_seconds == pytest.approx(5.0)


def test_the_seconds_of_earlier_processes_are_counted(clock: FakeClock) -> None:
    pace = Pace(elapsed_before=90.0, clock=clock)
    clock.now += 2.0
    assert pace.elapsed_seconds == pytest.approx(92.0)
    assert pace.add(4) == pytest.approx(2.0)  # and not in the rate


def test_two_steps_within_one_tick_of_the_clock_do_not_divide_by_zero(clock: FakeClock) -> None:
    assert math.isfinite(Pace(clock=clock).add(1))


# Means


def test_means_are_over_the_steps() -> None:
    means = EpochMeans(PIPELINE)
    for loss, reward in ((1.0, 0.5), (2.0, -0.5), (6.0, 0.3)):
        means.add(event_of(loss, reward))
    found = means.means()
    assert found["loss"]["combined"] == pytest.approx(3.0)
    assert found["reward"]["total"] == pytest.approx(0.1)
    assert found["pairs"] == 4
    assert set(found) == {*PACE, "loss", "reward"}, "what no step had has no mean"


def test_a_number_that_was_not_finite_is_left_out_of_its_mean() -> None:
    means = EpochMeans(PIPELINE)
    for loss in (2.0, None, 4.0):
        means.add(event_of(loss, reward=0.6))
    assert means.means()["loss"]["combined"] == pytest.approx(3.0)
    assert means.means()["reward"]["total"] == pytest.approx(0.6)


def test_means_go_on_exactly_where_a_checkpoint_left_them() -> None:
    whole, first = EpochMeans(PIPELINE), EpochMeans(PIPELINE)
    losses = [0.1, None, 1 / 3, 7e-9, 2.5]
    for loss in losses:
        whole.add(event_of(loss))
    for loss in losses[:2]:
        first.add(event_of(loss))
    resumed = EpochMeans.restored(json.loads(json.dumps(first.state())), PIPELINE)
    for loss in losses[2:]:
        resumed.add(event_of(loss))
    assert resumed.count == whole.count == 5
    assert resumed.means() == whole.means()


def test_an_epoch_without_steps_has_no_means() -> None:
    assert EpochMeans(PIPELINE).means() == {}


def test_a_step_is_told_with_its_place_its_pairs_and_its_pace(tmp_path: Path) -> None:
    run = new_run(tmp_path, epochs=2, max_batches=2, batch_size=3, sample_every=3)
    assert train(run) == "completed"
    steps = told(run, "step")
    places = [(step["step"], step["epoch"], step["batch"], step["pairs"]) for step in steps]
    assert places == [(1, 0, 0, 3), (2, 0, 1, 3), (3, 1, 0, 3), (4, 1, 1, 3)]
    assert all(step["pairs_per_second"] > 0 for step in steps)
    assert [step["elapsed_seconds"] for step in steps] == sorted(step["elapsed_seconds"] for step in steps)
    assert [sample["step"] for sample in told(run, "sample")] == [1, 3]
