"""A replay: the run's events in their order and pace, up to the very state that the run ended in."""

import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from raw_events import typed
from recordings import console_events, killed_events, make_run

from arc_core.run.directory import RunDirectory
from arc_tui.runs.feed import BATCH_SECONDS, Arrival
from arc_tui.runs.history import History
from arc_tui.runs.replay import LONGEST_WAIT_SECONDS, Replay
from arc_tui.runs.state import Phase, initial, observed, reduce

NUMBERS = ("loss.combined", "grad_norm.agent", "memory.entries")


class FakeTime:
    """A clock that only passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def play(run: RunDirectory, speed: float, until: Callable[[Arrival], bool] | None = None):
    """Play a run on a clock of its own; return the batches and when each came."""
    time, batches, moments, done = FakeTime(), [], [], threading.Event()

    def take(batch: Arrival) -> None:
        batches.append(batch)
        moments.append(time.now - 100.0)
        if until is not None and until(batch):
            replay.stop()
            done.set()
        if batch.state is not None and batch.state.ended and not batch.events:
            done.set()

    replay = Replay(run, take, speed, time.clock, time.wait)
    replay.start()
    assert done.wait(60)
    replay.stop()
    return batches, moments


def test_replay_ends_in_the_state_and_history_of_the_run(tmp_path: Path):
    run = make_run(tmp_path)
    batches, _ = play(run, 10.0)
    assert [event for batch in batches for event in batch.events] == typed(console_events())
    expected = observed(reduce(typed(console_events()), initial(run.read())), alive=False)
    assert batches[-1].state == expected
    assert expected.phase is Phase.FINISHED

    whole, played = History(), History()
    whole.add(typed(console_events()))
    for batch in batches:
        played.add(batch.digest if batch.digest is not None else batch.events)
    assert played.marks() == whole.marks()
    assert played.entries == whole.entries
    assert played.sample_steps == whole.sample_steps
    for name in NUMBERS:
        one, other = whole.window(name, 1, 60, 60), played.window(name, 1, 60, 60)
        assert one.mean.tolist() == pytest.approx(other.mean.tolist(), nan_ok=True)


@pytest.mark.parametrize("speed", [0.5, 1.0, 20.0])
def test_events_come_when_their_time_has_come_and_not_more_often_than_ten_times_a_second(
    tmp_path: Path, speed: float
):
    events = console_events()[:60]
    batches, moments = play(make_run(tmp_path, events), speed)
    gaps = [after["time"] - before["time"] for before, after in itertools.pairwise(events)]
    due = [0.0]
    for gap in gaps:
        due.append(due[-1] + min(gap / speed, LONGEST_WAIT_SECONDS))
    seen = 0
    for batch, at in zip(batches, moments, strict=True):
        for _ in batch.events:
            assert due[seen] - 1e-6 <= at <= due[seen] + BATCH_SECONDS + 1e-6
            seen += 1
    assert seen == len(events)
    before_the_last = moments[1:-2]
    assert all(after - before > BATCH_SECONDS - 1e-6 for before, after in itertools.pairwise(before_the_last))


def test_night_between_two_processes_is_short(tmp_path: Path):
    events = console_events()
    at = next(place for place, event in enumerate(events) if event["type"] == "resumed")
    later = [
        event if place < at else event | {"time": event["time"] + 80_000}
        for place, event in enumerate(events)
    ]
    _, quick = play(make_run(tmp_path, later, "night"), 1.0)
    assert quick[-1] < events[-1]["time"] - events[0]["time"] + LONGEST_WAIT_SECONDS + 1


def test_killed_run_is_alive_until_its_log_ends_and_then_it_has_crashed(tmp_path: Path):
    batches, _ = play(make_run(tmp_path, killed_events(), torn=True), 50.0)
    assert {batch.alive for batch in batches[:-1]} == {True}
    assert (batches[-1].alive, batches[-1].state and batches[-1].state.phase) == (False, Phase.CRASHED)


def test_stopped_replay_hands_over_no_more(tmp_path: Path):
    batches, _ = play(make_run(tmp_path), 1.0, until=lambda batch: len(batch.events) > 0)
    assert sum(len(batch.events) > 0 for batch in batches) == 1
    assert batches[-1].events != []


def test_run_without_a_log_has_nothing_to_play(tmp_path: Path):
    run = make_run(tmp_path, [])
    batches, _ = play(run, 1.0)
    assert [event for batch in batches for event in batch.events] == []


def test_log_that_is_a_link_is_told_as_a_problem(tmp_path: Path):
    run = make_run(tmp_path, [])
    run.events.unlink()
    run.events.symlink_to("/dev/zero")
    told: list[Arrival] = []
    done = threading.Event()

    def take(batch: Arrival) -> None:
        told.append(batch)
        if batch.problem:
            done.set()

    replay = Replay(run, take, 1.0)
    replay.start()
    assert done.wait(60)
    replay.stop()
    assert "is no regular file" in (told[-1].problem or "")


@pytest.mark.parametrize("speed", [0.0, -1.0, float("inf"), float("nan")])
def test_speed_must_be_above_zero_and_finite(tmp_path: Path, speed: float):
    with pytest.raises(ValueError, match="a replay cannot run"):
        Replay(make_run(tmp_path, []), lambda batch: None, speed)
