"""Whether the files of a checkpoint are what was written: by its manifest, else by what headers promise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from arc_core.base.errors import ArcError
from arc_core.base.paths import bytes_of, files_below, is_file, is_link
from arc_core.base.text import printable
from arc_core.run.checkpoint_index import MANIFEST, FileEntry, digest, read_manifest
from arc_tui.inspect.tensors.header import Part
from arc_tui.inspect.tensors.source import Checkpoint, Kind
from arc_tui.ui.cancelled import Progress, untold


@dataclass(frozen=True)
class FileCheck:
    """What came of one file.

    Attributes:
        name: Inside the checkpoint, safe to print.
        bytes: Its size; 0 if it is missing.
        problem: What is wrong with it; None if nothing is.
        by: `sha256` if its content was held against the manifest, `header` if only its layout was, `nothing`
            if it is of a form that is not read.
    """

    name: str
    bytes: int
    problem: str | None
    by: str

    @property
    def told(self) -> str:
        """What came of it, in words."""
        return self.problem or {"sha256": "as written", "header": "well-formed"}.get(self.by, "not read")


def conclusion(files: Sequence[FileCheck]) -> str:
    """Say in one sentence what came of all files."""
    read = [file for file in files if file.by != "nothing"]
    rest = f"; {len(files) - len(read)} more are not read" if len(read) < len(files) else ""
    if wrong := sum(file.problem is not None for file in files):
        return f"{wrong} of {len(read)} files are not as they should be{rest}."
    if all(file.by == "sha256" for file in read):
        return f"All {len(read)} files are as their manifest says{rest}."
    by_hash = sum(file.by == "sha256" for file in read)
    held = f"{len(read) - by_hash} of them have no" if by_hash else "there is no"
    return f"All {len(read)} files are well-formed; {held} manifest to hold their content against{rest}."


def verify(checkpoint: Checkpoint, *, progress: Progress = untold) -> Iterator[FileCheck]:
    """Check every file under what was opened: of a run, those of all its checkpoints.

    Args:
        checkpoint: What was opened.
        progress: Told the bytes checked and in all, after every file that is read whole; may call it off.

    Yields:
        One for each file, the damaged ones with what is wrong.
    """
    ours = checkpoint.manifests
    for part in checkpoint.parts:
        if not any(part.path.is_relative_to(folder) for folder in ours):
            yield _by_header(part)
    listed: dict[Path, list[FileEntry] | str] = {folder: _entries(folder) for folder in ours}
    sizes = [entry.bytes for entries in listed.values() if isinstance(entries, list) for entry in entries]
    total, done = sum(sizes), 0
    for folder, entries in listed.items():
        before = _label(checkpoint, folder)
        for check, size in _checks(folder, entries):
            yield replace(check, name=f"{before}{check.name}")
            done += size
            progress(done, total)


def verify_checkpoint(folder: Path, only: str = "") -> Iterator[FileCheck]:
    """Check the files of one checkpoint of ours.

    Args:
        folder: The checkpoint.
        only: The files whose names start with this.

    Yields:
        One for each file, the damaged ones with what is wrong.
    """
    yield from (check for check, _ in _checks(folder, _entries(folder), only))


def _checks(folder: Path, entries: list[FileEntry] | str, only: str = "") -> Iterator[tuple[FileCheck, int]]:
    """Check files by their manifest, or say why it cannot be read; each comes with its bytes in it."""
    if isinstance(entries, str):
        yield FileCheck(MANIFEST, 0, entries, "sha256"), 0
        return
    yield from ((_by_manifest(folder, one), one.bytes) for one in entries if one.name.startswith(only))
    yield from ((found, 0) for found in _foreign(folder, entries) if found.name.startswith(only))


def _entries(folder: Path) -> list[FileEntry] | str:
    try:
        return read_manifest(folder)
    except ArcError as error:
        return str(error)


def _label(checkpoint: Checkpoint, folder: Path) -> str:
    """Return what stands before the names of a checkpoint's files; nothing where it is all there is."""
    if len(checkpoint.manifests) == 1 and folder == checkpoint.path:
        return ""
    around = checkpoint.path.parent if checkpoint.kind is Kind.CHECKPOINT else checkpoint.path
    inside = folder.relative_to(around) if folder.is_relative_to(around) else folder
    return f"{printable(inside.as_posix(), 200)}/"


def _foreign(folder: Path, entries: list[FileEntry]) -> Iterator[FileCheck]:
    """Name the files that the manifest does not."""
    known = {entry.name for entry in entries} | {MANIFEST}
    here = {path.relative_to(folder).as_posix() for path in files_below(folder)}
    for name in sorted(here - known):
        yield FileCheck(printable(name, 200), 0, "is not in the manifest", "sha256")


def _by_manifest(folder: Path, entry: FileEntry) -> FileCheck:
    name, path, problem = printable(entry.name, 200), folder / entry.name, None
    size = 0
    try:
        if is_link(path) or not is_file(path):
            problem = "is missing"
        else:
            size = bytes_of(path) or 0
            if size != entry.bytes:
                problem = f"has {size:,} bytes, not {entry.bytes:,}"
            elif digest(path) != entry.sha256:
                problem = "is damaged: its sha256 is not the manifest's"
    except (OSError, ArcError) as error:
        problem = f"cannot be read: {error}"
    return FileCheck(name, size, problem, "sha256")


def _by_header(part: Part) -> FileCheck:
    problem = part.problem
    if part.header is not None and (notes := [*part.header.notes, *part.notes]):
        problem = " ".join(notes)
    by = "header" if part.unread is None else "nothing"
    return FileCheck(printable(part.label, 200), part.bytes or 0, problem, by)
