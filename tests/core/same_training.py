"""Runs that are to compute the same but for rounding: their settings, and how they are compared."""

from pathlib import Path
from typing import Any

import pytest
from raw_events import read_lines
from safetensors.torch import load_file
from small_run import measured, told

from arc_core.run.checkpoint_index import list_checkpoints
from arc_core.run.directory import RunDirectory

SLOW: dict[str, Any] = {
    **{"agent_lr": 1e-5, "qwen_lr": 1e-5, "policy_lr": 1e-5, "max_pairs": 11},
    **{"validate_on": "training", "validation_inputs": 3},
}
"""Adam makes whole steps of gradients that are rounding alone: small rates keep these below the tolerance."""

PLANNERS: dict[str, dict[str, Any]] = {
    "canvas": {
        **{"planner": "canvas", "policy_pairs": 3, "vector_dropout": 0.5, "ema": 0.9, "judged_draws": 1},
        **{"optimizer": "muon", "answer_views": 2},
    },
    "seed": {"planner": "seed"},
}
"""Every part that couples the pairs of a batch is on: prompt term, memory, policy, averages."""

NOT_COMPARED = {"seq": 0, "time": 0}


def steps_of(run: RunDirectory) -> dict[int, dict[str, Any]]:
    """What its steps measured."""
    return measured(read_lines(run.events))


def close(one: Any, other: Any, where: str = "") -> None:
    """Hold numbers against each other, wherever they are."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            close(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, float):
        # A norm sums up the rounding of all gradients, and is what the small rates do not damp.
        assert one == pytest.approx(other, rel=1e-4 if ".grad_norm." in where else 1e-5, abs=1e-5), where
    else:
        assert one == other, where


def tensors_apart(run: RunDirectory, other: RunDirectory, most_apart: float = 1e-5) -> dict[str, float]:
    """The tensors in which the last checkpoints of two runs are further apart than that, and how far."""
    last, expected = (list_checkpoints(one.checkpoints)[-1] for one in (run, other))
    apart: dict[str, float] = {}
    for file in expected.rglob("*.safetensors"):
        found = load_file(last / file.relative_to(expected))
        for name, tensor in load_file(file).items():
            most = (found[name].double() - tensor.double()).abs().max().item()
            least = most_apart
            if file.name == "optimizer.safetensors":  # the gradients of all steps, which are small
                least = 5 * most_apart * max(1e-3, tensor.abs().max().item())
            if most > least:
                apart[f"{file.name} {name}"] = most
    return apart


def same_training(run: RunDirectory, other: RunDirectory) -> None:
    """Hold the steps, validations and last tensors of two runs against each other."""
    close(steps_of(run), steps_of(other))
    for one, two in zip(told(run, "validation"), told(other, "validation"), strict=True):
        close(one | NOT_COMPARED, two | NOT_COMPARED)
    assert tensors_apart(run, other) == {}


def path_of(folder: Path, name: str) -> RunDirectory:
    """A run of a folder of small runs."""
    return RunDirectory(folder / "runs" / name)
