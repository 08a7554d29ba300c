"""Files of a run: opened so that nobody can put a link or a pipe in their place, on the disk once written.

What is written here is on the disk when the function returns, not merely in the system's cache. It is written
in pieces by `os.write`, which lets other threads run meanwhile, and hashed from memory: the digest is that of
what was meant to be written, so that reading back can tell.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from arc_core.base.errors import ConfigError, RunError
from arc_core.base.paths import matching
from arc_core.base.text import printable

PIECE_BYTES = 4 << 20
TEMPORARY = ".tmp-"
"""How the names of files and folders begin that are not finished."""
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

LARGEST_JSON = 4 << 20
"""No JSON file of a run that is read whole comes near this."""

LARGEST_PRIVATE = 65_536

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
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb", buffering=0) as file:
            # Room for what is there, not for the limit: asking for 4 MiB takes longer than reading 2 KiB.
            raw = file.read(min(os.fstat(file.fileno()).st_size, limit) + 1) or b""
            while len(raw) <= limit and (more := file.read(limit + 1 - len(raw))):
                raw += more
    except OSError as error:
        raise RunError(f"Cannot read {printable(str(path))}: {error.strerror}.") from None
    if len(raw) > limit:
        raise RunError(f"{printable(str(path))} is larger than {limit} bytes.")
    return raw


def read_private(path: Path) -> str:
    """Read a small text that holds secrets.

    Raises:
        RunError: If it is a symbolic link, or no regular file.
        ConfigError: If it cannot be read, others can read it, or it is no text in UTF-8; in a sentence
            without any of it.
    """
    shown = printable(str(path), 200)
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise ConfigError(f"{shown} holds secrets and is open to others: chmod 600 {shown}")
            return file.read(LARGEST_PRIVATE).decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"Cannot read {shown}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{shown} is no text in UTF-8.") from None


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


def write_file(path: Path, pieces: Iterable[bytes | memoryview], mode: int = 0o600) -> tuple[int, str]:
    """Write a new file and wait until it is on the disk.

    Args:
        path: Where nothing may be yet; a link is not followed.
        pieces: Its content, in order.
        mode: Its permissions, less what the umask takes.

    Returns:
        Its size in bytes, and the sha256 of the content as it was in memory, in hexadecimal.

    Raises:
        OSError: If it cannot be written whole; what was written of it stays.
    """
    sha, size = hashlib.sha256(), 0
    fd = os.open(path, _NEW_FILE, mode)
    try:
        # Digest and write side by side: each takes about as long, and neither holds Python's lock.
        with ThreadPoolExecutor(1, "sha256") as hasher:
            for piece in pieces:
                view = memoryview(piece)
                for start in range(0, len(view), PIECE_BYTES):
                    part = view[start : start + PIECE_BYTES]
                    hashing = hasher.submit(sha.update, part)
                    _write_all(fd, part)
                    hashing.result()
                size += len(view)
        os.fsync(fd)
    finally:
        os.close(fd)
    return size, sha.hexdigest()


def link_file(source: Path, target: Path) -> bool:
    """Give a file a second name; False where the file system cannot."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        return False
    return True


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def forget_cached(path: Path) -> None:
    """Ask the system to read a file from the disk the next time; a hint that may do nothing."""
    if not hasattr(os, "posix_fadvise"):
        return
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a small file as a whole: a reader, or a crash, sees the old one or the new one.

    Raises:
        OSError: If it cannot be written; the old one stays, and nothing of the new one.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    try:
        temporary.unlink(missing_ok=True)
        write_file(temporary, [content], mode)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def publish(folder: Path, final: Path) -> None:
    """Give a finished folder its name, so that it is there whole or not at all.

    Raises:
        OSError: If it cannot be renamed or synced.
    """
    os.rename(folder, final)  # noqa: PTH104
    sync_folder(final.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder so that a crash on the way leaves nothing that looks like a whole one."""
    doomed = folder.with_name(f".tmp-{folder.name.removeprefix('.tmp-')}")
    if doomed != folder:
        os.rename(folder, doomed)  # noqa: PTH104
    shutil.rmtree(doomed)


def _write_all(fd: int, view: memoryview) -> None:
    while view:
        view = view[os.write(fd, view) :]
