"""A sweep: one run for each combination of the values that some options are to have, and for each seed."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from arc_core.base.errors import ConfigError
from arc_core.run.config import LAUNCH_OPTIONS, NOT_QUEUED, TrainConfig
from arc_core.run.resolving import launch_options, resolve

MOST_RUNS = 1000


def sweep(
    flags: Mapping[str, object], file: Path | None, grid: Mapping[str, str], seeds: int | None
) -> list[tuple[dict[str, str], TrainConfig]]:
    """Settle the runs of a sweep, the last option of the grid changing first, then the seeds.

    Args:
        flags: The options given on the command line, which all runs share.
        file: The config file, if one was given.
        grid: For options by name, their values with commas between.
        seeds: How many seeds, from the one that the options say; None keeps that one.

    Returns:
        For each run what was given for it and its configuration, which has its name: that of the flags,
        with a number where there are several runs.

    Raises:
        ArcError: If an option or value is refused, or there are more than `MOST_RUNS`.
    """
    asked = launch_options(flags, file)
    if refused := [name for name in NOT_QUEUED if getattr(asked, name) not in (None, False)]:
        raise ConfigError(f"A queued run is a new one, trained by `queue run`: leave {refused[0]} out.")
    axes = {key: _values(key, text, flags) for key, text in grid.items()}
    if seeds is not None and "seed" in axes:
        raise ConfigError("The seeds are given twice, by the grid and by --seeds.")
    count = math.prod(map(len, axes.values())) * (seeds or 1)
    if count > MOST_RUNS:
        raise ConfigError(f"That makes {count:,} runs; at most {MOST_RUNS:,} are added at once.")
    shared = {key: value for key, value in flags.items() if key not in ("name", "runs_dir")}
    made = list[tuple[dict[str, str], TrainConfig]]()
    for values in itertools.product(*axes.values()):
        own = dict(zip(axes, values, strict=True))
        first = resolve({**shared, **own}, file).seed
        for seed in range(first, first + (seeds or 1)):
            given = {**own, **({"seed": str(seed)} if seeds is not None else {})}
            given |= {key: value for key, value in shared.items() if key not in given}
            number = f"-{len(made) + 1:0{len(str(count))}d}" if count > 1 else ""
            name = f"{flags.get('name', time.strftime('queued_%Y%m%d_%H%M%S'))}{number}"
            config = resolve({**flags, **given, "name": name}, file)
            made.append(({key: str(value) for key, value in given.items()}, config))
    return made


def _values(key: str, text: str, flags: Mapping[str, object]) -> Sequence[str]:
    values = [value.strip() for value in text.split(",")]
    if key in LAUNCH_OPTIONS and key != "preset":
        raise ConfigError(f"{key} says how a run is started: a grid cannot vary it.")
    if key in flags:
        raise ConfigError(f"{key} is given twice, by the grid and by itself.")
    if not all(values) or len(set(values)) < len(values):
        raise ConfigError(f"The grid takes values with commas between, each once, not {key}={text}.")
    return values
