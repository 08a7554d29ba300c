"""Loading a checkpoint refuses what is incomplete or foreign, by its name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from saved_systems import MakeSystem, load
from torch import Tensor

from arc_core.base.errors import CheckpointError
from arc_core.run.checkpoint_index import read_state


@pytest.mark.parametrize("key", ["memory", "optimizer"])
def test_a_state_without_a_key_is_refused_by_its_name(
    checkpoint: Path, make_system: MakeSystem, key: str
) -> None:
    state = read_state(checkpoint)
    del state[key]
    (checkpoint / "state.json").write_text(json.dumps(state))
    with pytest.raises(CheckpointError, match=f"{key} is missing"):
        load(make_system(), checkpoint)


@pytest.mark.parametrize("key", ["keys", "stored_ever"])
def test_a_memory_without_its_bookkeeping_is_refused_by_name(
    checkpoint: Path, make_system: MakeSystem, key: str
) -> None:
    state = read_state(checkpoint)
    del state["memory"][key]
    (checkpoint / "state.json").write_text(json.dumps(state))
    with pytest.raises(CheckpointError, match=f"{key} is missing"):
        load(make_system(), checkpoint)


@pytest.mark.parametrize("part", ["agent", "policy", "memory", "efe_loss", "prompt", "optimizer", "rng"])
def test_a_missing_file_is_refused_by_name(checkpoint: Path, make_system: MakeSystem, part: str) -> None:
    (checkpoint / f"{part}.safetensors").unlink()
    with pytest.raises(CheckpointError, match=rf"{part}\.safetensors is missing"):
        load(make_system(), checkpoint)


def rewritten(path: Path, change: Callable[[dict[str, Tensor]], Any]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("agent", "forward_planner.fuse_prompt.weight"),
        ("memory", "order"),
        ("efe_loss", "anchor"),
        ("prompt", "text.0.weight"),
    ],
)
def test_a_missing_tensor_is_refused_by_name(
    checkpoint: Path, make_system: MakeSystem, part: str, name: str
) -> None:
    rewritten(checkpoint / f"{part}.safetensors", lambda tensors: tensors.pop(name))
    with pytest.raises(CheckpointError, match=rf"{part}\.safetensors: {name} is missing"):
        load(make_system(), checkpoint)


def test_a_missing_random_state_is_refused_by_name(checkpoint: Path, make_system: MakeSystem) -> None:
    path = checkpoint / "rng.safetensors"
    rewritten(path, lambda tensors: tensors.update(other=tensors.pop("torch_cpu")))
    with pytest.raises(CheckpointError, match="the state of torch_cpu is missing"):
        load(make_system(), checkpoint)


def test_a_foreign_tensor_is_refused_by_name(checkpoint: Path, make_system: MakeSystem) -> None:
    rewritten(checkpoint / "agent.safetensors", lambda tensors: tensors.update(extra=torch.zeros(1)))
    with pytest.raises(CheckpointError, match="extra does not belong"):
        load(make_system(), checkpoint)


def test_models_of_another_size_are_refused(pristine: Path, make_system: MakeSystem) -> None:
    with pytest.raises(CheckpointError, match=r"has shape \(\d+.*\), not \("):
        load(make_system(hidden_dim=48), pristine)


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_state_that_is_no_json_object_is_refused(
    checkpoint: Path, make_system: MakeSystem, text: str
) -> None:
    (checkpoint / "state.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"state\.json"):
        load(make_system(), checkpoint)


def test_another_format_is_refused(checkpoint: Path, make_system: MakeSystem) -> None:
    (checkpoint / "state.json").write_text(json.dumps(read_state(checkpoint) | {"format": 99}))
    with pytest.raises(CheckpointError, match="has format 99; this version reads 1"):
        load(make_system(), checkpoint)


def test_a_file_that_is_no_safetensors_is_refused(checkpoint: Path, make_system: MakeSystem) -> None:
    (checkpoint / "agent.safetensors").write_bytes(b"no tensors at all")
    with pytest.raises(CheckpointError, match=r"agent\.safetensors cannot be read"):
        load(make_system(), checkpoint)
