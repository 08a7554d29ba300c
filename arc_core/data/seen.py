"""What keeps a score honest: which tasks are evaluated, what a predictor may see, and what was seen before.

The process that predicts is given a challenges file, which holds no test output, and nothing else of the
evaluated tasks. What a model was trained on is known by task ids and by fingerprints of the pairs, since
the same task can stand in two sets under two names: 376 evaluation tasks of ARC-AGI-1 are training tasks of
ARC-AGI-2, and evaluation task 070dd51e of ARC-AGI-1 is its own training task 40853293.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from arc_core.base.errors import DataError
from arc_core.base.files import write_json_atomic
from arc_core.base.text import first_of, printable
from arc_core.data.grids import NUM_COLORS, Grid, dihedral_view
from arc_core.data.kaggle import challenges
from arc_core.data.tasks import Pair, Split, Task, TaskSet, load_tasks

SMALLEST_TELLING_PAIR = 16
"""Cells of input and output together. Smaller pairs coincide between unrelated tasks (3x3 to one cell)."""

_NAMED = bytes(range(1, NUM_COLORS))

HELD_OUT = 100
"""Tasks of ARC-AGI-1's training split that the default weights have not seen."""


def choose_tasks(
    tasks: Sequence[Task], limit: int | None = None, ids: Sequence[str] | None = None
) -> tuple[Task, ...]:
    """The fixed list that is evaluated, in order of the ids.

    Args:
        tasks: To choose from.
        limit: The first so many by id; None for all.
        ids: These alone; None for all.

    Raises:
        DataError: If an id is not among the tasks, or is given twice.
    """
    known = {task.id: task for task in sorted(tasks, key=lambda task: task.id)}
    if ids is not None:
        if unknown := [name for name in ids if name not in known]:
            raise DataError(
                f"There is no task {printable(unknown[0], 60)} among the {len(known)} tasks"
                f"{_about_commas(unknown[0], known)}."
            )
        if twice := [name for name, count in Counter(ids).items() if count > 1]:
            raise DataError(f"A task is listed twice: {first_of(twice)}.")
        known = {name: known[name] for name in sorted(ids)}
    return tuple(known.values())[:limit]


def _about_commas(unknown: str, known: Iterable[str]) -> str:
    if "," in unknown:
        return ": a file of tasks has one id a line, and no commas between them"
    if any("," in name and unknown in map(str.strip, name.split(",")) for name in known):
        return ": an id with a comma in it can only be listed in a file, one id a line"
    return ""


def tasks_again(dataset: str, split: Split, ids: Sequence[str]) -> tuple[Task, ...]:
    """Load tasks that were chosen before; whatever else of the dataset is bad does not matter.

    Args:
        dataset: As `load_tasks` takes it.
        split: Which split.
        ids: The tasks' ids.

    Raises:
        DataError: If one of them is not there any more, or bad.
    """
    found = load_tasks(dataset, split, skip_bad_tasks=True)
    try:
        return choose_tasks(found.tasks, ids=ids)
    except DataError as error:
        bad = f" {found.told_skipped()}" if found.skipped else ""
        raise DataError(f"{error}{bad}") from None


def held_out(tasks: Iterable[Task], count: int = HELD_OUT) -> tuple[Task, ...]:
    """Training tasks that pretraining leaves out, so that they can be scored: always the same ones.

    Args:
        tasks: A training split.
        count: How many.

    Returns:
        Those whose ids have the lowest hashes, in order of their ids.
    """
    by_hash = sorted(tasks, key=lambda task: hashlib.sha256(task.id.encode()).digest())
    return tuple(sorted(by_hash[:count], key=lambda task: task.id))


def write_blind(path: Path, tasks: Iterable[Task]) -> None:
    """Write what a predictor may see: a challenges file, without any test output."""
    write_json_atomic(path, challenges(tasks))


def load_blind(path: Path) -> TaskSet:
    """Load the tasks that a predictor is to answer.

    Raises:
        DataError: If the file cannot be read, or holds a test output.
    """
    tasks = load_tasks(path, solutions=None)
    for task in tasks.tasks:
        if any(pair.output is not None for pair in task.test):
            raise DataError(
                f"{printable(str(path))} holds an output of a test input of task {printable(task.id)}: "
                "the process that predicts must not see it."
            )
    return tasks


def fingerprint(pair: Pair) -> str | None:
    """What a pair is, whatever its symmetry and its colours' names (black stays black).

    Args:
        pair: With its output.

    Returns:
        16 hexadecimal digits, or None for a pair without output or of fewer than `SMALLEST_TELLING_PAIR`
        cells.
    """
    if pair.output is None or pair.input.size + pair.output.size < SMALLEST_TELLING_PAIR:
        return None
    # The least of eight encodings, each of the input and then of the output: of one length, so that only
    # those whose input's is the least need their outputs encoded. Most pairs have one.
    inputs = [_encoded(dihedral_view(pair.input, k), b"") for k in range(8)]
    least, _ = min(inputs)
    outputs = (
        _encoded(dihedral_view(pair.output, k), names)[0]
        for k, (encoded, names) in enumerate(inputs)
        if encoded == least
    )
    return hashlib.sha256(least + min(outputs)).hexdigest()[:16]


def _encoded(grid: Grid, names: bytes) -> tuple[bytes, bytes]:
    """A grid with its sides, colours numbered in the order in which they first occur.

    Args:
        grid: Any view of it.
        names: The colours that have occurred before, in their order; black needs no name.

    Returns:
        The encoding, and the colours that have occurred by now.
    """
    flat = grid.tobytes()
    names += bytes(sorted((color for color in _NAMED if color in flat and color not in names), key=flat.find))
    return b"%d %d " % grid.shape + flat.translate(bytes.maketrans(names, _NAMED[: len(names)])), names


@dataclass(frozen=True)
class SeenTasks:
    """What a model was trained on."""

    ids: frozenset[str] = frozenset()
    """Task ids."""
    prints: frozenset[str] = frozenset()
    """Fingerprints of the tasks' pairs."""

    @classmethod
    def of(cls, tasks: Iterable[Task]) -> Self:
        """Everything that can be known from tasks, test pairs included where their outputs are known."""
        ids, prints = set[str](), set[str]()
        for task in tasks:
            ids.add(task.id)
            prints |= _prints(task)
        return cls(frozenset(ids), frozenset(prints))

    def __or__(self, other: Self) -> Self:
        return type(self)(self.ids | other.ids, self.prints | other.prints)

    def overlap(self, tasks: Iterable[Task]) -> list[str]:
        """The ids of those tasks that were seen, by id or by the content of a pair, sorted."""
        return sorted(t.id for t in tasks if t.id in self.ids or not self.prints.isdisjoint(_prints(t)))

    def to_json(self) -> dict[str, list[str]]:
        """For a header or run.json."""
        return {"ids": sorted(self.ids), "prints": sorted(self.prints)}

    @classmethod
    def from_json(cls, content: object, where: str) -> Self:
        """Read what `to_json` gave.

        Raises:
            DataError: If it is something else.
        """
        if isinstance(content, dict):
            lists = [cast("dict[str, Any]", content).get(name) for name in ("ids", "prints")]
            if all(isinstance(x, list) and all(isinstance(y, str) for y in x) for x in lists):
                return cls(*(frozenset(cast("list[str]", x)) for x in lists))
        raise DataError(f"{where} does not say which tasks it was trained on.")


def _prints(task: Task) -> set[str]:
    return {found for pair in (*task.train, *task.test) if (found := fingerprint(pair))}


def refuse_seen(seen: SeenTasks, tasks: Iterable[Task], *, allowed: bool) -> list[str]:
    """Hold evaluated tasks against what a model was trained on.

    Args:
        seen: What it was trained on.
        tasks: To be evaluated.
        allowed: Whether the user said that seen tasks may be scored.

    Returns:
        The ids of the tasks that it has seen: the result must name them. Empty for an honest evaluation.

    Raises:
        DataError: If it has seen any and that is not allowed.
    """
    found = seen.overlap(tasks)
    if found and not allowed:
        raise DataError(
            f"The weights were trained on {len(found)} of these tasks, by id or by content: "
            f"{first_of(found)}. Leave them out, or score them all the same with --allow-seen; the result is "
            "labelled then."
        )
    return found
