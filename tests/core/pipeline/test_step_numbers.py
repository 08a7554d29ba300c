"""What a step of the pipeline tells: its event and its sample."""

import json
from collections.abc import Callable

import pytest
import torch

from arc_core.data.dataset import Example
from arc_core.pipeline.batch import Batch, collate
from arc_core.pipeline.outcome import StepResult, sample_of, step_numbers
from arc_core.pipeline.reward import per_cell_accuracy
from arc_core.pipeline.step import training_step
from arc_core.pipeline.system import ArcSystem
from arc_core.training.optimizer import MixedPrecision


@pytest.fixture(scope="module")
def stepped(
    make_system: Callable[..., ArcSystem], make_examples: Callable[..., list[Example]]
) -> tuple[StepResult, Batch, ArcSystem]:
    system = make_system()
    batch = collate(make_examples(3, seed=6))
    return training_step(system, batch, epoch=1, step=1), batch, system


def test_a_step_event_holds_the_steps_numbers(stepped: tuple[StepResult, Batch, ArcSystem]) -> None:
    result, _, system = stepped
    fields = step_numbers(result, system.precision)
    assert fields["loss"] == result.loss
    assert fields["accuracy"] == {
        "cell": pytest.approx(sum(result.cell_accuracy) / 3),
        "exact": sum(result.exact) / 3,
    }
    assert fields["curriculum"]["size_weight"] == pytest.approx(5 / 6)
    assert fields["amp"] == {"dtype": "float32", "scale": 1.0, "skipped_steps": 0}
    json.dumps(fields, allow_nan=False)


def test_a_step_events_parts_add_up(stepped: tuple[StepResult, Batch, ArcSystem]) -> None:
    result, _, system = stepped
    fields = step_numbers(result, system.precision)
    loss, reward = fields["loss"], fields["reward"]
    parts = [value for name, value in loss.items() if name not in ("efe_total", "combined")]
    assert len(parts) == 8
    assert sum(parts) == pytest.approx(loss["efe_total"], rel=1e-5)
    assert loss["combined"] == pytest.approx(0.7 * loss["efe_total"] - 0.3 * reward["total"], rel=1e-5)
    halves = reward["d_size"] + reward["d_color"] + reward["d_rev"]
    assert reward["total"] == pytest.approx(reward["d_acc"] + 0.5 * halves, abs=1e-6)


def test_a_step_events_groups_have_the_designs_names(stepped: tuple[StepResult, Batch, ArcSystem]) -> None:
    result, _, system = stepped
    fields = step_numbers(result, system.precision)
    assert {name: set(value) for name, value in fields.items()} == {
        "loss": {
            "risk", "ambiguity", "step", "consistency", "bidirectional", "z_anchor", "prompt", "size",
            "efe_total", "combined",
        },
        "reward": {"total", "d_acc", "d_size", "d_color", "d_rev"},
        "hard_cells": {"mask_ratio"},
        "curriculum": {"size_weight"},
        "memory": {"ema", "threshold", "entries", "stored"},
        "grad_norm": {"agent", "lm", "memory", "efe_loss", "policy"},
        "amp": {"dtype", "scale", "skipped_steps"},
        "learning_rate": {"agent", "lm", "memory", "efe_loss", "policy"},
        "accuracy": {"cell", "exact"},
    }  # fmt: skip


def test_the_scale_of_a_scaler_is_told(stepped: tuple[StepResult, Batch, ArcSystem]) -> None:
    result, _, _ = stepped
    precision = MixedPrecision(torch.device("cpu"), "float16", init_scale=1024.0)
    for _ in range(3):
        precision.settle(False, 1024.0)
    fields = step_numbers(result, precision)
    assert fields["amp"] == {"dtype": "float16", "scale": 1024.0, "skipped_steps": 3}


def test_a_sample_shows_the_first_pair_at_its_own_sizes(
    stepped: tuple[StepResult, Batch, ArcSystem], make_examples: Callable[..., list[Example]]
) -> None:
    result, batch, _ = stepped
    example = make_examples(3, seed=6)[0]
    sample = sample_of(result, batch)
    assert (sample.task, sample.pair) == (example.task_id, example.pair_index)
    for name, grid in (("input", example.input), ("target", example.target)):
        assert sample.grids[name].tolist() == grid.tolist()
    assert sample.grids["before"].tolist() == result.before[0].tolist()
    assert sample.grids["after"].tolist() == result.after[0].tolist()


def test_the_grids_that_are_told_have_the_accuracy_that_is_told(
    stepped: tuple[StepResult, Batch, ArcSystem], make_examples: Callable[..., list[Example]]
) -> None:
    result, _, _ = stepped
    examples = make_examples(3, seed=6)
    for grid, example, accuracy in zip(result.after, examples, result.cell_accuracy, strict=True):
        assert example.target is not None
        found = per_cell_accuracy(torch.from_numpy(grid), torch.from_numpy(example.target))
        assert accuracy == pytest.approx(found, abs=1e-6)
