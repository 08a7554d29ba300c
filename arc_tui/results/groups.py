"""A task's answers as groups of grids: input, both attempts and the output, and the demonstrations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from arc_core.base.text import printable
from arc_core.data.grids import Grid, to_rows
from arc_core.data.scoring import cell_accuracy
from arc_core.evaluation.folder import InputAnswer
from arc_tui.drawing.grids import GridPicture
from arc_tui.drawing.groups import Group
from arc_tui.drawing.rows import Run
from arc_tui.results.evaluations import State, TaskResult, both
from arc_tui.results.pair import PairedTask

GLYPHS = {
    State.SOLVED: "✓",
    State.FAILED: "✗",
    State.UNKNOWN: "?",
    State.PENDING: "·",
    State.DAMAGED: "!",
}
"""The sign beside each state, as colour is never alone."""

STYLES = {
    State.SOLVED: "good",
    State.FAILED: "error",
    State.UNKNOWN: "muted",
    State.PENDING: "muted",
    State.DAMAGED: "warning",
}


def demonstration_groups(found: TaskResult) -> list[Group]:
    """Return each demonstration: its input and its output."""
    return [
        Group(
            ((f"demonstration {number}", "title"),),
            (picture("input", pair.input), picture("output", cast(Grid, pair.output))),
            rank=1,
        )
        for number, pair in enumerate(found.task.train)
    ]


def input_groups(found: TaskResult) -> list[Group]:
    """Return each test input: itself, both attempts with their wrong cells marked, and its output.

    Without answers there is the input, and the output where it is known.
    """
    return [_input_group(found, number) for number in range(len(found.task.test))]


def brief_groups(found: TaskResult) -> list[Group]:
    """Return for each test input the better attempt and the output alone; see `input_groups`."""
    groups: list[Group] = []
    for number, group in enumerate(input_groups(found)):
        truth = found.truths[number]
        pictures = group.pictures
        if found.answer is not None and found.failure is None and truth is not None:
            first, second = (cell_accuracy(grid, truth) for grid in both(_answer(found, number)))
            pictures = (pictures[2 if second > first else 1], pictures[3])
        groups.append(Group(group.title, pictures))
    return groups


def result_groups(found: TaskResult, *, demonstrations: bool = True) -> list[Sequence[Group]]:
    """Return what may be shown of a task, what is wanted most first; the last is what may be scrolled.

    Args:
        found: The task.
        demonstrations: Whether they are wanted.
    """
    tests = input_groups(found)
    everything = [*tests, *demonstration_groups(found)] if demonstrations else tests
    return [everything, tests, brief_groups(found), everything]


def paired_groups(found: PairedTask, names: tuple[str, str]) -> list[Sequence[Group]]:
    """Return what may be shown of a task in two evaluations.

    Args:
        found: The task.
        names: Of the two, safe to print.
    """
    groups, brief = list[Group](), list[Group]()
    for number, pair in enumerate(found.first.task.test):
        shown = [picture("input", pair.input)]
        if pair.output is not None:
            shown.append(picture("output", pair.output))
        groups.append(Group(((f"test {number}", "title"),), tuple(shown)))
        for name, one in zip(names, (found.first, found.second), strict=True):
            if one.answer is None or one.failure is not None:
                groups.append(Group(((name, "title"), (f"  {_why_none(one)}", "muted"))))
                continue
            whole = _input_group(one, number)
            title = ((name, "title"), *whole.title[1:])
            groups.append(Group(title, whole.pictures[1:3]))
            brief.append(Group(title, brief_groups(one)[number].pictures))
    return [groups, brief or groups]


def picture(name: str, grid: Grid, target: Grid | None = None) -> GridPicture:
    """Return a grid to draw.

    Args:
        name: What it is.
        grid: int8 [h, w].
        target: What it is held against; None marks nothing.
    """
    return GridPicture(name, tuple(to_rows(grid)), None if target is None else tuple(to_rows(target)))


def judged(solved_by: int | None) -> Run:
    """Write whether a test input is solved, and by which attempt."""
    if solved_by is None:
        return "? output not known", "muted"
    return (f"✓ solved by attempt {solved_by}", "good") if solved_by else ("✗ not solved", "error")


def _why_none(found: TaskResult) -> str:
    return printable(found.failure or "no answer yet", 200)


def _answer(found: TaskResult, number: int) -> InputAnswer:
    assert found.answer is not None
    return found.answer.inputs[number]


def _input_group(found: TaskResult, number: int) -> Group:
    pair, truth = found.task.test[number], found.truths[number]
    title: list[Run] = [(f"test {number}", "title")]
    pictures = [picture("input", pair.input)]
    if found.answer is None or found.failure is not None:
        title.append((f"  {_why_none(found)}", STYLES[found.state]))
    else:
        answer = _answer(found, number)
        sign, style = judged(found.solved_by[number])
        first, second = answer.confidence
        title.append((f"  {sign}", style))
        if not math.isnan(first):
            title.append((f"  votes {first:.0%} and {second:.0%}", "muted"))
        pictures += [picture(f"attempt {place}", grid, truth) for place, grid in enumerate(both(answer), 1)]
    if truth is not None:
        pictures.append(picture("output", truth))
    return Group(tuple(title), tuple(pictures))
