"""The header of a safetensors file: read as JSON, checked against the file, kept as columns; or why not.

    8 bytes  length N of the header, little-endian
    N bytes  JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {...}}
    the rest data; offsets count from its start

The header is scanned entry by entry, so that memory is bounded by what a header truly lists, whatever JSON
a hostile one nests; 100,000 tensors take a fraction of a second.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from arc_core.base.errors import ArcError, CheckpointError
from arc_core.base.file_formats import LOOKED_AT, foreign_format
from arc_core.base.files import open_regular
from arc_core.base.text import printable
from arc_tui.inspect.tensors.data_file import DataFile, LocalFile, read
from arc_tui.inspect.tensors.header_scan import DamagedHeader, TensorTable, scan_header, shown

LARGEST_HEADER = 100_000_000
"""Bytes; the format's own limit."""


@dataclass(frozen=True, eq=False)
class FileHeader:
    """A file's header.

    Attributes:
        table: Its tensors.
        metadata: Its free text.
        data_begin: Where the data begins.
        file_bytes: Size of the file.
        notes: One sentence for each oddity that does not keep it from being read.
    """

    table: TensorTable
    metadata: dict[str, str]
    data_begin: int
    file_bytes: int
    notes: tuple[str, ...]


def open_data(path: Path, *, follow_links: bool = True) -> LocalFile:
    """Open a file to read tensors from.

    Args:
        path: The file.
        follow_links: Whether a symbolic link may stand for it, as in the Hugging Face cache.

    Raises:
        CheckpointError: If it is missing, no regular file, or refused by the system.
    """
    try:
        place = Path(os.path.realpath(path, strict=True)) if follow_links else path
        return LocalFile(open_regular(place, os.O_RDONLY))
    except ArcError as error:
        raise CheckpointError(str(error)) from None
    except ValueError:  # a null character in the path
        raise CheckpointError(f"{printable(str(path), 200)} names no file.") from None
    except OSError as error:
        raise CheckpointError(f"Cannot open {printable(str(path), 500)}: {error.strerror}.") from None


def read_header(path: Path, *, follow_links: bool = True) -> FileHeader:
    """Read and check a file's header; the data is not touched.

    Args:
        path: A `.safetensors` file.
        follow_links: As of `open_data`.

    Raises:
        CheckpointError: If it is no safetensors file or damaged; one sentence says where.
    """
    with contextlib.closing(open_data(path, follow_links=follow_links)) as file, readable_as(path):
        return header_of(file)


@contextlib.contextmanager
def readable_as(path: Path) -> Iterator[None]:
    """Make a sentence with a file's name of what fails while it is read.

    Raises:
        CheckpointError: If its header is damaged or the system refuses.
    """
    name = printable(str(path), 500)
    try:
        yield
    except DamagedHeader as error:
        raise CheckpointError(f"{name} {error}") from None
    except OSError as error:
        raise CheckpointError(f"Cannot read {name}: {error.strerror}.") from None


def header_of(file: DataFile) -> FileHeader:
    """Read and check the header of an opened file.

    Raises:
        DamagedHeader: If it is no safetensors file or damaged.
        OSError, ArcError: As `DataFile.read_into` does.
    """
    file_bytes = file.size
    start = read(file, LOOKED_AT, 0)
    length = int.from_bytes(start[:8], "little")
    # Where a header begins as it should, its length may spell anything.
    if (length > LARGEST_HEADER or start[8:9] != b"{") and (foreign := foreign_format(start)):
        raise DamagedHeader(foreign.told)
    if len(start) < 8:
        raise DamagedHeader(f"is no safetensors file: it has only {file_bytes} bytes.")
    if length > LARGEST_HEADER:
        raise DamagedHeader(
            f"is no safetensors file, or damaged: its header would have {length:,} bytes, and at most "
            f"{LARGEST_HEADER:,} are allowed."
        )
    if 8 + length > file_bytes:
        raise DamagedHeader(
            f"is truncated: its header has {length:,} bytes, but the file ends after {file_bytes:,}."
        )
    try:
        text = _read_whole(file, length, 8).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DamagedHeader(f"is damaged: its header is not UTF-8 at byte {8 + error.start}.") from None
    (table, metadata), data_begin = scan_header(text), 8 + length
    table = replace(table, begins=table.begins + data_begin, ends=table.ends + data_begin)
    return FileHeader(table, metadata, data_begin, file_bytes, _check_layout(table, data_begin, file_bytes))


def _read_whole(file: DataFile, count: int, offset: int) -> bytes:
    blocks: list[bytes] = []
    while count > 0:
        block = read(file, min(count, 1 << 24), offset)
        if not block:
            raise DamagedHeader("was cut short while it was read.")
        blocks.append(block)
        count -= len(block)
        offset += len(block)
    return b"".join(blocks)


def _check_layout(table: TensorTable, data_begin: int, file_bytes: int) -> tuple[str, ...]:
    """Hold offsets against each other and against the file; return notes on what is merely odd."""
    beyond = np.flatnonzero(table.ends > file_bytes)
    if len(beyond):
        first = int(beyond[table.begins[beyond].argmin()])
        raise DamagedHeader(
            f"is truncated: it has {file_bytes:,} bytes, but its header promises {int(table.ends.max()):,}; "
            f'{len(beyond)} of {len(table)} tensors are not there in full, the first "'
            f'{shown(table.names[first])}".'
        )
    stored = np.flatnonzero(table.bytes)
    order = stored[np.argsort(table.begins[stored], kind="stable")]
    begins, ends = table.begins[order], table.ends[order]
    overlapping = np.flatnonzero(begins[1:] < ends[:-1])
    if len(overlapping):
        at = int(overlapping[0])
        one, other = shown(table.names[order[at]]), shown(table.names[order[at + 1]])
        raise DamagedHeader(f'is damaged: the tensors "{one}" and "{other}" overlap.')
    unused = file_bytes - data_begin - int(table.bytes.sum())
    return (f"{unused:,} bytes of its data belong to no tensor.",) if unused else ()


@dataclass(frozen=True, eq=False)
class Part:
    """A file of a checkpoint.

    Attributes:
        label: Its path as it is shown, inside the folder.
        path: Where it is.
        prefix: What stands before its tensors' names, such as `agent.`; empty if nothing does.
        header: Its header; None if it cannot be read, or is not.
        problem: What is wrong with it where it cannot be read, in one sentence; None if nothing is.
        unread: Why it is not read although nothing is wrong with it, as with a pickle; None for others.
        form: What it is instead, in a word or two, such as `pickle`; empty where that is not known.
        size: Bytes of a file without a header; None where it is not there.
        notes: One sentence for each oddity that its header does not show, such as a tensor of an index
            that it lacks.
        remote: Gives the file where it is on no disk of this machine; None for the others.
    """

    label: str
    path: Path
    prefix: str
    header: FileHeader | None
    problem: str | None = None
    unread: str | None = None
    form: str = ""
    size: int | None = None
    notes: tuple[str, ...] = ()
    remote: DataFile | None = None

    @property
    def bytes(self) -> int | None:
        """Size of the file; None where it is not there or cannot be opened."""
        return self.size if self.header is None else self.header.file_bytes

    @property
    def state(self) -> str:
        """A word or two for a file whose tensors are not shown."""
        if self.problem is not None:
            return "damaged" if self.remote is not None or os.path.lexists(self.path) else "missing"
        return f"not read: {self.form}" if self.form else "not read"


def open_part(part: Part, *, follow_links: bool = True) -> DataFile:
    """Open a part's file to read tensors from, as `open_data` does."""
    return part.remote or open_data(part.path, follow_links=follow_links)


def read_part(path: Path, label: str, prefix: str = "", *, follow_links: bool = True) -> Part:
    """Read a file's header; what is wrong with it becomes the part's problem."""
    try:
        return Part(label, path, prefix, read_header(path, follow_links=follow_links))
    except ArcError as error:
        size = None
        with contextlib.suppress(OSError, ValueError):
            size = path.stat(follow_symlinks=follow_links).st_size
        return Part(label, path, prefix, None, str(error), size=size)


def unread_part(path: Path, label: str) -> Part:
    """Name a file with weights in a form that is not read, and tell whether it truly is one."""
    shown = printable(str(path), 500)
    try:
        with contextlib.closing(open_data(path)) as file, readable_as(path):
            start, size = read(file, LOOKED_AT, 0), file.size
    except ArcError as error:
        return Part(label, path, "", None, str(error))
    foreign = foreign_format(start)
    if foreign is not None and foreign.lost:
        return Part(label, path, "", None, f"{shown} {foreign.told}", size=size)
    told = foreign.told if foreign is not None else f"ends with {path.suffix}, which is not read."
    form = foreign.name if foreign is not None else ""
    return Part(label, path, "", None, unread=f"{shown} {told}", form=form, size=size)
