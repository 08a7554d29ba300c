"""A batch in parts: what they compute together, and the memory that they take."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from same_training import PLANNERS, SLOW, same_training, steps_of, tensors_apart
from small_run import new_run, opened, stop_after, train
from torch import Tensor

from arc_core.pipeline.loss import EFELoss
from arc_core.run.directory import RunDirectory

PARTS: dict[str, Any] = {"batch_size": 2, "accumulate": 3}
"""Eleven pairs make batches of six and five; the last part of the latter is a single pair."""


def trained(folder: Path, name: str, **settings: Any) -> RunDirectory:
    run = new_run(folder, name, **SLOW | {"epochs": 2} | settings)
    train(run)
    return run


@pytest.mark.parametrize("planner", PLANNERS)
def test_three_parts_of_two_are_a_batch_of_six(tmp_path: Path, planner: str):
    expected = trained(tmp_path, "whole", batch_size=6, **PLANNERS[planner])
    found = trained(tmp_path, "parts", **PARTS, **PLANNERS[planner])
    assert sorted(step["pairs"] for step in steps_of(found).values()) == [5, 5, 6, 6]
    same_training(found, expected)


@pytest.mark.parametrize("planner", PLANNERS)
def test_a_run_in_parts_resumes_exact_to_the_bit(tmp_path: Path, planner: str):
    settings = PARTS | PLANNERS[planner]
    expected = trained(tmp_path, "whole", **settings)
    run = new_run(tmp_path, "stopped", **SLOW, epochs=2, **settings)
    train(run, lambda trainer: stop_after(trainer, 3))
    train(run)
    assert steps_of(run) == steps_of(expected)
    assert tensors_apart(run, expected, 0.0) == {}


def overflowing(change: Callable[[int, dict[str, Tensor]], None]) -> Callable[..., dict[str, Tensor]]:
    """The loss, of which each call is changed as it is counted from 1."""
    calls, right = 0, EFELoss.forward

    def forward(self: EFELoss, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        nonlocal calls
        calls += 1
        losses = right(self, *args, **kwargs)
        change(calls, losses)
        return losses

    return forward


@pytest.mark.parametrize("planner", PLANNERS)
def test_parts_share_the_scale_of_float16_and_one_that_overflows_skips_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planner: str
):
    def spoil(call: int, losses: dict[str, Tensor]) -> None:
        if call == 5:  # the second part of the second step
            losses["total"] = losses["total"] * torch.inf

    run = new_run(tmp_path, "parts", **SLOW | PLANNERS[planner] | PARTS | {"amp": "float16"})
    monkeypatch.setattr(EFELoss, "forward", overflowing(spoil))
    with opened(run) as trainer:
        told = [trainer.recipe.step(batch, trainer.progress) for batch in trainer.recipe.plan_epoch(0)]
    assert [step.applied for step in told] == [True, False]
    assert [step.numbers["amp"]["scale"] for step in told] == [65536.0, 32768.0]


def kept_at_most(run: RunDirectory) -> int:
    """Most bytes that the steps of an epoch keep for their backward pass at any time."""
    now = most = 0

    class Kept:
        def __init__(self, tensor: Tensor) -> None:
            nonlocal now, most
            self.tensor, self.bytes = tensor, tensor.numel() * tensor.element_size()
            now += self.bytes
            most = max(most, now)

        def __del__(self) -> None:
            nonlocal now
            now -= self.bytes

    with opened(run) as trainer, torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
        for batch in trainer.recipe.plan_epoch(0):
            trainer.recipe.step(batch, trainer.progress)
    return most


@pytest.mark.parametrize("planner", PLANNERS)
def test_parts_take_the_memory_of_one(tmp_path: Path, planner: str):
    settings = PLANNERS[planner] | {"lambda_prompt": 0.0, "max_pairs": 12, "hidden_dim": 64}
    small, whole = (
        kept_at_most(new_run(tmp_path, f"of-{size}", **settings, batch_size=size)) for size in (2, 6)
    )
    parts = kept_at_most(new_run(tmp_path, "parts", **settings, **PARTS))
    assert parts < 1.1 * small
    assert parts < 0.6 * whole
