"""What a change to the solver does, on fixed held-out training tasks at equal seconds of the processor.

    python -m benchmarks.adaptation --tasks 20 --seconds 12 default VARIANT [VARIANT ...]

A variant is `default` or settings joined by commas, as in `width=48,steps=10`. For each task: the log-loss
of the test outputs' cells under the mean of all views' predictions of the right size, and whether an attempt
is right. Variants take turns on each task; differences to the first variant are paired, with their standard
error. The test outputs only score.

Each task of each variant is a line of a file, and what stands there is not run again: a screening that was
stopped goes on, and further variants are held against those that were run before. A file belongs to one state
of the code. `--table` only prints what it holds.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "30000")

import numpy as np
import torch

from arc_core.data.scoring import same_grid
from arc_core.data.seen import held_out
from arc_core.data.tasks import Task, load_tasks
from arc_core.evaluation.pace import MachinePace, measure_pace
from arc_core.solver.config import SolverConfig
from arc_core.solver.solver import Solver
from arc_core.solver.voting import Ballot
from arc_core.solver.weights import load_weights
from arc_core.solver.weights_file import fit_config, sha256_of

NO_LIKENESS = -np.log(0.1)
"""Log-loss of knowing nothing, which a task counts whose size was not found."""

PACE_ROUNDS = 3
"""Measurements of a variant's pace; the least disturbed counts."""

PACE_CELLS = 1000
"""Cells of the training step by which that one is told."""


@dataclass(frozen=True)
class Trial:
    """What makes two results the same measurement."""

    variant: str
    seconds: float
    weights: str
    """Digest of the weights that it starts from, or `none`."""
    seed: int


@dataclass(frozen=True)
class Result:
    """One task under one variant."""

    log_loss: float
    solved: bool
    """By one of both attempts, all test inputs."""
    single: bool
    """The same by the answers of the task's own view alone."""
    fit: bool
    """Whether all demonstrations come right."""
    steps: int
    spent: float
    """Seconds of the processor."""


class Journal:
    """The file of results: one line of JSON for each, and for the pace of each variant.

    Args:
        path: Made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text() if path.exists() else ""
        if text and not text.endswith("\n"):  # torn by a kill; what is appended begins a line of its own
            with path.open("a") as file:
                file.write("\n")
        self._results: dict[tuple[Trial, str], tuple[dict[str, Any], Result]] = {}
        self._paces: dict[Trial, MachinePace] = {}
        for line in text.splitlines():
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError):
                print(f"left out, not a result: {line[:60]!r}")

    def _take(self, record: dict[str, Any]) -> None:
        trial = Trial(**record["trial"])
        if "pace" in record:
            self._paces[trial] = MachinePace.from_json(record["pace"])
        else:
            self._results[trial, record["task"]] = record["settings"], Result(**record["result"])

    def result(self, trial: Trial, task: str, settings: Mapping[str, object]) -> Result | None:
        """What is known of a task; None where it was not run, or the name meant something else then."""
        kept, result = self._results.get((trial, task), ({}, None))
        return result if all(settings.get(name, value) == value for name, value in kept.items()) else None

    def pace(self, trial: Trial) -> MachinePace | None:
        """The pace at which a variant's results were made, if there are any."""
        return self._paces.get(trial)

    def write(self, trial: Trial, **content: object) -> None:
        """Append a result or a pace."""
        record = {"trial": asdict(trial), **content}
        line = json.dumps(record)
        with self.path.open("a") as file:
            file.write(line + "\n")
        self._take(json.loads(line))


def log_loss(ballots: list[Ballot], target: np.ndarray) -> float:
    """Mean over the cells of minus the log of the mean probability of the right colour."""
    shares = [ballot.shares for ballot in ballots if ballot.shares.shape[:2] == target.shape]
    if not shares:
        return float(NO_LIKENESS)
    mean = np.mean(shares, axis=0)
    right = np.take_along_axis(mean, target[..., None].astype(np.int64), axis=-1)
    return float(-np.log(np.maximum(right, 1e-4)).mean())


def run(
    task: Task,
    config: SolverConfig,
    trial: Trial,
    pace: MachinePace,
    weights: Mapping[str, torch.Tensor] | None,
) -> Result:
    """Solve a task and score it."""
    began = time.process_time()
    solver = Solver(task, config, weights, trial.seed)
    steps = pace.steps(solver, trial.seconds)
    answers = solver.solve(steps)
    look = solver.look(steps, 0.0)
    spent = time.process_time() - began
    targets = [pair.output for pair in task.test if pair.output is not None]
    ballots = [
        [ballot for start in solver.starts for ballot in start.votes[-1][query]]
        for query in range(len(targets))
    ]
    losses = [log_loss(*asked) for asked in zip(ballots, targets, strict=True)]
    solved = [
        any(same_grid(grid, target) for grid in answer.choice.attempts)
        for answer, target in zip(answers, targets, strict=True)
    ]
    single = [same_grid(answer.single, target) for answer, target in zip(answers, targets, strict=True)]
    return Result(float(np.mean(losses)), all(solved), all(single), all(look.exact), steps, spent)


def measure_paces(journal: Journal, trials: Mapping[Trial, SolverConfig]) -> dict[Trial, MachinePace]:
    """The pace of each variant, from the file or else measured in turns and written to it."""
    unknown = {trial: config for trial, config in trials.items() if journal.pace(trial) is None}
    measured: dict[Trial, list[MachinePace]] = {trial: [] for trial in unknown}
    for _ in range(PACE_ROUNDS):
        for trial, config in unknown.items():
            measured[trial].append(measure_pace(config))
    for trial, paces in measured.items():
        best = min(paces, key=lambda pace: pace.train.of(PACE_CELLS))
        journal.write(trial, pace=best.to_json())
        milliseconds = 1000 * best.train.of(PACE_CELLS)
        print(f"{trial.variant:40} {milliseconds:.1f} ms a step of {PACE_CELLS} cells", flush=True)
    return {trial: pace for trial in trials if (pace := journal.pace(trial)) is not None}


def table(journal: Journal, trials: Mapping[Trial, SolverConfig], tasks: Sequence[Task]) -> list[str]:
    """The results as a table in Markdown, each variant on the tasks that it shares with the first."""
    lines = [
        "| variant | tasks | log-loss | difference | solved | single view | fit | steps | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    (first, first_config), *_ = trials.items()
    for trial, config in trials.items():
        both = [
            (mine, theirs)
            for task in tasks
            if (mine := journal.result(trial, task.id, config.to_dict()))
            and (theirs := journal.result(first, task.id, first_config.to_dict()))
        ]
        if not both:
            lines.append(f"| {trial.variant} | 0 | | | | | | | |")
            continue
        losses = np.array([mine.log_loss for mine, _ in both])
        gains = losses - np.array([theirs.log_loss for _, theirs in both])
        error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.nan
        difference = "" if trial == first else f"{gains.mean():+.3f} ± {error:.3f}"
        mine = [result for result, _ in both]
        counts = [sum(getattr(result, name) for result in mine) for name in ("solved", "single", "fit")]
        lines.append(
            f"| {trial.variant} | {len(both)} | {losses.mean():.3f} | {difference} | {counts[0]} "
            f"| {counts[1]} | {counts[2]} | {np.mean([result.steps for result in mine]):.0f} "
            f"| {np.mean([result.spent for result in mine]):.1f} |"
        )
    return lines


def main() -> None:
    """Run the variants in turns and print a table of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--file", type=Path, default=Path(tempfile.gettempdir()) / "arc-adaptation.jsonl")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("variants", nargs="+")
    given = parser.parse_args()
    torch.set_num_threads(1)
    weights = load_weights(given.weights) if given.weights else None
    digest = sha256_of(given.weights)[:16] if given.weights else "none"
    trials: dict[Trial, SolverConfig] = {}
    for name in given.variants:
        values = {} if name == "default" else dict(part.split("=", 1) for part in name.split(","))
        config = fit_config(weights.notes if weights else None, values, text=True)
        trials[Trial(name, given.seconds, digest, given.seed)] = config
    journal = Journal(given.file)
    tasks = held_out(load_tasks("arcagi1").tasks)[: given.tasks]
    if not given.table:
        paces = measure_paces(journal, trials)
        for task in tasks:
            for trial, config in trials.items():
                if journal.result(trial, task.id, config.to_dict()) is None:
                    result = run(task, config, trial, paces[trial], weights.tensors if weights else None)
                    journal.write(trial, task=task.id, settings=config.to_dict(), result=asdict(result))
                    print(f"{task.id} {trial.variant:40} {result.log_loss:.3f} {result.solved:d}", flush=True)
    print("\n".join(table(journal, trials, tasks)))


if __name__ == "__main__":
    main()
