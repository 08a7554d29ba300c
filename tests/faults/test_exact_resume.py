"""A run resumed at any of its steps goes on as if it had never stopped: the same bits, with two threads."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness import make_run as make_small_run
from harness import train_here, write_dataset
from outcome import MEASURED, parameters_sha256, sha256_of, training_state
from raw_events import read_lines

from arc_core.run.branch import find_source, make_branch
from arc_core.run.checkpoint_index import checkpoint_id, list_checkpoints, read_state
from arc_core.run.commands import send
from arc_core.run.directory import RunDirectory

THREADS = 2
EPOCHS, BATCHES = 2, 3
STEPS = EPOCHS * BATCHES
SETTINGS: dict[str, Any] = {
    **{"epochs": EPOCHS, "max_batches": BATCHES, "batch_size": 4, "hidden_dim": 64, "prompt_dim": 64},
    **{"max_steps": 3, "threads": THREADS, "agent_lr": 1e-3, "checkpoint_every": 10**6},
    **{"keep_checkpoints": 100, "validation_inputs": 2},
}

Position = tuple[int, int, int]
"""Step, epoch and batch."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="descriptors are named by /proc"),
]


class SaveEveryStep:
    """A user who asks for a checkpoint after each step."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run

    def __call__(self, when: str, operation: str, number: int) -> None:
        if (when, operation) == ("after", "write event step"):
            send(self._run.commands, "checkpoint")


def train(run: RunDirectory) -> None:
    train_here(run, observe=SaveEveryStep(run))


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds: digests of the parameters and of the moments and RNG, and the rest."""

    parameters: str
    moments: str
    random: str
    state: dict[str, Any]


def positions(run: RunDirectory) -> dict[Position, Path]:
    """The newest checkpoint of each position."""
    places = {path: read_state(path)["position"] for path in list_checkpoints(run.checkpoints)}
    return {(at["step"], at["epoch"], at["batch"]): path for path, at in places.items()}


def saved(run: RunDirectory) -> dict[Position, Saved]:
    """What each position came to."""
    return {
        at: Saved(
            parameters_sha256(path),
            sha256_of(path, ("optimizer",)),
            sha256_of(path, ("rng",)),
            training_state(path),
        )
        for at, path in positions(run).items()
    }


def measured(run: RunDirectory) -> list[tuple[int, list[Any]]]:
    steps = [event for event in read_lines(run.events) if event["type"] == "step"]
    return [(event["step"], [event[name] for name in MEASURED]) for event in steps]


@pytest.mark.parametrize("amp", ["off", "bfloat16"])
def test_a_run_resumed_at_any_step_is_bit_equal_to_the_uninterrupted_one(tmp_path: Path, amp: str) -> None:
    dataset = write_dataset(tmp_path / "dataset", tasks=8, largest=10)
    whole = make_small_run(tmp_path, "whole", dataset, amp=amp, **SETTINGS)
    train(whole)
    expected, numbers = saved(whole), measured(whole)
    by_step = {at[0]: checkpoint_id(path) for at, path in positions(whole).items()}
    assert sorted(by_step) == [step for step, _ in numbers] == list(range(1, STEPS + 1))
    for what in ("parameters", "moments", "random"):
        different = {getattr(one, what) for one in expected.values()}
        assert len(different) == STEPS, f"every step changes {what}"
    state = read_state(list_checkpoints(whole.checkpoints)[-1])
    assert state["threads"] == THREADS
    kept = {path: path.stat().st_mtime_ns for path in whole.path.rglob("*")}

    for step in range(1, STEPS + 1):
        name = f"from-{step}"
        branch = make_branch(whole, find_source(whole, by_step[step]), tmp_path, name, whole.read())
        train(branch)
        where = f"resumed at step {step}, {amp}, {THREADS} threads, {platform.platform()}, {state['build']}"
        assert measured(branch) == numbers, where
        later = {at: of for at, of in expected.items() if at[0] >= step}
        found = saved(branch)
        assert found.keys() == later.keys(), where
        for what in ("parameters", "moments", "random", "state"):
            different = [at for at in later if getattr(found[at], what) != getattr(later[at], what)]
            assert different == [], f"{what}, {where}"
    assert {path: path.stat().st_mtime_ns for path in whole.path.rglob("*")} == kept, "branching only reads"
