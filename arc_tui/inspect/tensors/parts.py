"""The files of a checkpoint, each with its header, or with why it has none."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from arc_core.base.errors import ArcError
from arc_core.base.file_formats import LOOKED_AT, foreign_format
from arc_core.base.text import printable
from arc_tui.inspect.tensors.header import FileHeader, open_data, read_header


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

    @property
    def bytes(self) -> int | None:
        """Size of the file; None where it is not there or cannot be opened."""
        return self.size if self.header is None else self.header.file_bytes

    @property
    def state(self) -> str:
        """A word or two for a file whose tensors are not shown."""
        if self.problem is not None:
            return "damaged" if os.path.lexists(self.path) else "missing"
        return f"not read: {self.form}" if self.form else "not read"


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
        descriptor = open_data(path)
        try:
            start, size = os.pread(descriptor, LOOKED_AT, 0), os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
    except ArcError as error:
        return Part(label, path, "", None, str(error))
    except OSError as error:
        return Part(label, path, "", None, f"Cannot read {shown}: {error.strerror}.")
    foreign = foreign_format(start)
    if foreign is not None and foreign.lost:
        return Part(label, path, "", None, f"{shown} {foreign.told}", size=size)
    told = foreign.told if foreign is not None else f"ends with {path.suffix}, which is not read."
    form = foreign.name if foreign is not None else ""
    return Part(label, path, "", None, unread=f"{shown} {told}", form=form, size=size)
