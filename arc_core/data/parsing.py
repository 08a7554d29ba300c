"""Checks ARC tasks as JSON gives them; every fault in them is one sentence."""

from dataclasses import dataclass, replace
from typing import Any, Self

from arc_core.base.errors import DataError
from arc_core.data.grids import Grid, parse_grid, printable
from arc_core.data.task_folder import Repeated


@dataclass(frozen=True, eq=False)
class Pair:
    """One input and what it becomes."""

    input: Grid
    """int8 [H, W], read-only."""
    output: Grid | None
    """int8 [H', W'], read-only; None for a test input whose solution is not known."""


@dataclass(frozen=True, eq=False)
class Task:
    """One ARC task: demonstrations of a rule, and inputs to apply it to."""

    id: str
    train: tuple[Pair, ...]
    """The demonstrations, at least one; every output is known."""
    test: tuple[Pair, ...]
    """The inputs to solve, at least one."""
    groups: tuple[str, ...] = ()
    """The folders that its file lies in, below the one that was named and but for a split's: its concept."""

    def without_test_outputs(self) -> Self:
        """The task as a solver may see it: the same, every test output None."""
        return replace(self, test=tuple(replace(pair, output=None) for pair in self.test))


def parse_task(task_id: str, raw: object, place: str) -> Task:
    """Check one task as JSON gives it.

    Args:
        task_id: Its id.
        raw: `{"train": [{"input": grid, "output": grid}, ...], "test": [{"input": grid}, ...]}`; a test pair
            may have its output too, null where it is hidden, and keys beside these are allowed.
        place: The file, for the message.

    Returns:
        The task.

    Raises:
        DataError: If it is no such thing; the sentence names file, task, pair and cell.
        GridSizeError: If a side of a grid is outside 1..30.
    """
    where = f"{place}: task {printable(task_id)}"
    if not isinstance(raw, dict):
        raise DataError(f"{where} is not an ARC task: it must be an object with the lists train and test.")
    _refuse_repeated(raw, where)
    train, test = (_parse_pairs(raw, part, where) for part in ("train", "test"))
    return Task(task_id, train, test)


def _parse_pairs(raw: dict[str, Any], part: str, where: str) -> tuple[Pair, ...]:
    pairs = raw.get(part)
    if not isinstance(pairs, list):
        raise DataError(f"{where} is not an ARC task: it has no list {part!r}.")
    if not pairs:
        raise DataError(f"{where} has no {'demonstrations' if part == 'train' else 'test inputs'}.")
    parsed = []
    for number, pair in enumerate(pairs):
        here = f"{where}, {part} pair {number} (zero-based)"
        if not isinstance(pair, dict) or "input" not in pair:
            raise DataError(f"{here} must be an object with an input.")
        _refuse_repeated(pair, here)
        known = pair.get("output") is not None
        if part == "train" and not known:
            null = ": it is null, which only a test pair's may be" if "output" in pair else ""
            raise DataError(f"{here} has no output{null}.")
        output = parse_grid(pair["output"], f"{here}, output") if known else None
        parsed.append(Pair(parse_grid(pair["input"], f"{here}, input"), output))
    return tuple(parsed)


def _refuse_repeated(raw: dict[str, Any], where: str) -> None:
    if isinstance(raw, Repeated):
        raise DataError(f"{where} {raw.fault}.")


def with_solutions(task: Task, solutions: dict[str, Any], place: str) -> Task:
    """`task` with the test outputs that Kaggle keeps in a file of their own."""
    where = f"{place}: task {printable(task.id)}"
    if task.id not in solutions:
        raise DataError(f"{where} has no solution in this file.")
    grids = solutions[task.id]
    if not isinstance(grids, list):
        raise DataError(f"{where}: its solutions must be a list of grids, one for each test input.")
    if len(grids) != len(task.test):
        raise DataError(f"{where} has {len(grids)} solutions for {len(task.test)} test inputs.")
    outputs = [
        None if grid is None else parse_grid(grid, f"{where}, solution {number} (zero-based)")
        for number, grid in enumerate(grids)
    ]
    return replace(task, test=tuple(Pair(p.input, out) for p, out in zip(task.test, outputs, strict=True)))
