"""Files of a run, opened so that nobody can put a link or a pipe in their place, and replaced whole."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, cast

from arc_core.errors import RunError
from arc_core.text import printable

LARGEST_JSON = 4 << 20
"""No JSON file of a run that is read whole comes near this."""


def open_regular(path: Path, flags: int) -> int:
    """Open a file of a run; a new one gets mode 0600.

    Args:
        path: The file.
        flags: As `os.open` takes them; links are never followed and pipes never waited for.

    Returns:
        A file descriptor that a started program does not inherit.

    Raises:
        RunError: If it is a symbolic link, a pipe or anything else but a regular file.
        OSError: If the system refuses for another reason.
    """
    try:
        fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise _not_regular(path) from None
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise _not_regular(path)
    return fd


def read_limited(path: Path, limit: int = LARGEST_JSON) -> bytes:
    """Read a small file of a run.

    Raises:
        RunError: If it is missing, larger than `limit` bytes, or no regular file.
    """
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            raw = file.read(limit + 1)
    except OSError as error:
        raise RunError(f"Cannot read {printable(str(path))}: {error.strerror}.") from None
    if len(raw) > limit:
        raise RunError(f"{printable(str(path))} is larger than {limit} bytes.")
    return raw


def read_json_object(path: Path, limit: int = LARGEST_JSON) -> dict[str, Any]:
    """Read a small JSON file of a run that holds one object.

    Raises:
        RunError: If it is missing, too large, no regular file, or not a JSON object.
    """
    try:
        content: object = json.loads(read_limited(path, limit))
    except (ValueError, RecursionError):
        raise RunError(f"{printable(str(path))} is damaged: it is not JSON.") from None
    if not isinstance(content, dict):
        raise RunError(f"{printable(str(path))} is damaged: it is not a JSON object.")
    return cast("dict[str, Any]", content)


def write_json_atomic(path: Path, content: object) -> None:
    """Write JSON (mode 0600) so that a reader, or a crash, sees the old file or the new one, whole."""
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="ascii") as file:
            json.dump(content, file, indent=2, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _not_regular(path: Path) -> RunError:
    return RunError(f"{printable(str(path))} is no regular file: it is not opened.")
