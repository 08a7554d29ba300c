"""Whether the files of a checkpoint are what was written: by its manifest, else by what headers promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from arc_core.checkpoint_index import MANIFEST, FileEntry, digest, read_manifest
from arc_core.errors import ArcError
from arc_core.paths import bytes_of, files_below, is_file, is_link
from arc_core.text import printable
from arc_tui.inspect.pieces import Cancelled
from arc_tui.inspect.source import Checkpoint, Kind


@dataclass(frozen=True)
class FileCheck:
    """What came of one file.

    Attributes:
        name: Inside the checkpoint, safe to print.
        bytes: Its size; 0 if it is missing.
        problem: What is wrong with it; None if nothing is.
        by: `sha256` if its content was held against the manifest, `header` if only its layout was.
    """

    name: str
    bytes: int
    problem: str | None
    by: str


def verify(
    checkpoint: Checkpoint,
    *,
    only: str = "",
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Iterator[FileCheck]:
    """Check every file of a checkpoint.

    Args:
        checkpoint: The checkpoint.
        only: Of a checkpoint of ours, the files whose names start with this.
        progress: Told the bytes checked and in all, after every file.
        cancelled: Asked after every file whether to stop.

    Yields:
        One for each file, the damaged ones with what is wrong.

    Raises:
        Cancelled: If `cancelled` said so.
    """
    if checkpoint.kind is not Kind.CHECKPOINT:
        yield from _by_headers(checkpoint)
        return
    try:
        listed = read_manifest(checkpoint.path)
    except ArcError as error:
        yield FileCheck(MANIFEST, 0, str(error), "sha256")
        return
    entries = [entry for entry in listed if entry.name.startswith(only)]
    total, done = sum(entry.bytes for entry in entries), 0
    for entry in entries:
        yield _by_manifest(checkpoint.path, entry)
        done += entry.bytes
        if progress is not None:
            progress(done, total)
        if cancelled is not None and cancelled():
            raise Cancelled
    known = {entry.name for entry in listed} | {MANIFEST}
    here = {path.relative_to(checkpoint.path).as_posix() for path in files_below(checkpoint.path)}
    for name in sorted(name for name in here - known if name.startswith(only)):
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


def _by_headers(checkpoint: Checkpoint) -> Iterator[FileCheck]:
    for part in checkpoint.parts:
        size = part.header.file_bytes if part.header is not None else 0
        problem = part.problem
        if part.header is not None and part.header.notes:
            problem = " ".join(part.header.notes)
        yield FileCheck(printable(part.label, 200), size, problem, "header")
    if checkpoint.kind is Kind.HUGGING_FACE:
        for note in checkpoint.notes:
            if not any(
                part.header and any(own in note for own in part.header.notes) for part in checkpoint.parts
            ):
                yield FileCheck("index", 0, note, "header")
