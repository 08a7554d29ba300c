"""Files and folders that are on the disk once a function here returns, not merely in the system's cache.

Everything is written in pieces by `os.write`, which lets other threads run meanwhile, and hashed from
memory: the digest is that of what was meant to be written, so that reading back can tell.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PIECE_BYTES = 4 << 20
TEMPORARY = ".tmp-"
"""How the names of files and folders begin that are not finished."""
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


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
