"""Stands in for the training process: writes events into a run directory as its first argument says."""

import os
import signal
import sys
import time
from pathlib import Path

from arc_core.run.commands import CommandInbox
from arc_core.run.directory import RunDirectory, RunLock
from arc_core.run.events import EventWriter, next_seq

BEHAVIOUR, FOLDER = sys.argv[1], Path(sys.argv[2])
RUN = RunDirectory(FOLDER)
STOPPED: list[int] = []


def step(writer: EventWriter, number: int, batches: int) -> None:
    writer.emit(
        "step",
        step=number,
        epoch=(number - 1) // batches,
        batch=(number - 1) % batches,
        elapsed_seconds=0.5 * number,
        pairs_per_second=16.0,
        loss={"efe_total": 3.456},
        reward={"d_acc": 0.05},
        grad_norm={"lm": 2.34e-4},
        hard_cells={"mask_ratio": 0.347},
    )


def epoch_end(writer: EventWriter, epoch: int, last_step: int) -> None:
    writer.emit(
        "epoch",
        epoch=epoch,
        seconds=456.32,
        loss={"efe_total": 3.234},
        reward={"total": 0.0234},
        grad_norm={"lm": 2.38e-4},
        curriculum={"size_weight": 1.0},
        memory={"threshold": 0.22},
    )
    validation(writer, last_step)


def validation(writer: EventWriter, last_step: int) -> None:
    writer.emit(
        "validation",
        step=last_step,
        split="training",
        inputs=1920,
        exact=71,
        tasks=1000,
        tasks_solved=30,
        cell_accuracy=0.6,
        size_accuracy=0.7,
        accuracy_delta=0.0245,
        copy_cell_accuracy=0.55,
        black_cell_accuracy=0.4,
    )


def wait_for_stop(times: int) -> None:
    deadline = time.monotonic() + 20
    while len(STOPPED) < times and time.monotonic() < deadline:
        time.sleep(0.01)


def checkpoint(writer: EventWriter, number: int) -> None:
    for phase in ("requested", "saved", "failed" if BEHAVIOUR == "obey-full-disk" else "verified"):
        writer.emit(
            "checkpoint", id=3, step=number, phase=phase, reason="No space left", bytes=1_200_000, seconds=0.5
        )


def obey(writer: EventWriter) -> int:
    """Take commands as the real one does, a step every 10 ms, for 20 s at most."""
    inbox, paused, number = CommandInbox(RUN.commands, time.time()), False, 0
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not STOPPED:
        for command in inbox.poll():
            if BEHAVIOUR == "obey-not":
                return 3
            if command.reason or (command.command == "pause" and paused):
                writer.emit(
                    "command_rejected", id=command.id, reason=command.reason or "Paused\x1b[2J already."
                )
                continue
            old = dict.fromkeys(command.args, 0.5)
            writer.emit(
                "command_applied", id=command.id, command=command.command, old=old, new=command.args or None
            )
            if command.command in ("pause", "resume"):
                paused = command.command == "pause"
                writer.emit("paused" if paused else "unpaused", step=number)
            elif command.command == "checkpoint":
                checkpoint(writer, number)
            elif command.command == "validate":
                validation(writer, number)
            elif command.command == "stop":
                writer.emit("run_finished", reason="stopped by a command")
                return 0
        if not paused:
            number += 1
            step(writer, number, 20)
        time.sleep(0.01)
    writer.emit("run_finished", reason="stopped by a signal")
    return 0


def main() -> int:
    if BEHAVIOUR != "deaf":
        signal.signal(signal.SIGTERM, lambda number, frame: STOPPED.append(number))
    sys.stdout.write("an engine speaks \x1b[31m\n")
    with RunLock(RUN), EventWriter(RUN.events, next_seq(RUN.events)) as writer:
        if BEHAVIOUR == "refuse":
            writer.emit("run_finished", reason="The dataset nowhere is neither a name\x1b[2J nor a folder.")
            return 2
        if BEHAVIOUR.startswith("obey"):
            again = next_seq(RUN.events) > 1
            writer.emit("resumed", step=0, checkpoint=None, supersedes=0) if again else writer.emit(
                "run_started", step=0
            )
            return obey(writer)
        writer.emit("run_started", step=0)
        if BEHAVIOUR == "give-up":
            for number in (1, 2):
                step(writer, number, 20)
            writer.emit("run_finished", reason="Process 1 of 2 was killed by SIGKILL.")
            return 2
        if BEHAVIOUR == "crash":
            sys.stderr.write("Traceback: boom\n")
            return 3
        if BEHAVIOUR == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if BEHAVIOUR in ("until-stopped", "until-stopped-twice", "deaf"):
            step(writer, 1, 20)
            wait_for_stop(1)
            if BEHAVIOUR == "until-stopped-twice":
                writer.emit("paused", step=1)
                wait_for_stop(2)
            writer.emit("checkpoint", id=0, step=1, phase="saved", reason=None, bytes=1_200_000, seconds=0.5)
            writer.emit("run_finished", reason="stopped by SIGTERM")
            return 0
        RUN.update(plan={"batches_per_epoch": 20})
        for number in range(1, 21):
            step(writer, number, 20)
        writer.emit(
            "warning", code="c", message="LM gradient is zero\x1b]0;x\x07 [red]", advice="Check --lm-train."
        )
        epoch_end(writer, 0, 20)
        writer.emit("run_finished", reason="all 1 epochs done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
