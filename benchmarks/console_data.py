"""What a long history costs the console: attaching to it, keeping it, drawing it.

    python -m benchmarks.console_data [--steps 1000000]

Machines are shared and noisy: the cost of a frame is told as a ratio of two lengths measured in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import random
import resource
import statistics
import tempfile
import threading
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from textual.app import App, ComposeResult

from arc_core.pipeline.declared import declared_by
from arc_core.run.directory import RunDirectory, create_run
from arc_core.run.event_forms import CheckpointEvent, StepEvent, ValidationEvent
from arc_core.run.events import EventReader, parse_event
from arc_tui.drawing import charts
from arc_tui.drawing.charts import Curve, Plot
from arc_tui.looks.themes import load_theme
from arc_tui.runs.columns import Columns
from arc_tui.runs.digest import Digest, Place, Placed, StepTable, digested, step_table
from arc_tui.runs.feed import Arrival, Feed
from arc_tui.runs.history import History
from arc_tui.runs.marks import Mark, MarkKind
from arc_tui.ui.chart import Chart, ChartSeries
from benchmarks.long_log import CHECKPOINT_EVERY, VALIDATED, VARIANTS, step_fields, write_log

NOT_FINITE_EVERY = 97
WIDTH, HEIGHT = 160, 45
PATIENCE_SECONDS = 600.0
DECLARED = declared_by({})


@dataclass(frozen=True)
class Attached:
    """How long it took from the start of a feed.

    Attributes:
        first_seconds: Until the end of the log was in the history and its chart was drawn.
        whole_seconds: Until all of it was.
        longest_add_seconds: The longest that the console's own thread was busy with one batch.
        batches: How many batches came.
    """

    first_seconds: float
    whole_seconds: float
    longest_add_seconds: float
    batches: int


def attach(run: RunDirectory) -> tuple[Attached, History]:
    """Read a run as the console does, and draw its loss as soon as there is something to draw."""
    history, arrived = History(), threading.Condition()
    waiting: list[Arrival] = []

    def on_batch(batch: Arrival) -> None:
        with arrived:
            waiting.append(batch)
            arrived.notify()

    feed = Feed(run, on_batch)
    began = time.perf_counter()
    feed.start()
    first, longest, count, complete = 0.0, 0.0, 0, False
    while not complete:
        with arrived:
            assert arrived.wait_for(lambda: bool(waiting), PATIENCE_SECONDS)
            batch = waiting.pop(0)
        assert batch.problem is None, batch.problem
        assert batch.digest is not None
        start = time.perf_counter()
        history.add(batch.digest, older=batch.older)
        if not count:
            draw_loss(history)
            first = time.perf_counter() - began
        longest = max(longest, time.perf_counter() - start) if count else 0.0
        count, complete = count + 1, batch.complete
    whole = time.perf_counter() - began
    feed.stop()
    return Attached(first, whole, longest, count), history


@dataclass(frozen=True)
class ReadingCost:
    """Median microseconds a line of a log, measured in turns.

    Attributes:
        decoded: Its JSON alone.
        read: Until its event is there.
        digested: Until its numbers are out of the event too, as the console needs them.
    """

    decoded: float
    read: float
    digested: float


def reading_cost(log: Path, lines: int = 2000, rounds: int = 40) -> ReadingCost:
    """Measure what the first lines of a log cost to read."""
    known = next(EventReader(log).blocks()).split(b"\n")[:lines]
    decode = json.JSONDecoder().decode
    ways: tuple[Callable[[], object], ...] = (
        lambda: deque((decode(line.decode()) for line in known), maxlen=0),
        lambda: deque((parse_event(line) for line in known), maxlen=0),
        lambda: digested((event for line in known if (event := parse_event(line)) is not None), DECLARED),
    )
    seconds: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for way, found in zip(ways, seconds, strict=True):
            began = time.perf_counter()
            way()
            found.append(time.perf_counter() - began)
    return ReadingCost(*(1e6 * statistics.median(found) / len(known) for found in seconds))


def filled_history(steps: int) -> History:
    """Return the history of a run of so many steps, with as many marks as it can keep."""
    history, rng = History(), random.Random(0)
    table = step_table(
        [StepEvent(n, 0.0, {"step": n, **step_fields(n, rng)}) for n in range(1, VARIANTS + 1)],
        Columns.of(DECLARED),
    )
    for first in range(0, steps, 50_000):
        numbers = np.arange(first, min(first + 50_000, steps))
        part = dataclasses.replace(table.select(numbers % len(table)), steps=numbers + 1, seqs=numbers + 1)
        history.add(Digest(DECLARED, part, tuple(_not_finite(part)), tuple(_told(part)), (), None))
    return history


def _not_finite(table: StepTable) -> Iterator[Mark]:
    for step in table.steps[table.steps % NOT_FINITE_EVERY == 0].tolist():
        yield Mark(MarkKind.NAN, step, step, 0.0, "not finite: loss.risk", ("loss.risk",))


def _told(table: StepTable) -> Iterator[Placed]:
    for step in table.steps[table.steps % CHECKPOINT_EVERY == 0].tolist():
        saved = CheckpointEvent(step, 0.0, step, step, "verified", "interval", None, 0.2)
        validated = ValidationEvent(step, 0.0, {"step": step, **VALIDATED})
        yield from (Placed(event, Place(step, None)) for event in (saved, validated))


def draw_loss(history: History, width: int = WIDTH, height: int = HEIGHT) -> int:
    """Draw the loss chart over the whole run; return the runs of styled text in it."""
    first, last = history.first_step, history.last_step
    curves: list[Curve] = []
    for name, line, raw in (("loss.combined", "ema", "raw"), ("loss.efe_total", "ema.efe", "raw.efe")):
        window = history.window(name, first, last, 2 * charts.plot_cells(width))
        smooth = history.smoothed(name, window, max((last - first) / 50, 3.0))
        curves.append(Curve(name, window, smooth, line, raw))
    rows = charts.draw(Plot(first, last, curves, history.mark_steps(first, last)), width, height)
    return sum(map(len, rows))


@dataclass(frozen=True)
class FrameCost:
    """Median seconds of a frame of the loss chart at two lengths of a run, measured in turns."""

    short: float
    long: float

    @property
    def ratio(self) -> float:
        """How much more the long run costs."""
        return self.long / self.short


def frame_cost(short: int, long: int, rounds: int = 40) -> FrameCost:
    """Measure a frame of the loss chart over a whole run of either length."""
    histories = [filled_history(steps) for steps in (short, long)]
    seconds: list[list[float]] = [[], []]
    for _ in range(rounds):
        for history, found in zip(histories, seconds, strict=True):
            began = time.perf_counter()
            draw_loss(history)
            found.append(time.perf_counter() - began)
    return FrameCost(*(statistics.median(found) for found in seconds))


class _ChartApp(App[None]):
    """The loss chart alone."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = load_theme()
        curves = (("loss.combined", "ema", "raw"), ("loss.efe_total", "ema.efe", "raw.efe"))
        self.chart = Chart()
        self.series = [ChartSeries(name, name, line, raw) for name, line, raw in curves]

    def compose(self) -> ComposeResult:
        """Make the chart."""
        yield self.chart


async def painted_frame_cost(short: int, long: int, rounds: int = 40) -> FrameCost:
    """Measure the same in the console's own widget, every line painted in a theme's colours."""
    histories = [filled_history(steps) for steps in (short, long)]
    seconds: list[list[float]] = [[], []]
    app = _ChartApp()
    async with app.run_test(size=(WIDTH, HEIGHT)):
        for _ in range(rounds):
            for history, found in zip(histories, seconds, strict=True):
                began = time.perf_counter()
                app.chart.show_curves([(history, series) for series in app.series])
                for y in range(HEIGHT):
                    app.chart.render_line(y)
                found.append(time.perf_counter() - began)
    return FrameCost(*(statistics.median(found) for found in seconds))


def history_memory(steps: int) -> tuple[int, int]:
    """Return the bytes that a history of so many steps takes: all of it, and its curves alone."""
    tracemalloc.start()
    history = filled_history(steps)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return taken, history.bytes


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print.

    Args:
        arguments: The command line; None takes that of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    steps = parser.parse_args(arguments).steps
    with tempfile.TemporaryDirectory() as folder:
        run = create_run(Path(folder), "long", {"created": 0.0})
        size = write_log(run.events, steps)
        print(f"log of {steps:,} steps: {size / 1e9:.2f} GB")
        line = reading_cost(run.events)
        read, taken = line.read / line.decoded, line.digested / line.decoded
        print(f"  {line.decoded:.1f} us to decode the JSON of a line; {read:.2f} times that for its event")
        print(f"  and {taken:.2f} times that with the numbers taken out")
        before = resource.getrusage(resource.RUSAGE_SELF)
        found, history = attach(run)
        after = resource.getrusage(resource.RUSAGE_SELF)
        assert (history.first_step, history.last_step) == (1, steps)
    print(f"  first frame {1e3 * found.first_seconds:.0f} ms after attaching")
    print(f"  all of it after {found.whole_seconds:.1f} s in {found.batches} batches")
    print(f"  longest batch {1e3 * found.longest_add_seconds:.0f} ms on the console's own thread")
    print(f"  {after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:.1f} s of CPU time")
    print(f"  {after.ru_maxrss / 1e3:.0f} MB of memory in the whole process at most")
    cost = frame_cost(1000, steps)
    print(f"frame of the loss chart at {WIDTH}x{HEIGHT}: {1e3 * cost.short:.1f} ms at 1,000 steps")
    print(f"  {1e3 * cost.long:.1f} ms at {steps:,} steps: {cost.ratio:.2f} times as much")
    cost = asyncio.run(painted_frame_cost(1000, steps))
    print(f"the same in its widget, painted: {1e3 * cost.short:.1f} ms at 1,000 steps")
    print(f"  {1e3 * cost.long:.1f} ms at {steps:,} steps: {cost.ratio:.2f} times as much")
    taken, curves = history_memory(steps)
    print(
        f"memory of the history at {steps:,} steps: {taken / 1e6:.1f} MB, {curves / 1e6:.1f} MB of it curves"
    )


if __name__ == "__main__":
    main()
