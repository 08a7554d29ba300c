"""Files of a run, opened so that nobody can put a link or a pipe in their place, and replaced whole."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import stat
from pathlib import Path
from typing import Any, cast

from arc_core.base.durable import TEMPORARY, replace_file
from arc_core.base.errors import RunError
from arc_core.base.paths import matching
from arc_core.base.text import printable

LARGEST_JSON = 4 << 20
"""No JSON file of a run that is read whole comes near this."""

PICKLED = frozenset({".bin", ".pt", ".pth", ".ckpt"})
"""How the names of files end that are pickles, which may run code when they are read."""


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
    replace_file(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode("ascii"))


def keeps_permissions(folder: Path) -> bool:
    """Whether the file system of a folder keeps who may read and write, as WSL's /mnt/c and vfat do not.

    It is tried with a file of this process's own, which is gone again.

    Returns:
        False where such a file is writable by everyone though it was made for this user alone; True where it
        is not, or where it cannot be tried.
    """
    probe = folder / f"{TEMPORARY}{secrets.token_hex(8)}"
    try:
        fd = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return True
    try:
        # asked of the descriptor: nobody can put another file in its place
        return not os.fstat(fd).st_mode & stat.S_IWOTH
    finally:
        os.close(fd)
        with contextlib.suppress(OSError):
            probe.unlink()


def remove_unfinished(path: Path) -> None:
    """Remove what processes that were killed within `replace_file` left beside a file."""
    for left in matching(path.parent, f"{TEMPORARY}*-{path.name}"):
        writer = left.name.removeprefix(TEMPORARY).removesuffix(f"-{path.name}")
        if writer.isdecimal() and not _is_running(int(writer)):
            left.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return process != os.getpid()


def _not_regular(path: Path) -> RunError:
    return RunError(f"{printable(str(path))} is no regular file: it is not opened.")
