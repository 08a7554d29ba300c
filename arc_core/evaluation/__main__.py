"""An evaluation on several machines: `torchrun ... -m arc_core.evaluation EVAL`.

The first of the processes owns the evaluation's folder. Each looks after one solving process, starts it again
when it is killed, and takes a task for it from torch's store when it has none.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import FrameType

from torch.distributed import (
    DistError,
    Store,  # pyright: ignore[reportPrivateImportUsage]
)
from torch.distributed.rendezvous import rendezvous

from arc_core.base.errors import ArcError, ConfigError, RunError
from arc_core.base.signals import ENDING
from arc_core.base.text import first_line, printable
from arc_core.evaluation.folder import WHOLE, EvalFolder, TaskAnswer, find_eval
from arc_core.evaluation.gpus import find_gpus
from arc_core.evaluation.outcome import asked_tasks, conclude
from arc_core.evaluation.store import Host, StoreDesk, enter, hand_over, take_over
from arc_core.evaluation.supervising import REFUSED, Workers, follow

EVALS_DIR = Path("evals")
MEETING_PATIENCE = timedelta(minutes=5)
ENVIRONMENT = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def main(arguments: list[str]) -> int:
    """Take part in an evaluation.

    Args:
        arguments: Its name in `evals/`, the start of it, or its folder; the first process alone looks for it.

    Returns:
        0 when all is done, 2 when something was refused; the sentence is on standard error.
    """
    if len(arguments) != 1:
        sys.stderr.write("usage: torchrun ... -m arc_core.evaluation EVAL\n")
        return REFUSED
    for number in ENDING:
        signal.signal(number, _leave)
    try:
        store, rank, world = _meet()
        if rank == 0:
            _own(find_eval(arguments[0], EVALS_DIR), Host(store, world))
        else:
            _help(enter(store, rank), rank)
    except (ArcError, OSError) as error:
        sys.stderr.write(f"Error: {printable(str(error))}\n")
        return REFUSED
    except DistError as error:
        sys.stderr.write(
            f"Error: The evaluation's first process is not reached at {os.environ['MASTER_ADDR']}, port "
            f"{os.environ['MASTER_PORT']}: {printable(first_line(error))}.\n"
        )
        return REFUSED
    return 0


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _meet() -> tuple[Store, int, int]:
    """Join the other processes; the store, this one's rank, and how many there are.

    Raises:
        ConfigError: If this process was not started by torchrun.
    """
    if missing := [name for name in ENVIRONMENT if name not in os.environ]:
        raise ConfigError(
            f"torchrun starts this, and sets {missing[0]}; `arc-tui eval` runs an evaluation on one machine."
        )
    return next(iter(rendezvous("env://", timeout=MEETING_PATIENCE)))


def device_of(kind: str) -> str:
    """This process's device; processes beyond the GPUs share them."""
    if kind == "cpu":
        return kind
    gpus = find_gpus("cuda")
    return gpus[int(os.environ["LOCAL_RANK"]) % len(gpus)]


def _own(folder: EvalFolder, host: Host) -> None:
    """Run an evaluation to its scores, as the first process.

    Raises:
        RunError: If another process runs it, or a solving process refuses its input.
        DataError: If the evaluation's tasks are not there any more.
    """
    assignment = folder.assignment()
    tasks = asked_tasks(assignment)
    with folder.claim(WHOLE) as held:
        if not held:
            raise RunError(f"Another process runs the evaluation {printable(folder.path.name)}.")
        folder.forget_failures(assignment.tasks)
        if pending := folder.pending(assignment.tasks):
            _lead(folder, host, pending)
        else:
            hand_over(host.store, folder, pending)
        conclude(folder, tasks)
    host.let_leave()
    name = printable(folder.path.name)
    sys.stdout.write(
        f"Submission: {printable(str(folder.submission))}\n"
        f"To see what is solved: arc-tui inspect results {name}\n"
    )


def _lead(folder: EvalFolder, host: Host, tasks: Sequence[str]) -> None:
    """Hand everything out, solve what there is to solve, and bring in what the others have solved."""
    desk = StoreDesk(folder, host.store, 0, tasks)

    def look_round() -> None:
        host.welcome()
        desk.tend()

    with Workers(folder, [device_of(folder.assignment().device)], desk) as workers:
        while not workers.ready:  # the pace is measured by then, which holds for all machines
            workers.step()
        hand_over(host.store, folder, tasks)
        follow(folder, workers, _tell, look_round)


def _help(store: Store, rank: int) -> None:
    """Solve what there is to solve, as one of the other processes."""
    with tempfile.TemporaryDirectory(prefix="arc-eval-") as scratch:
        folder, tasks = take_over(store, Path(scratch) / "evaluation")
        desk = StoreDesk(folder, store, rank, tasks)
        devices = [device_of(folder.assignment().device)] if tasks else []
        with Workers(folder, devices, desk, keeps_logs=False) as workers:
            while not desk.finished:
                workers.step()
                desk.tend()
    store.add("left", 1)


def _tell(answer: TaskAnswer, left: int) -> None:
    """Tell a task that is done."""
    told = answer.failure or f"{answer.seconds:.1f} s, {answer.steps} steps"
    sys.stdout.write(f"{printable(answer.task, 40)}  {told}  {left} left\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
