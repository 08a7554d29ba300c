"""Step 11, without torch: which checkpoints a run has, and whether their files are what was written.

A checkpoint is a folder `checkpoint_00000` whose MANIFEST.json, written last, lists every file with its
size and sha256. A folder whose name starts with `.tmp-` was never finished.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from arc_core.base.errors import CheckpointError, RunError
from arc_core.base.files import open_regular, read_json_object, read_limited
from arc_core.base.paths import bytes_of, entries, exists, files_below, is_dir, is_link
from arc_core.base.text import printable

FORMAT = 1
"""Of manifest and state.json; another one is refused."""

MANIFEST = "MANIFEST.json"
STATE = "state.json"
TEMPORARY_PREFIX = ".tmp-"
_NAME = re.compile(r"checkpoint_(\d{5,})")
_BLOCK = 1 << 20
LARGEST_STATE = 256 << 20
"""A state.json or manifest above this is refused rather than read."""


@dataclass(frozen=True)
class FileEntry:
    """One line of a manifest.

    Attributes:
        name: Path inside the checkpoint, with forward slashes.
        bytes: Size.
        sha256: Hexadecimal digest.
    """

    name: str
    bytes: int
    sha256: str


def checkpoint_name(number: int) -> str:
    """Folder name of a checkpoint id."""
    return f"checkpoint_{number:05d}"


def checkpoint_id(path: Path) -> int:
    """Id of a checkpoint folder.

    Raises:
        CheckpointError: If its name is not that of a checkpoint.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise CheckpointError(f"{path} is not a checkpoint: its name must be like {checkpoint_name(0)}")
    return int(match[1])


def is_checkpoint_name(name: str) -> bool:
    """Whether a folder of this name is a checkpoint."""
    return _NAME.fullmatch(name) is not None


def list_checkpoints(directory: Path) -> list[Path]:
    """Finished checkpoint folders, oldest first; none where the folder itself is a symbolic link."""
    if not is_dir(directory) or is_link(directory):
        return []
    found = [p for p in entries(directory) if _NAME.fullmatch(p.name) and is_dir(p) and not is_link(p)]
    return sorted(found, key=checkpoint_id)


def next_id(directory: Path) -> int:
    """Smallest id above every one that the folder has ever shown, unfinished ones included."""
    if not is_dir(directory):
        return 0
    names = [entry.name.removeprefix(TEMPORARY_PREFIX) for entry in entries(directory)]
    numbers = [int(match[1]) for name in names if (match := _NAME.fullmatch(name))]
    return max(numbers, default=-1) + 1


def digest(path: Path) -> str:
    """Sha256 of a file, read in pieces.

    Raises:
        OSError: If it cannot be read.
        RunError: If it is a symbolic link or no regular file.
    """
    sha = hashlib.sha256()
    with os.fdopen(open_regular(path, os.O_RDONLY), "rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            sha.update(block)
    return sha.hexdigest()


def manifest_text(entries: Iterable[FileEntry]) -> bytes:
    """Write a manifest: the one way to write these entries, so that any other byte in it is damage."""
    listed = [vars(entry) for entry in sorted(entries, key=lambda entry: entry.name)]
    return (json.dumps({"format": FORMAT, "files": listed}, indent=1) + "\n").encode("ascii")


def read_manifest(folder: Path) -> list[FileEntry]:
    """Read a checkpoint's manifest.

    Raises:
        CheckpointError: If it is missing, not byte for byte what `manifest_text` writes, or names a file
            outside its folder.
    """
    path = folder / MANIFEST
    content = _read_object(path)
    entries = content.get("files")
    if not isinstance(entries, list):
        raise CheckpointError(f"{path} has no list 'files'")
    found: list[FileEntry] = []
    for entry in cast("list[Any]", entries):
        try:
            file = FileEntry(str(entry["name"]), int(entry["bytes"]), str(entry["sha256"]))
        except (KeyError, TypeError, ValueError):
            raise CheckpointError(f"{path}: an entry needs name, bytes and sha256") from None
        parts = file.name.split("/")
        if ".." in parts or "" in parts or "\\" in file.name:
            raise CheckpointError(f"{path} names {file.name!r}, which is outside its folder")
        found.append(file)
    if content.get("format") != FORMAT:
        found_format = printable(repr(content.get("format")), 60)
        raise CheckpointError(f"{path} has format {found_format}; this version reads {FORMAT}")
    if read_limited(path, LARGEST_STATE) != manifest_text(found):
        raise CheckpointError(f"{path} is damaged: it is not as a manifest is written")
    return found


def problems_of(folder: Path, *, unread: Collection[str] = ()) -> list[str]:
    """Hold every file against the manifest.

    Args:
        folder: The checkpoint.
        unread: Names whose content is not read, only their size: files shared with a checkpoint that was.

    Returns:
        One phrase for each file that is missing, foreign, a link, of another size or of other content;
        empty for a checkpoint that is as it was written.
    """
    try:
        entries = read_manifest(folder)
    except CheckpointError as error:
        return [str(error)]
    files, links = _files_below(folder)
    problems = [f"{name} is a symbolic link" for name in sorted(links)]
    for entry in entries:
        size = files.get(entry.name)
        if entry.name in links:
            continue  # told already
        if size is None:
            problems.append(f"{entry.name} is missing")
        elif size != entry.bytes:
            problems.append(f"{entry.name} has {size} bytes, not {entry.bytes}")
        elif entry.name not in unread and (problem := _content_problem(folder, entry)):
            problems.append(problem)
    known = {entry.name for entry in entries} | {MANIFEST}
    problems.extend(f"{name} is not in the manifest" for name in sorted(files.keys() - known))
    return problems


def _content_problem(folder: Path, entry: FileEntry) -> str | None:
    try:
        same = digest(folder / entry.name) == entry.sha256
    except (OSError, RunError) as error:
        return f"{entry.name} cannot be read: {error}"
    return None if same else f"{entry.name} is damaged: its sha256 is not the manifest's"


def _files_below(folder: Path) -> tuple[dict[str, int], set[str]]:
    """Size of every file below a folder by its path there, and the paths of links, which are not followed."""
    files: dict[str, int] = {}
    links: set[str] = set()
    pending = [folder]
    while pending:
        place = pending.pop()
        for path in entries(place):
            name = path.relative_to(folder).as_posix()
            if is_link(path):
                links.add(name)
            elif is_dir(path):
                pending.append(path)
            else:
                files[name] = bytes_of(path) or 0
    return files, links


def newest_intact(
    directory: Path, leave_out: Collection[int] = ()
) -> tuple[Path | None, list[tuple[Path, list[str]]]]:
    """Find the newest checkpoint that verifies.

    Args:
        directory: The run's folder of checkpoints.
        leave_out: Ids that are not looked at, as of a timeline that was given up.

    Returns:
        Its folder or None, and the newer ones that were rejected with their problems.
    """
    rejected: list[tuple[Path, list[str]]] = []
    for path in reversed(list_checkpoints(directory)):
        if checkpoint_id(path) in leave_out:
            continue
        problems = problems_of(path)
        if not problems:
            return path, rejected
        rejected.append((path, problems))
    return None, rejected


def find_checkpoint(directory: Path, number: int) -> Path:
    """Return the checkpoint of an id, verified.

    Raises:
        CheckpointError: If there is none, or it does not verify; names those there are.
    """
    found = {checkpoint_id(path): path for path in list_checkpoints(directory)}
    if number not in found:
        there = ", ".join(str(known) for known in sorted(found)) or "none"
        raise CheckpointError(f"There is no checkpoint {number}; there is {there}")
    if problems := problems_of(found[number]):
        raise CheckpointError(f"{found[number].name} cannot be used: {'; '.join(problems)}")
    return found[number]


def read_hint(directory: Path, name: str) -> str | None:
    """Return the checkpoint's name that `best` or `latest` holds; None if it holds none."""
    try:
        value = read_limited(directory / name, 4096).decode("ascii", "replace").strip()
    except RunError:
        return None
    return value if _NAME.fullmatch(value) else None


def read_state(folder: Path) -> dict[str, Any]:
    """Read a checkpoint's state.json.

    Raises:
        CheckpointError: If it is missing or not a JSON object.
    """
    return _read_object(folder / STATE)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(bytes_of(path) or 0 for path in files_below(folder) if not is_link(path))


def _read_object(path: Path) -> dict[str, Any]:
    if is_link(path.parent):
        raise CheckpointError(f"{printable(str(path.parent))} is a symbolic link: it is not read")
    if not exists(path):
        raise CheckpointError(f"{printable(str(path))} is missing")
    try:
        return read_json_object(path, LARGEST_STATE)
    except RunError as error:
        raise CheckpointError(str(error).rstrip(".")) from None
