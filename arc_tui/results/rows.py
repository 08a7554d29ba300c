"""The lists of the browser of results as rows: as many columns as there is room for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from arc_core.base.text import printable
from arc_tui.drawing.rows import Row, fill, sized
from arc_tui.drawing.text import when
from arc_tui.results.evaluations import EvalSummary, State, TaskResult
from arc_tui.results.groups import GLYPHS, STYLES
from arc_tui.results.pair import PairedTask, PairOutcome
from arc_tui.results.text import cells_of, rules, share, solved_inputs, votes

SHORTEST_ID, LONGEST_ID = 8, 20
NARROW = 96
"""Cells below which names of evaluations are cut shorter."""


@dataclass(frozen=True)
class _Column:
    """A column of a list of tasks.

    Attributes:
        head: What stands above it.
        cells: Its width.
        text: What stands in it.
        sort: The order that sorts by it; empty for none.
        left: Whether it is set to the left.
    """

    head: str
    cells: int
    text: Callable[[TaskResult], str]
    sort: str = ""
    left: bool = False


COLUMNS: tuple[_Column, ...] = (
    _Column("CELLS", 6, lambda found: share(found.cells), "cells"),
    _Column("SIZE", 8, rules, left=True),
    _Column("VOTES", 6, lambda found: votes(found.confidence), "confidence"),
    _Column("IN", 4, solved_inputs),
    _Column("FITS", 5, lambda found: _of_answer(found, "{0.fit}/{0.demonstrations}")),
    _Column("STEPS", 7, lambda found: _of_answer(found, "{0.steps:,}")),
    _Column("SECONDS", 8, lambda found: _of_answer(found, "{0.seconds:.1f}")),
)
"""The columns of a task beside its sign and id, those that are wanted most first."""


def id_cells(ids: Sequence[str]) -> int:
    """Return how wide a column for these ids is."""
    return min(max(map(len, ids), default=SHORTEST_ID), LONGEST_ID)


def task_heading(cells: int, wide: int, order: str, *, reverse: bool) -> Row:
    """Write what stands above the tasks of an evaluation.

    Args:
        cells: Width.
        wide: Of the ids.
        order: What they are sorted by.
        reverse: Whether the other way round.
    """
    falling = (order != "id") is not reverse
    arrow = "▼" if falling else "▲"
    text = f"   {sized('TASK' + (arrow if order == 'id' else ''), wide, left=True)}"
    for column in _fitting(cells, wide):
        text += " " + sized(
            column.head + (arrow if column.sort == order else ""), column.cells, left=column.left
        )
    return fill([(text, "muted")], cells)


def task_row(found: TaskResult, cells: int, wide: int) -> Row:
    """Write a task of an evaluation."""
    row: Row = [(f" {GLYPHS[found.state]} ", STYLES[found.state])]
    quiet = found.state is State.PENDING or found.failure is not None
    row.append((sized(printable(found.id, wide), wide, left=True), "muted" if quiet else "text"))
    if quiet:
        return fill(
            [*row, (f" {printable(found.failure or found.state.value, 300)}", STYLES[found.state])], cells
        )
    for column in _fitting(cells, wide):
        row.append((" " + sized(column.text(found), column.cells, left=column.left), "text"))
    return fill(row, cells)


def pair_heading(cells: int, wide: int) -> Row:
    """Write what stands above the tasks of two evaluations."""
    size = f"{'SIZE':<8} " if _has_size(cells, wide) else ""
    return fill([(f" A B {sized('TASK', wide, left=True)} {size}{'CELLS':>5} {'':>5}", "muted")], cells)


def pair_row(found: PairedTask, cells: int, wide: int) -> Row:
    """Write a task of two evaluations; what only one has solved stands out."""
    states = found.first.state, found.second.state
    one_alone = found.outcome in (PairOutcome.FIRST, PairOutcome.SECOND)
    row: Row = [(f" {GLYPHS[state]}", STYLES[state]) for state in states]
    row.append((f" {sized(printable(found.id, wide), wide, left=True)}", "title" if one_alone else "text"))
    size = f" {rules(found.first)[:8]:<8}" if _has_size(cells, wide) else ""
    first, second = cells_of(found)
    row.append((f"{size} {first:>5} {second:>5}", "text"))
    return fill(row, cells)


def _has_size(cells: int, wide: int) -> bool:
    """Whether there is room for the size rule beside a task of two evaluations."""
    return cells >= wide + 26


def eval_heading(cells: int) -> Row:
    """Write what stands above the evaluations."""
    name, dataset = _eval_cells(cells)
    text = f"   {'EVALUATION':<{name}}{'DATASET':<{dataset}}{'DONE':>9}{'SOLVED':>8}  BEGUN"
    return fill([(text, "muted")], cells)


def eval_row(one: EvalSummary, cells: int, *, marked: bool) -> Row:
    """Write an evaluation."""
    wide, of_set = _eval_cells(cells)
    name = f" {'◆' if marked else ' '} {sized(printable(one.path.name, wide - 1), wide - 1)} "
    if one.problem is not None:
        return fill([(name, "text"), (printable(one.problem, 300), "error")], cells)
    done = f"{one.done}/{one.tasks}"
    solved = "-" if one.solved is None else str(one.solved)
    text = f"{sized(printable(one.dataset, of_set - 1), of_set - 1)} {done:>9}{solved:>8}  {when(one.begun)}"
    return fill([(name, "text"), (text, "text" if one.done == one.tasks else "muted")], cells)


def _eval_cells(cells: int) -> tuple[int, int]:
    """Return how wide the columns of an evaluation's name and dataset are."""
    return (28, 24) if cells >= NARROW else (20, 19)


def _fitting(cells: int, wide: int) -> list[_Column]:
    """Return the columns that fit, up to the first that does not."""
    left = cells - 3 - wide
    found: list[_Column] = []
    for column in COLUMNS:
        left -= column.cells + 1
        if left < 0:
            break
        found.append(column)
    return found


def _of_answer(found: TaskResult, form: str) -> str:
    return "-" if found.effort is None else form.format(found.effort)
