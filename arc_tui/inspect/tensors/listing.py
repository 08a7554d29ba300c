"""Every file with weights below a folder, whatever it is called: to be read, or to be named as not read."""

from __future__ import annotations

import collections
import contextlib
import enum
import os
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from arc_core.base.errors import ArcError
from arc_core.base.files import PICKLED, read_limited
from arc_core.base.paths import FolderEntry, is_dir, scan
from arc_core.base.paths import is_link as leads_on
from arc_core.base.text import printable
from arc_core.run.checkpoint_index import MANIFEST, STATE, TEMPORARY_PREFIX, is_checkpoint_name
from arc_tui.inspect.tensors.hugging_face import model_of_index

SUFFIX = ".safetensors"
MOST_FILES = 10_000
"""Files with weights that are listed."""
MOST_ENTRIES = 200_000
"""Entries of folders that are looked at: a second, or two."""
OTHER_FORMATS = PICKLED | {
    *(".pkl", ".pickle", ".joblib", ".distcp", ".gguf", ".ggml", ".onnx", ".h5", ".hdf5", ".keras", ".npz"),
    *(".msgpack", ".tflite"),
}
"""How names of weights end that are not read."""
_UNFINISHED = (".incomplete", ".part", ".partial", ".crdownload", ".download", ".aria2", ".tmp")


class Role(enum.Enum):
    """What a file is by its name."""

    TENSORS = "tensors"
    INDEX = "index"
    OTHER = "other"
    UNFINISHED = "unfinished"


@dataclass
class Listing:
    """What is below a folder.

    Attributes:
        files: Every file with weights, by its path inside the folder, and what it is.
        problems: What cannot be looked at, by its path inside the folder, and why.
        temporary: Folders that were never finished, by their paths inside the folder.
        checkpoints: Folders of checkpoints of ours.
        notes: One sentence for each oddity.
    """

    files: dict[str, Role] = field(default_factory=dict[str, Role])
    problems: dict[str, str] = field(default_factory=dict[str, str])
    temporary: list[str] = field(default_factory=list[str])
    checkpoints: list[Path] = field(default_factory=list[Path])
    notes: list[str] = field(default_factory=list[str])

    def add(self, label: str, other: Listing) -> None:
        """Take in what is below a folder of this one; `label` is its path inside."""
        self.files |= {f"{label}/{name}": role for name, role in other.files.items()}
        self.problems |= {f"{label}/{name}": why for name, why in other.problems.items()}
        self.temporary += [f"{label}/{name}" for name in other.temporary]
        self.checkpoints += other.checkpoints
        self.notes += other.notes


def role_of(name: str) -> Role | None:
    """Tell by its name what a file is; None if it holds no weights."""
    if name.endswith(SUFFIX):
        return Role.UNFINISHED if name.startswith(TEMPORARY_PREFIX) else Role.TENSORS
    if model_of_index(name) is not None:
        return Role.INDEX
    path = PurePath(name.lower())
    stem, end = path.stem, path.suffix
    if end in _UNFINISHED and (end == ".incomplete" or any(s in stem for s in (SUFFIX, *OTHER_FORMATS))):
        return Role.UNFINISHED
    return Role.OTHER if end in OTHER_FORMATS else None


def list_folder(root: Path) -> Listing:
    """List the weights below a folder, folders behind symbolic links included, each folder once.

    Args:
        root: The folder.

    Returns:
        What is there; what cannot be looked at is told in it.
    """
    found, around = Listing(), set(_around(root))
    seen: set[tuple[int, int]] = set()
    pending, linked = collections.deque([""]), collections.deque[str]()
    entries = 0
    while pending or linked:
        # Folders behind links come last, so that a folder is shown where it truly is.
        label = pending.popleft() if pending else linked.popleft()
        try:
            is_link = bool(label) and leads_on(root / label)
            identity = _identity(root / label)
            if is_link and (identity in seen or identity in around):
                found.notes.append(f"{printable(label, 200)} leads to a folder that is listed already.")
                continue
            if identity in seen:
                continue
            seen.add(identity)
            here = scan(root / label)
        except OSError as error:
            found.problems[label or "."] = (
                f"{printable(str(root / label), 500)} cannot be looked into: {error.strerror}."
            )
            continue
        entries += len(here)
        if entries > MOST_ENTRIES or len(found.files) > MOST_FILES:
            found.problems[label or "."] = (
                f"{printable(str(root), 500)} holds more than {MOST_FILES:,} files with weights or "
                f"{MOST_ENTRIES:,} files in all: what follows {printable(label, 200)} is not looked at."
            )
            break
        _take(found, root, label, here, pending, linked)
    return found


def _take(
    found: Listing,
    root: Path,
    label: str,
    here: list[FolderEntry],
    pending: collections.deque[str],
    linked: collections.deque[str],
) -> None:
    """Sort what is in a folder into files and folders to look into."""
    names = {entry.name for entry in here}
    if is_ours(label.rpartition("/")[2] or root.name, names):
        found.checkpoints.append(root / label)
    if {"refs", "snapshots"} <= names:
        _take_references(found, root, label)
    for entry in here:
        path = f"{label}/{entry.name}" if label else entry.name
        if not entry.is_folder:
            if (role := role_of(entry.name)) is not None:
                found.files[path] = role
        elif entry.name.startswith(TEMPORARY_PREFIX):
            found.temporary.append(path)
        elif entry.name != ".git":
            (linked if entry.is_link else pending).append(path)


def is_ours(name: str, files: set[str]) -> bool:
    """Whether a folder of this name with these files is a checkpoint of ours."""
    marks = files & {MANIFEST, STATE}
    return len(marks) == 2 or (bool(marks) and is_checkpoint_name(name))


def _take_references(found: Listing, root: Path, label: str) -> None:
    """Say which revision each name in a folder of the hub's cache stands for."""
    with contextlib.suppress(OSError):
        for name in sorted(entry.name for entry in scan(root / label / "refs")):
            path = f"{label}/refs/{name}" if label else f"refs/{name}"
            try:
                revision = read_limited(root / path, 200).decode("ascii", "replace").strip()
            except ArcError:  # a folder, such as refs/pr
                continue
            stands = f"{printable(path, 200)} names snapshots/{printable(revision, 80)}"
            if "/" not in revision and is_dir(root / label / "snapshots" / revision):
                found.notes.append(f"{stands}.")
            else:
                found.problems[path] = f"{stands}, which is not there."


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


def _around(root: Path) -> list[tuple[int, int]]:
    """Return the identities of the folders around a folder."""
    found: list[tuple[int, int]] = []
    for parent in Path(os.path.realpath(root)).parents:
        with contextlib.suppress(OSError):
            found.append(_identity(parent))
    return found
