"""What trials tell: each variant paired with the default over the same test inputs and seeds, as a table."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

DEFAULT = "default"
"""What the others are compared with."""

TOLD = 0.1
"""Share of the default's log-loss that a difference has to have to matter."""

CLEAR = 3.0
"""Standard errors from which a difference counts: of 17 comparisons one in 20 trials has one so far out."""


Losses = dict[int, dict[str, dict[str, Any]]]
"""Of a variant: by seed and test input."""


def read_trials(file: Path, size: dict[str, int]) -> dict[str, Losses]:
    """The results of trainings of this size, by variant, seed and test input."""
    found: dict[str, Losses] = {}
    if file.exists():
        for line in map(json.loads, file.read_text().splitlines()):
            if line["size"] == size:
                found.setdefault(line["variant"], {})[line["seed"]] = line["inputs"]
    return found


def clustered_error(values: npt.NDArray[np.float64], clusters: Sequence[str]) -> float:
    """Standard error of the mean of values that are alike within a cluster."""
    sums: dict[str, float] = {}
    for value, cluster in zip(values - values.mean(), clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + float(value)
    count = len(sums)
    return math.sqrt(count / (count - 1) * sum(total**2 for total in sums.values())) / len(values)


@dataclass(frozen=True)
class Compared:
    """A variant beside the default, over the seeds and inputs of both.

    Attributes:
        seeds: Those of both.
        scores: Mean log-loss, share of the cells, and exact answers.
        by_seed: Difference of log-loss for each seed.
        tasks_error: Standard error over tasks of the difference, meaned over the seeds.
        reference: Mean log-loss of the default over these seeds.
    """

    seeds: list[int]
    scores: tuple[float, float, float]
    by_seed: npt.NDArray[np.float64]
    tasks_error: float
    reference: float

    @property
    def difference(self) -> float:
        """Mean over seeds and inputs."""
        return float(self.by_seed.mean())


def column(inputs: dict[str, dict[str, Any]], name: str) -> npt.NDArray[np.float64]:
    """A score of every input, in the order of their names."""
    return np.array([float(inputs[key][name]) for key in sorted(inputs)])


def compare(variant: Losses, default: Losses) -> Compared:
    """Pair a variant with the default."""
    seeds = sorted(variant.keys() & default.keys())
    losses, others = (
        np.stack([column(results[seed], "loss") for seed in seeds]) for results in (variant, default)
    )
    tasks = [key.partition("/")[0] for key in sorted(default[seeds[0]])]
    cells, exact = (
        np.mean([column(variant[seed], name) for seed in seeds], axis=0) for name in ("cells", "exact")
    )
    return Compared(
        seeds,
        (float(losses.mean()), float(cells.mean()), float(exact.sum())),
        (losses - others).mean(axis=1),
        clustered_error((losses - others).mean(axis=0), tasks),
        float(others.mean()),
    )


def seed_deviation(default: Losses, compared: Iterable[Compared]) -> float:
    """Standard deviation over seeds of a difference of two trainings; not a number where one seed is all.

    Pooled from the default's own mean losses, whose difference has twice their variance, and from the
    differences of variants that were trained with several seeds.
    """
    own = np.array([column(inputs, "loss").mean() for inputs in default.values()])
    squares, freedom = 2 * ((own - own.mean()) ** 2).sum(), len(own) - 1
    for one in compared:
        squares += ((one.by_seed - one.difference) ** 2).sum()
        freedom += len(one.seeds) - 1
    return math.sqrt(squares / freedom) if freedom else math.nan


def verdict(difference: float, error: float, reference: float) -> str:
    """What a difference with this standard error says of a variant, where lower is better."""
    told = TOLD * reference
    if abs(difference) > CLEAR * error:
        return "better" if difference < 0 else "worse"
    if abs(difference) + 2 * error < told:
        return "less than 10% apart"
    if abs(difference) > 2 * error:
        return "perhaps better" if difference < 0 else "perhaps worse"
    return "not told"


def report(results: dict[str, Losses]) -> str:
    """The table, and what it can tell."""
    default = results[DEFAULT]
    rows = {
        name: compare(losses, default) for name, losses in results.items() if losses.keys() & default.keys()
    }
    deviation = seed_deviation(default, [row for name, row in rows.items() if name != DEFAULT])
    lines = [
        "| variant | seeds | log-loss | difference | error over tasks | over seeds | relative "
        "| cells | exact | verdict |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        loss, cells, exact = row.scores
        said = [name, str(len(row.seeds)), f"{loss:.4f}"]
        if name == DEFAULT:
            said += ["", "", "", "", f"{cells:.1%}", f"{exact:.1f}", ""]
        else:
            seeds_error = deviation / math.sqrt(len(row.seeds))
            error = max(row.tasks_error, seeds_error)
            said += [
                f"{row.difference:+.4f}", f"{row.tasks_error:.4f}", f"{seeds_error:.4f}",
                f"{row.difference / row.reference:+.1%}", f"{cells:.1%}", f"{exact:.1f}",
                verdict(row.difference, error, row.reference),
            ]  # fmt: skip
        lines.append(f"| {' | '.join(said)} |")
    return "\n".join([*lines, "", *power(default, deviation)])


def power(default: Losses, deviation: float) -> list[str]:
    """How small a difference trainings of this size tell, by trainings that differ in seed alone."""
    seeds = sorted(default)
    if len(seeds) < 2:
        return ["How small a difference is told needs a second seed of the default."]
    keys = sorted(default[seeds[0]])
    tasks = [key.partition("/")[0] for key in keys]
    mean = float(np.mean([column(default[seed], "loss") for seed in seeds]))
    errors = [
        clustered_error(column(default[one], "loss") - column(default[other], "loss"), tasks)
        for one, other in pairwise(seeds)
    ]
    error = math.sqrt(float(np.mean(np.square(errors))))
    count = len(set(tasks))
    needed = math.ceil(count * (2 * error / (TOLD * mean)) ** 2)
    return [
        f"{len(keys)} test inputs of {count} tasks; the default's log-loss is {mean:.4f}.",
        f"Two trainings that differ in their seed alone: {error:.4f} standard error over tasks, that is "
        f"{error * math.sqrt(count):.3f} for one task; {deviation:.4f} deviation over seeds.",
        f"To tell {TOLD:.0%} at two standard errors takes {needed} tasks with one seed, and "
        f"{max(math.ceil((2 * deviation / (TOLD * mean)) ** 2), 1)} seeds for the noise of whole trainings.",
    ]
