"""A sweep as its queue would have left it: two learning rates with three seeds each, and what they told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from raw_events import Line
from recordings import console_events, make_run

from arc_core.run.directory import RunDirectory

RATES, SEEDS, STEPS = (1e-4, 3e-4), (42, 43, 44), 60
LOSS = "loss.combined"


def loss_of(rate: float, seed: int, step: int) -> float:
    """The loss of a run at a step: it falls faster at the higher rate, and seeds lie beside each other."""
    falling = math.exp(-step / (30 if rate == RATES[0] else 15))
    return round(1 + 4 * falling + 0.4 * (seed - 43) + 0.05 * math.cos(step), 4)


def cells_of(rate: float, seed: int, step: int) -> float:
    """The share of right cells of a run's validation at a step."""
    return round(0.3 + step / 200 + (0.1 if rate == RATES[1] else 0) + 0.02 * (seed - 43), 4)


def sweep_events(rate: float, seed: int, steps: int = STEPS) -> list[Line]:
    """The log of one of the runs: a step a second, a validation every twentieth."""
    recorded = console_events()
    like, validated = (
        next(line for line in recorded if line["type"] == kind) for kind in ("step", "validation")
    )
    told: list[Line] = [{"type": "run_started", "step": 0}]
    for step in range(1, steps + 1):
        loss = {**like["loss"], "combined": loss_of(rate, seed, step)}
        told.append({**like, "step": step, "epoch": (step - 1) // 20, "loss": loss})
        if step % 20 == 0:
            told.append({**validated, "step": step, "exact": 2, "cell_accuracy": cells_of(rate, seed, step)})
    told.append({"type": "run_finished", "reason": "completed"})
    return [line | {"seq": at, "time": 1_795_600_000.0 + at} for at, line in enumerate(told, 1)]


def make_sweep(
    runs_dir: Path, rates: Sequence[float] = RATES, seeds: Sequence[int] = SEEDS, steps: int = STEPS
) -> list[RunDirectory]:
    """Make the runs `lr-1`, `lr-2` and so on, the seeds of each rate one after another."""
    made: list[RunDirectory] = []
    for rate in rates:
        for seed in seeds:
            run = make_run(runs_dir, sweep_events(rate, seed, steps), f"lr-{len(made) + 1}")
            content = run.read()
            content["config"] |= {"name": run.name, "agent_lr": rate, "seed": seed}
            content["created"] += len(made)
            run.write(content)
            made.append(RunDirectory(run.path.absolute()))
    return made
