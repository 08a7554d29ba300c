"""Solves the tasks of an evaluation, one after another; any number of processes may do so at once."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from arc_core.base.files import read_json_object, write_json_atomic
from arc_core.base.paths import exists
from arc_core.data.grids import to_rows
from arc_core.data.kaggle import Attempts
from arc_core.data.seen import load_blind
from arc_core.data.tasks import Task
from arc_core.evaluation.folder import PACE, EvalFolder, InputAnswer, TaskAnswer
from arc_core.evaluation.pace import MachinePace, solver_clock
from arc_core.evaluation.systems import SYSTEMS
from arc_core.run.events import EventWriter, next_seq
from arc_core.solver.solver import AdaptationLook


class Worker:
    """Solves the tasks of one evaluation.

    Args:
        folder: Of the evaluation.
        watched: Whether to tell in events.jsonl how it goes.
    """

    def __init__(self, folder: EvalFolder, *, watched: bool = False) -> None:
        self.folder = folder
        self.assignment = folder.assignment()
        torch.set_num_threads(1)
        device = torch.device(self.assignment.device)
        self.system = SYSTEMS[self.assignment.system](self.assignment, device)
        self.clock = solver_clock(device)
        self._watched = watched

    def work(self) -> None:
        """Take one task after another until none is left."""
        tasks = {task.id: task for task in load_blind(self.folder.challenges).tasks}
        pace = None if self.assignment.steps_per_task is not None else self._pace()
        # First what nobody holds; then wait for what others hold, and take it over if they are killed.
        for wait in (False, True):
            for name in self.folder.pending(self.assignment.tasks):
                with self.folder.claim(name, wait=wait) as held:
                    if held and self.folder.pending([name]):
                        self.folder.write_answer(self.solve(tasks[name], pace))

    def _pace(self) -> MachinePace:
        """The pace of this machine, measured by whichever process comes first."""
        with self.folder.claim(PACE, wait=True):
            if not exists(self.folder.pace):
                write_json_atomic(self.folder.pace, self.system.measure_pace().to_json())
        return MachinePace.from_json(read_json_object(self.folder.pace))

    def solve(self, task: Task, pace: MachinePace | None) -> TaskAnswer:
        """Solve a task within its budget."""
        began, wall = self.clock(), time.monotonic()
        solver, steps = self.system.begin(task, pace)
        watch: Callable[[AdaptationLook], None] | None = None
        events: EventWriter | None = None
        if self._watched:
            events = EventWriter(self.folder.events, next_seq(self.folder.events))
            watch = _teller(events, task.id, wall)
        answers = solver.solve(steps, watch, looks=100)
        look = solver.look(steps, 0.0)
        if events is not None:
            events.close()
        return TaskAnswer(
            task.id,
            tuple(
                InputAnswer(
                    Attempts(*answer.choice.attempts),
                    answer.choice.confidence,
                    answer.single,
                    answer.size_rule,
                )
                for answer in answers
            ),
            steps,
            self.clock() - began,
            sum(look.exact),
            len(look.exact),
        )


def _teller(events: EventWriter, task: str, began: float) -> Callable[[AdaptationLook], None]:
    def tell(look: AdaptationLook) -> None:
        events.emit(
            "adaptation",
            task=task,
            step=look.step,
            steps=look.steps,
            loss=look.loss,
            seconds=time.monotonic() - began,
            exact=list(look.exact),
            demonstrations=[to_rows(grid) for grid in look.demonstrations],
            queries=[to_rows(grid) for grid in look.queries],
        )

    return tell
