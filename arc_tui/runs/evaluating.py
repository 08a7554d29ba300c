"""What `arc-tui eval` and `solve` do: give out tasks, start solving processes, follow them, and score."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from arc_core.base.errors import RunError
from arc_core.base.files import write_json_atomic
from arc_core.base.text import printable
from arc_core.data.kaggle import known_outputs, submission, with_known_outputs
from arc_core.data.scoring import Report, score
from arc_core.data.seen import write_blind
from arc_core.data.tasks import Task
from arc_core.evaluation.folder import Assignment, EvalFolder, TaskAnswer, single_view, voted
from arc_tui.runs.engine import REFUSED_INPUT, Program

POLL_SECONDS = 0.2
LAST_LINES = 8
PATIENCE_SECONDS = 10.0

Command = Callable[[EvalFolder], Sequence[str]]
"""Gives the command line of a solving process."""


def solving_process(folder: EvalFolder) -> list[str]:
    """Return the command line of a process that solves an evaluation's tasks."""
    return Program.SOLVING.command(str(folder.path))


def watched_process(folder: EvalFolder) -> list[str]:
    """The same for one that tells how it goes."""
    return [*solving_process(folder), "--watch"]


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


@dataclass
class Workers:
    """Solving processes of one evaluation; they end when this process does."""

    folder: EvalFolder
    count: int
    command: Command = solving_process

    def __post_init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Workers:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        for number in range(self.count):
            log = os.open(
                self.log(number), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            try:
                self._processes.append(
                    subprocess.Popen(
                        list(self.command(self.folder)),
                        stdin=subprocess.PIPE,  # its end tells the process that this one is gone
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                        env=environment,
                    )
                )
            finally:
                os.close(log)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.close()
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE_SECONDS)
                continue
            process.kill()
            process.wait()

    def log(self, number: int) -> Path:
        """Where a process prints to."""
        return self.folder.path / f"worker_{number}.log"

    @property
    def alive(self) -> bool:
        """Whether any is still at work."""
        return any(process.poll() is None for process in self._processes)

    def raise_failure(self) -> None:
        """Say how a process failed, if one did.

        Raises:
            RunError: With its own sentence if it refused its input, else with what it printed last.
        """
        for number, process in enumerate(self._processes):
            if process.poll() in (None, 0):
                continue
            lines = self.log(number).read_text(encoding="utf-8", errors="replace").splitlines()
            last = [printable(line, 300) for line in lines if line.strip()][-LAST_LINES:]
            if process.returncode == REFUSED_INPUT and last:
                raise RunError(last[-1].removeprefix("Error: "))
            shown = printable(str(self.log(number)))
            raise RunError(
                f"A solving process ended unexpectedly: {last[-1] if last else 'it said nothing'} "
                f"({shown} holds what it printed)"
            )


def follow(
    folder: EvalFolder,
    workers: Workers,
    on_done: Callable[[TaskAnswer, int], None],
    on_poll: Callable[[], None] = lambda: None,
) -> None:
    """Wait until every task is done.

    Args:
        folder: Of the evaluation.
        workers: At work on it.
        on_done: Told each task that is done, those of earlier processes first, and how many are left.
        on_poll: Called a few times a second.

    Raises:
        RunError: If a process failed, or all ended and left tasks undone.
    """
    tasks = folder.assignment().tasks
    told: set[str] = set()
    while True:
        alive = workers.alive  # before looking, so that the last answers are seen
        waiting = set(folder.pending(tasks))
        for task in tasks:
            if task not in waiting and task not in told:
                told.add(task)
                on_done(folder.answer(task), len(tasks) - len(told))
        on_poll()
        if not waiting:
            return
        workers.raise_failure()
        if not alive:
            raise RunError(f"The solving processes ended and left {len(waiting)} tasks undone.")
        time.sleep(POLL_SECONDS)


def conclude(folder: EvalFolder, tasks: Sequence[Task]) -> Report | None:
    """Write submission.json, and where the outputs are known score it into results.json.

    Args:
        folder: Whose tasks are all done.
        tasks: The same tasks with what is known of their outputs.

    Returns:
        The scores of the tasks whose outputs are known; None where none is.
    """
    answers = folder.answers()
    write_json_atomic(folder.submission, submission(voted(answers)))
    known, hidden = with_known_outputs(tasks)
    if not known:
        return None
    targets = known_outputs(known)
    scored = {task: answers[task] for task in targets}
    report = score(voted(scored), targets, known)
    solved = report.by_task()
    assignment = folder.assignment()
    seconds = [answer.seconds for answer in answers.values()]
    content = {
        "protocol": assignment.to_json() | {"transductive": assignment.transductive},
        "scores": report.to_json(),
        "not_scored": [task.id for task in hidden],
        "single_view": score(single_view(scored), targets, known).to_json(),
        "seconds": {"total": sum(seconds), "per_task": sum(seconds) / len(seconds), "of": assignment.device},
        "fit": sum(answer.fit == answer.demonstrations for answer in answers.values()),
        "tasks": {
            name: {
                "solved": solved.get(name),  # null where the outputs are not known
                "steps": answer.steps,
                "seconds": answer.seconds,
                "fit": [answer.fit, answer.demonstrations],
                "confidence": [list(x.confidence) for x in answer.inputs],
            }
            for name, answer in answers.items()
        },
    }
    write_json_atomic(folder.results, content)
    return report
