"""A run of a recipe that is not built in, as its process would have written it: a small recursive planner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from raw_events import Line
from recordings import console_run_json

from arc_core.run.declared import (
    Declared,
    GridForm,
    GroupKind,
    Number,
    NumberGroup,
    ShownNumber,
    trained_groups,
)
from arc_core.run.declared_json import DECLARED, declared_to_json
from arc_core.run.directory import RunDirectory, create_run

STEPS, PER_EPOCH = 60, 20
RECIPE = "recursive_planner:RecursivePlanner"
BEGUN = 1_795_600_000.0

_GRADIENTS, _RATES, _PRECISION = trained_groups(("model", "puzzle_embedding"))
FOREIGN = Declared(
    groups=(
        NumberGroup.of(
            "loss", GroupKind.CONTRIBUTIONS, Number("ce", "cross-entropy"), "halt", "total", totals=("total",)
        ),
        NumberGroup.of(
            "accuracy", GroupKind.SERIES, Number("cells", "cells right"), Number("exact", "pairs exact")
        ),
        NumberGroup.of("recursion", GroupKind.SERIES, Number("steps", "steps until halt"), unit="steps"),
        _GRADIENTS,
        _RATES,
        _PRECISION,
    ),
    grids=(GridForm("input"), GridForm("guess", judged=True), GridForm("target")),
    target="target",
    claims={"model": "TRM, 2 layers", "ema": "EMA 0.999"},
    step_line=(ShownNumber("loss", "loss.total", ".3f"), ShownNumber("cells", "accuracy.cells", ".1%")),
)
"""What its steps and samples carry."""

TARGET = ["0120", "1201", "2012"]


def foreign_events(steps: int = STEPS) -> list[Line]:
    """Every event of the run up to a step, which completes it if it is the last."""
    told: list[Line] = [{"type": "run_started", "step": 0}]
    for step in range(1, steps + 1):
        told.append(_step(step))
        if step % 5 == 1:
            told.append(_sample(step))
        if step % 10 == 0:
            told.append(_evidence(step))
        if step % PER_EPOCH == 0:
            told += [_epoch(step // PER_EPOCH - 1), _validation(step), *_checkpoint(step)]
    if steps == STEPS:
        told.append({"type": "run_finished", "reason": "completed"})
    return [
        {"type": line["type"], "seq": at, "time": BEGUN + at / 2} | line for at, line in enumerate(told, 1)
    ]


def foreign_run_json(declared: Declared = FOREIGN) -> dict[str, Any]:
    """What the run was started with."""
    known = console_run_json()
    config = {
        **{"recipe": RECIPE, "epochs": STEPS // PER_EPOCH, "device": "cpu", "seed": 42, "clip_norm": 1.0},
        **{"agent_lr": 1e-4, "checkpoint_every": 20, "n_layers": 2, "ema": 0.999, "name": "foreign"},
    }
    kept = {name: known[name] for name in ("versions", "git", "dataset")}
    plan = {"batches_per_epoch": PER_EPOCH, "total_steps": STEPS, "checkpoint_bytes": 900_000}
    return {
        "config": config,
        **kept,
        "created": BEGUN - 2,
        "argv": ["arc-tui", "train", "--recipe", RECIPE],
        "plan": plan | {"device": "cpu", "summary": "60 steps of 8 pairs"},
        DECLARED: declared_to_json(declared),
    }


def make_foreign_run(
    runs_dir: Path, events: list[Line] | None = None, name: str = "foreign", declared: Declared = FOREIGN
) -> RunDirectory:
    """Make its run directory; no process holds its lock.

    Args:
        runs_dir: The folder of runs.
        events: What its log holds; None is the whole run.
        name: The run's name.
        declared: What its run.json says that steps and samples carry.
    """
    run = create_run(runs_dir, name, foreign_run_json(declared))
    kept = foreign_events() if events is None else events
    run.events.write_text("".join(json.dumps(event, separators=(",", ":")) + "\n" for event in kept))
    return run


def _step(step: int) -> Line:
    left = 0.96**step
    halt, cells = 0.2 + 0.3 * left, 1 - 0.9 * left
    numbers = {
        "loss": {"ce": 2.3 * left, "halt": halt, "total": 2.3 * left + halt},
        "accuracy": {"cells": cells, "exact": (step // 10) / 8},
        "recursion": {"steps": 16.0 - step % 7},
        "grad_norm": {"model": 4 * left, "puzzle_embedding": 0.5 + left},
        "learning_rate": {"model": 1e-4, "puzzle_embedding": 1e-2},
        "amp": {"scale": 1.0, "skipped_steps": 0, "dtype": "bfloat16"},
    }
    place = {"step": step, "epoch": (step - 1) // PER_EPOCH, "batch": (step - 1) % PER_EPOCH}
    speed = {"pairs": 8, "pairs_per_second": 40.0 + step % 3, "elapsed_seconds": step / 5}
    return {"type": "step", **place, **speed, **numbers, "nonfinite": []}


def _sample(step: int) -> Line:
    wrong = max(0, 3 - step // 15)
    guess = ["9" * wrong + row[wrong:] for row in TARGET]
    grids = {"input": ["0000", "1111", "2222"], "guess": guess, "target": TARGET}
    return {"type": "sample", "step": step, "task": "3c9b0459", "pair": step % 3, **grids}


def _evidence(step: int) -> Line:
    halts = {"name": "halting", "work": "working", "value": f"{16 - step % 7} steps"}
    ema = {"name": "EMA", "work": "idle", "value": "0.999", "reason": "The average follows the weights."}
    embedding = {
        "name": "embedding",
        "work": "failing" if step < 20 else "working",
        "value": step / 9,
    }
    return {
        "type": "evidence",
        "step": step,
        "lines": [
            halts | {"reason": "It halts before the last step."},
            ema,
            embedding | {"reason": "The norm of the task embedding's gradient."},
        ],
    }


def _epoch(epoch: int) -> Line:
    last = _step((epoch + 1) * PER_EPOCH)
    averaged = {group.name: last[group.name] for group in FOREIGN.groups if group.averaged}
    known = {"epoch": epoch, "seconds": 4.0, "pairs": 8.0, "pairs_per_second": 41.0}
    return {"type": "epoch", **known, **averaged}


def _validation(step: int) -> Line:
    counts = {"inputs": 12, "exact": step // 20, "cell_accuracy": 0.3 + step / 100}
    return {
        "type": "validation",
        "step": step,
        "split": "evaluation",
        **counts,
        "score": step / 200,
        "numbers": {"halted early": 0.25, "votes": 16},
    }


def _checkpoint(step: int) -> list[Line]:
    known: Line = {"type": "checkpoint", "id": step // PER_EPOCH - 1, "step": step, "reason": "interval"}
    done = {"bytes": 900_000, "seconds": 0.1}
    waiting = {"phase": "requested", "bytes": None, "seconds": None}
    return [known | waiting, known | done | {"phase": "saved"}, known | done | {"phase": "verified"}]
