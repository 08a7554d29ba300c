"""The run directory: the only thing between the training process and whoever watches it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from arc_core.base.errors import ConfigError, RunError
from arc_core.base.files import PICKLED, keeps_permissions, open_regular, read_json_object, write_json_atomic
from arc_core.base.paths import (
    entries,
    expanded,
    is_dir,
    is_file,
    is_link,
    is_taken,
    modified,
    refusal,
    same_place,
)
from arc_core.base.text import first_of, full_name, is_printable, printable
from arc_core.run.config import TrainConfig
from arc_core.run.recipes import read_config

__all__ = [
    "LATEST",
    "SEEN",
    "RunDirectory",
    "RunLock",
    "check_name",
    "config_of",
    "create_run",
    "gone_sentence",
    "is_alive",
    "is_gone",
    "list_runs",
    "lock_holder",
    "open_run",
    "refuse_if_alive",
    "refuse_if_gone",
    "stored_config",
    "trusted_run",
    "write_json_atomic",
]

LATEST = "latest"
"""Stands for the newest run wherever a run is named."""

SEEN = "seen"
"""Entry of run.json that says which tasks the run has been trained on, by ids and fingerprints."""

LONGEST_NAME = 100
LOCK_PATIENCE_SECONDS = 0.5
"""How long a lock is tried for at least: asking `is_alive` holds it for an instant."""


@dataclass(frozen=True)
class RunDirectory:
    """A run directory and the places in it."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.name

    @property
    def run_json(self) -> Path:
        """What the run was started with."""
        return self.path / "run.json"

    @property
    def events(self) -> Path:
        """The event log."""
        return self.path / "events.jsonl"

    @property
    def commands(self) -> Path:
        """The folder that commands are put into."""
        return self.path / "commands"

    @property
    def engine_log(self) -> Path:
        """Everything that the training process and its libraries print."""
        return self.path / "engine.log"

    @property
    def lock(self) -> Path:
        """The file that the training process holds locked while it lives."""
        return self.path / "lock"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    def read(self) -> dict[str, Any]:
        """Read run.json.

        Raises:
            RunError: If it is missing, a symbolic link, too large or not a JSON object.
        """
        return read_json_object(self.run_json)

    def write(self, content: dict[str, Any]) -> None:
        """Replace run.json as a whole.

        Raises:
            RunError: If it cannot be written; it is the old one or the new one then, whole.
        """
        try:
            write_json_atomic(self.run_json, content)
        except OSError as error:
            raise RunError(f"Cannot write {printable(str(self.run_json))}: {error.strerror}.") from None

    def update(self, **values: Any) -> None:
        """Set top-level entries of run.json and keep the others."""
        self.write(self.read() | values)

    def remove(self) -> None:
        """Delete the run with everything in it."""
        shutil.rmtree(self.path)


def stored_config(run_json: Mapping[str, Any]) -> dict[str, object]:
    """Return the settings that run.json holds, as they stand there; empty where it holds none."""
    config: object = run_json.get("config")
    return cast("dict[str, object]", config) if isinstance(config, dict) else {}


def config_of(run: RunDirectory) -> TrainConfig:
    """Read a run's configuration.

    Raises:
        RunError: If run.json cannot be read, or holds no configuration or a damaged one.
        RecipeError: If the run's recipe is not here any more, or cannot be used.
    """
    try:
        return read_config(run.read())
    except ConfigError as error:
        raise RunError(f"{printable(str(run.run_json))} is damaged: {error}") from None


class RunLock:
    """The lock that one training process holds on its run while it lives.

    The operating system lets go of it when the process ends, however it ends. The file holds the
    process id for the sentence that refuses a second process.
    """

    def __init__(self, run: RunDirectory, wait_seconds: float = LOCK_PATIENCE_SECONDS) -> None:
        """Prepare to lock; nothing is locked yet.

        Args:
            run: The run to lock.
            wait_seconds: How long to wait for a dying holder.
        """
        self._run = run
        self._wait_seconds = max(wait_seconds, LOCK_PATIENCE_SECONDS)
        self._fd = -1

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            RunError: If another process still holds it after the wait, says which; if it is not this user's.
        """
        try:
            fd = open_regular(self._run.lock, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise RunError(f"Cannot lock {printable(str(self._run.path))}: {error.strerror}.") from None
        deadline = time.monotonic() + self._wait_seconds
        while not _try_lock(fd, fcntl.LOCK_EX):
            if time.monotonic() >= deadline:
                os.close(fd)
                raise RunError(f"{_holder_sentence(self._run)}.")
            time.sleep(0.02)
        self._fd = fd
        self._name_holder(f"{os.getpid()}\n")

    def release(self) -> None:
        """Let go of the lock; the file stays."""
        if self._fd >= 0:
            self._name_holder("")
            os.close(self._fd)
            self._fd = -1

    def _name_holder(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the lock holds without it, on a full disk too
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, text.encode(), 0)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def is_alive(run: RunDirectory) -> bool:
    """Whether a training process holds the run's lock."""
    try:
        fd = open_regular(run.lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def is_gone(run: RunDirectory) -> bool:
    """Whether a run has been deleted or moved since it was opened; one closed since is still there."""
    return not is_taken(run.run_json) and refusal(run.path) is None


def gone_sentence(run: RunDirectory) -> str:
    """Say that a run is gone."""
    return f"The run {printable(run.name)} is gone: its folder was deleted or moved."


def refuse_if_gone(run: RunDirectory) -> None:
    """Go on only with a run that is still there.

    Raises:
        RunError: If it has been deleted or moved.
    """
    if is_gone(run):
        raise RunError(gone_sentence(run))


def lock_holder(run: RunDirectory) -> int | None:
    """Return the process id that the lock file names, or None if it names none."""
    try:
        fd = open_regular(run.lock, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        text = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
    finally:
        os.close(fd)
    return int(text) if text.isdecimal() else None


def refuse_if_alive(run: RunDirectory, wait_seconds: float = 0.0) -> None:
    """Wait for a dying training process to let go of the run.

    Raises:
        RunError: If one still holds the lock after the wait; says which.
    """
    deadline = time.monotonic() + wait_seconds
    while is_alive(run):
        if time.monotonic() >= deadline:
            raise RunError(f"{_holder_sentence(run)}.")
        time.sleep(0.05)


def create_run(runs_dir: Path, name: str | None, run_json: dict[str, Any]) -> RunDirectory:
    """Make a new run directory (mode 0700) with its run.json and empty folders.

    Args:
        runs_dir: The folder of runs; made if need be.
        name: The run's name; None names it after the time, with a number if that is taken.
        run_json: What goes into run.json.

    Raises:
        RunError: If the name is not allowed or taken, or the folder cannot be made. No run directory
            is left behind.
    """
    if name is not None:
        check_name(name)
    stem = name or time.strftime("arc_complete_%Y%m%d_%H%M%S")
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        path = _make_directory(runs_dir, stem, numbered=name is None)
    except OSError as error:
        shown = printable(str(runs_dir / stem))
        raise RunError(f"Cannot make the run directory {shown}: {error.strerror}.") from None
    run = RunDirectory(path.absolute())
    try:
        for folder in (run.commands, run.checkpoints):
            folder.mkdir(mode=0o700)
        run.write(run_json)
    except BaseException:
        run.remove()
        raise
    return run


def open_run(runs_dir: Path, reference: str = LATEST) -> RunDirectory:
    """Find a run.

    Args:
        runs_dir: The folder of runs.
        reference: A name, the start of one if only one run begins so, or "latest". The folder may
            stand before the name, as a shell completes it.

    Raises:
        RunError: If there is no such run, several begin so, or it is a symbolic link or writable by
            everyone; names the candidates.
    """
    where = printable(str(runs_dir))
    parent, _, name = reference.rstrip("/").rpartition("/")
    if parent and not same_place(expanded(parent), runs_dir):
        raise RunError(f"The run {printable(reference)} is not in {where}: give its folder by --runs-dir.")
    if name != LATEST and (reason := _name_problem(name)):
        raise RunError(f'"{printable(name, 60)}" names no run: {reason}.')
    exact = runs_dir / name
    if name != LATEST and (is_link(exact) or is_dir(exact)):
        return trusted_run(exact)
    if reason := refusal(runs_dir):
        raise RunError(f"The folder of runs {where} cannot be looked at: {reason}.")
    runs = list_runs(runs_dir)
    if name == LATEST:
        if not runs:
            raise RunError(f"There is no run in {where}.")
        return trusted_run(runs[0].path)
    names = [run.name for run in runs]
    if full := full_name(name, names, "runs", RunError):
        return trusted_run(runs_dir / full)
    if Path(name).suffix in PICKLED:
        raise RunError(
            f"{name} is no run and looks like a pickle, which is never read: where you trust it, convert a "
            "language model with transformers' save_pretrained(FOLDER) and name it by --lm FOLDER."
        )
    known = f"there are {first_of(names)}" if runs else "there is none"
    raise RunError(f"There is no run {name} in {where}; {known}.")


def trusted_run(path: Path) -> RunDirectory:
    """Return the run in a directory.

    Raises:
        RunError: If it is a symbolic link, or writable by everyone where the file system keeps permissions;
            if a file or folder in it is a link, a pipe or the like, or closed; or if it is no run.
    """
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        raise RunError(f"Cannot open the run {printable(str(path))}: {error.strerror}.") from None
    shown = printable(str(path))
    if stat.S_ISLNK(mode):
        raise RunError(f"{shown} is a symbolic link: a run directory must be a real one.")
    if mode & stat.S_IWOTH and keeps_permissions(path):
        raise RunError(f"{shown} is writable by everyone: remove that permission to use the run.")
    if reason := refusal(path):
        raise RunError(f"Cannot open the run {shown}: {reason}.")
    run = RunDirectory(path.absolute())
    if not is_taken(run.run_json):
        raise RunError(f"{shown} is no run: it has no run.json.")
    for place in (run.run_json, run.events, run.engine_log, run.lock, run.commands, run.checkpoints):
        _refuse_what_is_no_part_of_a_run(place, folder=place in (run.commands, run.checkpoints))
    return run


def _refuse_what_is_no_part_of_a_run(place: Path, *, folder: bool) -> None:
    try:
        mode = place.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(f"Cannot open {printable(str(place))}: {error.strerror}.") from None
    if stat.S_ISLNK(mode):
        raise RunError(f"{printable(str(place))} is a symbolic link: what a run holds must be real.")
    if not (stat.S_ISDIR(mode) if folder else stat.S_ISREG(mode)):
        raise RunError(
            f"{printable(str(place))} is no {'folder' if folder else 'regular file'}: it is not opened."
        )
    if reason := refusal(place):
        raise RunError(f"Cannot open {printable(str(place))}: {reason}.")


def list_runs(runs_dir: Path) -> list[RunDirectory]:
    """List the runs of a folder, the newest first.

    Links, other folders, and runs that are closed to this user are left out.
    """
    runs = [RunDirectory(path.absolute()) for path in entries(runs_dir) if not _name_problem(path.name)]
    real = [run for run in runs if not is_link(run.path) and is_file(run.run_json)]
    real = [run for run in real if refusal(run.run_json) is None]
    return sorted(real, key=lambda run: (_created(run), run.name), reverse=True)


def check_name(name: str) -> None:
    """Check the name of a new run.

    Raises:
        RunError: If it could leave the folder of runs, hide, or confuse a terminal.
    """
    if reason := _name_problem(name):
        raise RunError(f'The run cannot be named "{printable(name, 60)}": {reason}.')


def _make_directory(runs_dir: Path, stem: str, *, numbered: bool) -> Path:
    for number in range(1, 1000):
        path = runs_dir / (stem if number == 1 else f"{stem}_{number}")
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
            return path
        if not numbered:
            break
    raise RunError(f"The run {stem} exists already in {printable(str(runs_dir))}: choose another name.")


def _name_problem(name: str) -> str | None:
    if not name or name.isspace():
        return "a name has at least one character"
    if not is_printable(name):
        return "control characters are not allowed"
    if len(name.encode()) > LONGEST_NAME:
        return f"a name has at most {LONGEST_NAME} bytes"
    if "/" in name or "\\" in name:
        return "path separators are not allowed"
    if name.startswith((".", "-")) or name != name.strip():
        return "a name starts with neither a point, a hyphen nor a space"
    return "that word stands for the newest run" if name == LATEST else None


def _created(run: RunDirectory) -> float:
    with contextlib.suppress(RunError):
        created: object = run.read().get("created")
        if isinstance(created, int | float):
            return float(created)
    return modified(run.path)


def _try_lock(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder_sentence(run: RunDirectory) -> str:
    pid = lock_holder(run)
    return f"The run {printable(run.name)} is in use by " + (f"process {pid}" if pid else "another process")
