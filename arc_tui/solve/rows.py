"""A task while it is solved, as grids and rows: its pairs, how well each fits, the loss, and the votes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from arc_core.base.text import printable
from arc_core.data.grids import to_rows
from arc_core.data.tasks import Task
from arc_tui.drawing.bars import progress_bar, share_bar, sparkline
from arc_tui.drawing.grids import GridPicture
from arc_tui.drawing.groups import Group
from arc_tui.drawing.rows import Row, Run, cut, spread
from arc_tui.results.evaluations import TaskResult
from arc_tui.results.groups import brief_groups, input_groups
from arc_tui.results.text import share
from arc_tui.runs.fields import duration
from arc_tui.runs.samples import Grid, cell_accuracy
from arc_tui.solve.state import Look, SolveStage, SolveState, changed_cells

LABEL = 16
"""Cells of the name of a pair or an attempt."""
MOST_BAR = 40
NEARLY = 0.99
"""A share at the bottom of a course that was never lower."""

GLYPHS = {
    SolveStage.STARTING: "◌",
    SolveStage.ADAPTING: "●",
    SolveStage.VOTING: "◐",
    SolveStage.ANSWERED: "◆",
}
"""The sign beside each stage, as colour is never alone."""

STYLES = {
    SolveStage.STARTING: "state.starting",
    SolveStage.ADAPTING: "state.running",
    SolveStage.VOTING: "state.saving",
    SolveStage.ANSWERED: "state.finished",
}


@dataclass(frozen=True)
class Shown:
    """What is shown of a task that is being solved.

    Attributes:
        task: With what is known of its test outputs, which are not looked at before there are answers.
        state: What is known.
        cursor: Index of the look that is shown; None for the newest, and the answers once they are there.
    """

    task: Task
    state: SolveState
    cursor: int | None = None

    @property
    def look(self) -> Look | None:
        """The look that is shown; None before the first."""
        looks = self.state.looks
        return looks[-1 if self.cursor is None else min(self.cursor, len(looks) - 1)] if looks else None

    @property
    def result(self) -> TaskResult | None:
        """The answers; None while they are not there, or an earlier look is shown."""
        if self.state.answer is None or self.cursor is not None:
            return None
        return TaskResult(self.task, self.state.answer)


def pair_names(task: Task) -> list[str]:
    """Return the names of the demonstrations and the test inputs, in this order."""
    return [
        f"{kind} {n}"
        for kind, pairs in (("demonstration", task.train), ("test", task.test))
        for n in range(len(pairs))
    ]


def alternatives(shown: Shown, picked: int | None = None) -> list[Sequence[Group]]:
    """Return what may be shown as grids, what is wanted most first; the last is what may be scrolled.

    Args:
        shown: What is known.
        picked: Index of the only pair that is wanted, as `pair_names` has them; None for all.
    """
    trained = [_demonstration(shown, n) for n in range(len(shown.task.train))]
    short = [Group(group.title, group.pictures[1:2] or group.pictures, group.rank) for group in trained]
    if shown.result is not None:
        tests, brief = input_groups(shown.result), brief_groups(shown.result)
        if picked is None:
            return [[*tests, *trained], [*tests, *short], tests, brief, [*tests, *short]]
    else:
        tests = [_test(shown, n) for n in range(len(shown.task.test))]
        brief = [Group(group.title, group.pictures[-1:]) for group in tests]
        if picked is None:
            return [[*trained, *tests], [*short, *tests], [*short, *brief]]
    alone = len(trained)
    return [[trained[picked]] if picked < alone else [tests[picked - alone]]]


def _demonstration(shown: Shown, number: int) -> Group:
    pair, look = shown.task.train[number], shown.look
    target = _rows(pair.output)
    pictures = [GridPicture("input", _rows(pair.input))]
    if look is not None and number < len(look.demonstrations):
        pictures.append(GridPicture("now", look.demonstrations[number], target))
    pictures.append(GridPicture("output", target))
    title = ((f"demonstration {number}", "title"),)
    return Group(title, tuple(pictures), rank=0 if shown.result is None else 1)


def _test(shown: Shown, number: int) -> Group:
    title: list[Run] = [(f"test {number}", "title")]
    pictures = [GridPicture("input", _rows(shown.task.test[number].input))]
    look = shown.look
    if look is not None and number < len(look.queries):
        changes = _changes(shown, number)
        if len(changes) > 1:
            told = (
                "still" if not changes[-1] else f"{changes[-1]} cell{'' if changes[-1] == 1 else 's'} changed"
            )
            title.append((f"  {told}", "muted"))
        pictures.append(GridPicture("now", look.queries[number]))
    return Group(tuple(title), tuple(pictures))


def _looks(shown: Shown) -> Sequence[Look]:
    """Return the looks up to the one that is shown."""
    return shown.state.looks if shown.cursor is None else shown.state.looks[: shown.cursor + 1]


def _changes(shown: Shown, number: int) -> list[int]:
    """Return how many cells of a test input's prediction changed at each look; 0 at the first."""
    grids = [look.queries[number] for look in _looks(shown) if number < len(look.queries)]
    return [0, *itertools.starmap(changed_cells, itertools.pairwise(grids))]


def header_rows(shown: Shown, place: str, cells: int) -> list[Row]:
    """Draw the two lines at the top.

    Args:
        shown: What is known.
        place: Where the task is from.
        cells: Width.
    """
    stage, look = shown.state.stage, shown.state.looks[-1] if shown.state.looks else None
    left: Row = [(f" {printable(shown.task.id, 40)} ", "title")]
    left += [
        (f" {GLYPHS[stage]} {stage.value.upper()} ", STYLES[stage]),
        (f"  {printable(place, 60)}", "muted"),
    ]
    told = (
        "loading libraries, measuring the pace …"
        if look is None
        else f"loss {look.loss:.3g}  {_fits(shown, look)}"
    )
    if shown.state.answer is not None:
        answer = shown.state.answer
        told = (
            f"fits {answer.fit} of {answer.demonstrations}  {answer.steps:,} steps in {answer.seconds:.1f} s"
        )
    first = spread(left, [(told, "text"), (" ", "")], cells)
    step, steps = (look.step, look.steps) if look is not None else (0, 0)
    seconds = look.seconds if look is not None else math.nan
    start = _start(look)
    words = f" {step:,}/{steps:,}{start and f'  {start}'}  {duration(seconds)}"
    if stage not in (SolveStage.VOTING, SolveStage.ANSWERED):
        words += f"  eta {duration(shown.state.eta)}"
    row: Row = [(" step ", "")]
    row += progress_bar(step / steps if steps else 0.0, max(min(MOST_BAR, cells - len(words) - 7), 0))
    return [first, cut([*row, (words, "")], cells)]


def _start(look: Look | None) -> str:
    return "" if look is None or look.starts == 1 else f"start {look.start} of {look.starts}"


def _fits(shown: Shown, look: Look) -> str:
    wanted = [_rows(pair.output) for pair in shown.task.train]
    right = sum(found == target for found, target in zip(look.demonstrations, wanted, strict=False))
    return f"fits {right} of {len(wanted)}"


def fit_rows(shown: Shown, cells: int) -> list[Row]:
    """Draw how well each demonstration fits, how each test input still changes, and the votes.

    Args:
        shown: What is known.
        cells: Width.
    """
    looks = _looks(shown)
    if not looks and shown.result is None:
        return [[("waits for the first prediction", "muted")]]
    rows: list[Row] = []
    line = max(min(cells - LABEL - 14, MOST_BAR), 0)
    for number, pair in enumerate(shown.task.train):
        target = _rows(pair.output)
        grids = [look.demonstrations[number] for look in looks if number < len(look.demonstrations)]
        if grids:
            values = np.array([cell_accuracy(grid, target) for grid in grids])
            fits = grids[-1] == target
            end: Run = (f" {share(float(values[-1])):>4} {'✓' if fits else ' '}", "good" if fits else "text")
            course = _course(values, min(float(values.min()), NEARLY), 1.0, line)
            rows.append([(f"demonstration {number}".ljust(LABEL), "text"), course, end])
    for number in range(len(shown.task.test)):
        if shown.result is None:
            changes = np.array(_changes(shown, number), dtype=float)
            last = f"{changes[-1]:.0f} changed" if changes[-1] else "still"
            rows.append(
                [
                    (f"test {number}".ljust(LABEL), "text"),
                    _course(changes, 0.0, max(float(changes.max()), 1.0), line),
                    (f" {last:>4}", "muted"),
                ]
            )
    return [cut(row, cells) for row in rows + _votes(shown, line)]


def _votes(shown: Shown, line: int) -> list[Row]:
    """Draw the share of the votes of each attempt, and of what was not chosen."""
    if shown.result is None or shown.result.answer is None:
        return [[], [("the votes are counted once the adaptation is over", "muted")]]
    rows: list[Row] = []
    for number, answer in enumerate(shown.result.answer.inputs):
        first, second = answer.confidence
        rows.append([(f"test {number}", "title"), ("  votes", "muted")])
        for name, value, style in (
            ("attempt 1", first, "series.0"),
            ("attempt 2", second, "series.1"),
            ("others", max(1 - first - second, 0.0), "muted"),
        ):
            rows.append(
                [(name.ljust(LABEL), "text"), (share_bar(value, line), style), (f" {value:4.0%}", "text")]
            )
    return rows


def _course(values: np.ndarray, low: float, high: float, cells: int) -> Run:
    """Draw the course of a number between two others; of more values than cells, every so many."""
    if len(values) > cells > 0:
        values = values[np.linspace(0, len(values) - 1, cells).round().astype(int)]
    drawn = sparkline(np.array([low, high, *values]), cells + 2)[2:]
    return drawn.ljust(cells), "series.0"


def _rows(grid: np.ndarray | None) -> Grid:
    return () if grid is None else tuple(to_rows(grid))


def headline(shown: Shown, picked: int | None) -> Row:
    """Write which pair is shown and of which step."""
    names = pair_names(shown.task)
    what = "all pairs" if picked is None else f"{names[picked]}, {picked + 1} of {len(names)}"
    row: Row = [(f"{what} ", "")]
    look = shown.look
    if shown.result is not None:
        return [*row, ("◆ answers", "state.finished")]
    if look is None:
        return row
    live = shown.cursor is None
    start = _start(look)
    row.append((f"step {look.step:,}{start and f', {start}'} ", "muted"))
    return [*row, ("● live", "state.running") if live else ("‖ past", "state.pausing")]


def loss_points(state: SolveState) -> list[tuple[int, float]]:
    """Return the loss by step."""
    return [(look.step, look.loss) for look in state.looks]
