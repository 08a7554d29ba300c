"""Work in the background: one thread, progress that the screen looks at, and a way to call it off."""

from __future__ import annotations

import threading
from collections.abc import Callable

from textual.message import Message
from textual.screen import Screen

from arc_core.base.errors import ArcError
from arc_tui.ui.cancelled import Cancelled


class Job:
    """Something that is being computed.

    Args:
        name: What it is, for the reader: `statistics of 337 tensors`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.done = 0
        self.total = 0
        self.over = False
        self._stop = threading.Event()

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1."""
        return self.done / self.total if self.total else 0.0

    def progress(self, done: int, total: int) -> None:
        """Take in how far it is.

        Raises:
            Cancelled: If it has been called off.
        """
        self.done, self.total = done, total
        if self.cancelled():
            raise Cancelled

    def cancel(self) -> None:
        """Call it off; it ends at its next piece."""
        self._stop.set()

    def cancelled(self) -> bool:
        """Whether it has been called off."""
        return self._stop.is_set()


class JobEnded(Message):
    """A job is over.

    Attributes:
        job: Which.
        problem: Why it failed, in one sentence; None if it did not.
    """

    def __init__(self, job: Job, problem: str | None) -> None:
        super().__init__()
        self.job = job
        self.problem = problem


def start(screen: Screen[object], job: Job, work: Callable[[Job], None]) -> Job:
    """Run work in a thread; the screen hears of its end by `JobEnded`.

    Args:
        screen: Who waits for it.
        job: The job.
        work: Does it; posts messages with what it finds, and touches no widget.
    """

    def run() -> None:
        problem = None
        try:
            work(job)
        except Cancelled:
            pass
        except ArcError as error:
            problem = str(error)
        finally:
            job.over = True
            screen.post_message(JobEnded(job, problem))

    screen.run_worker(run, thread=True, group="jobs", exit_on_error=True)
    return job
