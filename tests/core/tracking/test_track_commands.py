"""Commands to a loop of one's own are obeyed between its steps; no thread of ours touches its tensors."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from raw_events import Line, read_lines
from small_loop import Loop, lines, run_of, told, tracked, train
from torch.optim.lr_scheduler import LambdaLR

from arc_core.base.errors import ConfigError, TrackError
from arc_core.base.signals import ENDING
from arc_core.checkpoints import persistence, tensor_file
from arc_core.run.checkpoint_index import list_checkpoints, problems_of
from arc_core.run.commands import send
from arc_core.run.directory import RunDirectory

PATIENCE_SECONDS = 60.0


class Other:
    """Another thread in place of another process: it sends commands once it has seen an event."""

    def __init__(self, run: RunDirectory, *orders: tuple[Callable[[Line], bool], str]) -> None:
        self._run, self._orders = run, list(orders)
        self._thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._orders and time.monotonic() < deadline:
            wanted, command = self._orders[0]
            if any(map(wanted, read_lines(self._run.events))):
                send(self._run.commands, command)
                del self._orders[0]

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        assert not self._orders, "all was sent"


def is_a(kind: str) -> Callable[[Line], bool]:
    return lambda line: line["type"] == kind


def at_step(step: int) -> Callable[[Line], bool]:
    return lambda line: line["type"] == "step" and line["step"] == step


def test_paused_loop_stands_still_saves_when_asked_and_goes_on(tmp_path: Path):
    orders = [
        (is_a("paused"), "checkpoint"),
        (lambda line: line["type"] == "checkpoint" and line["phase"] == "verified", "resume"),
    ]
    loop = Loop()
    with tracked(tmp_path, checkpoint_every=1000) as run, Other(run.directory, *orders):
        run.saves(model=loop.model, optimizer=loop.optimizer)
        for step, batch in run.steps(loop.loader):
            run.log(step, **loop.train(batch))
            if step == 2:
                send(run.directory.commands, "pause")
    found = [(line["type"], line.get("phase") or line.get("command")) for line in lines(tmp_path)]
    begin, end = found.index(("paused", None)), found.index(("unpaused", None))
    assert ("step", None) not in found[begin:end]
    assert found[begin - 1] == ("command_applied", "pause")
    assert found[begin + 1 : end] == [
        ("command_applied", "checkpoint"),
        *[("checkpoint", phase) for phase in ("requested", "saved", "verified")],
        ("command_applied", "resume"),
    ]
    assert told(tmp_path, "paused")[0]["step"] == 2
    assert problems_of(list_checkpoints(run_of(tmp_path).checkpoints)[0]) == []


def test_stop_saves_and_ends_all_passes(tmp_path: Path):
    loop = Loop()
    with tracked(tmp_path, checkpoint_every=1000) as run:
        run.saves(model=loop.model, optimizer=loop.optimizer)
        for _ in range(3):
            for step, batch in run.steps(loop.loader):
                run.log(step, **loop.train(batch))
                if step == 2:
                    send(run.directory.commands, "stop")
        assert run.step == 2
    assert [line["reason"] for line in told(tmp_path, "checkpoint")] == ["stop"] * 3
    assert told(tmp_path, "run_finished")[0]["reason"] == "stopped by a command"


def test_what_cannot_be_done_is_rejected_in_one_sentence(tmp_path: Path):
    with tracked(tmp_path) as run:
        for step, _ in run.steps(range(2)):
            run.log(step, loss=0.0)
            if step == 1:
                for command in ("checkpoint", "validate"):
                    send(run.directory.commands, command)
                send(run.directory.commands, "set", {"checkpoint_every": 10})
                with pytest.raises(ConfigError, match="no setting that can change during a run: agent_lr"):
                    send(run.directory.commands, "set", {"agent_lr": 0.1})
    assert [line["reason"] for line in told(tmp_path, "command_rejected")] == [
        "This run saves no checkpoints.",
        "There is nothing to validate on.",
        "This run saves no checkpoints.",
    ]


def test_rate_that_is_set_is_read_and_moves_optimizer_and_scheduler(tmp_path: Path):
    loop = Loop()
    loop.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 1e-3})
    module = torch.nn.ParameterList(loop.optimizer.param_groups[1]["params"])
    scheduler = LambdaLR(loop.optimizer, lambda step: 0.5)
    with tracked(tmp_path, config={"lr": 1e-2, "policy_lr": 1e-3, "other": 1}) as run:
        run.saves(model=loop.model, more=module, optimizer=loop.optimizer, scheduler=scheduler)
        for step, batch in run.steps(loop.loader):
            run.log(step, **loop.train(batch))
            scheduler.step()
            if step == 1:
                send(run.directory.commands, "set", {"lr": 2e-2, "checkpoint_every": 2})
                send(run.directory.commands, "set", {"policy_lr": 2e-3})
            rates = [group["lr"] for group in loop.optimizer.param_groups]
            assert rates == pytest.approx([5e-3, 5e-4] if step == 1 else [1e-2, 1e-3])
        assert dict(run.settings) == {"lr": 2e-2, "policy_lr": 2e-3, "other": 1}
    assert told(tmp_path, "command_applied")[0]["old"] == {"lr": 1e-2, "checkpoint_every": 4}
    assert told(tmp_path, "checkpoint")[0]["step"] == 2


def test_rate_that_was_set_holds_after_a_resume(tmp_path: Path):
    for _ in range(2):
        with tracked(tmp_path, config={"agent_lr": 1e-2}, resume=True) as run:
            for step, _ in run.steps(range(3)):
                run.log(step, loss=0.0)
                if step == 1:
                    send(run.directory.commands, "set", {"agent_lr": 2e-2})
            assert run.settings["agent_lr"] == 2e-2


@pytest.mark.parametrize("number", ENDING)
def test_signals_end_the_run_where_it_is_asked_for_and_handlers_come_back(
    tmp_path: Path, number: signal.Signals
):
    before = signal.getsignal(number)
    with tracked(tmp_path) as run:
        assert signal.getsignal(number) is before
        run.log(1, loss=0.0)
    with tracked(tmp_path, "b", signals=True) as run:
        for step, _ in run.steps(range(5)):
            run.log(step, loss=0.0)
            if step == 2:
                os.kill(os.getpid(), number)
    assert len(told(tmp_path, "step", "b")) == 2
    assert told(tmp_path, "run_finished", "b")[0]["reason"] == "stopped by a signal"
    assert signal.getsignal(number) is before


def test_signals_outside_the_main_thread_are_refused(tmp_path: Path):
    refused: list[BaseException] = []

    def work() -> None:
        try:
            tracked(tmp_path, signals=True)
        except TrackError as error:
            refused.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "signals can be obeyed only where track is called by the main thread" in str(refused[0])


def test_loop_without_steps_obeys_where_it_asks(tmp_path: Path):
    with tracked(tmp_path) as run:
        taken = 0
        while run.keeps_going():
            taken += 1
            run.log(taken, loss=0.0)
            if taken == 3:
                send(run.directory.commands, "stop")
    assert taken == 3


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, set[int]]]:
    """What the writing thread was given: its thread's name, and where the tensors lie."""
    seen: list[tuple[str, set[int]]] = []
    encode = tensor_file.encode

    def watched(tensors, metadata=None):
        seen.append((threading.current_thread().name, {t.data_ptr() for t in tensors.values()}))
        return encode(tensors, metadata)

    monkeypatch.setattr("arc_core.checkpoints.snapshot.encode", watched)
    return seen


def test_the_writing_thread_sees_copies_alone(tmp_path: Path, written: list[tuple[str, set[int]]]):
    loop = Loop()
    train(tmp_path, loop)
    own = {parameter.data_ptr() for parameter in loop.model.parameters()}
    own |= {value.data_ptr() for state in loop.optimizer.state.values() for value in state.values()}
    assert written
    assert all(name.startswith("checkpoint") for name, _ in written)
    assert not own & {place for _, places in written for place in places}


def test_where_memory_is_too_small_for_copies_the_loop_waits(
    tmp_path: Path, written: list[tuple[str, set[int]]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 0}))
    loop = Loop()
    own = {parameter.data_ptr() for parameter in loop.model.parameters()}
    writing = threading.Event()
    write = persistence.CheckpointFolder.write

    def slow(*arguments, **more):
        writing.set()
        try:
            return write(*arguments, **more)
        finally:
            writing.clear()

    monkeypatch.setattr(persistence.CheckpointFolder, "write", slow)
    train(tmp_path, loop, at=lambda run, step: pytest.fail("a step beside") if writing.is_set() else None)
    assert own & {place for _, places in written for place in places}
