"""The one place that asks the file system about paths that users name or share; asking never raises.

`Path.is_dir` and its kin raise where a folder is closed to this user or a name is too long. Here both mean
that nothing is there for this user; `refusal` says why. It is also the one place that reads a path as a user
types it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from arc_core.base.errors import ConfigError
from arc_core.base.text import printable


def is_dir(path: Path) -> bool:
    """Whether a folder is there, links followed; False where it cannot be known."""
    return os.path.isdir(path)


def is_file(path: Path) -> bool:
    """Whether a regular file is there, links followed; False where it cannot be known."""
    return os.path.isfile(path)


def is_link(path: Path) -> bool:
    """Whether a symbolic link is there; False where it cannot be known."""
    return os.path.islink(path)


def exists(path: Path) -> bool:
    """Whether anything is there, links followed; False where it cannot be known."""
    return os.path.exists(path)


def is_taken(path: Path) -> bool:
    """Whether a name is taken, by a broken link too; False where it cannot be known."""
    return os.path.lexists(path)


def entries(folder: Path) -> list[Path]:
    """What is in a folder, in order of the names; empty where it cannot be listed."""
    try:
        return [folder / name for name in sorted(os.listdir(folder))]
    except (OSError, ValueError):
        return []


@dataclass(frozen=True)
class FolderEntry:
    """What is in a folder under one name: whether it leads to a folder, and whether it is a link."""

    name: str
    is_folder: bool
    is_link: bool


def scan(folder: Path) -> list[FolderEntry]:
    """What is in a folder, in order of the names, without asking for each entry.

    Raises:
        OSError: If it cannot be listed.
    """
    with os.scandir(folder) as found:
        return sorted((_entry(one) for one in found), key=lambda one: one.name)


def _entry(found: os.DirEntry[str]) -> FolderEntry:
    is_folder = False
    with contextlib.suppress(OSError):  # a link that leads nowhere
        is_folder = found.is_dir()
    return FolderEntry(found.name, is_folder, found.is_symlink())


def matching(folder: Path, pattern: str) -> list[Path]:
    """What below a folder fits a pattern, in order; what is closed to this user is left out.

    Args:
        folder: Where to look.
        pattern: As `Path.glob` takes it, such as `*.json` or `**/*.json`.
    """
    try:
        return sorted(folder.glob(pattern))
    except (OSError, ValueError):  # a folder vanished meanwhile, or a name is too long
        return []


def files_below(folder: Path) -> list[Path]:
    """All that is no folder below a folder, in order; links are not followed."""
    return sorted(Path(where, name) for where, _, names in os.walk(folder) for name in names)


def bytes_of(path: Path) -> int | None:
    """Bytes of a file, a link followed; None where it cannot be known."""
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return None


def modified(path: Path) -> float:
    """When it was changed last, in seconds since the epoch; 0 where it cannot be known."""
    try:
        return os.stat(path).st_mtime
    except (OSError, ValueError):
        return 0.0


Stamp = tuple[int, int, int, int]
"""Mode, inode, bytes and time of change in nanoseconds: another one where a file or folder has changed."""


def stamp(path: Path) -> Stamp | None:
    """Tell by what a change is known, a link not followed; None where that cannot be known."""
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return None
    return found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns


def same_place(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same place, links followed."""
    return os.path.realpath(one) == os.path.realpath(other)


def refusal(path: Path) -> str | None:
    """Why this user cannot look at what a path names, in the system's words.

    Returns:
        Such as "Permission denied" for a closed file or folder or one within a closed folder, or "File
        name too long"; None where it can be read, or where nothing is there.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return error.strerror
    except ValueError:
        return os.strerror(errno.EINVAL)
    wanted = os.R_OK | os.X_OK if stat.S_ISDIR(mode) else os.R_OK
    return None if os.access(path, wanted, effective_ids=True) else os.strerror(errno.EACCES)


def expanded(typed: str | Path) -> Path:
    """Read a path as a user types it: `~` and `~user` stand for home folders, as in a shell.

    Raises:
        ConfigError: If that home is not known, or the path holds a null character.
    """
    text = os.path.expanduser(typed)
    if "\0" in text:
        raise ConfigError(f"{printable(text, 200)} is no path: it holds a null character.")
    if text.startswith("~"):
        first = printable(text.split("/", 1)[0], 60)
        raise ConfigError(
            f"The home folder {first} of {printable(text, 200)} is not known; write ./{first} for a name."
        )
    return Path(text)


def full_path(typed: str | Path) -> Path:
    """Read a path as a user types it, made absolute, so that it means the same from every folder.

    Raises:
        ConfigError: As `expanded` does.
    """
    return expanded(typed).absolute()


def name_or_full_path(typed: str, names: Collection[str]) -> str:
    """Read what may be a known name, a name that is known elsewhere, or a path.

    Args:
        typed: As the user types it.
        names: The known names, which are never looked for in the file system.

    Returns:
        A path, made absolute, where something has that name or it begins with `/`, `.` or `~`; else the name.

    Raises:
        ConfigError: As `expanded` does.
    """
    if typed in names:
        return typed
    path = expanded(typed)
    is_path = typed.startswith(("/", ".", "~")) or (typed != "" and is_taken(path))
    return str(path.absolute()) if is_path else typed


def own_folder(variable: str, usual: str) -> Path:
    """A folder of the user's own, which need not exist.

    Args:
        variable: The environment variable that may name it.
        usual: Where it is otherwise, such as `~/.config`. It does not exist for a user without a home.
    """
    return Path(os.environ.get(variable) or os.path.expanduser(usual))
