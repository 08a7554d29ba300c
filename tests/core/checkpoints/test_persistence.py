"""Checkpoints: all of the next step is in them, and nothing is pickled."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from saved_systems import (
    LAYOUT,
    MakeExamples,
    MakeSystem,
    assert_bit_equal,
    batches_of,
    numbers_of,
    resumed_from,
    save,
    tensors_of,
    trained,
)
from transformers import AutoModel, AutoTokenizer

from arc_core.checkpoints.snapshot import restore_rng, rng_tensors
from arc_core.pipeline.step import training_step
from arc_core.run.checkpoint_index import MANIFEST, read_state, size_of

# Exact resuming


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": "adam", "schedule": "cosine", "warmup_steps": 2},
        {"amp": "bfloat16"},
        {"amp": "float16"},
        {"lm_train": "frozen"},
        {"lm_train": "lora"},
        {"memory": False, "refine": False},
    ],
    ids=lambda settings: ",".join(f"{k}={v}" for k, v in settings.items()) or "default",
)
def test_the_next_steps_after_loading_are_bit_equal_to_the_uninterrupted_ones(
    make_system: MakeSystem, make_examples: MakeExamples, tmp_path: Path, settings: dict[str, Any]
) -> None:
    system = trained(make_system, make_examples, **settings)
    path = save(system, tmp_path)
    saved, keys = tensors_of(system), list(system.memory.keys)
    rest = batches_of(make_examples)[2:]
    expected = [numbers_of(training_step(system, b, 0, step)) for step, b in enumerate(rest, start=3)]
    uninterrupted = tensors_of(system)

    resumed = resumed_from(path, make_system, **settings)
    assert_bit_equal(tensors_of(resumed), saved)
    assert resumed.memory.keys == keys
    found = [numbers_of(training_step(resumed, b, 0, step)) for step, b in enumerate(rest, start=3)]
    assert found == expected
    assert_bit_equal(tensors_of(resumed), uninterrupted)
    assert resumed.memory.bookkeeping == system.memory.bookkeeping
    assert resumed.state() == system.state()


def test_a_system_that_never_stepped_is_restored_too(make_system: MakeSystem, tmp_path: Path) -> None:
    system = make_system()
    path = save(system, tmp_path)
    saved = tensors_of(system)
    assert_bit_equal(tensors_of(resumed_from(path, make_system)), saved)


def test_a_changed_learning_rate_is_restored(
    make_system: MakeSystem, make_examples: MakeExamples, tmp_path: Path
) -> None:
    system = trained(make_system, make_examples)
    system.set_base_rate("agent_lr", 7e-3)
    system.set_base_rate("policy_lr", 9e-3)
    assert resumed_from(save(system, tmp_path), make_system).base_rates() == system.base_rates()


def test_random_numbers_go_on_where_they_were() -> None:
    state = rng_tensors()
    first = torch.randn(5)
    torch.manual_seed(123)
    restore_rng(state)
    assert torch.equal(torch.randn(5), first)


def test_saving_changes_nothing_and_draws_nothing(make_system: MakeSystem, tmp_path: Path) -> None:
    system = make_system()
    before = tensors_of(system)
    save(system, tmp_path)
    assert_bit_equal(tensors_of(system), before)


# Layout


def test_a_checkpoint_has_the_designs_files(pristine: Path) -> None:
    assert pristine.name == "checkpoint_00000"
    assert {p.name for p in pristine.iterdir() if p.is_file()} == LAYOUT
    assert {p.name for p in pristine.iterdir() if p.is_dir()} == {"lm"}
    assert {p.name for p in pristine.parent.iterdir()} == {"checkpoint_00000", "latest"}
    assert (pristine.parent / "latest").read_text().strip() == pristine.name


def test_the_state_says_where_training_was(pristine: Path) -> None:
    state = read_state(pristine)
    assert (state["id"], state["epoch"], state["batch"]) == (0, 0, 1)
    assert state["metrics"] == {"loss": 2.385}


def test_safetensors_opens_every_part_and_the_tensors_have_their_names(
    pristine: Path, make_system: MakeSystem
) -> None:
    system = make_system()
    for part in ("agent", "policy", "memory", "efe_loss"):
        with safe_open(pristine / f"{part}.safetensors", "pt") as file:
            assert set(file.keys()) == set(system.modules[part].state_dict())
    moments = load_file(pristine / "optimizer.safetensors")
    agents = {f"agent.{name}" for name, _ in system.agent.named_parameters()}
    for slot in ("exp_avg", "exp_avg_sq", "step"):
        assert {f"main/{name}:{slot}" for name in agents} <= set(moments)


def test_transformers_reads_the_language_model(pristine: Path) -> None:
    backbone, found = AutoModel.from_pretrained(pristine / "lm", output_loading_info=True)
    assert not any(found.values())
    saved = load_file(pristine / "lm" / "model.safetensors")
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, saved[name])
    assert AutoTokenizer.from_pretrained(pristine / "lm")("same size").input_ids


def test_the_manifest_is_right_about_every_file(pristine: Path) -> None:
    content = json.loads((pristine / MANIFEST).read_text())
    listed = {entry["name"]: entry for entry in content["files"]}
    files = {p.relative_to(pristine).as_posix(): p for p in pristine.rglob("*") if p.is_file()}
    assert set(listed) == set(files) - {MANIFEST}
    for name, entry in listed.items():
        data = files[name].read_bytes()
        assert entry == {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert size_of(pristine) == sum(p.stat().st_size for p in files.values())


def test_no_file_is_a_pickle_or_may_hold_one(pristine: Path) -> None:
    for path in (p for p in pristine.rglob("*") if p.is_file()):
        data = path.read_bytes()
        if path.suffix == ".safetensors":
            header = int.from_bytes(data[:8], "little")
            json.loads(data[8 : 8 + header])
        else:
            assert path.suffix == ".json"
            json.loads(data)
        assert not data.startswith((b"\x80", b"PK\x03\x04"))  # pickle, and torch's zip of one


def test_no_one_else_may_read_a_checkpoint(pristine: Path) -> None:
    for path in (pristine, *pristine.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path == pristine else 0o600) or path.is_dir()
    assert pristine.parent.stat().st_mode & 0o777 == 0o700


# LoRA and frozen models


def test_lora_adapters_are_saved_apart_from_the_base(
    make_system: MakeSystem, make_examples: MakeExamples, tmp_path: Path
) -> None:
    system = trained(make_system, make_examples, lm_train="lora", qwen_lr=1e-2)
    path = save(system, tmp_path)
    adapters = system.qwen.language_model.adapter_state()
    saved = load_file(path / "prompt.safetensors")
    assert any(tensor.any() for name, tensor in adapters.items() if "lora_B" in name)  # they have learned
    for name, tensor in adapters.items():
        assert torch.equal(saved[f"adapter.{name}"], tensor)
    assert not any("lora" in name for name in load_file(path / "lm" / "model.safetensors"))
    resumed = resumed_from(path, make_system, lm_train="lora", qwen_lr=1e-2)
    texts = ["The output keeps the input's size."]
    with torch.no_grad():
        assert torch.equal(resumed.qwen.language_model(texts), system.qwen.language_model(texts))


def test_a_frozen_model_has_an_empty_group_and_no_moments(
    make_system: MakeSystem, make_examples: MakeExamples, tmp_path: Path
) -> None:
    path = save(trained(make_system, make_examples, lm_train="frozen"), tmp_path)
    assert not any("language_model" in name for name in load_file(path / "optimizer.safetensors"))
    names = [group["name"] for group in read_state(path)["optimizer"]["main"]]
    assert names == ["agent", "memory", "efe_loss", "lm", "prompt"]
