"""What the fault tests share: small runs, the uninterrupted one to compare with, and a run that is killed.

A `Chain` is one run that is started, killed, resumed and killed again until it is let through. What must hold
after each kill and at the end is asserted here, for the tests and for `benchmarks.kills` alike.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import injection
import torch
from outcome import Outcome
from raw_events import Line, read_lines, typed

from arc_core import process
from arc_core.base.signals import ENDING
from arc_core.data.tasks import load_tasks
from arc_core.pipeline.config import PipelineConfig
from arc_core.run.checkpoint_index import checkpoint_id, list_checkpoints, problems_of
from arc_core.run.commands import send
from arc_core.run.directory import RunDirectory, create_run
from arc_core.run.event_forms import CheckpointEvent, Event
from arc_core.run.event_lines import content_of
from arc_core.run.events import EventReader

EPOCHS, BATCHES = 3, 4
STEPS = EPOCHS * BATCHES
CONFIG: dict[str, Any] = {
    **{"epochs": EPOCHS, "max_batches": BATCHES, "batch_size": 2, "hidden_dim": 8, "prompt_dim": 8},
    **{"max_steps": 2, "memory_capacity": 16, "threads": 1, "device": "cpu", "amp": "off"},
    **{"checkpoint_every": 2, "keep_checkpoints": 2, "validation_inputs": 2, "sample_every": 3},
}
"""A run of 12 steps, in which checkpoints come quickly enough to be pruned."""

RATE, INTERVAL = 3e-4, 3
"""What `Settings` sets the agent's rate and the checkpoint interval to."""
INTERVAL_AFTER_STEP = 5

VARIANTS: dict[str, tuple[bool, dict[str, Any]]] = {
    "plain": (False, {}),
    "set": (True, {}),
    "frozen": (False, {"lm_train": "frozen"}),
}
"""Kinds of runs: whether a user changes settings, and the configuration. A frozen model's file is linked."""

LONGEST_SECONDS = 120

WINDOWS = {
    "step": r"(update parameters|parameters updated)",
    "snapshot": r"(take snapshot|copy tensor)",
    "manifest": r"(create|write|fsync) checkpoint/MANIFEST\.json",
    "file": r"(create|write|fsync|link|mkdir) checkpoint(/.*)?",
    "rename": r"(rename checkpoint|(mkdir|fsync) checkpoints)",
    "read back": r"read back .*",
    "hint": r"hint .*",
    "prune": r"prune .*",
    "event": r"(write event.*|fsync events\.jsonl)",
    "command": r"(list commands|(read|unlink) command)",
    "clean": r"clean .*",
    "load": r"(read|list) (checkpoint( file|/lm)?|checkpoints|run\.json|lock|events\.jsonl)",
    "start": r"\w+ (lock|run\.json|run folder|events\.jsonl)",
}
"""Where a kill can strike, by patterns of the operations; the first that fits counts."""


def window_of(operation: str) -> str:
    """The window that an operation belongs to."""
    for window, pattern in WINDOWS.items():
        if re.fullmatch(pattern, operation):
            return window
    raise AssertionError(f"{operation!r} belongs to no window")


def write_dataset(folder: Path, tasks: int = 4, largest: int = 4) -> Path:
    """Write the first ARC-AGI-1 tasks with small grids as a folder of task files."""
    folder.mkdir()
    small = [
        task
        for task in load_tasks("arcagi1").tasks
        if all(max(grid.shape) <= largest for pair in task.train + task.test for grid in _grids(pair))
    ]
    assert len(small) >= tasks
    for task in small[:tasks]:
        parts = {"train": task.train, "test": task.test}
        content = {
            part: [{"input": pair.input.tolist(), "output": pair.output.tolist()} for pair in pairs]
            for part, pairs in parts.items()
        }
        (folder / f"{task.id}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def _grids(pair: Any) -> tuple[Any, Any]:
    return pair.input, pair.output


def make_run(runs: Path, name: str, dataset: Path, **settings: Any) -> RunDirectory:
    """A run directory that is ready to be trained."""
    config = PipelineConfig.from_mapping(CONFIG | {"dataset": str(dataset)} | settings)
    return create_run(runs, name, {"config": config.to_dict()})


class Settings:
    """A user who sets the agent's rate before the first step and the interval after the fifth.

    The rate counts from the first step on, so that the numbers do not depend on where a run is killed. What
    was acknowledged is not sent again.
    """

    def __init__(self, run: Path) -> None:
        self._run = RunDirectory(run)
        self._sent: set[str] = set()

    def __call__(self, when: str, operation: str, number: int) -> None:
        if (when, operation) == ("before", "list commands"):
            self._set("agent_lr", RATE)
        if (when, operation) == ("after", "write event step") and self._steps() >= INTERVAL_AFTER_STEP:
            self._set("checkpoint_every", INTERVAL)

    def _set(self, name: str, value: float) -> None:
        if name not in self._sent:
            self._sent.add(name)
            if name not in acknowledged(read_lines(self._run.events)):
                send(self._run.commands, "set", {name: value})

    def _steps(self) -> int:
        return max(event["step"] for event in read_lines(self._run.events) if event["type"] == "step")


def acknowledged(events: list[Line]) -> dict[str, Any]:
    """Settings that were acknowledged, by name."""
    return {
        name: value
        for event in events
        if event["type"] == "command_applied" and event["command"] == "set"
        for name, value in event["new"].items()
    }


# A run that is killed


def start_forked(run: RunDirectory, side: Path, plan: injection.Decide, observe: Any) -> int:
    """Be the training process in a fork of this process; returns what `waitpid` says of it."""
    threads = [Path(entry.path, "comm").read_text().strip() for entry in os.scandir("/proc/self/task")]
    assert len(threads) == 1, f"a fork would lose threads: {threads}"
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            signal.alarm(LONGEST_SECONDS)
            os.setsid()  # Ctrl+C is for the one who counts the kills
            log = os.open(run.engine_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.dup2(log, 1)
            os.dup2(log, 2)
            code = injection.run_engine(run.path, side, plan, observe)
        except BaseException:  # noqa: BLE001 - nothing may go on as a second copy of this process
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    try:
        return os.waitpid(pid, 0)[1]
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def start_executed(run: RunDirectory, side: Path, plan: injection.Decide, observe: Any) -> int:
    """Be the training process in a process started by exec; returns what `waitpid` would say of it."""
    assert isinstance(plan, injection.Plan)
    given = asdict(plan) | {"sets": observe is not None}
    with run.engine_log.open("ab") as log:
        done = subprocess.run(
            [sys.executable, injection.__file__, run.path, side, json.dumps(given)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            timeout=LONGEST_SECONDS,
            check=False,
        )
    return -done.returncode if done.returncode < 0 else done.returncode << 8


NO_KILL = injection.Plan("none")


@dataclass
class Chain:
    """One run, killed and resumed until it is let through, and a viewer that stays with it all the time.

    Attributes:
        run: The run.
        side: Folder for notes of the killed processes.
        start: How a process of it is started.
        sets: Whether a user changes settings.
        expected: What the uninterrupted run came to.
        kills: The plans that were met, in order.
    """

    run: RunDirectory
    side: Path
    start: Callable[[RunDirectory, Path, injection.Decide, Any], int]
    sets: bool
    expected: Outcome | None = None
    kills: list[injection.Plan] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    _seen: list[bytes] = field(default_factory=list)
    _told: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.side.mkdir(parents=True)
        self._viewer = EventReader(self.run.events)

    def go_on(self, plan: injection.Plan = NO_KILL) -> bool:
        """Start or resume it under a plan; True if it was killed as planned, False if it completed."""
        hit = self.side / injection.HIT
        hit.unlink(missing_ok=True)
        status = self.start(self.run, self.side, plan, Settings(self.run.path) if self.sets else None)
        self.counts = json.loads((self.side / injection.COUNTS).read_text(encoding="utf-8"))
        self._look()
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL, self.story(f"ended by {os.WTERMSIG(status)}")
            assert json.loads(hit.read_text(encoding="utf-8")) == asdict(plan), self.story("another kill")
            self.kills.append(plan)
            self._check_kill()
            return True
        assert status == 0, self.story(f"ended with {os.waitstatus_to_exitcode(status)}")
        assert not hit.exists()
        self._check_end()
        return False

    def _look(self) -> None:
        while events := self._viewer.poll():
            self._told += events

    def _check_kill(self) -> None:
        seen = (self.side / injection.SEEN).read_bytes()
        self._seen.append(seen[: seen.rfind(b"\n") + 1])
        intact = {checkpoint_id(path): problems_of(path) for path in list_checkpoints(self.run.checkpoints)}
        assert not any(intact.values()), self.story(f"a listed checkpoint is unreadable: {intact}")
        verified = [e.id for e in self._told if isinstance(e, CheckpointEvent) and e.phase == "verified"]
        if verified:
            assert verified[-1] in intact, self.story(f"{verified[-1]} was verified and is gone: {intact}")

    def _check_end(self) -> None:
        log = self.run.events.read_bytes()
        for seen in self._seen:
            assert log.startswith(seen), self.story("an event that could be seen is lost")
        events = read_lines(self.run.events)
        assert self._told == typed(events), self.story("the viewer was told something else")
        assert self._viewer.damaged == 0
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1)), self.story("seq")
        assert events[-1]["type"] == "run_finished", self.story("no end")
        assert events[-1]["reason"] == "completed", self.story("another end")
        outcome = Outcome.of(self.run)
        assert [number for number, _ in outcome.steps] == list(range(1, STEPS + 1)), self.story("steps")
        junk = [str(path) for path in self.run.path.rglob(".tmp-*")]
        assert junk == [], self.story(f"left behind: {junk}")
        if self.sets:
            assert acknowledged(events) == {"agent_lr": RATE, "checkpoint_every": INTERVAL}, self.story("set")
            assert all(step["learning_rate"]["agent"] == RATE for _, step in outcome.steps), self.story(
                "rate"
            )
            assert outcome.state["checkpoint_every"] == INTERVAL, self.story("interval")
        if self.expected is not None:
            assert outcome.parameters == self.expected.parameters, self.story("other parameters")
            assert outcome == self.expected, self.story("another state")

    def story(self, what: str) -> str:
        """What went wrong, and how it came to it."""
        shown = ("seq", "type", "step", "id", "phase", "reason", "message", "supersedes")
        lines = map(content_of, self._told)
        told = [{name: line[name] for name in shown if name in line} for line in lines]
        log = self.run.engine_log
        said = log.read_text(encoding="utf-8", errors="replace")[-3000:] if log.exists() else ""
        kills = [f"{plan.when} {plan.operation} #{plan.occurrence}" for plan in self.kills]
        return f"{what}\n{self.run.path}\nkills: {kills}\nevents: {told}\nengine.log: {said}"


def train_here(
    run: RunDirectory,
    decide: injection.Decide = NO_KILL,
    observe: injection.Observe | None = None,
    code: int | None = 0,
) -> injection.Injector:
    """Be the training process in this one; signals and threads are as before afterwards.

    Args:
        run: The run.
        decide: What fails.
        observe: Told of each call.
        code: The exit code that it must have; None takes any.

    Returns:
        What occurred, and what was struck.
    """
    signals = (*ENDING, signal.SIGHUP)
    handlers, threads = [signal.getsignal(number) for number in signals], torch.get_num_threads()
    try:
        with injection.Injector(run.path, decide, observe) as injector:
            ended = process.main(run.path)
    finally:
        torch.set_num_threads(threads)
        for number, handler in zip(signals, handlers, strict=True):
            signal.signal(number, handler)
    assert code is None or ended == code, read_lines(run.events)[-1]
    return injector
