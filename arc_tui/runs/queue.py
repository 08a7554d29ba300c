"""The queue: runs that are to be trained one after another, each a small file in a folder beside the runs.

Whoever works on an entry holds a lock of the system on it, which ends with its process however that ends.
Entries are looked for, claimed, added and removed under one more lock, that of the whole queue.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from arc_core.base.errors import RunError
from arc_core.base.files import open_regular, read_json_object, write_json_atomic
from arc_core.base.loose import listed, mapping, whole
from arc_core.base.paths import full_path, is_taken, matching
from arc_core.base.text import full_name, printable
from arc_core.run.config import TrainConfig
from arc_core.run.directory import check_name

SUFFIX = ".queue"
"""What the folder of the queue is called beside that of its runs."""

PATIENCE_SECONDS = 10.0
"""How long the queue is waited for; it is held for as long as it takes to read a few small files."""


class QueueState(enum.StrEnum):
    """What has become of an entry."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class QueuedRun:
    """An entry of the queue.

    Attributes:
        file: Where it is kept.
        name: What its run is called.
        token: Stands in run.json too, so that no other run of that name is taken for this one.
        state: What has become of it; RUNNING is never kept, as the lock tells it.
        reason: Why it failed, was stopped or is damaged.
        given: The options that it was added with, as they were typed.
        config: All of them, as resolved.
        argv: The command line that added it.
        added: When, in seconds since the epoch.
        begun: Whether its run has been made, or was about to be.
        kills: How often its process was killed since it last got any further.
        step: The step that it had come to then.
    """

    file: Path
    name: str
    token: str = ""
    state: QueueState = QueueState.WAITING
    reason: str | None = None
    given: Mapping[str, str] = field(default_factory=dict[str, str])
    config: Mapping[str, object] = field(default_factory=dict[str, object])
    argv: Sequence[str] = ()
    added: float = 0.0
    begun: bool = False
    kills: int = 0
    step: int = 0

    def told(self) -> dict[str, Any]:
        """Return what is kept of it in its file, and told by `--json`."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "file"}


class Queue:
    """The queue of a folder of runs.

    Args:
        runs_dir: The folder of runs.
    """

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = full_path(runs_dir)
        self.folder = self.runs_dir.with_name(self.runs_dir.name + SUFFIX)

    def entries(self) -> list[QueuedRun]:
        """List the entries in their order; one that cannot be read says why."""
        return [_read(path) for path in matching(self.folder, "*.json") if path.stem.isdecimal()]

    def look(self) -> list[QueuedRun]:
        """List the entries, with those RUNNING that a process works on.

        Raises:
            RunError: If the queue cannot be read.
        """
        if not is_taken(self.folder):
            return []
        with self._held():
            return [self._observed(entry) for entry in self.entries()]

    def add(self, runs: Iterable[tuple[Mapping[str, str], TrainConfig]], argv: Sequence[str]) -> None:
        """Add runs at the end, all of them or none.

        Args:
            runs: What was given for each, and its configuration, which has its name.
            argv: The command line.

        Raises:
            RunError: If a name is not allowed or taken, or the queue cannot be written.
        """
        with self._held(make=True):
            known = self.entries()
            number = max((int(entry.file.stem) for entry in known), default=0)
            names, new = {entry.name for entry in known}, list[QueuedRun]()
            for given, config in runs:
                name = cast(str, config.name)
                check_name(name)
                if name in names:
                    raise RunError(f"The run {name} is in the queue already: choose another name.")
                if is_taken(self.runs_dir / name):
                    shown = printable(str(self.runs_dir))
                    raise RunError(f"The run {name} exists already in {shown}: choose another name.")
                names.add(name)
                number += 1
                new.append(
                    QueuedRun(
                        self.folder / f"{number:05d}.json",
                        name,
                        secrets.token_hex(8),
                        given=given,
                        config=config.to_dict(),
                        argv=argv,
                        added=time.time(),
                    )
                )
            made = list[Path]()
            try:
                for entry in new:
                    made.append(entry.file)
                    self.keep(entry)
            except BaseException:
                for path in made:
                    path.unlink(missing_ok=True)
                raise

    def remove(self, references: Sequence[str], *, done: bool = False) -> list[QueuedRun]:
        """Remove entries, all of those named or none; their runs stay as they are.

        Args:
            references: Names, or the starts of names.
            done: Whether to remove every entry that is done, too.

        Raises:
            RunError: If there is no such entry, or a process works on one that is named.
        """
        if not is_taken(self.folder):
            raise RunError(f"There is no queue beside {printable(str(self.runs_dir))}.")
        with self._held():
            entries = {entry.name: self._observed(entry) for entry in self.entries()}
            doomed = [e for e in entries.values() if done and e.state is QueueState.DONE]
            for reference in references:
                full = full_name(reference, entries, "queued runs", RunError)
                if full is None:
                    raise RunError(f"There is no queued run {printable(reference, 60)}.")
                if entries[full].state is QueueState.RUNNING:
                    raise RunError(f"{printable(full)} is being trained from the queue: stop it first.")
                doomed.append(entries[full])
            for entry in doomed:
                entry.file.unlink(missing_ok=True)
                _lock_of(entry).unlink(missing_ok=True)  # nobody holds it, or opens it meanwhile
        return doomed

    @contextlib.contextmanager
    def claimed(self, wanted: Callable[[QueuedRun], bool]) -> Iterator[QueuedRun | None]:
        """Hold the first entry that is wanted and that no other process works on; None if there is none.

        Args:
            wanted: Says of an entry, as its file has it, whether it is to be worked on.

        Raises:
            RunError: If the queue cannot be read.
        """
        held, found = None, None
        if is_taken(self.folder):
            with self._held():
                for entry in filter(wanted, self.entries()):
                    held = _lock(_lock_of(entry))
                    if held is None:
                        continue
                    found = _read(entry.file)  # whoever held it may have written since it was listed
                    if wanted(found):
                        break
                    os.close(held)
                    held, found = None, None
        try:
            yield found
        finally:
            if held is not None:
                os.close(held)

    def keep(self, entry: QueuedRun) -> None:
        """Write an entry; for those who have claimed it.

        Raises:
            RunError: If it cannot be written; it is as it was then.
        """
        try:
            write_json_atomic(entry.file, entry.told())
        except OSError as error:
            raise RunError(f"Cannot write {printable(str(entry.file))}: {error.strerror}.") from None

    def _observed(self, entry: QueuedRun) -> QueuedRun:
        held = _lock(_lock_of(entry))
        if held is None:
            return dataclasses.replace(entry, state=QueueState.RUNNING)
        os.close(held)
        return _read(entry.file)  # whoever held it may have written since it was listed

    @contextlib.contextmanager
    def _held(self, *, make: bool = False) -> Iterator[None]:
        """Hold the whole queue; what is done meanwhile takes no time worth telling."""
        shown = printable(str(self.folder))
        deadline = time.monotonic() + PATIENCE_SECONDS
        try:
            if make:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            while (held := _lock(self.folder / "lock")) is None:
                if time.monotonic() > deadline:
                    raise RunError(f"The queue {shown} is in use by another process.")
                time.sleep(0.02)
        except OSError as error:
            raise RunError(f"Cannot use the queue {shown}: {error.strerror}.") from None
        try:
            yield
        finally:
            os.close(held)


def _lock_of(entry: QueuedRun) -> Path:
    return entry.file.with_suffix(".lock")


def _lock(path: Path) -> int | None:
    """Take a lock, which closing lets go of; None where another process holds it."""
    held = open_regular(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        return None
    return held


def _read(path: Path) -> QueuedRun:
    try:
        content = read_json_object(path)
        name, token, state = (content.get(key) for key in ("name", "token", "state"))
        if not isinstance(name, str) or not isinstance(token, str) or state not in tuple(QueueState):
            raise RunError(f"{printable(str(path))} is damaged: it is no entry of a queue.")
        check_name(name)
    except RunError as error:
        return QueuedRun(path, path.stem, state=QueueState.DAMAGED, reason=str(error))
    reason, given = content.get("reason"), mapping(content, "given") or {}
    return QueuedRun(
        path,
        name,
        token,
        QueueState(cast(str, state)),
        reason if isinstance(reason, str) else None,
        {key: str(value) for key, value in given.items()},
        mapping(content, "config") or {},
        [str(word) for word in listed(content, "argv")],
        float(whole(content, "added")),
        content.get("begun") is True,
        whole(content, "kills"),
        whole(content, "step"),
    )
