"""How a console is fed from a run's log: the end first, the rest behind, then what is written."""

import fcntl
import itertools
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from foreign_run import FOREIGN, foreign_events, foreign_run_json, make_foreign_run
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_events import Line, read_lines, typed
from recordings import TORN_LINE, console_events, killed_events, make_run

from arc_core.run.declared import Declared
from arc_core.run.directory import RunDirectory
from arc_core.run.event_forms import PausedEvent
from arc_tui.runs.feed import Arrival, Feed, blocks_before
from arc_tui.runs.history import History
from arc_tui.runs.outline import outline
from arc_tui.runs.state import Phase, RunState, initial, observed, reduce

PATIENCE_SECONDS = 30.0


class Collected:
    """Batches of a feed, and a wait for what they tell."""

    def __init__(self) -> None:
        self.batches: list[Arrival] = []
        self._changed = threading.Condition()

    def __call__(self, batch: Arrival) -> None:
        with self._changed:
            self.batches.append(batch)
            self._changed.notify_all()

    def until(self, last: object) -> Arrival:
        """Wait for a batch of which `last(batch)` is true, and return it."""
        with self._changed:
            assert self._changed.wait_for(lambda: any(map(last, self.batches)), PATIENCE_SECONDS)
            return next(batch for batch in self.batches if last(batch))

    def history(self) -> History:
        """What the batches add up to."""
        history = History()
        for batch in self.batches:
            history.add(batch.digest, older=batch.older)
        return history


@pytest.fixture
def feeds() -> Iterator[list[Feed]]:
    """Feeds to stop when the test is over."""
    started: list[Feed] = []
    yield started
    for feed in started:
        feed.stop()


def _follow(feeds: list[Feed], run: RunDirectory, **sizes: int) -> Collected:
    collected = Collected()
    feeds.append(Feed(run, collected, **sizes))
    feeds[-1].start()
    return collected


def _append(run: RunDirectory, *events: Line) -> None:
    with run.events.open("ab") as log:
        for event in events:
            log.write(json.dumps(event).encode() + b"\n")


def _complete(batch: Arrival) -> bool:
    return batch.complete


@pytest.mark.parametrize(("tail", "block"), [(3_000, 2_000), (9_000, 40_000), (1 << 20, 1 << 20)])
def test_history_and_state_are_those_of_the_whole_log_however_it_is_cut(
    tmp_path: Path, feeds: list[Feed], tail: int, block: int
):
    run = make_run(tmp_path)
    collected = _follow(feeds, run, tail_bytes=tail, block_bytes=block)
    last = collected.until(_complete)
    expected = reduce(typed(read_lines(run.events)), initial(run.read()))
    assert last.state == observed(expected, alive=False)
    history, whole = collected.history(), History()
    whole.add(typed(console_events()))
    assert history.marks() == whole.marks()
    assert history.entries == whole.entries
    assert history.sample_steps == whole.sample_steps
    assert history.window("loss.combined", 1, 60, 60).count.sum() == 59  # one was not finite


def test_end_of_the_log_comes_first_and_alone(tmp_path: Path, feeds: list[Feed]):
    run = make_run(tmp_path)
    collected = _follow(feeds, run, tail_bytes=5_000, block_bytes=5_000)
    collected.until(_complete)
    first, *rest = collected.batches
    assert not first.older
    last = console_events()[-len(first.events) :]
    assert 0 < len(json.dumps(last)) < 10_000
    assert first.events == typed(last)
    assert first.state.phase is Phase.FINISHED
    assert all(batch.older for batch in rest)
    assert [batch.complete for batch in collected.batches] == [False] * len(rest) + [True]


def test_log_that_is_not_there_yet_is_followed_once_it_is(tmp_path: Path, feeds: list[Feed]):
    run = make_run(tmp_path, [])
    run.events.unlink()
    run.update(created=0.0)
    collected = _follow(feeds, run)
    assert collected.until(_complete).events == []
    events = console_events()
    _append(run, *events[:5])
    assert collected.until(lambda batch: len(batch.events) > 0).state.step > 0
    _append(run, *events[5:9])
    collected.until(lambda batch: batch.events and batch.events[-1].seq == 9)
    assert [event for batch in collected.batches for event in batch.events] == typed(events[:9])
    assert not any(batch.older for batch in collected.batches)


def test_run_made_just_now_is_starting_until_its_process_holds_the_lock(tmp_path: Path, feeds: list[Feed]):
    run = make_run(tmp_path, [])
    created = run.read()["created"]
    for seconds, phase in ((5, Phase.STARTING), (500, Phase.CRASHED)):
        collected = Collected()
        feeds.append(Feed(run, collected, lambda seconds=seconds: created + seconds))
        feeds[-1].start()
        assert collected.until(_complete).state.phase is phase


def test_death_of_the_process_is_told_by_its_lock(tmp_path: Path, feeds: list[Feed]):
    run = make_run(tmp_path, killed_events())
    lock = os.open(run.lock, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    collected = _follow(feeds, run)
    living = collected.until(_complete)
    assert living.alive
    assert not living.state.ended
    os.close(lock)
    dead = collected.until(lambda batch: not batch.alive)
    assert dead.state.phase is Phase.CRASHED


def test_torn_and_damaged_lines_are_counted_wherever_they_are(tmp_path: Path, feeds: list[Feed]):
    run = make_run(tmp_path)
    lines = run.events.read_bytes().splitlines(keepends=True)
    lines[3:3] = [b"not an event\n", b'{"type":"step"}\n']
    lines[-1:-1] = [b"\xff\xfe\n"]
    run.events.write_bytes(b"".join(lines) + TORN_LINE)
    collected = _follow(feeds, run, tail_bytes=4_000, block_bytes=4_000)
    last = collected.until(_complete)
    assert last.damaged == 3
    assert last.state.step == 60
    with run.events.open("ab") as log:
        log.write(b"\n")
    _append(run, {"type": "paused", "seq": 10_000, "time": 1.0, "step": 60})
    assert collected.until(lambda batch: batch.damaged == 4).events[-1] == PausedEvent(10_000, 1.0, 60)


def test_what_is_written_while_earlier_log_is_read_is_part_of_the_state(tmp_path: Path, feeds: list[Feed]):
    run = make_run(tmp_path, console_events()[:-1])
    late = {"type": "warning", "seq": 10_000, "time": 2e9, "code": "x", "message": "late", "advice": ""}
    collected = Collected()

    def on_batch(batch: Arrival) -> None:
        if not collected.batches:
            _append(run, late)
        collected(batch)

    feeds.append(Feed(run, on_batch, tail_bytes=2_000, block_bytes=8_000))
    feeds[-1].start()
    collected.until(lambda batch: typed([late])[0] in batch.events)
    state = collected.until(_complete).state
    assert state == observed(reduce(typed(read_lines(run.events)), initial(run.read())), alive=False)


def test_log_that_is_a_link_is_told_as_a_problem_and_not_read(tmp_path: Path, feeds: list[Feed]):
    run = make_run(tmp_path)
    run.events.rename(tmp_path / "elsewhere")
    run.events.symlink_to(tmp_path / "elsewhere")
    collected = _follow(feeds, run)
    problem = collected.until(lambda batch: batch.problem is not None)
    assert "no regular file" in problem.problem
    assert problem.events == []


def test_nothing_is_handed_over_once_stopped(tmp_path: Path):
    run = make_run(tmp_path)
    collected, stopping = Collected(), threading.Event()

    def on_batch(batch: Arrival) -> None:
        collected(batch)
        if len(collected.batches) == 3:
            feed.stop()  # from the feed's own thread
            stopping.set()

    feed = Feed(run, on_batch, tail_bytes=2_000, block_bytes=1_000)
    feed.start()
    assert stopping.wait(PATIENCE_SECONDS)
    feed.stop()
    assert len(collected.batches) == 3


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_outline_of_any_events_adds_up_to_the_same_state(data: st.DataObject):
    events = data.draw(st.lists(st.sampled_from(typed(console_events())), max_size=40))
    assert reduce(outline(events)) == reduce(events)
    cut = data.draw(st.integers(0, len(events)))
    assert reduce([*outline(events[:cut]), *outline(events[cut:])]) == reduce(events)


def test_outline_leaves_out_nearly_all_of_a_long_run():
    steps = typed(event for event in console_events() if event["type"] in ("step", "sample"))
    assert len(outline(steps)) <= 2
    assert outline([]) == []
    assert reduce(outline(steps)) == reduce(steps) != RunState()


@settings(deadline=None, max_examples=60)
@given(
    lines=st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=20),
    size=st.integers(1, 80),
    data=st.data(),
)
def test_blocks_read_backwards_hold_every_line_once_in_order(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], size: int, data: st.DataObject
):
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines) + b"torn")
    count = data.draw(st.integers(0, len(lines)))
    end = sum(len(line) + 1 for line in lines[:count])
    blocks = list(blocks_before(path, end, size))
    assert list(itertools.chain.from_iterable(found for _, found in reversed(blocks))) == lines[:count]
    starts = [start for start, _ in blocks]
    assert starts == sorted(starts, reverse=True)
    assert starts[-1:] == ([0] if end else [])


def test_numbers_that_a_run_declares_while_it_is_followed_are_read_from_then_on(
    tmp_path: Path, feeds: list[Feed]
):
    first = Declared(groups=FOREIGN.groups[:1], grids=FOREIGN.grids, target="target")
    events = foreign_events(20)
    run = make_foreign_run(tmp_path, [line for line in events if line.get("step", 0) <= 10], declared=first)
    collected = _follow(feeds, run)
    collected.until(_complete)
    run.write(foreign_run_json(FOREIGN))
    told = {"type": "declared", "seq": 10_000, "time": 1.0, "step": 10}
    _append(
        run, told, *({**line, "seq": line["seq"] + 20_000} for line in events if line.get("step", 0) > 10)
    )
    collected.until(lambda batch: bool(batch.state and batch.state.step == 20))
    history, last = collected.history(), next(line for line in events[::-1] if line["type"] == "step")
    assert history.declared == FOREIGN
    assert history.window("loss.total", 1, 20, 1).count.tolist() == [20]
    assert history.window("accuracy.cells", 1, 20, 1).count.tolist() == [10]
    assert history.latest("accuracy.cells") == pytest.approx(last["accuracy"]["cells"], rel=1e-6)
