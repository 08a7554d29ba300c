"""Datasets and tasks as rows: a line for each task, and a task's grids."""

from __future__ import annotations

from collections.abc import Sequence

from arc_core.base.text import printable
from arc_core.data.grids import to_rows
from arc_core.data.tasks import Pair, Task, TaskSet
from arc_tui.drawing.grid_text import beside
from arc_tui.drawing.rows import Row
from arc_tui.drawing.text import aligned
from arc_tui.results.dataset import TaskFacts, task_facts


def dataset_lines(tasks: TaskSet, shown: Sequence[TaskFacts]) -> list[str]:
    """Write the tasks of a dataset that are to be shown, one a line."""
    rows = [
        (
            printable(found.id, 60),
            str(found.pairs),
            str(found.inputs),
            found.size_rule,
            "".join(map(str, found.colours)),
            str(found.largest),
            printable(found.rule, 200),
        )
        for found in shown
    ]
    head = ("TASK", "PAIRS", "TESTS", "SIZE", "COLOURS", "CELLS", "RULE")
    of_all = "" if len(shown) == len(tasks) else f" of {len(tasks):,}"
    return [
        *(f"Skipped: {printable(reason, 300)}" for reason in tasks.skipped),
        *aligned([head, *rows], left=(0, 3, 4, 6)),
        f"{len(shown):,}{of_all} tasks of {printable(tasks.name, 200)}",
    ]


def task_rows(task: Task, dataset_name: str) -> list[Row]:
    """Draw a task: its id, rule, features, and every pair as grids."""
    known = task_facts(task)
    values = "  ".join(f"{feature} {value:.3g}" for feature, value in known.features.items())
    rows: list[Row] = [
        [(printable(task.id, 100), "title"), (f" of {printable(dataset_name, 200)}", "")],
        [("Rule: ", "muted"), (printable(known.rule, 300), "")],
        [("Size rule: ", "muted"), (f"{known.size_rule}; colours {''.join(map(str, known.colours))}", "")],
        [("Features: ", "muted"), (values, "")],
    ]
    for title, pairs in (("Demonstration", task.train), ("Test", task.test)):
        for number, pair in enumerate(pairs):
            rows += [[], *_pair(f"{title} {number}", pair)]
    return rows


def _pair(title: str, pair: Pair) -> list[Row]:
    height, width = pair.input.shape
    blocks = [(f"{title}: input {height}x{width}", to_rows(pair.input))]
    if pair.output is None:
        blocks.append(("output not known", []))
    else:
        blocks.append(("output {}x{}".format(*pair.output.shape), to_rows(pair.output)))
    return beside(blocks)
