"""Finds the JSON files in a folder and those below it, names the tasks in them, and reads one; no torch."""

import json
import os
import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arc_core.base.errors import DataError
from arc_core.base.paths import expanded, refusal
from arc_core.base.text import printable

MOST_FOLDERS = 10_000
"""Folders looked into: somebody who names a home or `/` should not wait for all of it."""

DEEPEST = 12
"""Folders below each other that are looked into."""

LONGEST_NUMBER = 1000
"""Digits of a whole number; what is longer is kept as text, so that only its own task is bad."""

_PACKED = {b"\x1f\x8b": "is compressed by gzip", b"PK\x03\x04": "is a zip archive"}

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


def parts_of(groups: str | None) -> tuple[str, ...]:
    """Read names of groups as a user types them, with commas between; none if left out."""
    return tuple(name for part in (groups or "").split(",") if (name := part.strip()))


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


class Repeated(dict[str, Any]):
    """An object of a file that has a key more than once.

    Attributes:
        twice: The keys that stand more than once; which of their values is meant, nobody knows.
    """

    def __init__(self, items: list[tuple[str, Any]]):
        super().__init__(items)
        self.twice = tuple(key for key, count in Counter(key for key, _ in items).items() if count > 1)

    @property
    def fault(self) -> str:
        """What is wrong with it, to stand behind the name of it or its file."""
        return f"has the key {printable(self.twice[0])!r} twice"


def read_json(path: Path, *, keep_repeated: bool = False) -> Any:
    """Read one JSON file in UTF-8, or in UTF-16 or 32 as some programs write it.

    Args:
        path: The file.
        keep_repeated: Return an object that has a key twice as `Repeated`, instead of refusing the file.

    Returns:
        What it holds.

    Raises:
        DataError: If it is missing, unreadable, no text, not JSON, or has a key twice in one object.
    """
    place = printable(str(path))
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{place} cannot be read: {error.strerror or error}.") from error
    return parse_json(raw, place, keep_repeated=keep_repeated)


def parse_json(raw: bytes, place: str, *, keep_repeated: bool = False) -> Any:
    """Read JSON that has been read from a file or an archive already.

    Args:
        raw: The file's bytes.
        place: The file, for the message.
        keep_repeated: As `read_json` takes it.

    Raises:
        DataError: As `read_json` does.
    """

    def unique_keys(items: list[tuple[str, Any]]) -> dict[str, Any]:
        # JSON leaves the meaning of a repeated key open; Python would keep the last one silently
        result = dict(items)
        if len(result) == len(items):
            return result
        repeated = Repeated(items)
        if keep_repeated:
            return repeated
        raise DataError(
            f"{place} has {printable(repeated.twice[0])!r} twice (a task id or key must be unique)."
        )

    for start, what in _PACKED.items():
        if raw.startswith(start):
            raise DataError(f"{place} {what}: unpack it first.")
    try:
        # utf-8-sig among others: some editors put a byte order mark in front
        text = raw.decode(json.detect_encoding(raw))
        if not text.strip():
            raise DataError(f"{place} is empty: there is no JSON in it.")
        try:
            return json.loads(text, object_pairs_hook=unique_keys)
        except json.JSONDecodeError:
            raise
        except ValueError:  # a number of thousands of digits
            return json.loads(text, object_pairs_hook=unique_keys, parse_int=_whole_number)
    except UnicodeDecodeError as error:
        raise DataError(f"{place} is not UTF-8 text: byte {error.start} (zero-based) is wrong.") from error
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and error.lineno > 1:
            raise DataError(
                f"{place} holds more than one JSON value, one a line as JSON Lines does: "
                f"a file must hold one, and the second is in line {error.lineno}."
            ) from error
        raise DataError(
            f"{place} is not JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from error
    except RecursionError as error:
        raise DataError(f"{place} cannot be read: its JSON is nested too deeply.") from error


def _whole_number(digits: str) -> int | str:
    return int(digits) if len(digits) <= LONGEST_NUMBER else digits
