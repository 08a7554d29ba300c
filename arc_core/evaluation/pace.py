"""How many training steps a budget in seconds buys, so that the same budget gives the same answers.

Stopping by the clock would make answers depend on what else the machine does. Instead the machine is
measured once, on made-up batches; from then on the number of steps of a task follows from its shapes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self, cast

import numpy as np
import torch

from arc_core.base.errors import DataError
from arc_core.data.tasks import Pair, Task
from arc_core.data.views import make_views
from arc_core.evaluation.pipeline import Pipeline, PipelineSolver
from arc_core.pipeline.canvas import pack
from arc_core.pipeline.placed_task import PlacedTask
from arc_core.solver.adaptation import Adaptation
from arc_core.solver.config import SolverConfig
from arc_core.solver.solver import Solver
from arc_core.solver.start import fresh_net

SIDES = (4, 10, 20)
ROUNDS = 3
DEMONSTRATIONS = 4

WARM_STEPS = 4
"""Steps of the pipeline before the clock counts: the first ones of a shape compile its kernels."""

TIMED_STEPS = 6


@dataclass(frozen=True)
class Cost:
    """Seconds of something: a fixed part, and one for each cell of its padded batch."""

    fixed: float
    per_cell: float

    def of(self, cells: float) -> float:
        """Seconds for so many cells."""
        return self.fixed + self.per_cell * cells


@dataclass(frozen=True)
class MachinePace:
    """What a training step and a prediction cost here, in seconds of the processor."""

    train: Cost
    predict: Cost

    def steps(self, solver: Solver, seconds: float) -> int:
        """Training steps that a budget buys for a task, its memory and predictions paid first; at least 1.

        Args:
            solver: Ready to solve the task.
            seconds: The budget.
        """
        first = solver.starts[0]
        config, placed = first.config, first.placed
        pairs = len(placed.demonstrations(0))
        cells = placed.canvas_cells()
        ballots = config.snapshots * len(placed.views)
        votes = ballots * self.predict.of(len(placed.queries) * cells)
        memory = self.predict.of(first.memory_cells) if first.memory_cells else 0.0
        step = self.train.of(first.views_a_step * pairs * cells)

        def bought(starts: int) -> int:
            paid = starts * votes + memory
            return max(1, min(config.max_steps, int((seconds - paid) / (step * solver.step_cost(starts)))))

        starts = next((n for n in range(config.max_starts, 1, -1) if config.starts(bought(n)) >= n), 1)
        # One start more than that would cast votes that are not paid for.
        return min(bought(starts), config.most_steps(starts))

    def to_json(self) -> dict[str, Any]:
        """For the folder of an evaluation."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: object) -> Self:
        """Read what `to_json` gave.

        Raises:
            DataError: If it is something else.
        """
        try:
            parts = cast("dict[str, dict[str, float]]", content)
            costs = [
                Cost(float(parts[n]["fixed"]), float(parts[n]["per_cell"])) for n in ("train", "predict")
            ]
        except (KeyError, TypeError, ValueError):
            raise DataError("The machine's pace is not as it was written.") from None
        return cls(*costs)


def solver_clock(device: torch.device) -> Callable[[], float]:
    """What counts as a second: of the processor, so that other processes do not; on a GPU of the clock."""
    if device.type == "cpu":
        return time.process_time

    def clock() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return clock


def measure_pace(
    config: SolverConfig, device: torch.device | None = None, clock: Callable[[], float] | None = None
) -> MachinePace:
    """Measure what steps and predictions cost.

    Args:
        config: The architecture, and the precision that it computes in.
        device: Where; None is the CPU.
        clock: Tells seconds; None takes `solver_clock`.
    """
    device = device or torch.device("cpu")
    clock = clock or solver_clock(device)
    adaptation = Adaptation(fresh_net(config, 0).to(device), config, device)
    cells, train, predict = [], [], []
    for task in _made_up_tasks():
        items = PlacedTask(task, make_views(1, (0,), symmetries=False)).demonstrations(0)
        batch = pack(items).to(device)
        cells.append(sum(item.input.size for item in items))
        train.append(_median(lambda batch=batch: adaptation.train(batch, 100), clock))
        predict.append(_median(lambda items=items: adaptation.plan(items), clock))
    return MachinePace(cost_line(cells, train), cost_line(cells, predict))


def _made_up_tasks() -> Iterator[Task]:
    """Tasks of random square grids, of each size of `SIDES`."""
    rng = np.random.default_rng(0)
    for side in SIDES:
        grids = [rng.integers(0, 10, (side, side)).astype(np.int8) for _ in range(2 * DEMONSTRATIONS)]
        pairs = tuple(Pair(*grids[i : i + 2]) for i in range(0, len(grids), 2))
        yield Task("pace", pairs, pairs[:1])


def _median(work: Callable[[], object], clock: Callable[[], float]) -> float:
    work()  # the first call of a shape compiles its kernels
    seconds = []
    for _ in range(ROUNDS):
        began = clock()
        work()
        seconds.append(clock() - began)
    return float(np.median(seconds))


def cost_line(cells: Sequence[float], seconds: Sequence[float]) -> Cost:
    """The line through the least and the most cells: what lies between is about on it."""
    per_cell = max(0.0, (seconds[-1] - seconds[0]) / (cells[-1] - cells[0]))
    return Cost(max(1e-6, seconds[0] - per_cell * cells[0]), per_cell)


def measure_pipeline_pace(pipeline: Pipeline, clock: Callable[[], float] | None = None) -> MachinePace:
    """Measure what a training step and an answer cost.

    Args:
        pipeline: Its start is left as it is.
        clock: Tells seconds; None takes `solver_clock`.
    """
    clock = clock or solver_clock(pipeline.device)
    step_cells, answer_cells, train, predict = [], [], [], []
    for task in _made_up_tasks():
        solver = PipelineSolver(task, pipeline)
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
