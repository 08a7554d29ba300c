"""What can solve the tasks of an evaluation, each as the processes that solve need it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import torch

from arc_core.base.errors import CheckpointError, RunError
from arc_core.base.text import printable
from arc_core.data.tasks import Task
from arc_core.evaluation.folder import Assignment
from arc_core.evaluation.pace import MachinePace, measure_pace, measure_pipeline_pace, pipeline_steps
from arc_core.evaluation.pipeline import Pipeline, PipelineSolver
from arc_core.evaluation.pipeline_start import identity_of, solving_config
from arc_core.run.checkpoint_index import problems_of
from arc_core.run.config import PIPELINE, SOLVER
from arc_core.solver.config import SolverConfig
from arc_core.solver.solver import AdaptationLook, Answer, Solver
from arc_core.solver.weights import load_weights
from arc_core.solver.weights_file import sha256_of


class TaskSolver(Protocol):
    """Adapts to one task and answers it."""

    def solve(self, steps: int, watch: Callable[[AdaptationLook], None] | None, looks: int) -> list[Answer]:
        """Adapt for so many steps and answer every test input; `watch` is told about `looks` times."""
        ...

    def look(self, steps: int, loss: float) -> AdaptationLook:
        """What demonstrations and test inputs become now."""
        ...


class SolvingSystem(Protocol):
    """What solves the tasks of an evaluation."""

    def measure_pace(self) -> MachinePace:
        """What steps and answers cost on this machine."""
        ...

    def begin(self, task: Task, pace: MachinePace | None) -> tuple[TaskSolver, int]:
        """A solver at its start, and the steps it is to take; the solver before it must not be used any more.

        Args:
            task: Its test outputs are not looked at.
            pace: Of this machine; None where the evaluation gives steps instead of seconds.
        """
        ...


class AgentSystem:
    """The solver's own agent.

    Args:
        assignment: What is asked.
        device: Where to compute.

    Raises:
        RunError: If the weights are not those that the evaluation was begun with.
        CheckpointError: If they are missing or damaged.
    """

    def __init__(self, assignment: Assignment, device: torch.device) -> None:
        self.assignment = assignment
        self.config = SolverConfig.from_mapping(assignment.settings)
        self.device = device
        self.weights: Mapping[str, torch.Tensor] | None = None
        if assignment.weights is not None:
            path = Path(assignment.weights)
            self.weights = load_weights(path).tensors
            _refuse_others(assignment, sha256_of(path))

    def measure_pace(self) -> MachinePace:
        """See `SolvingSystem`."""
        return measure_pace(self.config, self.device)

    def begin(self, task: Task, pace: MachinePace | None) -> tuple[Solver, int]:
        """See `SolvingSystem`."""
        solver = Solver(task, self.config, self.weights, self.assignment.seed, self.device)
        return solver, _steps(self.assignment, lambda seconds: _known(pace).steps(solver, seconds))


class PipelineSystem:
    """The whole pipeline.

    Args:
        assignment: What is asked.
        device: Where to compute.

    Raises:
        RunError: If the checkpoint is not the one that the evaluation was begun with, or is gone.
        CheckpointError: If it is damaged.
        LanguageModelError: If the language model cannot be loaded.
    """

    def __init__(self, assignment: Assignment, device: torch.device) -> None:
        self.assignment = assignment
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
        return solver, _steps(self.assignment, lambda seconds: pipeline_steps(_known(pace), solver, seconds))


SYSTEMS: dict[str, Callable[[Assignment, torch.device], SolvingSystem]] = {
    SOLVER: AgentSystem,
    PIPELINE: PipelineSystem,
}
"""By their names in an assignment."""


def _refuse_others(assignment: Assignment, digest: str) -> None:
    if digest != assignment.weights_sha256:
        shown = printable(str(assignment.weights))
        raise RunError(f"The weights {shown} are not those that this evaluation was begun with.")


def _steps(assignment: Assignment, bought: Callable[[float], int]) -> int:
    if assignment.steps_per_task is not None:
        return assignment.steps_per_task
    return bought(assignment.seconds_per_task or 0.0)


def _known(pace: MachinePace | None) -> MachinePace:
    assert pace is not None  # measured wherever seconds are given
    return pace
