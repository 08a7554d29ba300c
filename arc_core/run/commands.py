"""Commands to a running training process: one file each, put into the run's `commands` folder.

A sender writes `<id>.json` under a temporary name and renames it. The training process asks the inbox
at each step boundary, which costs one `stat` while nothing has come, and answers every command by an
event that names its id.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from arc_core.base.errors import ConfigError, RunError
from arc_core.base.files import open_regular, read_limited
from arc_core.base.options import Setting, Value, canonical, settings_of, unknown_key
from arc_core.base.paths import entries
from arc_core.base.text import printable
from arc_core.run.config import TrainConfig
from arc_core.run.directory import RunDirectory, stored_config

COMMANDS = ("pause", "resume", "checkpoint", "validate", "stop", "set")

INTERVALS = ("checkpoint_every", "checkpoint_minutes")
"""What `set` may change in every run, beside its rates."""

TOO_OLD = "The command is older than the training process."
"""Why a command is rejected that was sent to a process which has ended since, or had not begun."""

LARGEST_COMMAND = 16_384
MOST_IN_ONE_POLL = 256
SETTLED_NANOSECONDS = 2_000_000_000
"""A folder changed more recently than this is listed again: its time stamp may be too coarse to tell."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RATE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*_)?lr")
_TEMPORARY = ".tmp-"
_FIELDS = frozenset({"id", "command", "args", "time"})


@dataclass(frozen=True)
class Command:
    """A command that was taken from the folder.

    Attributes:
        id: Names it in the answering event.
        command: One of `COMMANDS`; "" if it could not be read.
        args: For `set`, the checked new values by name; empty for the others.
        time: When it was sent, in seconds since the epoch.
        reason: Why it must be rejected, as a sentence; None for a good one.
    """

    id: str
    command: str = ""
    args: dict[str, Value] = field(default_factory=dict[str, Value])
    time: float = 0.0
    reason: str | None = None


class CommandInbox:
    """Takes the commands that arrive in a folder."""

    def __init__(self, folder: Path, started_at: float) -> None:
        """Watch a folder.

        Args:
            folder: The run's `commands` folder.
            started_at: When this process started; commands sent before are rejected.
        """
        self._folder = folder
        self._started_at = started_at
        self._seen: tuple[int, int] | None = None
        self._stuck: set[str] = set()

    def poll(self) -> list[Command]:
        """Take what has arrived, in the order of the ids; one `stat` when nothing has.

        Returns:
            The commands, removed from the folder; those to be rejected carry a reason. A file that
            cannot be removed is rejected once.
        """
        try:
            status = self._folder.stat(follow_symlinks=False)
        except FileNotFoundError:
            return []
        now = (status.st_ino, status.st_mtime_ns)
        if now == self._seen or not stat.S_ISDIR(status.st_mode):
            return []
        found = [path.name for path in entries(self._folder) if path.name.endswith(".json")]
        names = [name for name in found if name not in self._stuck and not name.startswith(_TEMPORARY)]
        settled = time.time_ns() - status.st_mtime_ns > SETTLED_NANOSECONDS
        self._seen = now if settled and not names else None
        return [self._take(name) for name in names[:MOST_IN_ONE_POLL]]

    def _take(self, name: str) -> Command:
        path = self._folder / name
        shown = printable(name.removesuffix(".json"), 64)
        try:
            raw = read_limited(path, LARGEST_COMMAND)
            command = _read(name.removesuffix(".json"), raw, self._started_at, self._folder)
        except (RunError, ConfigError) as error:
            command = Command(shown, reason=str(error))
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._stuck.add(name)
            reason = f"The command file cannot be removed: {error.strerror}."
            return Command(command.id, command.command, time=command.time, reason=command.reason or reason)
        return command


def send(folder: Path, command: str, args: Mapping[str, object] | None = None) -> str:
    """Put a command into a run's folder.

    Args:
        folder: The run's `commands` folder.
        command: One of `COMMANDS`.
        args: For `set`, the new values by name.

    Returns:
        The id that the answering event will name. Ids rise with the time.

    Raises:
        ConfigError: If the command or a value is not allowed; nothing is sent.
        RunError: If the folder cannot be written, or the run.json beside it cannot be read.
    """
    values = _checked(folder, command, args or {})
    identity = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
    body = json.dumps({"id": identity, "command": command, "args": values, "time": time.time()})
    temporary = folder / f"{_TEMPORARY}{identity}.json"
    try:
        fd = open_regular(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(body)
        temporary.replace(folder / f"{identity}.json")
    except OSError as error:
        raise RunError(f"Cannot send a command to {printable(str(folder))}: {error.strerror}.") from None
    return identity


def changeable(config: Mapping[str, object]) -> dict[str, Setting]:
    """List what `set` may change while a run trains: its rates, and how often checkpoints are saved.

    Args:
        config: The run's configuration as run.json stores it, so that nothing of its recipe is needed. Every
            number in it called `lr` or `..._lr` is a rate; the training process refuses those that its
            models do not have.
    """
    rates = {
        name: Setting(
            name, float, optional=False, default=cast(float, value), help="A learning rate.", low=0, high=1
        )
        for name, value in config.items()
        if is_rate(name, value)
    }
    common = settings_of(TrainConfig)
    return rates | {name: common[name] for name in INTERVALS}


def is_rate(name: str, value: object) -> bool:
    """Whether a setting is a learning rate: one from 0 to 1 that is called `lr` or `..._lr`."""
    if not _RATE.fullmatch(name) or isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= 1


def check_command(
    command: str, args: Mapping[str, object], settings: Mapping[str, Setting]
) -> dict[str, Value]:
    """Check a command and return its arguments as their types.

    Args:
        command: One of `COMMANDS`.
        args: For `set`, the new values by name.
        settings: For `set`, what is `changeable` in the run.

    Raises:
        ConfigError: If the command is unknown, an argument does not belong to it or is outside its
            range.
    """
    if command not in COMMANDS:
        raise unknown_key(command, COMMANDS, "command")
    if command != "set":
        if args:
            raise ConfigError(f"{command} takes no arguments.")
        return {}
    if not args:
        raise ConfigError(f"set needs at least one of {', '.join(settings)}.")
    values: dict[str, Value] = {}
    for key, value in args.items():
        name = canonical(key)
        if name not in settings:
            raise unknown_key(key, settings, "setting that can change during a run:")
        values[name] = settings[name].check(value)
    return values


def _checked(folder: Path, command: str, args: Mapping[str, object]) -> dict[str, Value]:
    run = RunDirectory(folder.parent)
    return check_command(command, args, changeable(stored_config(run.read())) if command == "set" else {})


def _read(identity: str, raw: bytes, started_at: float, folder: Path) -> Command:
    """Parse a command file; raises ConfigError with the reason to reject it."""
    if not _ID.fullmatch(identity):
        raise ConfigError("The id is not made of up to 64 letters, digits, hyphens and underscores.")
    try:
        content: object = json.loads(raw)
    except (ValueError, RecursionError):
        raise ConfigError("The command file is not JSON.") from None
    if not isinstance(content, dict) or cast("dict[str, Any]", content).keys() != _FIELDS:
        raise ConfigError("The command file is not an object of id, command, args and time.")
    fields = cast("dict[str, object]", content)
    command, args, sent = fields["command"], fields["args"], fields["time"]
    if fields["id"] != identity:
        raise ConfigError("The id in the command file is not the file's name.")
    if not isinstance(command, str) or not isinstance(args, dict) or not _is_time(sent):
        raise ConfigError("The command file has a field of the wrong type.")
    when = float(cast(float, sent))
    if when < started_at:
        raise ConfigError(TOO_OLD)
    return Command(identity, command, _checked(folder, command, cast("dict[str, object]", args)), when)


def _is_time(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 2**63
