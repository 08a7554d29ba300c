"""Reads answers in the layouts in which others keep them; no torch.

    Kaggle                submission.json, a folder that holds one, or an evaluation of ours
    arc-agi-benchmarking  FOLDER/<task id>.json, each with one entry for each test input:
                          [{"attempt_1": {"answer": grid, "metadata": {"pair_index": 0}}, "attempt_2": ...}]
    VARC                  FOLDER/<task id>_predictions.json, each with all draws for each test input:
                          {"0": [grid, grid, ...], "1": [...]}

Of VARC's draws the two most frequent count, as its own analysis has it; files of one task in several folders
vote together. What a model drew that is no ARC grid is a wrong attempt: it is left blank and told.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from arc_core.base.errors import DataError
from arc_core.base.paths import is_dir, is_file
from arc_core.base.text import printable
from arc_core.data.grids import Grid, parse_grid
from arc_core.data.kaggle import ATTEMPTS, BLANK, Attempts, Submission, parse_submission
from arc_core.data.task_folder import TaskFile, find_json, look_at, read_json

KAGGLE, BENCHMARKING, VARC = "Kaggle", "arc-agi-benchmarking", "VARC"
"""The layouts."""

MOST_INPUTS = 100
"""Test inputs that a task may have here: an index can claim to be anything."""

NO_ATTEMPTS = Attempts(BLANK, BLANK)

_PREDICTIONS = "_predictions"
_OF_SCORERS = frozenset({"results"})
"""Files that scorers leave beside answers."""

Votes = Mapping[str, tuple[tuple[float, float], ...]]


@dataclass(frozen=True, eq=False)
class Answers:
    """What somebody's system has answered.

    Attributes:
        layout: `KAGGLE`, `BENCHMARKING` or `VARC`.
        submission: The two attempts at every test input of every task.
        unusable: A sentence about each attempt that is no ARC grid and so was left blank.
        votes: Share of the draws for each attempt, by task; empty where the layout tells none.
    """

    layout: str
    submission: Submission
    unusable: tuple[str, ...] = ()
    votes: Votes = field(default_factory=dict[str, tuple[tuple[float, float], ...]])

    def of_inputs(self, counts: Mapping[str, int]) -> Submission:
        """The attempts at as many test inputs as each task has: what folders leave out was not attempted.

        A Kaggle submission is taken as it is, since Kaggle refuses one that leaves anything out.
        """
        if self.layout == KAGGLE:
            return self.submission
        return {
            task: (*found, *(NO_ATTEMPTS,) * (counts.get(task, 0) - len(found)))
            for task, found in self.submission.items()
        }

    def told(self) -> str:
        """Say how many attempts are no ARC grid, and why for the first; empty for none."""
        if not self.unusable:
            return ""
        count, total = len(self.unusable), len(ATTEMPTS) * sum(map(len, self.submission.values()))
        what = "is no ARC grid and counts" if count == 1 else "are no ARC grids and count"
        return f"{count:,} of {total:,} attempts {what} as wrong: {self.unusable[0]}"


def read_answers(source: str | Path) -> Answers:
    """Read answers, whichever of the layouts they have.

    Args:
        source: A file or a folder.

    Raises:
        DataError: If it has none of the layouts, a file of it is damaged, or a task is answered twice.
    """
    path, mode = look_at(source)
    place = printable(str(path))
    if not mode:
        raise DataError(f"{place} does not exist: pass a submission.json or a folder of answers.")
    if not is_dir(path):
        return _of_file(path)
    if is_file(path / "submission.json"):
        return _of_file(path / "submission.json")
    if is_file(path / "eval.json"):
        raise DataError(f"{place} is an evaluation without submission.json: it is not finished.")
    files = [one for one in find_json(path) if one.path.stem not in _OF_SCORERS]
    if fault := next((one.fault for one in files if one.fault is not None), None):
        raise DataError(fault)
    if predictions := [one for one in files if one.path.stem.endswith(_PREDICTIONS)]:
        return _predictions([(one.path, read_json(one.path)) for one in predictions])
    if not files:
        raise DataError(f"{place} holds no answers: no submission.json, ID.json or ID_predictions.json.")
    return _benchmarking(files)


def _of_file(path: Path) -> Answers:
    content = read_json(path)
    if isinstance(content, list):
        unusable: list[str] = []
        entries = _entries(cast("list[object]", content), _where(path, path.stem), unusable)
        return Answers(BENCHMARKING, {path.stem: entries}, tuple(unusable))
    if path.stem.endswith(_PREDICTIONS):
        return _predictions([(path, content)])
    return Answers(KAGGLE, parse_submission(content, printable(str(path))))


def _where(path: Path, task: str) -> str:
    return f"{printable(str(path))}: task {printable(task)}"


def _grid(raw: object, where: str, unusable: list[str]) -> Grid:
    """What a model drew: `BLANK` where it is nothing, or no ARC grid."""
    if raw is None or (isinstance(raw, list) and all(row == [] for row in cast("list[object]", raw))):
        return BLANK
    try:
        return parse_grid(raw, where)
    except DataError as error:
        unusable.append(str(error))
        return BLANK


def _in_order(found: Mapping[int, Attempts], where: str) -> tuple[Attempts, ...]:
    """Attempts by the index of their test input; those that are left out are blank."""
    if found and max(found) >= MOST_INPUTS:
        raise DataError(f"{where} answers test input {max(found)}: at most {MOST_INPUTS} are read.")
    return tuple(found.get(index, NO_ATTEMPTS) for index in range(max(found, default=-1) + 1))


# arc-agi-benchmarking


def _benchmarking(files: Sequence[TaskFile]) -> Answers:
    submission: dict[str, tuple[Attempts, ...]] = {}
    unusable: list[str] = []
    for one in files:
        task = one.path.stem
        where = _where(one.path, task)
        if task in submission:
            raise DataError(f"{where} is answered in another folder too: name one of the folders.")
        content = read_json(one.path)
        if not isinstance(content, list):
            raise DataError(f"{where} must be a list with one entry for each of its test inputs.")
        submission[task] = _entries(cast("list[object]", content), where, unusable)
    return Answers(BENCHMARKING, submission, tuple(unusable))


def _entries(content: list[object], where: str, unusable: list[str]) -> tuple[Attempts, ...]:
    found: list[Attempts] = []
    told: list[int | None] = []
    for number, entry in enumerate(content):
        here = f"{where}, test input {number} (zero-based)"
        if not isinstance(entry, dict):
            raise DataError(f"{here} must be an object with attempt_1 and attempt_2.")
        attempts = {k: v for k, v in cast("dict[str, object]", entry).items() if k.startswith("attempt_")}
        if foreign := sorted(attempts.keys() - set(ATTEMPTS)):
            raise DataError(f"{here} has {printable(foreign[0], 60)}: two attempts are allowed.")
        if not attempts:
            raise DataError(f"{here} must be an object with attempt_1 and attempt_2.")
        found.append(
            Attempts(*(_answer(attempts.get(name), f"{here}, {name}", unusable) for name in ATTEMPTS))
        )
        told.append(
            next((index for raw in attempts.values() if (index := _pair_index(raw)) is not None), None)
        )
    # An index that stands twice is what the format fills in where none was told: then the order counts.
    indices = [number if index is None else index for number, index in enumerate(told)]
    if len(set(indices)) != len(indices):
        indices = list(range(len(found)))
    return _in_order(dict(zip(indices, found, strict=True)), where)


def _answer(raw: object, where: str, unusable: list[str]) -> Grid:
    """An attempt's answer, which may be JSON within a string."""
    if raw is None:
        return BLANK
    if not isinstance(raw, dict) or "answer" not in raw:
        raise DataError(f"{where} must be an object with an answer.")
    answer: Any = raw["answer"]
    if isinstance(answer, str):
        with contextlib.suppress(ValueError, RecursionError):  # words, which are no grid
            answer = json.loads(answer)
    return _grid(answer, where, unusable)


def _pair_index(raw: object) -> int | None:
    """Which test input an attempt says that it answers; None where it does not."""
    metadata: Any = raw.get("metadata") if isinstance(raw, dict) else None
    index = metadata.get("pair_index") if isinstance(metadata, dict) else None
    return index if type(index) is int and index >= 0 else None


# VARC


def _predictions(files: Sequence[tuple[Path, object]]) -> Answers:
    drawn: dict[str, dict[int, Counter[str]]] = {}
    places: dict[str, Path] = {}
    for path, content in files:
        task = path.stem.removesuffix(_PREDICTIONS)
        places.setdefault(task, path)
        counters = drawn.setdefault(task, {})
        for index, draws in _draws(content, _where(path, task)).items():
            counters.setdefault(index, Counter()).update(map(json.dumps, draws))
    submission: dict[str, tuple[Attempts, ...]] = {}
    votes: dict[str, tuple[tuple[float, float], ...]] = {}
    unusable: list[str] = []
    for task, counters in drawn.items():
        where = _where(places[task], task)
        found: dict[int, Attempts] = {}
        shares: dict[int, tuple[float, float]] = {}
        for index, counter in counters.items():
            here = f"{where}, test input {index} (zero-based)"
            best = counter.most_common(len(ATTEMPTS))
            grids = [
                _grid(json.loads(text), f"{here}, {name}", unusable)
                for name, (text, _) in zip(ATTEMPTS, best, strict=False)
            ]
            counts = [count / counter.total() for _, count in best]
            found[index] = Attempts(*[*grids, BLANK, BLANK][:2])
            shares[index] = cast("tuple[float, float]", tuple([*counts, 0.0, 0.0][:2]))
        submission[task] = _in_order(found, where)
        votes[task] = tuple(shares.get(index, (0.0, 0.0)) for index in range(len(submission[task])))
    return Answers(VARC, submission, tuple(unusable), votes)


def _draws(content: object, where: str) -> dict[int, list[object]]:
    """The draws of each test input in one file."""
    if not isinstance(content, dict):
        raise DataError(f"{where} must be an object of lists of grids, one for each test input.")
    found: dict[int, list[object]] = {}
    for key, draws in cast("dict[str, object]", content).items():
        if key == "answer":  # VARC passes over it too
            continue
        if not (key.isascii() and key.isdecimal()) or not isinstance(draws, list):
            raise DataError(
                f"{where} must map the numbers of its test inputs to lists of grids: "
                f"{printable(key, 40)!r} does not."
            )
        if len(key) > len(str(MOST_INPUTS)):
            raise DataError(f"{where} answers test input {key[:20]}: at most {MOST_INPUTS} are read.")
        found[int(key)] = cast("list[object]", draws)
    if not found:
        raise DataError(f"{where} holds no test input.")
    return found
