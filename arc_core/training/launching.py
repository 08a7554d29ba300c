"""The processes of one run: which of them this one is, and the start and end of the others. No torch."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from arc_core.base.errors import RunError
from arc_core.base.text import printable

LOOPBACK = "127.0.0.1"
QUIET = {"TORCH_CPP_LOG_LEVEL": "ERROR"}
"""Torch warns of parameters that a loss might not reach but did, and of peers whose end is told anyway."""

STARTED_BY_US = "ARC_CORE_STARTED_BY"
"""Set for a process that the first one started: its standard input ends when the first one does."""

GRACE_SECONDS = 5.0
"""How long a process may take to notice by itself that another has ended."""


@dataclass(frozen=True)
class World:
    """Which process of a run this one is.

    Attributes:
        rank: Its number; 0 is the first, which alone writes.
        count: Processes of the run.
        place: Its number on this machine.
        beside: Processes of the run on this machine.
        listener: Descriptor of the socket that the first process meets those it has started on; None where
            the environment says where they meet, as torchrun sets it.
    """

    rank: int = 0
    count: int = 1
    place: int = 0
    beside: int = 1
    listener: int | None = None

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> World | None:
        """What torchrun or the first process of the run has set; None where neither has.

        Raises:
            RunError: If it makes no sense.
        """
        if "RANK" not in environment:
            return None
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        rank, count = environment["RANK"], environment.get("WORLD_SIZE", "")
        given = (rank, count, environment.get("LOCAL_RANK", rank), environment.get("LOCAL_WORLD_SIZE", count))
        for name, value in zip(names, given, strict=True):
            if not value.isdecimal():
                raise RunError(
                    f"{name} is {printable(value, 40)!r} in the environment, not a number: use torchrun."
                )
        found = cls(*map(int, given))
        if found.rank >= found.count or found.place >= found.beside:
            raise RunError(
                f"RANK {found.rank} of WORLD_SIZE {found.count} and LOCAL_RANK {found.place} of "
                f"LOCAL_WORLD_SIZE {found.beside} in the environment make no sense: use torchrun."
            )
        missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not environment.get(name)]
        if found.count > 1 and missing:
            raise RunError(f"RANK is set in the environment and {missing[0]} is not: use torchrun.")
        return found

    @property
    def name(self) -> str:
        """How it is called in a sentence."""
        return f"Process {self.rank} of {self.count}"


ONE = World()
"""The process of a run that has no other."""


class Others:
    """The processes of a run that this one, its first, has started on this machine.

    Args:
        path: The run directory.
        count: Processes of the run, this one included.
    """

    def __init__(self, path: Path, count: int) -> None:
        self._closing = False
        listener = socket.create_server((LOOPBACK, 0), backlog=count)
        shared = {
            **{"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)},
            **{"MASTER_ADDR": LOOPBACK, "MASTER_PORT": str(listener.getsockname()[1])},
            STARTED_BY_US: str(os.getpid()),
        }
        os.environ.update(QUIET)
        self.world = World(0, count, 0, count, listener.detach())
        self._processes = {
            rank: subprocess.Popen(
                [sys.executable, "-m", "arc_core", str(path)],
                stdin=subprocess.PIPE,
                env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            )
            for rank in range(1, count)
        }

    def ended(self, patience: float) -> str | None:
        """Say which one has ended, waiting so many seconds for it; None where none has."""
        deadline = time.monotonic() + patience
        while True:
            for rank, process in self._processes.items():
                if (code := process.poll()) is not None:
                    how = (
                        f"was killed by {signal.Signals(-code).name}"
                        if code < 0
                        else f"ended with code {code}"
                    )
                    return f"Process {rank} of {len(self._processes) + 1} {how}"
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.05)

    def watch(self, lost: Callable[[str], object]) -> None:
        """Call `lost` from a thread when one has ended and this process has not noticed it for a while.

        A collective operation on a GPU may wait for a dead process for ever.
        """

        def look() -> None:
            while not self._closing:
                said = self.ended(0.5)
                if said is not None:
                    time.sleep(GRACE_SECONDS)
                    if not self._closing:
                        lost(said)
                    return

        threading.Thread(target=look, daemon=True).start()

    def close(self) -> None:
        """Let them end, and end those that do not."""
        self._closing = True
        for process in self._processes.values():
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
        deadline = time.monotonic() + GRACE_SECONDS
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def started(path: Path, count: int) -> Iterator[Others | None]:
    """Start the other processes of a run; None where it has one alone."""
    if count == 1:
        yield None
        return
    others = Others(path, count)
    try:
        yield others
    finally:
        others.close()


def end_with_the_first() -> None:
    """In a process that the first one started: end soon after it, however it ends."""
    if STARTED_BY_US not in os.environ:
        return

    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1024):
                pass
        time.sleep(GRACE_SECONDS)  # where all goes well, this process ends by itself
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
