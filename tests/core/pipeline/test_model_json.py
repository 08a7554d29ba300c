"""A language model's JSON files in any other form: one sentence with file and key, never a crash."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from arc_core.base.errors import LanguageModelError
from arc_core.pipeline.language_model import LanguageModel, estimate_parameters


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny"
    LanguageModel.load("tiny").save(path)
    return path


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def refusal(folder: Path, read: Callable[[str], Any] = LanguageModel.load) -> str:
    with pytest.raises(LanguageModelError) as caught:
        read(str(folder))
    assert "\n" not in str(caught.value)
    assert "above" not in str(caught.value).replace("above 0", "")
    return str(caught.value)


def change(folder: Path, **values: object) -> None:
    config = json.loads((folder / "config.json").read_text()) | values
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("dtype", value) for value in ("float4000", "int8", 5, ["a"], {})),
        ("torch_dtype", "float4000"),
        *(("model_type", value) for value in ("nope", "", None, [])),
        *(("hidden_size", value) for value in ("64", None, -4, 0, 1.5, 65, True, [], 10**12)),
        *(("num_hidden_layers", value) for value in (-1, "2", 3, 10**9)),
        *(("num_attention_heads", value) for value in (0, "x", 5)),
        *(("vocab_size", value) for value in (0, "258", 100, 10**13)),
        *(("hidden_act", value) for value in ("nope", 5, None)),
        *(("rope_parameters", value) for value in ("x", {"rope_type": "default", "rope_theta": "x"})),
        ("attention_dropout", 5),
        ("quantization_config", 5),
        ("id2label", [1]),
        ("layer_types", ["nope", "nope"]),
    ],
)
def test_a_bad_value_of_config_json_is_named_with_its_key(folder: Path, key: str, value: object):
    change(folder, **{key: value})
    for read in (estimate_parameters, LanguageModel.load):
        said = refusal(folder, read)
        assert "config.json" in said
        assert key in said


def test_a_configuration_of_another_model_names_the_first_tensor_that_does_not_fit(folder: Path):
    change(folder, hidden_size=128)
    said = refusal(folder)
    assert "config.json asks for, embed_tokens.weight the first: [258, 64], not [258, 128]" in said


def test_a_configuration_far_beyond_the_weights_takes_no_memory(folder: Path):
    change(folder, hidden_size=8192, num_hidden_layers=200, intermediate_size=32768, layer_types=None)
    assert "parameters, and its weights have" in refusal(folder)


@pytest.mark.parametrize("name", ["config", "tokenizer", "tokenizer_config", "generation_config"])
@pytest.mark.parametrize("text", ["", "{", "[]", "null", "5", "<html>", "[" * 100_000])
def test_a_file_that_holds_no_object_is_named(folder: Path, name: str, text: str):
    (folder / f"{name}.json").write_text(text)
    assert f"{name}.json" in refusal(folder)


@pytest.mark.parametrize("text", ["{}", '{"model": 5}', '{"tokenizer_class": 5}'])
def test_a_tokenizer_that_is_none_is_named(folder: Path, text: str):
    (folder / "tokenizer.json").write_text(text)
    assert "tokenizer.json" in refusal(folder)


@pytest.mark.parametrize(
    ("index", "told"),
    [
        ("[]", "it is a list, not an object"),
        ("5", "it is a number, not an object"),
        ("{", "it is not JSON"),
        ("{}", "it has no weight_map"),
        ('{"weight_map": []}', "its weight_map is a list"),
        ('{"weight_map": null}', "its weight_map is null"),
        ('{"weight_map": 5}', "its weight_map is a number"),
        ('{"weight_map": {}}', "its weight_map is empty"),
        ('{"weight_map": {"a": ["x"]}}', 'its weight_map gives a list for "a"'),
        ('{"weight_map": {"a": "../tiny/model.safetensors"}}', "its weight_map points outside its folder"),
        ('{"weight_map": {"a": "/etc/passwd"}}', "its weight_map points outside its folder"),
        ('{"weight_map": {"a": "x.safetensors"}}', "there is no x.safetensors"),
    ],
)
def test_an_index_of_another_form_is_named_with_what_is_wrong(folder: Path, index: str, told: str):
    (folder / "model.safetensors.index.json").write_text(index)
    assert told in refusal(folder)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 12\n", "is a Git LFS pointer"),
        (b"<!doctype html><html>", "is a web page (HTML)"),
        (b"", "is empty"),
    ],
)
def test_weights_that_are_something_else_are_named_for_what_they_are(folder: Path, content: bytes, told: str):
    (folder / "model.safetensors").write_bytes(content)
    assert f"model.safetensors {told}" in refusal(folder)


def test_a_pipe_in_place_of_a_file_is_not_waited_for(folder: Path):
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    assert "there is no config.json" in refusal(folder)
