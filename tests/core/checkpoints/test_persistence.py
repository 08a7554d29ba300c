"""Checkpoints: all of the next step is in them, nothing damaged is taken, and nothing is pickled."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from arc_core.base.errors import CheckpointError
from arc_core.checkpoints.snapshot import restore_rng, rng_tensors
from arc_core.data.dataset import Example
from arc_core.pipeline.batch import Batch, collate
from arc_core.pipeline.language_model import LanguageModel
from arc_core.pipeline.persistence import ModelPersistence
from arc_core.pipeline.step import StepResult, training_step
from arc_core.pipeline.system import ArcSystem
from arc_core.run.checkpoint_index import (
    MANIFEST,
    TEMPORARY_PREFIX,
    checkpoint_id,
    list_checkpoints,
    newest_intact,
    next_id,
    problems_of,
    read_manifest,
    read_state,
    size_of,
)

MakeSystem = Callable[..., ArcSystem]
MakeExamples = Callable[..., list[Example]]
LAYOUT = {
    "MANIFEST.json",
    "state.json",
    *(
        f"{part}.safetensors"
        for part in ("agent", "policy", "memory", "efe_loss", "prompt", "optimizer", "rng")
    ),
}


def models_of(system: ArcSystem) -> tuple[Any, ...]:
    return system.agent, system.qwen, system.memory, system.efe_loss, system.policy, system.optimizer


def save(system: ArcSystem, directory: Path, **settings: int) -> Path:
    state = {"system": system.state()}
    return ModelPersistence(directory, **settings).save_checkpoint(
        *models_of(system), epoch=0, batch=1, metrics={"loss": 2.385}, state=state
    )


def load(system: ArcSystem, path: Path) -> dict[str, Any]:
    return ModelPersistence(path.parent).load_checkpoint(path, *models_of(system))


def resumed_from(path: Path, make_system: MakeSystem, **settings: Any) -> ArcSystem:
    """A new system of the same configuration, with everything taken from the checkpoint."""
    language_model = LanguageModel.load(str(path / "lm"), train=settings.get("lm_train", "full"))
    system = make_system(language_model=language_model, **settings)
    with torch.no_grad():  # nothing may come right by having started alike
        for module in (system.agent, system.policy, system.memory, system.efe_loss):
            for tensor in module.state_dict().values():
                tensor.fill_(1)
        for parameter in system.qwen.head_parameters():
            parameter.fill_(1)
    state = load(system, path)
    system.restore_state(state["system"])
    return system


def tensors_of(system: ArcSystem) -> dict[str, Tensor]:
    """Every tensor that the next step depends on, moments and random state included."""
    found = {
        f"{part}.{name}": tensor
        for part, module in system.modules.items()
        for name, tensor in module.state_dict().items()
    }
    for label, optimizer in (("main", system.optimizer), ("policy", system.policy.optimizer)):
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for index, parameter in enumerate(parameters):
            for slot, value in optimizer.state.get(parameter, {}).items():
                found[f"{label}.{index}.{slot}"] = value
    return {name: tensor.detach().clone() for name, tensor in found.items()} | rng_tensors()


def assert_bit_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []


def numbers_of(result: StepResult) -> list[Any]:
    return [result.loss, result.reward, result.grad_norm, result.memory, result.cell_accuracy, result.exact]


def batches_of(make_examples: MakeExamples, count: int = 4) -> list[Batch]:
    return [collate(make_examples(3, seed=seed)) for seed in range(count)]


def trained(make_system: MakeSystem, make_examples: MakeExamples, **settings: Any) -> ArcSystem:
    system = make_system(**settings)
    system.memory_threshold.ema = 0.0
    for step, batch in enumerate(batches_of(make_examples, 2), start=1):
        training_step(system, batch, epoch=0, step=step)
    return system


@pytest.fixture(scope="module")
def pristine(
    make_system: MakeSystem, make_examples: MakeExamples, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A checkpoint of a system that was trained for two steps; not to be changed."""
    system = trained(make_system, make_examples)
    assert len(system.memory) > 0
    return save(system, tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def checkpoint(pristine: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(pristine, tmp_path / pristine.name))


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


# Damage


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


FILES = (
    "agent.safetensors",
    "optimizer.safetensors",
    "rng.safetensors",
    "state.json",
    "lm/model.safetensors",
)


def test_an_untouched_checkpoint_has_no_problems(pristine: Path) -> None:
    assert problems_of(pristine) == []


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("damage", "said"), [(flip, "damaged"), (truncate, "bytes, not"), (Path.unlink, "missing")]
)
def test_damage_to_any_file_is_found_and_named(
    checkpoint: Path, name: str, damage: Callable[[Path], Any], said: str
) -> None:
    damage(checkpoint / name)
    (problem,) = problems_of(checkpoint)
    assert problem.startswith(name)
    assert said in problem


@pytest.mark.parametrize("name", ["notes.txt", "lm/extra.safetensors", ".hidden"])
def test_a_foreign_file_is_found(checkpoint: Path, name: str) -> None:
    (checkpoint / name).write_text("x")
    assert problems_of(checkpoint) == [f"{name} is not in the manifest"]


def test_a_file_that_became_a_link_is_no_file_of_the_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "agent.safetensors"
    (checkpoint / "agent.safetensors").rename(elsewhere)
    (checkpoint / "agent.safetensors").symlink_to(elsewhere)
    assert problems_of(checkpoint) == ["agent.safetensors is a symbolic link"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON"),
        ("[]", "is not a JSON object"),
        ("{}", "no list 'files'"),
        ('{"files": [{"name": "a"}]}', "needs name, bytes and sha256"),
        ('{"files": [7]}', "needs name, bytes and sha256"),
        ('{"files": [{"name": "../a", "bytes": 1, "sha256": ""}]}', "outside its folder"),
        ('{"files": [{"name": "/etc/passwd", "bytes": 1, "sha256": ""}]}', "outside its folder"),
    ],
)
def test_a_manifest_that_is_none_is_a_problem(checkpoint: Path, text: str, said: str) -> None:
    (checkpoint / MANIFEST).write_text(text)
    (problem,) = problems_of(checkpoint)
    assert said in problem
    (checkpoint / MANIFEST).unlink()
    assert "is missing" in problems_of(checkpoint)[0]


# Which one is taken


def numbered(pristine: Path, directory: Path, *numbers: int) -> list[Path]:
    return [Path(shutil.copytree(pristine, directory / f"checkpoint_{number:05d}")) for number in numbers]


def test_the_newest_intact_checkpoint_is_taken_and_the_rejected_ones_are_told(
    pristine: Path, tmp_path: Path
) -> None:
    oldest, good, torn, flipped = numbered(pristine, tmp_path, 8, 9, 10, 100000)
    truncate(torn / "agent.safetensors")
    flip(flipped / "memory.safetensors")
    (tmp_path / "latest").write_text(flipped.name)  # a hint is not trusted
    found, rejected = newest_intact(tmp_path)
    assert found == good
    assert [path for path, _ in rejected] == [flipped, torn]
    assert ["memory" in rejected[0][1][0], "agent" in rejected[1][1][0]] == [True, True]
    assert read_manifest(oldest) == read_manifest(good)


def test_when_none_is_intact_none_is_taken(pristine: Path, tmp_path: Path) -> None:
    (only,) = numbered(pristine, tmp_path, 3)
    (only / MANIFEST).unlink()
    found, rejected = newest_intact(tmp_path)
    assert found is None
    assert [path for path, _ in rejected] == [only]
    assert newest_intact(tmp_path / "nowhere") == (None, [])


def test_what_was_never_finished_is_no_checkpoint(pristine: Path, tmp_path: Path) -> None:
    (path,) = numbered(pristine, tmp_path, 4)
    path.rename(tmp_path / f"{TEMPORARY_PREFIX}{path.name}")
    assert list_checkpoints(tmp_path) == []
    assert next_id(tmp_path) == 5  # its number is not given again


def test_other_names_are_no_checkpoints(tmp_path: Path) -> None:
    for name in ("checkpoint_1", "checkpoint_00001.bak", "best", "checkpoint_"):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoint_00007").write_text("a file")
    assert list_checkpoints(tmp_path) == []
    with pytest.raises(CheckpointError, match="its name must be like checkpoint_00000"):
        checkpoint_id(tmp_path / "best")


def test_ids_only_rise_when_old_ones_are_pruned(make_system: MakeSystem, tmp_path: Path) -> None:
    system, persistence = make_system(lm_train="frozen"), ModelPersistence(tmp_path, keep=2)
    for expected in range(4):
        assert checkpoint_id(save(system, tmp_path)) == expected
        persistence.prune()
    assert [checkpoint_id(p) for p in list_checkpoints(tmp_path)] == [2, 3]
    assert next_id(tmp_path) == 4
    assert not list(tmp_path.glob(f"{TEMPORARY_PREFIX}*"))


def test_pruning_keeps_the_newest_and_the_best(pristine: Path, tmp_path: Path) -> None:
    paths = numbered(pristine, tmp_path, *range(6))
    persistence = ModelPersistence(tmp_path, keep=2)
    persistence.mark_best(paths[1])
    assert persistence.prune() == [paths[0], paths[2], paths[3]]
    assert list_checkpoints(tmp_path) == [paths[1], paths[4], paths[5]]
    assert problems_of(paths[1]) == []
    persistence.mark_best(paths[5])
    assert persistence.prune() == [paths[1]]
    assert persistence.prune() == []


def test_a_failed_save_leaves_nothing_and_takes_no_id(
    make_system: MakeSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = make_system()

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            save(system, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert checkpoint_id(save(system, tmp_path)) == 0


def test_what_does_not_read_back_is_an_error(make_system: MakeSystem, tmp_path: Path) -> None:
    system, told = make_system(), []

    def damage(path: Path) -> None:
        told.append(path.name)
        flip(path / "agent.safetensors")

    with pytest.raises(CheckpointError, match=r"did not read back: agent\.safetensors is damaged"):
        ModelPersistence(tmp_path).save_checkpoint(*models_of(system), 0, 0, {}, on_saved=damage)
    assert told == ["checkpoint_00000"]
    assert newest_intact(tmp_path)[0] is None
    assert not (tmp_path / "latest").exists()


# Loading refuses what is incomplete


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
