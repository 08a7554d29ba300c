"""Checkpoints beside the training: when they are taken, what they hold, and what becomes of a failure."""

import errno
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from raw_events import PIPELINE, Line, read_lines
from safetensors.torch import load_file
from small_system import small_system

from arc_core.checkpoints.persistence import CheckpointFolder
from arc_core.checkpoints.snapshot import Snapshot
from arc_core.pipeline.system import ArcSystem
from arc_core.run.checkpoint_index import list_checkpoints, problems_of, read_state
from arc_core.run.events import EventWriter
from arc_core.training import saving
from arc_core.training.diagnostics import Finding
from arc_core.training.progress import Progress
from arc_core.training.saving import Saver
from arc_core.training.telemetry import Pace


class Bench:
    """A saver with all that it needs, as the trainer would hold it."""

    def __init__(self, folder: Path, *, keep: int = 5, **settings: Any) -> None:
        settings = {"hidden_dim": 8, "prompt_dim": 8, "memory_capacity": 8, "max_steps": 1} | settings
        self.system: ArcSystem = small_system(**settings)
        self.folder = folder / "checkpoints"
        self.log = folder / "events.jsonl"
        self.events = EventWriter(self.log)
        self.warnings: list[Finding] = []
        self.persistence = CheckpointFolder(self.folder, keep=keep)
        self.saver = Saver(self.persistence, self.system, self.events, 1, self.warnings.append)
        self.progress = Progress(3, PIPELINE)

    def at(self, step: int) -> bool:
        """Go to a step and ask whether a checkpoint is due."""
        self.progress.step = self.progress.batch = step
        return self.saver.is_due(self.progress)

    def save(self, reason: str = "interval", *, best: bool = False) -> None:
        self.saver.save(self.progress, Pace(), reason, best=best)

    def saved(self) -> list[Path]:
        self.saver.wait()
        return list_checkpoints(self.folder)

    @property
    def told(self) -> list[Line]:
        return [event for event in read_lines(self.log) if event["type"] == "checkpoint"]

    def phases(self) -> list[tuple[int, str]]:
        return [(event["id"], event["phase"]) for event in self.told]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def made(**settings: Any) -> Bench:
        benches.append(Bench(tmp_path, **settings))
        return benches[-1]

    yield made
    for bench in benches:
        bench.saver.close()
        bench.events.close()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Writing waits until the gate is opened."""
    opened, write = threading.Event(), CheckpointFolder.write

    def waiting(self: CheckpointFolder, snapshot: Snapshot, *rest: Any) -> Path:
        assert opened.wait(60)
        return write(self, snapshot, *rest)

    monkeypatch.setattr(CheckpointFolder, "write", waiting)
    yield opened
    opened.set()


def fail_once(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The next checkpoint cannot be written."""
    write, failures = CheckpointFolder.write, [error]

    def failing(self: CheckpointFolder, snapshot: Snapshot, *rest: Any) -> Path:
        if failures:
            raise failures.pop()
        return write(self, snapshot, *rest)

    monkeypatch.setattr(CheckpointFolder, "write", failing)


# When


def test_the_interval_counts_steps(make: Callable[..., Bench]) -> None:
    bench = make()
    due: list[int] = []
    for step in range(1, 13):
        bench.saver.wait()
        if bench.at(step):
            due.append(step)
            bench.save()
    assert due == [3, 6, 9, 12]
    bench.saver.wait()
    bench.progress.checkpoint_every = 5
    assert [bench.at(step) for step in (13, 14, 15)] == [False, False, True]
    assert bench.at(16), "what is due stays so until it is done"


def test_the_interval_counts_minutes_instead_when_it_is_given_in_minutes(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(
        saving, "time", SimpleNamespace(monotonic=lambda: clock.now, time=time.time), raising=True
    )
    bench = make()
    bench.progress.checkpoint_minutes = 2.0

    def after(seconds: float, step: int) -> bool:
        clock.now += seconds
        return bench.at(step)

    assert not after(119.9, step=3), "steps do not count"
    assert after(0.1, step=4)
    bench.save()
    bench.saver.wait()
    assert not after(119.9, step=6)
    assert after(0.2, step=7)
    bench.save("command")
    bench.saver.wait()
    assert not after(60.0, step=8), "any checkpoint begins the interval anew"


def test_a_checkpoint_that_falls_due_while_one_is_written_is_owed_and_made_up_for(
    make: Callable[..., Bench], gate: threading.Event
) -> None:
    bench = make()
    assert bench.at(3)
    bench.save()
    assert not bench.at(6)
    assert not bench.at(7)
    gate.set()
    bench.saver.wait()
    assert bench.at(8)
    bench.save()
    assert [read_state(path)["position"]["step"] for path in bench.saved()] == [3, 8]
    assert not bench.at(10)


def test_saving_again_waits_for_the_one_before(make: Callable[..., Bench]) -> None:
    bench = make()
    for step in (1, 2, 3):
        bench.at(step)
        bench.save("command")
    assert [path.name for path in bench.saved()] == [f"checkpoint_{number:05d}" for number in range(3)]
    assert bench.phases() == [(n, phase) for n in range(3) for phase in ("requested", "saved", "verified")]


# What


def test_a_snapshot_is_immune_to_what_is_trained_while_it_is_written(
    make: Callable[..., Bench], gate: threading.Event
) -> None:
    bench = make()
    before = {name: tensor.clone() for name, tensor in bench.system.agent.state_dict().items()}
    random = torch.get_rng_state()
    bench.at(3)
    bench.save()
    with torch.no_grad():
        for tensor in (*bench.system.agent.state_dict().values(), *bench.system.policy.state_dict().values()):
            tensor.fill_(7)
        for group in bench.system.optimizer.param_groups:
            group["lr"] = 7.0
    torch.randn(3)
    bench.progress.step = 99
    gate.set()
    (path,) = bench.saved()
    saved = load_file(path / "agent.safetensors")
    assert [name for name, tensor in before.items() if not torch.equal(saved[name], tensor)] == []
    assert not any((tensor == 7).all() for tensor in load_file(path / "policy.safetensors").values())
    assert torch.equal(load_file(path / "rng.safetensors")["torch_cpu"], random)
    state = read_state(path)
    assert state["position"]["step"] == 3
    assert {group["lr"] for group in state["optimizer"]["main"]}.isdisjoint({7.0})


def test_a_second_snapshot_does_not_change_the_first_ones_file(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.save()
    (first,) = bench.saved()
    content = (first / "agent.safetensors").read_bytes()
    with torch.no_grad():
        next(bench.system.agent.parameters()).add_(1)
    bench.save()
    first, second = bench.saved()
    assert (
        (first / "agent.safetensors").read_bytes() == content != (second / "agent.safetensors").read_bytes()
    )
    assert problems_of(first) == problems_of(second) == []


def test_training_waits_for_a_state_too_large_to_copy(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    bench.save()
    assert bench.phases() == [(0, "requested"), (0, "saved"), (0, "verified")], "it is written on return"
    assert problems_of(list_checkpoints(bench.folder)[0]) == []


def test_a_frozen_model_is_one_file_and_stays_whole_when_older_checkpoints_go(
    make: Callable[..., Bench],
) -> None:
    bench = make(lm_train="frozen", keep=2)

    def inode(path: Path, name: str = "lm/model.safetensors") -> int:
        return (path / name).stat().st_ino

    bench.save()
    (first,) = bench.saved()
    shared = inode(first)
    for _ in range(3):
        bench.save()
        kept = bench.saved()
    assert [path.name for path in kept] == ["checkpoint_00002", "checkpoint_00003"]
    assert not first.exists()
    assert {inode(path) for path in kept} == {shared}
    assert (kept[0] / "lm" / "model.safetensors").stat().st_nlink == 2
    assert [problems_of(path) for path in kept] == [[], []]
    assert inode(kept[0], "agent.safetensors") != inode(kept[1], "agent.safetensors")
    assert inode(kept[0], "lm/config.json") != inode(kept[1], "lm/config.json")


def test_a_trained_model_is_written_anew_each_time(make: Callable[..., Bench]) -> None:
    bench = make(lm_train="full")
    bench.save()
    bench.save()
    first, second = (path / "lm" / "model.safetensors" for path in bench.saved())
    assert first.stat().st_ino != second.stat().st_ino


def test_the_held_position_is_that_of_the_last_verified_checkpoint(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make()
    bench.at(3)
    assert not bench.saver.holds(bench.progress)
    bench.save()
    assert bench.saver.holds(bench.progress)
    bench.at(4)
    assert not bench.saver.holds(bench.progress)
    fail_once(monkeypatch, OSError(errno.EIO, "Input/output error"))
    bench.save()
    assert not bench.saver.holds(bench.progress)


# Failures


def test_a_failure_is_told_and_the_next_checkpoint_comes(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make()
    bench.save()
    bench.saved()
    fail_once(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    bench.at(6)
    bench.save()
    assert len(bench.saved()) == 1
    failed = bench.told[-1]
    assert (failed["phase"], failed["step"]) == ("failed", 6)
    assert "No space left on device" in failed["reason"]
    (warning,) = bench.warnings
    assert warning.code == "checkpoint_failed"
    assert "step 6" in warning.message
    assert "No space left" in warning.message
    bench.at(9)
    bench.save()
    assert len(bench.saved()) == 2
    assert bench.phases()[-3:] == [(1, "requested"), (1, "saved"), (1, "verified")]


def test_too_little_room_skips_the_checkpoint_and_leaves_the_last_one_alone(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make(keep=1)
    bench.save()
    (first,) = bench.saved()
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=10**9, used=0, free=10**5))
        bench.save()
        assert bench.saved() == [first]
    assert bench.phases()[-1] == (1, "failed")
    assert "0.1 MB of disk are free" in bench.warnings[0].message
    assert problems_of(first) == []
    assert {path.name for path in bench.folder.iterdir()} == {first.name, "latest"}
    bench.save()
    assert [path.name for path in bench.saved()] == ["checkpoint_00001"]


def test_a_bug_in_the_writing_thread_comes_to_light(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make()
    fail_once(monkeypatch, ZeroDivisionError("a bug"))
    bench.save()
    with pytest.raises(ZeroDivisionError, match="a bug"):
        bench.saver.wait()
    bench.saver.wait()
    assert bench.warnings == []


def test_what_fails_after_the_checkpoint_is_verified_costs_only_a_warning(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: CheckpointFolder, *_: Any) -> list[Path]:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(CheckpointFolder, "prune", broken)
    monkeypatch.setattr(CheckpointFolder, "mark_best", broken)
    bench = make()
    bench.save(best=True)
    assert len(bench.saved()) == 1
    assert bench.phases()[-1] == (0, "verified")
    assert [warning.code for warning in bench.warnings] == ["checkpoint_untidy"] * 2
    assert bench.saver.holds(bench.progress)


def test_a_log_that_cannot_be_synced_means_that_nothing_is_called_saved(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make()

    def broken() -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(bench.events, "sync", broken)
        bench.save()
        assert bench.saved() == [], "a checkpoint whose events may be lost is taken back"
    assert bench.phases() == [(0, "requested"), (0, "failed")]


def test_closing_ends_the_thread_after_what_it_writes(
    make: Callable[..., Bench], gate: threading.Event
) -> None:
    bench = make()
    before = {thread.name for thread in threading.enumerate()}
    bench.save()
    assert any(t.name.startswith("checkpoint") for t in threading.enumerate() if t.name not in before)
    threading.Timer(0.0, gate.set).start()
    bench.saver.close()
    assert bench.phases()[-1] == (0, "verified")
    assert not any(thread.name.startswith("checkpoint") for thread in threading.enumerate())
