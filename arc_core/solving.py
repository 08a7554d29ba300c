"""Solves the tasks of an evaluation, one after another; any number of processes may do so at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from arc_core.dataset_files import Task
from arc_core.errors import RunError
from arc_core.evaluation import PACE, Assignment, EvalFolder, InputAnswer, TaskAnswer
from arc_core.events import EventWriter, next_seq
from arc_core.grids import to_rows
from arc_core.kaggle import Attempts
from arc_core.pace import MachinePace, measure_pace, solver_clock
from arc_core.protocol import load_blind
from arc_core.safe_files import read_json_object, write_json_atomic
from arc_core.solver import Look, Solver
from arc_core.solver_config import SolverConfig
from arc_core.weights import load_weights
from arc_core.weights_file import sha256_of


class Worker:
    """Solves the tasks of one evaluation.

    Args:
        folder: Of the evaluation.
        watched: Whether to tell in events.jsonl how it goes.
    """

    def __init__(self, folder: EvalFolder, *, watched: bool = False) -> None:
        self.folder = folder
        self.assignment = folder.assignment()
        self.config = SolverConfig.from_mapping(self.assignment.settings)
        self.weights = _weights(self.assignment)
        self.device = torch.device(self.assignment.device)
        self.clock = solver_clock(self.device)
        self._watched = watched
        torch.set_num_threads(1)

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
            if not self.folder.pace.exists():
                write_json_atomic(self.folder.pace, measure_pace(self.config, self.device).to_json())
        return MachinePace.from_json(read_json_object(self.folder.pace))

    def solve(self, task: Task, pace: MachinePace | None) -> TaskAnswer:
        """Solve a task within its budget."""
        began, wall = self.clock(), time.monotonic()
        solver = Solver(task, self.config, self.weights, self.assignment.seed, self.device)
        steps = self.assignment.steps_per_task
        if steps is None:
            assert pace is not None
            steps = pace.steps(solver, self.assignment.seconds_per_task or 0.0)
        watch: Callable[[Look], None] | None = None
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


def _weights(assignment: Assignment) -> Mapping[str, torch.Tensor] | None:
    if assignment.weights is None:
        return None
    path = Path(assignment.weights)
    weights = load_weights(path)
    if sha256_of(path) != assignment.weights_sha256:
        raise RunError(f"The weights {path} are not those that this evaluation was begun with.")
    return weights.tensors


def _teller(events: EventWriter, task: str, began: float) -> Callable[[Look], None]:
    def tell(look: Look) -> None:
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
