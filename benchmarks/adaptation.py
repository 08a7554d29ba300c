"""What a change to the solver does, on fixed held-out training tasks at equal seconds of the processor.

    python -m benchmarks.adaptation --tasks 20 --seconds 12 VARIANT [VARIANT ...]

A variant is `default` or settings joined by commas, as in `blocks=tied,steps=10`. For each task: the log-loss
of the test outputs' cells under the mean of all views' predictions of the right size, and whether an attempt
is right. Variants take turns on each task; differences to the first variant are paired, with their standard
error. The test outputs only score.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping

os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "30000")

import numpy as np
import torch

from arc_core.data import load_tasks
from arc_core.dataset_files import Task
from arc_core.pace import measure_pace
from arc_core.protocol import held_out
from arc_core.scoring import same_grid
from arc_core.solver import Solver
from arc_core.solver_config import SolverConfig
from arc_core.voting import Ballot
from arc_core.weights import load_weights

NO_LIKENESS = -np.log(0.1)
"""Log-loss of knowing nothing, which a task counts whose size was not found."""


def log_loss(ballots: list[Ballot], target: np.ndarray) -> float:
    """Mean over the cells of minus the log of the mean probability of the right colour."""
    shares = [ballot.shares for ballot in ballots if ballot.shares.shape[:2] == target.shape]
    if not shares:
        return float(NO_LIKENESS)
    mean = np.mean(shares, axis=0)
    right = np.take_along_axis(mean, target[..., None].astype(np.int64), axis=-1)
    return float(-np.log(np.maximum(right, 1e-4)).mean())


def run(
    task: Task, config: SolverConfig, seconds: float, weights: Mapping[str, torch.Tensor] | None
) -> tuple[float, bool, bool, bool, float]:
    """Log-loss, solved, solved by the single view, demonstrations fit, seconds of the processor."""
    began = time.process_time()
    solver = Solver(task, config, weights)
    steps = PACES[config].steps(solver, seconds)
    answers = solver.solve(steps)
    look = solver.look(steps, 0.0)
    spent = time.process_time() - began
    targets = [pair.output for pair in task.test if pair.output is not None]
    losses = [log_loss(ballots, target) for ballots, target in zip(solver.ballots(), targets, strict=True)]
    solved = [
        any(same_grid(grid, target) for grid in answer.choice.attempts)
        for answer, target in zip(answers, targets, strict=True)
    ]
    single = [same_grid(answer.single, target) for answer, target in zip(answers, targets, strict=True)]
    return float(np.mean(losses)), all(solved), all(single), all(look.exact), spent


PACES = {}


def main() -> None:
    """Run the variants in turns and print a line for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--weights")
    parser.add_argument("variants", nargs="+")
    given = parser.parse_args()
    torch.set_num_threads(1)
    configs = {}
    for name in given.variants:
        pairs = [] if name == "default" else [part.split("=") for part in name.split(",")]
        configs[name] = SolverConfig.from_mapping(dict(pairs), text=True)
    for config in configs.values():
        PACES[config] = measure_pace(config)
    weights = load_weights(given.weights).tensors if given.weights else None
    results: dict[str, list[tuple[float, bool, bool, bool, float]]] = {name: [] for name in configs}
    for task in held_out(load_tasks("arcagi1").tasks)[: given.tasks]:
        for name, config in configs.items():
            results[name].append(run(task, config, given.seconds, weights))
            loss, solved, single, fit, spent = results[name][-1]
            print(f"{task.id} {name:30} {loss:.3f} {solved:d} {single:d} {fit:d} {spent:.1f}", flush=True)
    first = np.array([row[0] for row in results[given.variants[0]]])
    for name, rows in results.items():
        losses = np.array([row[0] for row in rows])
        gain = losses - first
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        counts = [sum(row[column] for row in rows) for column in (1, 2, 3)]
        spent = np.mean([row[4] for row in rows])
        print(
            f"{name:40} log-loss {losses.mean():.4f} ({gain.mean():+.4f} ± {error:.4f}) "
            f"solved {counts[0]}/{len(rows)} single {counts[1]} fit {counts[2]} {spent:.1f} s"
        )


if __name__ == "__main__":
    main()
