"""What `arc-tui eval` and `solve` begin with: an evaluation's folder, and the GPUs that are to solve it."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from types import FrameType

from arc_core.base.errors import ConfigError, RunError
from arc_core.base.signals import ENDING
from arc_core.base.text import printable
from arc_core.data.seen import write_blind
from arc_core.data.tasks import Task
from arc_core.evaluation.folder import Assignment, EvalFolder
from arc_tui.runs.engine import Program

CPU = "cpu"


def hand_out(folder: EvalFolder, assignment: Assignment, tasks: Sequence[Task]) -> None:
    """Make an evaluation's folder, whole or not at all; of the tasks it holds no test output.

    Raises:
        RunError: If it cannot be made.
    """
    # Under a hidden name first: a process that is killed meanwhile leaves nothing that could not go on.
    draft = EvalFolder(folder.path.with_name(f".tmp-{os.getpid()}-{folder.path.name}"))
    try:
        draft.make(assignment)
        write_blind(draft.challenges, tasks)
        draft.path.rename(folder.path)
    except OSError as error:
        raise RunError(
            f"Cannot make the folder {printable(str(folder.path))}: {error.strerror or error}."
        ) from None
    finally:
        shutil.rmtree(draft.path, ignore_errors=True)


def choose_devices(device: str, workers: int | None, workers_per_gpu: int | None) -> list[str]:
    """Choose where each solving process computes.

    Args:
        device: `cpu`; `cuda` for every GPU, `cuda:N` for one.
        workers: How many processes; None for one a core, or what there is on GPUs.
        workers_per_gpu: How many on each GPU; None for one.

    Returns:
        `cpu` or `cuda:N` for each process.

    Raises:
        ConfigError: If the GPU is not here, or the numbers do not go together.
    """
    if device == CPU:
        if workers_per_gpu is not None:
            raise ConfigError(
                "--workers-per-gpu goes with --device cuda; on the CPU --workers says how many."
            )
        return [CPU] * (workers or len(os.sched_getaffinity(0)))
    if workers is not None and workers_per_gpu is not None:
        raise ConfigError("--workers and --workers-per-gpu both say how many processes there are: give one.")
    done = subprocess.run(Program.GPUS.command(device), capture_output=True, text=True, check=False)
    if done.returncode:
        told = done.stderr.strip().splitlines() or ["torch cannot say which GPUs there are."]
        raise ConfigError(told[-1].removeprefix("Error: "))
    gpus = done.stdout.split()
    count = workers or len(gpus) * (workers_per_gpu or 1)
    return list(itertools.islice(itertools.cycle(gpus), count))


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM, SIGUSR1, SIGUSR2 and a hang-up stop an evaluation as Ctrl+C does."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (*ENDING, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
