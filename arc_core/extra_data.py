"""Reads generated pairs of known tasks, laid out as RE-ARC publishes them; no torch.

    re_arc.zip, or a folder:   re_arc/tasks/<task id>.json, each [{"input": grid, "output": grid}, ...]

A folder may also be the one that holds the files of the tasks itself.
"""

import json
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from arc_core.dataset_files import Pair, read_json
from arc_core.errors import DataError
from arc_core.grids import parse_grid
from arc_core.paths import absence, exists, expanded, is_dir, matching, refusal
from arc_core.text import printable

LARGEST_MEMBER = 256 << 20
"""Bytes of one task's file, unpacked: an archive can claim to hold anything."""


def load_extra(source: str | Path, wanted: Collection[str], most: int | None = None) -> dict[str, list[Pair]]:
    """Read the generated pairs of some tasks.

    Args:
        source: A zip or a folder.
        wanted: Ids; the files of other tasks are not even opened.
        most: Pairs kept of each task; None keeps all.

    Returns:
        The pairs of every wanted task that the source has, in the source's order.

    Raises:
        DataError: If the source cannot be read, has none of the tasks, or a file is not as it should be.
    """
    path = expanded(source)
    place = printable(str(path))
    if not exists(path) or refusal(path):
        raise DataError(f"{place} {absence(path)}: extra data is a zip or a folder laid out as RE-ARC's.")
    found: dict[str, list[Pair]] = {}
    for task, content in _folder(path, wanted) if is_dir(path) else _archive(path, wanted):
        found[task] = _pairs(content, f"{place}: task {printable(task)}", most)
    if not found:
        raise DataError(f"{place} holds no generated pairs of the training tasks (re_arc/tasks/ID.json).")
    return found


def _folder(path: Path, wanted: Collection[str]) -> Iterator[tuple[str, object]]:
    inner = [path / "re_arc" / "tasks", path / "tasks", path]
    folder = next(place for place in inner if is_dir(place))
    for file in matching(folder, "*.json"):
        if file.stem in wanted:
            yield file.stem, read_json(file)


def _archive(path: Path, wanted: Collection[str]) -> Iterator[tuple[str, object]]:
    place = printable(str(path))
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = PurePosixPath(member.filename)
                if name.suffix != ".json" or name.parent.name != "tasks" or name.stem not in wanted:
                    continue
                if member.file_size > LARGEST_MEMBER:
                    raise DataError(
                        f"{place}: {printable(member.filename)} is too large to be a task's pairs."
                    )
                yield name.stem, json.loads(archive.read(member))
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise DataError(f"{place} cannot be read as a zip: {printable(str(error))}.") from None
    except (ValueError, RecursionError):
        raise DataError(f"{place} holds a task's file that is not JSON.") from None


def _pairs(content: object, where: str, most: int | None) -> list[Pair]:
    if not isinstance(content, list) or not content:
        raise DataError(f"{where} must be a list of pairs.")
    pairs = []
    for number, raw in enumerate(content[:most]):
        here = f"{where}, pair {number} (zero-based)"
        if not isinstance(raw, dict) or not raw.keys() >= {"input", "output"}:
            raise DataError(f"{here} must be an object with an input and an output.")
        pairs.append(Pair(*(parse_grid(raw[side], f"{here}, {side}") for side in ("input", "output"))))
    return pairs
