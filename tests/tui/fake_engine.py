"""Stands in for the training process: writes events into a run directory as its first argument says."""

import os
import signal
import sys
import time
from pathlib import Path

from arc_core.events import EventWriter, next_seq
from arc_core.rundir import RunDirectory, RunLock

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


def main() -> int:
    if BEHAVIOUR != "deaf":
        signal.signal(signal.SIGTERM, lambda number, frame: STOPPED.append(number))
    sys.stdout.write("an engine speaks \x1b[31m\n")
    with RunLock(RUN), EventWriter(RUN.events, next_seq(RUN.events)) as writer:
        if BEHAVIOUR == "refuse":
            writer.emit("run_finished", reason="The dataset nowhere is neither a name\x1b[2J nor a folder.")
            return 2
        writer.emit("run_started", step=0)
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
