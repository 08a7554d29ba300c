"""Finds the JSON files in a folder and the folders below it, and names the tasks in them. No torch."""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from arc_core.base.errors import DataError
from arc_core.base.paths import expanded, refusal
from arc_core.data.grids import printable

MOST_FOLDERS = 10_000
"""Folders looked into: somebody who names a home or `/` should not wait for all of it."""

DEEPEST = 12
"""Folders below each other that are looked into."""

_SUFFIXES = (".json", ".json.gz")
_JUNK = frozenset({"__MACOSX", "node_modules"})


@dataclass(frozen=True)
class TaskFile:
    """A file that is named as a task is, or a place that cannot be looked into."""

    path: Path
    folders: tuple[str, ...]
    """Those that it lies in, from the one that was searched downwards."""
    fault: str | None = None
    """Why nothing can be read there, one sentence; None for a file to be read."""


def look_at(source: str | Path) -> tuple[Path, int]:
    """Find out what a path is.

    Returns:
        The path with the home folder filled in, and its mode as `os.stat` says it; 0 if nothing is there.

    Raises:
        DataError: If that cannot be found out.
    """
    path = expanded(source)
    if reason := refusal(path):
        raise DataError(f"{printable(str(path))} cannot be looked at: {reason}.")
    try:
        return path, os.stat(path).st_mode  # noqa: PTH116 - links are followed
    except OSError:  # nothing there
        return path, 0


def is_junk(name: str) -> bool:
    """Whether a file or folder is one that file managers, notebooks and archivers leave behind."""
    return name.startswith(".") or name in _JUNK


def find_json(root: Path) -> list[TaskFile]:
    """Find the JSON files in a folder, however deep they lie.

    Hidden files and folders are passed over, and so are runs and evaluations. Links are followed, each folder
    is looked into once.

    Args:
        root: The folder.

    Returns:
        In the order of their paths; what cannot be read is among them with its fault.

    Raises:
        DataError: If the folder itself cannot be read, or far too much lies below it.
    """
    found: list[TaskFile] = []
    seen: set[tuple[int, int]] = set()
    waiting: list[tuple[Path, tuple[str, ...]]] = [(root, ())]
    while waiting:
        folder, parts = waiting.pop()
        place = printable(str(folder))
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            names = sorted(os.listdir(folder))  # noqa: PTH208 - names, not paths, are what is looked at
        except OSError as error:
            fault = f"{place} cannot be read: {error.strerror or error}."
            if folder == root:
                raise DataError(fault) from None
            found.append(TaskFile(folder, parts, fault))
            continue
        seen.add((status.st_dev, status.st_ino))
        if len(seen) > MOST_FOLDERS:
            raise DataError(
                f"{printable(str(root))} has more than {MOST_FOLDERS:,} folders below it: "
                "name the one that holds the tasks."
            )
        if _is_our_own(names):
            continue
        for name in names:
            if is_junk(name):
                continue
            path = folder / name
            mode = _mode(path)
            if stat.S_ISDIR(mode):
                if len(parts) < DEEPEST:
                    waiting.append((path, (*parts, name)))
                else:
                    told = f"{printable(str(path))} lies too deep: at most {DEEPEST} folders down are read."
                    found.append(TaskFile(path, parts, told))
            elif name.lower().endswith(_SUFFIXES):
                # one that has no mode is a dangling link: reading it will say so; a pipe would be waited for
                fault = None if stat.S_ISREG(mode) or not mode else f"{printable(str(path))} is no file."
                found.append(TaskFile(path, parts, fault))
    return sorted(found, key=lambda one: one.path.parts)


def _is_our_own(names: Sequence[str]) -> bool:
    return {"run.json", "events.jsonl"} <= {*names} or {"eval.json", "challenges.json"} <= {*names}


def _mode(path: Path) -> int:
    """What a path is, or 0 where the system does not say."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def of_split(found: Iterable[TaskFile], split: str, other: str) -> list[TaskFile]:
    """Choose what belongs to a split.

    Args:
        found: In a folder.
        split: The split, as the folders are named that hold it.
        other: The other one.

    Returns:
        What lies in a folder of the split's name; where there is no such folder, all that lies in none of the
        other's name.
    """
    everything = list(found)
    named = [one for one in everything if split in one.folders]
    return named or [one for one in everything if other not in one.folders]


def task_ids(found: Sequence[TaskFile]) -> list[str]:
    """Name the tasks of files: as the file, with its folders in front only where names would clash."""
    plain = [one.path.stem for one in found]
    long = ["/".join((*one.folders, one.path.stem)) for one in found]
    whole = ["/".join((*one.folders, one.path.name)) for one in found]
    of_plain, of_long = Counter(plain), Counter(long)
    return [
        short if of_plain[short] == 1 else middle if of_long[middle] == 1 else full
        for short, middle, full in zip(plain, long, whole, strict=True)
    ]
