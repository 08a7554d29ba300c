"""The log of a run of any length, as the default recipe writes it: what benchmarks of long runs read."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SAMPLE_EVERY = 100
CHECKPOINT_EVERY = 50
STEPS_PER_EPOCH = 3232
VARIANTS = 997
"""Different steps in a log, which then repeat: writing it is not what is measured."""

VALIDATED: dict[str, Any] = {
    **{"split": "test", "inputs": 120, "exact": 3, "tasks": 100, "tasks_solved": 2},
    **dict.fromkeys(("cell_accuracy", "accuracy_delta", "size_accuracy"), 0.4),
    **{"copy_cell_accuracy": 0.5, "black_cell_accuracy": 0.2},
}


def step_fields(step: int, rng: random.Random) -> dict[str, Any]:
    """Return the fields of a full-size step event of a run that learns, noisily."""
    progress = math.exp(-step / 4000)
    parts = ("risk", "ambiguity", "step", "consistency", "bidirectional", "z_anchor", "prompt", "size")
    loss = {name: rng.random() * (0.1 + progress) for name in parts}
    efe = sum(loss.values())
    reward = {name: rng.uniform(-0.1, 0.2) for name in ("d_acc", "d_size", "d_color", "d_rev")}
    total = reward["d_acc"] + 0.5 * (reward["d_size"] + reward["d_color"] + reward["d_rev"])
    groups = ("agent", "lm", "memory", "efe_loss", "policy")
    return {
        "epoch": step // STEPS_PER_EPOCH,
        "batch": step % STEPS_PER_EPOCH,
        "pairs": 8,
        "pairs_per_second": rng.uniform(28, 35),
        "elapsed_seconds": step * 0.25,
        "loss": {**loss, "efe_total": efe, "combined": 0.7 * efe - 0.3 * total},
        "reward": {"total": total, **reward},
        "hard_cells": {"mask_ratio": rng.random()},
        "curriculum": {"size_weight": 1.0},
        "memory": {"ema": rng.random(), "threshold": rng.random(), "entries": step // 40, "stored": 0},
        "grad_norm": {name: rng.lognormvariate(0, 1) for name in groups},
        "amp": {"dtype": "bfloat16", "scale": 1.0, "skipped_steps": 0},
        "learning_rate": dict.fromkeys(groups, 5e-5),
        "accuracy": {"cell": rng.random(), "exact": 0.125 * rng.randrange(8)},
        "rule": "changes 100% of the cells; output same size; query 6x6",
        "nonfinite": [],
    }


def write_log(path: Path, steps: int) -> int:
    """Write the log of a run of so many full-size steps, with samples, epochs and checkpoints.

    Returns:
        Its size in bytes.
    """
    with path.open("wb") as log:
        for line in _lines(steps):
            log.write(line)
    return path.stat().st_size


def _lines(steps: int) -> Iterator[bytes]:
    rng = random.Random(0)
    variants = [_template(step_fields(n * 20, rng)) for n in range(1, VARIANTS + 1)]
    grid = ["0123456789" * 2] * 20
    sample = _template(
        {"task": "3c9b0459", "pair": 0} | dict.fromkeys(("input", "before", "after", "target"), grid)
    )
    seq = 1
    yield b'{"type":"run_started","seq":1,"time":1795000000.0,"step":0}\n'

    def line(kind: str, step: int, rest: str) -> bytes:
        nonlocal seq
        seq += 1
        return f'{{"type":"{kind}","seq":{seq},"time":{1795e6 + seq / 4},"step":{step},{rest}\n'.encode()

    for step in range(1, steps + 1):
        yield line("step", step, variants[step % VARIANTS])
        if step % SAMPLE_EVERY == 0:
            yield line("sample", step, sample)
        if step % CHECKPOINT_EVERY == 0:
            for phase in ("requested", "saved", "verified"):
                rest = {"id": step // CHECKPOINT_EVERY, "phase": phase, "reason": "interval"}
                yield line("checkpoint", step, _template(rest | {"bytes": 12_000_000, "seconds": 0.2}))
        if step % STEPS_PER_EPOCH == 0:
            yield line("validation", step, _template(VALIDATED))


def _template(fields: dict[str, Any]) -> str:
    return json.dumps(fields, separators=(",", ":"))[1:]
