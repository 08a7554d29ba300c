"""Logs of many steps: what a command holds in memory does not grow with them, and nothing else changes."""

import io
import json
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from raw_events import Line, counting, read_lines, typed
from recordings import console_events, make_run

from arc_core.run.directory import RunDirectory
from arc_core.run.events import (
    EventReader,
    counting_events,
    drop_superseded,
    read_events,
)
from arc_core.run.outlined import outlined
from arc_tui.commands.export import export_csv
from arc_tui.commands.headless import PlainOutput
from arc_tui.commands.status import known_of, show_events
from arc_tui.runs.state import reduce

MOST_BYTES = 40 << 20


def long_run(folder: Path, steps: int) -> RunDirectory:
    """A run whose last 500 steps were taken back and taken again."""
    recorded = console_events()
    step = next(event for event in recorded if event["type"] == "step")
    run = make_run(folder, recorded[:1], f"of_{steps}")
    resumed = {"type": "resumed", "step": steps - 500, "checkpoint": None, "supersedes": steps - 499}
    numbers = [*range(1, steps + 1), None, *range(steps - 499, steps + 1)]
    with run.events.open("a", encoding="ascii") as log:
        for seq, number in enumerate(numbers, 2):
            event = step | {"step": number} if number is not None else resumed
            log.write(json.dumps(event | {"seq": seq, "time": 1.8e9 + seq}, separators=(",", ":")) + "\n")
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDirectory, RunDirectory]:
    folder = tmp_path_factory.mktemp("long")
    return long_run(folder, 10_000), long_run(folder, 25_000)


def export(run: RunDirectory) -> object:
    return export_csv(run.events, run.path / "numbers.csv")


def logs(run: RunDirectory) -> object:
    stream = io.StringIO()
    show_events(run, PlainOutput(stream), following=False)
    return stream.getvalue()


def peak_of(use: Callable[[RunDirectory], object], run: RunDirectory) -> int:
    tracemalloc.start()
    try:
        use(run)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize("use", [known_of, logs, export])
def test_memory_does_not_grow_with_the_log(
    use: Callable[[RunDirectory], object], runs: tuple[RunDirectory, RunDirectory]
):
    short, long = runs
    assert long.events.stat().st_size > 25 << 20
    least = peak_of(use, short)
    assert peak_of(use, long) < min(1.3 * least, MOST_BYTES)


@pytest.mark.slow
def test_a_long_run_is_told_as_it_was(runs: tuple[RunDirectory, RunDirectory]):
    run, _ = runs
    found, _ = known_of(run)
    assert (found["step"], found["last_step"]["seq"], found["starts"]) == (10_000, 10_502, 2)
    assert export(run) == 10_000
    rows = (run.path / "numbers.csv").read_text().splitlines()
    at = rows[0].split(",").index("step")
    assert [int(row.split(",")[at]) for row in rows[1:]] == [*range(1, 10_001)]
    assert str(logs(run)).count("[Batch") == sum(
        (event["batch"] + 1) % 10 == 0 for event in counting(read_lines(run.events)) if "batch" in event
    )


PHASES = ("requested", "saved", "verified", "failed", "of another version")


def scrambled(dice: random.Random) -> list[Line]:
    """Events of every kind in any order, with resumes that reach back any distance."""
    kinds = (
        *("step", "step", "step", "sample", "evidence", "validation", "epoch", "checkpoint", "warning"),
        *("run_started", "command_applied", "paused", "unpaused", "resumed", "run_finished"),
    )
    events: list[Line] = []
    for seq in range(1, dice.randrange(5, 80)):
        kind = dice.choice(kinds)
        event: Line = {"type": kind, "seq": seq, "time": 1.8e9 + seq, "step": dice.randrange(20)}
        if kind == "resumed":
            event |= {"supersedes": dice.randrange(seq), "checkpoint": dice.randrange(9)}
        if kind == "command_applied":
            event |= {"command": dice.choice(("pause", "resume"))}
        if kind == "checkpoint":
            event |= {"id": dice.randrange(9), "phase": dice.choice(PHASES)}
        events.append(event)
    return events


@pytest.mark.parametrize(
    "spaces", [(",", ":"), (", ", ": ")], ids=["as written", "written by another program"]
)
def test_streaming_tells_what_reading_it_whole_tells(
    tmp_path: Path, spaces: tuple[str, str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        "arc_core.run.events.CHUNK_BYTES", 700
    )  # so that steps go on from one block to the next
    dice, outlines = random.Random(7), 0
    log = tmp_path / "events.jsonl"
    for _ in range(300):
        lines = [json.dumps(event, separators=spaces) for event in scrambled(dice)]
        for at in range(0, len(lines), 7):
            lines[at] = dice.choice((lines[at], lines[at][:-9], "{}"))  # some are damaged
        log.write_text("".join(line + "\n" for line in lines))
        events = read_events(log)
        reader = EventReader(log)
        assert [*counting_events(reader)] == drop_superseded(events)
        assert reader.damaged == len(lines) - len(events)
        assert reader.poll() == []
        found = [*outlined(EventReader(log))]
        assert reduce(found) == reduce(events)
        outlines += len(found) < len(events)
    assert outlines > 150


def test_resume_that_does_not_say_what_it_takes_back_takes_nothing(tmp_path: Path):
    log = tmp_path / "events.jsonl"
    events = [
        {"type": kind, "seq": seq} for seq, kind in enumerate(("step", "checkpoint", "resumed", "step"), 1)
    ]
    log.write_text("".join(json.dumps(event) + "\n" for event in events))
    assert [*counting_events(EventReader(log))] == drop_superseded(typed(events)) == typed(events)
