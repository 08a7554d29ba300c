"""Datasets and tasks: what they hold, filtered, with features and rule sentence, and as lines and grids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from arc_core.base.errors import ConfigError
from arc_core.base.text import printable
from arc_core.data.features import FEATURE_NAMES, describe
from arc_core.data.grids import Grid, to_rows
from arc_core.data.tasks import Pair, Task, TaskSet
from arc_tui.drawing.rows import Row
from arc_tui.drawing.text import aligned, grids_beside
from arc_tui.results.size_rules import SIZE_RULES

LONGEST_ID = 200
"""Characters of a name in a list: MiniARC's are sentences, and whoever reads one wants to type it."""


@dataclass(frozen=True)
class TaskFacts:
    """What is known of a task at a glance.

    Attributes:
        id: Of the task.
        pairs: Demonstrations.
        inputs: Test inputs.
        solved: Test inputs whose output is known.
        size_rule: One of `SIZE_RULES`.
        colours: All that occur in its demonstrations and test inputs.
        largest: Cells of its largest grid.
        rule: The rule sentence for its first test input.
        features: Its 15 numbers, by name.
        groups: The folders that it lies in.
    """

    id: str
    pairs: int
    inputs: int
    solved: int
    size_rule: str
    colours: tuple[int, ...]
    largest: int
    rule: str
    features: dict[str, float]
    groups: tuple[str, ...]


def size_rule(task: Task) -> str:
    """Return how output sizes follow from input sizes in all demonstrations."""
    sizes = [(pair.input.shape, pair.output.shape) for pair in task.train if pair.output is not None]
    if all(before == after for before, after in sizes):
        return "same"
    if len({after for _, after in sizes}) == 1 and len(sizes) > 1:
        return "constant"
    ratios = {(after[0] / before[0], after[1] / before[1]) for before, after in sizes}
    if len(ratios) == 1 and all(_whole_or_inverse(ratio) for ratio in next(iter(ratios))):
        return "ratio"
    return "constant" if len({after for _, after in sizes}) == 1 else "other"


def _whole_or_inverse(ratio: float) -> bool:
    return any(abs(value - round(value)) < 1e-9 for value in (ratio, 1 / ratio))


def task_facts(task: Task) -> TaskFacts:
    """Describe a task by its demonstrations and test inputs; its test outputs are not looked at."""
    described = describe(task.train, task.test[0].input)
    shown = _grids(task)
    colours = sorted({int(cell) for grid in shown for cell in set(grid.tobytes())})
    return TaskFacts(
        task.id,
        len(task.train),
        len(task.test),
        sum(pair.output is not None for pair in task.test),
        size_rule(task),
        tuple(colours),
        max(grid.size for grid in shown),
        described.rule,
        dict(zip(FEATURE_NAMES, described.features.tolist(), strict=True)),
        task.groups,
    )


def _grids(task: Task) -> list[Grid]:
    grids = [pair.input for pair in (*task.train, *task.test)]
    return grids + [pair.output for pair in task.train if pair.output is not None]


def filtered(
    tasks: Iterable[Task], size: str | None = None, colours: Sequence[int] = (), text: str = ""
) -> list[TaskFacts]:
    """Describe the tasks that match.

    Args:
        tasks: To choose from.
        size: One of `SIZE_RULES`; None for any.
        colours: All of these occur in it.
        text: Occurs in its id or rule sentence.

    Raises:
        ConfigError: If `size` is no size rule or a colour is none.
    """
    if size is not None and size not in SIZE_RULES:
        raise ConfigError(f"{printable(size, 40)} is no size rule: there are {', '.join(SIZE_RULES)}.")
    if bad := [colour for colour in colours if not 0 <= colour <= 9]:
        raise ConfigError(f"{bad[0]} is no colour: they are 0 to 9.")
    wanted = text.lower()
    return [
        facts
        for task in tasks
        if size is None or size_rule(task) == size
        for facts in [task_facts(task)]
        if set(colours) <= set(facts.colours) and (wanted in facts.id.lower() or wanted in facts.rule.lower())
    ]


def dataset_facts(tasks: TaskSet, shown: Sequence[TaskFacts]) -> dict[str, Any]:
    """Return a dataset's content as JSON writes it."""
    rules = Counter(facts.size_rule for facts in shown)
    return {
        "name": tasks.name,
        "sha256": tasks.sha256,
        "tasks": len(tasks),
        "shown": len(shown),
        "demonstrations": sum(facts.pairs for facts in shown),
        "test_inputs": sum(facts.inputs for facts in shown),
        "size_rules": {rule: rules[rule] for rule in SIZE_RULES if rules[rule]},
        "groups": _groups(shown),
        "skipped": list(tasks.skipped),
        "list": [vars(facts) for facts in shown],
    }


def _groups(shown: Sequence[TaskFacts]) -> dict[str, int]:
    """How many tasks lie in each of the folders, in order of their names."""
    return dict(sorted(Counter(group for facts in shown for group in facts.groups).items()))


def task_json(task: Task, name: str) -> dict[str, Any]:
    """Return a task with its grids as JSON writes it."""

    def pairs(part: Sequence[Any]) -> list[dict[str, Any]]:
        return [
            {"input": to_rows(p.input), "output": None if p.output is None else to_rows(p.output)}
            for p in part
        ]

    return {**vars(task_facts(task)), "dataset": name, "train": pairs(task.train), "test": pairs(task.test)}


def dataset_lines(tasks: TaskSet, shown: Sequence[TaskFacts]) -> list[str]:
    """Write the tasks of a dataset that are to be shown, one a line."""
    rows = [
        (
            printable(found.id, LONGEST_ID),
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
    groups = [f"{printable(name, LONGEST_ID)} {count}" for name, count in _groups(shown).items()]
    of_all = "" if len(shown) == len(tasks) else f" of {len(tasks):,}"
    return [
        *(f"Skipped: {printable(reason, 300)}" for reason in tasks.skipped),
        *aligned([head, *rows], left=(0, 3, 4, 6)),
        *([f"Groups: {', '.join(groups)}"] if groups else []),
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
    return grids_beside(blocks)
