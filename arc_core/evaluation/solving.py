"""Solves tasks of an evaluation, one after another."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

import torch

from arc_core.base.errors import CheckpointError, RunError
from arc_core.base.files import read_json_object, write_json_atomic
from arc_core.base.paths import exists
from arc_core.base.text import printable
from arc_core.data.grids import to_rows
from arc_core.data.kaggle import Attempts
from arc_core.data.seen import load_blind
from arc_core.data.tasks import Task
from arc_core.evaluation.folder import PACE, Assignment, EvalFolder, InputAnswer, TaskAnswer
from arc_core.evaluation.gpus import find_gpus
from arc_core.evaluation.pace import (
    MachinePace,
    measure_pace,
    measure_pipeline_pace,
    pipeline_steps,
    solver_clock,
)
from arc_core.evaluation.pipeline import Pipeline, PipelineSolver
from arc_core.evaluation.pipeline_start import identity_of, solving_config
from arc_core.run.checkpoint_index import problems_of
from arc_core.run.events import EventWriter, next_seq
from arc_core.run.presets import PIPELINE, SOLVER
from arc_core.solver.config import SolverConfig
from arc_core.solver.solver import Answer, Solver
from arc_core.solver.start import AdaptationLook
from arc_core.solver.weights import load_weights
from arc_core.solver.weights_file import TASK_PROMPTS, sha256_of


class TaskSolver(Protocol):
    """Adapts to one task and answers it."""

    def solve(self, steps: int, watch: Callable[[AdaptationLook], None] | None, looks: int) -> list[Answer]:
        """Adapt for so many steps and answer every test input; `watch` is told about `looks` times."""
        ...

    def look(self, steps: int, loss: float) -> AdaptationLook:
        """What demonstrations and test inputs become now."""
        ...


class SolvingSystem(ABC):
    """What solves the tasks of an evaluation.

    Args:
        assignment: What is asked.
        device: Where to compute.

    Raises:
        RunError: If weights or checkpoint are not those that the evaluation was begun with, or are gone.
        CheckpointError: If they are missing or damaged.
        LanguageModelError: If the pipeline's language model cannot be loaded.
    """

    def __init__(self, assignment: Assignment, device: torch.device) -> None:
        self.assignment = assignment
        self.device = device

    @abstractmethod
    def measure_pace(self) -> MachinePace:
        """What steps and answers cost on this machine."""

    @abstractmethod
    def begin(self, task: Task, pace: MachinePace | None) -> tuple[TaskSolver, int]:
        """A solver at its start, and the steps it is to take; the solver before it must not be used any more.

        Args:
            task: Its test outputs are not looked at.
            pace: Of this machine; None where the evaluation gives steps instead of seconds.
        """

    def _steps(self, pace: MachinePace | None, bought: Callable[[MachinePace, float], int]) -> int:
        if self.assignment.steps_per_task is not None:
            return self.assignment.steps_per_task
        assert pace is not None  # measured wherever seconds are given
        return bought(pace, self.assignment.seconds_per_task or 0.0)


class AgentSystem(SolvingSystem):
    """The solver's own agent."""

    def __init__(self, assignment: Assignment, device: torch.device) -> None:
        super().__init__(assignment, device)
        self.config = SolverConfig.from_mapping(assignment.settings)
        self.weights: Mapping[str, torch.Tensor] | None = None
        self._prompts: dict[str, int] = {}
        if assignment.weights is not None:
            path = Path(assignment.weights)
            loaded = load_weights(path)
            self.weights = loaded.tensors
            self._prompts = {name: place for place, name in enumerate(loaded.notes.prompt_tasks)}
            _refuse_others(assignment, sha256_of(path))

    def measure_pace(self) -> MachinePace:
        """See `SolvingSystem`."""
        return measure_pace(self.config, self.device)

    def begin(self, task: Task, pace: MachinePace | None) -> tuple[Solver, int]:
        """See `SolvingSystem`."""
        weights, own = self.weights, self._prompts.get(task.id)
        if weights is not None and own is not None:  # a task that was trained on need not be looked up
            weights = {**weights, TASK_PROMPTS: weights[TASK_PROMPTS][[own]]}
        solver = Solver(task, self.config, weights, self.assignment.seed, self.device)
        return solver, self._steps(pace, lambda known, seconds: known.steps(solver, seconds))


class PipelineSystem(SolvingSystem):
    """The whole pipeline."""

    def __init__(self, assignment: Assignment, device: torch.device) -> None:
        super().__init__(assignment, device)
        checkpoint = None
        if assignment.weights is not None:
            checkpoint = Path(assignment.weights)
            _refuse_others(assignment, identity_of(checkpoint))
            if problems := problems_of(checkpoint):
                raise CheckpointError(f"{checkpoint.name} cannot be used: {'; '.join(problems)}.")
        config = solving_config(assignment.settings, assignment.seed)
        self.pipeline = Pipeline(config, device, checkpoint)

    def measure_pace(self) -> MachinePace:
        """See `SolvingSystem`."""
        return measure_pipeline_pace(self.pipeline)

    def begin(self, task: Task, pace: MachinePace | None) -> tuple[PipelineSolver, int]:
        """See `SolvingSystem`."""
        solver = PipelineSolver(task, self.pipeline, self.assignment.seed)
        return solver, self._steps(pace, lambda known, seconds: pipeline_steps(known, solver, seconds))


SYSTEMS: dict[str, Callable[[Assignment, torch.device], SolvingSystem]] = {
    SOLVER: AgentSystem,
    PIPELINE: PipelineSystem,
}
"""By their names in an assignment."""


def _refuse_others(assignment: Assignment, digest: str) -> None:
    if digest != assignment.weights_sha256:
        shown = printable(str(assignment.weights))
        raise RunError(f"The weights {shown} are not those that this evaluation was begun with.")


class Worker:
    """Solves tasks of one evaluation.

    Args:
        folder: Of the evaluation.
        device: `cpu` or `cuda:N`.
        watched: Whether to tell in events.jsonl how it goes.

    Raises:
        ConfigError: If the GPU is not here.
    """

    def __init__(self, folder: EvalFolder, device: torch.device, *, watched: bool = False) -> None:
        self.folder = folder
        self.assignment = folder.assignment()
        torch.set_num_threads(1)
        if device.type == "cuda":
            (found,) = find_gpus(str(device))
            torch.cuda.set_device(found)
        self.system = SYSTEMS[self.assignment.system](self.assignment, device)
        self.clock = solver_clock(device)
        self._watched = watched

    def work(self, tasks: Iterable[str], on_done: Callable[[], None]) -> None:
        """Solve tasks.

        Args:
            tasks: Their ids; the next is asked for when the one before it is done.
            on_done: Called when everything is ready for the first, then whenever one is done.
        """
        known = {task.id: task for task in load_blind(self.folder.challenges).tasks}
        pace = None if self.assignment.steps_per_task is not None else self._pace()
        on_done()
        for name in tasks:
            self.folder.write_answer(self.solve(known[name], pace))
            on_done()

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
            start=look.start,
            starts=look.starts,
        )

    return tell
