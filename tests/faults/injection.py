"""Watches what a training process does to its run directory, and kills it or fails a call at a planned point.

The calls of the os module that the engine makes are wrapped. Each call on a path of the run is an
operation with a name, such as `write checkpoint/agent.safetensors` or `write event step`; so are the moments
around an optimizer's step and a snapshot's copies. A plan picks an operation, its occurrence in this process
and whether to strike before it, in the middle of it (a write) or after it.

Run as a script it is the training process itself, under a plan:

    python injection.py RUN_DIR SIDE_DIR PLAN_JSON
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any, Self

HIT = "hit.json"
COUNTS = "counts.json"
SEEN = "seen.jsonl"
CONTEXTS = {"prune": "prune ", "clean": "clean ", "_read_back": "read back ", "_hint": "hint "}
"""Functions of arc_core.checkpoints.persistence whose calls are named apart."""

_OS = (
    *("open", "write", "pwrite", "fsync", "ftruncate", "rename", "replace", "link", "mkdir"),
    *("unlink", "rmdir", "listdir"),
)
_WRITING = os.O_WRONLY | os.O_RDWR


@dataclass(frozen=True)
class Strike:
    """What happens at a planned point instead of, or around, the call.

    Attributes:
        when: `before`, `half` (of a write's bytes) or `after` the call.
        error: The errno that the call fails with; None kills the process.
    """

    when: str = "before"
    error: int | None = None


Decide = Callable[[str, int], Strike | None]
"""Given an operation and its number in this process, from 1: what to do to it."""

Observe = Callable[[str, str, int], None]
"""Told `before` or `after`, an operation and its number."""


@dataclass(frozen=True)
class Plan:
    """One kill of one process.

    Attributes:
        operation: Name of the call to strike.
        when: As of `Strike`.
        occurrence: Its number in the process, from 1.
    """

    operation: str
    when: str = "before"
    occurrence: int = 1

    def __call__(self, operation: str, number: int) -> Strike | None:
        if (operation, number) == (self.operation, self.occurrence):
            return Strike(self.when)
        return None


class Injector:
    """Wraps the engine's calls while it is entered.

    Args:
        run: The run directory; calls on other paths pass untouched.
        decide: What to do to each operation.
        observe: Told of each operation; what it does itself is not observed.
        side: Where to leave what a viewer could have seen when the process is killed; outside the run.
    """

    def __init__(
        self, run: Path, decide: Decide, observe: Observe | None = None, side: Path | None = None
    ) -> None:
        self._run = str(run)
        self._decide = decide
        self._observe = observe
        self._side = side
        self._lock = threading.Lock()
        self._own = threading.local()
        self._undo: list[Callable[[], None]] = []
        self.counts: Counter[str] = Counter()
        self.struck: list[tuple[str, int]] = []

    def __enter__(self) -> Self:
        for name in _OS:
            self._replace(os, name, self._wrapped(name, getattr(os, name)))
        self._watch_training()
        return self

    def __exit__(self, *_: object) -> None:
        while self._undo:
            self._undo.pop()()

    def report(self) -> None:
        """Leave the number of times that each operation occurred."""
        assert self._side is not None
        (self._side / COUNTS).write_text(json.dumps(self.counts), encoding="utf-8")

    def _replace(self, owner: Any, name: str, new: Any) -> None:
        old = getattr(owner, name)
        setattr(owner, name, new)
        self._undo.append(lambda: setattr(owner, name, old))

    def _wrapped(self, verb: str, real: Any) -> Any:
        """A call of the os module as an operation; the path or descriptor comes first, or second of two."""

        def one(place: Any, *args: Any, **options: Any) -> Any:
            name = self._label(place, options.get("dir_fd"))
            return self._do(name and f"{verb} {name}", lambda: real(place, *args, **options))

        def two(source: Any, target: Any, **options: Any) -> Any:
            name = self._label(target)
            return self._do(name and f"{verb} {name}", lambda: real(source, target, **options))

        def opened(path: Any, flags: int, *args: Any, **options: Any) -> int:
            name = self._label(path, options.get("dir_fd"))
            way = "create" if flags & _WRITING else "read"
            return self._do(name and f"{way} {name}", lambda: real(path, flags, *args, **options))

        def written(fd: int, data: Any) -> int:
            name = self._label(fd)
            if name == "events.jsonl":
                name = _event_name(bytes(data))
            half = memoryview(data)[: len(data) // 2]
            return self._do(name and f"write {name}", lambda: real(fd, data), lambda: real(fd, half))

        def listed(path: Any = ".") -> Any:
            name = self._label(path)
            return self._do(name and f"list {name}", lambda: real(path))

        special = {
            **{"open": opened, "write": written, "listdir": listed},
            **{"rename": two, "replace": two, "link": two},
        }
        return special.get(verb, one)

    def _watch_training(self) -> None:
        from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

        from arc_core.checkpoints.snapshot import SnapshotTaker

        handles = (
            register_optimizer_step_pre_hook(lambda *_: self._point("update parameters")),
            register_optimizer_step_post_hook(lambda *_: self._point("parameters updated")),
        )
        self._undo.extend(handle.remove for handle in handles)
        take, copy = SnapshotTaker.take, SnapshotTaker._copy

        def watched_take(*args: Any, **options: Any) -> Any:
            return self._do("take snapshot", lambda: take(*args, **options))

        def watched_copy(*args: Any) -> Any:
            return self._do("copy tensor", lambda: copy(*args))

        self._replace(SnapshotTaker, "take", watched_take)
        self._replace(SnapshotTaker, "_copy", watched_copy)

    # What happens around each

    def _point(self, operation: str) -> None:
        self._do(operation, lambda: None)

    def _do(
        self, operation: str | None, call: Callable[[], Any], half: Callable[[], Any] | None = None
    ) -> Any:
        if operation is None or getattr(self._own, "busy", False):
            return call()
        operation = _named(operation)
        with self._lock:
            self.counts[operation] += 1
            number = self.counts[operation]
        self._tell("before", operation, number)
        strike = self._decide(operation, number)
        if strike is None:
            result = call()
        elif strike.error is not None:
            self.struck.append((operation, number))
            if strike.when == "before":
                raise OSError(strike.error, os.strerror(strike.error))
            assert strike.when == "half"
            assert half is not None
            return half()
        else:
            if strike.when == "half":
                assert half is not None, f"{operation} has no middle"
                half()
            elif strike.when == "after":
                call()
            self._kill(operation, strike.when, number)
        self._tell("after", operation, number)
        return result

    def _tell(self, when: str, operation: str, number: int) -> None:
        if self._observe is not None:
            with self._unobserved():
                self._observe(when, operation, number)

    def _kill(self, operation: str, when: str, number: int) -> None:
        """End this process as `kill -9` does, having noted what was to be seen of it at that moment."""
        assert self._side is not None
        with self._unobserved():
            events = Path(self._run, "events.jsonl")
            (self._side / SEEN).write_bytes(events.read_bytes() if events.exists() else b"")
            self.report()
            note = json.dumps(asdict(Plan(operation, when, number)))
            (self._side / HIT).write_text(note, encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)

    @contextlib.contextmanager
    def _unobserved(self) -> Iterator[None]:
        self._own.busy = True
        try:
            yield
        finally:
            self._own.busy = False

    def _label(self, path: Any, dir_fd: int | None = None) -> str | None:
        """Name of a place in the run that is the same for every checkpoint; None elsewhere."""
        if isinstance(path, int):
            place = str(Path(f"/proc/self/fd/{path}").readlink())
        else:
            place = os.fsdecode(path)
            if dir_fd is not None:
                place = f"{Path(f'/proc/self/fd/{dir_fd}').readlink()}/{place}"
        if place == self._run:
            return "run folder"
        if not place.startswith(f"{self._run}/"):
            return None
        parts = PurePath(place).relative_to(self._run).parts
        if parts[0] == "checkpoints" and len(parts) > 1:
            name = re.sub(r"^\.tmp-(\d+-)?", "", parts[1])
            return "/".join(("checkpoint" if name.startswith("checkpoint_") else name, *parts[2:]))
        if parts[0] == "commands" and len(parts) > 1:
            return "command"
        return "run.json" if parts[0].endswith("run.json") else parts[0]


def _event_name(line: bytes) -> str:
    with contextlib.suppress(ValueError):
        event = json.loads(line)
        return f"event {event['type']}" + (f" {event['phase']}" if "phase" in event else "")
    return "event"


def _named(operation: str) -> str:
    """Tell the purposes of the same call apart; where all files are alike they share a name."""
    context = ""
    frame = sys._getframe(2)
    while frame is not None and not context:
        if frame.f_globals.get("__name__") == "arc_core.checkpoints.persistence":
            context = CONTEXTS.get(frame.f_code.co_name, "")
        frame = frame.f_back
    if context or operation.startswith("read "):
        operation = re.sub(r" checkpoint/.*\.\w+$", " checkpoint file", operation)
    return context + operation


def fail(error: int, operation: str, occurrence: int = 1, *, half: bool = False) -> Decide:
    """Fail one call; with `half` a write takes half of its bytes, and the same write's rest fails."""
    assert error in (errno.EIO, errno.ENOSPC)

    def decide(name: str, number: int) -> Strike | None:
        if name != operation or not occurrence <= number <= occurrence + half:
            return None
        return Strike("half" if half and number == occurrence else "before", error)

    return decide


def run_engine(run: Path, side: Path, plan: Decide, observe: Observe | None = None) -> int:
    """Be the training process of a run, under a plan; returns its exit code if the plan is never met."""
    from arc_core.process import main

    with Injector(run, plan, observe, side) as injector:
        code = main(run)
    injector.report()
    return code


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))  # as pytest does, for what all tests share
    from harness import Settings

    given = json.loads(sys.argv[3])
    sets = given.pop("sets")
    run_dir, side_dir = Path(sys.argv[1]), Path(sys.argv[2])
    sys.exit(run_engine(run_dir, side_dir, Plan(**given), Settings(run_dir) if sets else None))
