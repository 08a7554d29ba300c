"""What a checkpoint of ours tells of training."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from inspect_files import arc_checkpoint, arc_run, opened, tensor_file

from arc_core.base.errors import CheckpointError
from arc_tui.inspect.tensors.moments import group_of, pairs, updates
from arc_tui.inspect.tensors.training import (
    configuration,
    generators,
    memory_entries,
    preference,
    read_training,
    training_state,
)


def test_state_is_read_by_name_and_the_rest_is_listed(tmp_path: Path):
    state = read_training(opened(arc_checkpoint(tmp_path)))
    assert state is not None
    assert (state.step, state.epoch, state.batch, state.threads, state.skipped_steps) == (30, 1, 7, 2, 1)
    assert state.metrics == {"step": 30.0, "loss": 2.2}
    assert [(group.name, group.learning_rate) for group in state.groups] == [("agent", 1e-3), ("lm", 1e-5)]
    assert (state.amp_dtype, state.scaler["scale"]) == ("float16", 1024.0)
    assert state.memory_threshold == pytest.approx(0.33)
    assert (state.memory_entries, state.memory_stored) == (1, 7)
    assert state.other == {"a_later_key": [1, 2]}


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"position": 3, "system": [], "memory": None, "optimizer": "x", "metrics": 1},
        {"position": {"step": "a", "epoch": None}, "system": {"memory_ema": "x"}, "memory": {"keys": 3}},
        {"optimizer": {"main": [1, {"lr": "x"}]}, "metrics": {"a": None, "b": True, "c": 10**400}},
    ],
)
def test_state_of_another_shape_leaves_out_what_it_does_not_say(content: dict[str, object]):
    state = training_state(content)
    assert (state.step, state.epoch, state.memory_ema, state.memory_entries) == (None, None, None, None)
    assert state.metrics == {}


def test_damaged_state_is_a_problem_beside_the_tensors(tmp_path: Path):
    path = arc_checkpoint(tmp_path)
    (path / "state.json").write_text("{")
    state = read_training(opened(path))
    assert state is not None
    assert state.problem is not None
    assert state.step is None


def test_other_files_have_no_training_state(tmp_path: Path):
    assert read_training(opened(tensor_file(tmp_path / "x.safetensors", {}))) is None


def test_memory_entries_show_their_stored_grid(tmp_path: Path):
    [entry] = memory_entries(opened(arc_checkpoint(tmp_path)))
    assert (entry.task, entry.pair, entry.accuracy, entry.order) == ("0ca9ddb6", 1, 0.75, 6)
    assert entry.rows == ("123", "456")


@pytest.mark.parametrize(
    ("tensor", "value"),
    [
        ("grids", np.zeros((0, 30, 30), np.uint8)),
        ("grids", np.zeros((1, 30), np.uint8)),
        ("sizes", np.zeros(1, np.int64)),
        ("accuracy", np.zeros((), np.float32)),
    ],
)
def test_memory_that_does_not_fit_its_keys_is_refused(tmp_path: Path, tensor: str, value: np.ndarray):
    path = arc_checkpoint(tmp_path)
    columns = {
        "accuracy": np.zeros(1, np.float32),
        "grids": np.zeros((1, 30, 30), np.uint8),
        "sizes": np.full((1, 2), 2, np.int64),
        "order": np.zeros(1, np.int64),
    }
    tensor_file(path / "memory.safetensors", columns | {tensor: value})
    with pytest.raises(CheckpointError, match="memory of checkpoint_00003 is damaged"):
        memory_entries(opened(path))


def test_stored_grids_of_impossible_sizes_and_colours_are_cut_to_what_is_there(tmp_path: Path):
    path = arc_checkpoint(tmp_path)
    columns = {
        "accuracy": np.zeros(1, np.float32),
        "grids": np.full((1, 2, 2), 200, np.uint8),
        "sizes": np.array([[10**12, -5]], np.int64),
        "order": np.zeros(1, np.int64),
    }
    tensor_file(path / "memory.safetensors", columns)
    assert memory_entries(opened(path))[0].rows == ("", "")


def test_preference_is_the_softmax_of_its_logits(tmp_path: Path):
    found = preference(opened(arc_checkpoint(tmp_path)))
    assert found is not None
    np.testing.assert_allclose(found.base, np.arange(1, 11) / 55, rtol=1e-6)
    assert found.anchor == pytest.approx([0.1] * 10)


def test_generators_and_configuration(tmp_path: Path):
    run = arc_run(tmp_path / "runs")
    found = opened(run)
    assert generators(found) == {"torch_cpu": 5056}
    assert configuration(found) == {"epochs": 2, "lm": "tiny"}
    assert configuration(opened(arc_checkpoint(tmp_path / "alone"))) == {}


def test_moments_are_paired_with_the_parameters_they_belong_to(tmp_path: Path):
    found = opened(arc_checkpoint(tmp_path))
    state = read_training(found)
    assert state is not None
    by_name = {one.parameter: one for one in pairs(found)}
    assert by_name.keys() == {"agent.layer.weight", "lm.layers.0.w"}
    assert all(one.place is not None for one in by_name.values())
    group = group_of(by_name["lm.layers.0.w"], state.groups)
    assert group is not None
    assert group.name == "lm"


def test_update_is_the_one_that_adam_takes_next_with_no_new_gradient(tmp_path: Path):
    path = arc_checkpoint(tmp_path)
    found = opened(path)
    state = read_training(found)
    assert state is not None
    update = next(one for one in updates(found, state.groups) if one.parameter == "agent.layer.weight")
    # Adam by hand: moments 0.5 and 0.04 after 10 steps, betas 0.9 and 0.99, rate 1e-3, 12 entries.
    step = 0.5 / (1 - 0.9**10) / (math.sqrt(0.04 / (1 - 0.99**10)) + 1e-8)
    weight = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    assert update.update_norm == pytest.approx(1e-3 * step * math.sqrt(12), rel=1e-6)
    assert update.weight_norm == pytest.approx(float(np.linalg.norm(weight)), rel=1e-6)
    assert update.ratio == pytest.approx(update.update_norm / update.weight_norm)
    assert (update.step, update.second_mean) == (10, pytest.approx(0.2))
    assert list(updates(found, state.groups, "nothing")) == []


def test_update_ratio_matches_torch_adam(tmp_path: Path):
    parameter = torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(4, 3))
    adam = torch.optim.Adam([parameter], lr=1e-3, betas=(0.9, 0.99), eps=1e-8)
    for number in range(10):
        parameter.grad = torch.full((4, 3), 0.1 * (number + 1))
        before = parameter.detach().clone()
        adam.step()
    moved = float((parameter.detach() - before).norm())
    path = arc_checkpoint(tmp_path)
    tensor_file(path / "agent.safetensors", {"layer.weight": parameter.detach().numpy()})
    slots = adam.state[parameter]
    tensor_file(
        path / "optimizer.safetensors",
        {
            f"main/agent.layer.weight:{slot}": np.asarray(slots[slot].numpy())
            for slot in ("exp_avg", "exp_avg_sq", "step")
        },
    )
    found = opened(path)
    state = read_training(found)
    assert state is not None
    [update] = updates(found, state.groups)
    assert update.update_norm == pytest.approx(moved, rel=1e-4)


def test_state_may_be_any_json(tmp_path: Path):
    path = arc_checkpoint(tmp_path)
    (path / "state.json").write_text(json.dumps([1]))
    state = read_training(opened(path))
    assert state is not None
    assert state.problem is not None
