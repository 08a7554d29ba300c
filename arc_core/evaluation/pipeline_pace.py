"""How many steps of the whole pipeline a budget in seconds buys: measured once, on made-up tasks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from arc_core.data.dataset import Pair, Task
from arc_core.evaluation.pace import DEMONSTRATIONS, SIDES, MachinePace, cost_line, solver_clock
from arc_core.evaluation.pipeline import Pipeline, PipelineSolver

WARM_STEPS = 4
"""Steps before the clock counts: the first ones of a shape compile its kernels."""

TIMED_STEPS = 6


def measure_pipeline_pace(pipeline: Pipeline, clock: Callable[[], float] | None = None) -> MachinePace:
    """Measure what a training step and an answer cost.

    Args:
        pipeline: Its start is left as it is.
        clock: Tells seconds; None takes `solver_clock`.
    """
    clock = clock or solver_clock(pipeline.device)
    rng = np.random.default_rng(0)
    step_cells, answer_cells, train, predict = [], [], [], []
    for side in SIDES:
        grids = [rng.integers(0, 10, (side, side)).astype(np.int8) for _ in range(2 * DEMONSTRATIONS)]
        pairs = tuple(Pair(*grids[i : i + 2]) for i in range(0, len(grids), 2))
        solver = PipelineSolver(Task("pace", pairs, pairs[:1]), pipeline)
        solver.adapt(WARM_STEPS)
        began = clock()
        solver.adapt(TIMED_STEPS)
        train.append((clock() - began) / TIMED_STEPS)
        began = clock()
        solver.look(0, 0.0)
        predict.append(clock() - began)
        step_cells.append(solver.cells_a_step)
        answer_cells.append(solver.cells_of_answers)
    return MachinePace(cost_line(step_cells, train), cost_line(answer_cells, predict))


def pipeline_steps(pace: MachinePace, solver: PipelineSolver, seconds: float) -> int:
    """Training steps that a budget buys for a task, its answers paid first; at least 1.

    Args:
        pace: Of this machine.
        solver: Ready to solve the task.
        seconds: The budget.
    """
    # Both the answers and the last look at the demonstrations come out of it.
    answers = 2 * pace.predict.of(solver.cells_of_answers)
    return max(1, int((seconds - answers) / pace.train.of(solver.cells_a_step)))
