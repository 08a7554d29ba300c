"""Step 11, without torch: which checkpoints a run has, and whether their files are what was written.

A checkpoint is a folder `checkpoint_00000` whose MANIFEST.json, written last, lists every file with its
size and sha256. A folder whose name starts with `.tmp-` was never finished.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from arc_core.errors import CheckpointError

MANIFEST = "MANIFEST.json"
STATE = "state.json"
TEMPORARY_PREFIX = ".tmp-"
_NAME = re.compile(r"checkpoint_(\d{5,})")
_BLOCK = 1 << 20


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


def list_checkpoints(directory: Path) -> list[Path]:
    """Finished checkpoint folders, oldest first."""
    if not directory.is_dir():
        return []
    found = [p for p in directory.iterdir() if _NAME.fullmatch(p.name) and p.is_dir() and not p.is_symlink()]
    return sorted(found, key=checkpoint_id)


def next_id(directory: Path) -> int:
    """Smallest id above every one that the folder has ever shown, unfinished ones included."""
    if not directory.is_dir():
        return 0
    names = [entry.name.removeprefix(TEMPORARY_PREFIX) for entry in directory.iterdir()]
    numbers = [int(match[1]) for name in names if (match := _NAME.fullmatch(name))]
    return max(numbers, default=-1) + 1


def digest(path: Path) -> str:
    """Sha256 of a file, read in pieces."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sha.update(block)
    return sha.hexdigest()


def describe_files(folder: Path) -> list[FileEntry]:
    """Entries for every file below a folder except the manifest itself."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST)
    return [FileEntry(p.relative_to(folder).as_posix(), p.stat().st_size, digest(p)) for p in files]


def read_manifest(folder: Path) -> list[FileEntry]:
    """Read a checkpoint's manifest.

    Raises:
        CheckpointError: If it is missing or not a manifest, or names a file outside its folder.
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
    return found


def problems_of(folder: Path) -> list[str]:
    """Hold every file against the manifest.

    Returns:
        One phrase for each file that is missing, foreign, of another size or of other content; empty
        for a checkpoint that is as it was written.
    """
    try:
        entries = read_manifest(folder)
    except CheckpointError as error:
        return [str(error)]
    problems: list[str] = []
    for entry in entries:
        path = folder / entry.name
        if path.is_symlink() or not path.is_file():
            problems.append(f"{entry.name} is missing")
        elif path.stat().st_size != entry.bytes:
            problems.append(f"{entry.name} has {path.stat().st_size} bytes, not {entry.bytes}")
        elif digest(path) != entry.sha256:
            problems.append(f"{entry.name} is damaged: its sha256 is not the manifest's")
    known = {entry.name for entry in entries} | {MANIFEST}
    here = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}
    problems.extend(f"{name} is not in the manifest" for name in sorted(here - known))
    return problems


def newest_intact(directory: Path) -> tuple[Path | None, list[tuple[Path, list[str]]]]:
    """Newest checkpoint that verifies, and the newer ones that were rejected with their problems."""
    rejected: list[tuple[Path, list[str]]] = []
    for path in reversed(list_checkpoints(directory)):
        problems = problems_of(path)
        if not problems:
            return path, rejected
        rejected.append((path, problems))
    return None, rejected


def read_state(folder: Path) -> dict[str, Any]:
    """Read a checkpoint's state.json.

    Raises:
        CheckpointError: If it is missing or not a JSON object.
    """
    return _read_object(folder / STATE)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(os.lstat(p).st_size for p in folder.rglob("*") if not p.is_dir())


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} must hold a JSON object")
    return cast("dict[str, Any]", content)
