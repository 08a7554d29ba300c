"""What a PATH stands for, and how damage inside a folder is shown beside what can be read."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from inspect_files import arc_checkpoint, arc_run, opened, tensor_file

from arc_core.base.errors import CheckpointError, RunError
from arc_tui.inspect.tensors.source import Checkpoint, Kind, open_checkpoint


def names(found: Checkpoint) -> list[str]:
    return sorted(found.table.names)


def sharded(folder: Path, weight_map: dict[str, object] | None = None) -> Path:
    tensor_file(folder / "model-1.safetensors", {"a.w": np.zeros(2, np.float32)})
    tensor_file(folder / "model-2.safetensors", {"b.w": np.zeros(3, np.float32)})
    weight_map = weight_map or {"a.w": "model-1.safetensors", "b.w": "model-2.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def test_single_file_keeps_its_names(tmp_path: Path):
    found = opened(tensor_file(tmp_path / "x.safetensors", {"a": np.zeros(2, np.float32)}))
    assert (found.kind, names(found), found.title) == (Kind.FILE, ["a"], "x.safetensors")


def test_single_damaged_file_is_an_error(tmp_path: Path):
    (tmp_path / "x.safetensors").write_bytes(b"12345678")
    with pytest.raises(CheckpointError, match=r"x\.safetensors is"):
        opened(tmp_path / "x.safetensors")


def test_checkpoint_of_ours_has_the_part_before_each_name(tmp_path: Path):
    found = opened(arc_checkpoint(tmp_path))
    assert found.kind is Kind.CHECKPOINT
    assert found.problems == found.notes == ()
    assert [part.label for part in found.parts] == [
        "agent.safetensors",
        "memory.safetensors",
        "efe_loss.safetensors",
        "lm/model.safetensors",
        "optimizer.safetensors",
        "rng.safetensors",
    ]
    assert {"agent.layer.weight", "lm.layers.0.w", "rng.torch_cpu"} <= set(found.table.names)
    assert found.owner(found.find("lm.layers.0.w")).label == "lm/model.safetensors"


def test_damaged_and_missing_parts_stand_beside_the_readable_rest(tmp_path: Path):
    path = arc_checkpoint(tmp_path)
    os.truncate(path / "agent.safetensors", 100)
    (path / "memory.safetensors").unlink()
    (path / "rng.safetensors").unlink()
    (path / "rng.safetensors").symlink_to("/etc/passwd")
    found = opened(path)
    problems = {part.label: part.problem for part in found.parts if part.problem}
    assert "is truncated" in str(problems.pop("agent.safetensors"))
    assert "No such file" in str(problems.pop("memory.safetensors"))
    assert "no regular file" in str(problems.pop("rng.safetensors"))
    assert problems == {}
    assert "lm.layers.0.w" in found.places


def test_checkpoint_without_a_readable_manifest_is_shown_with_a_note(tmp_path: Path):
    path = arc_checkpoint(tmp_path)
    (path / "MANIFEST.json").write_text("{")
    found = opened(path)
    assert len(found.parts) == 6
    assert "MANIFEST.json" in found.notes[0]


def test_run_stands_for_its_newest_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arc_run(tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    for path in (None, "demo", "de", "runs/demo", "runs/demo/checkpoints/checkpoint_00003"):
        found = open_checkpoint(path, Path("runs"))
        assert found.title == "demo/checkpoint_00003"
        assert found.run is not None
    with pytest.raises(RunError, match="There is no run other in runs"):
        open_checkpoint("other", Path("runs"))
    shutil.rmtree(tmp_path / "runs" / "demo" / "checkpoints")
    with pytest.raises(CheckpointError, match="no checkpoint yet"):
        open_checkpoint("demo", Path("runs"))


@pytest.mark.parametrize("path", ["none.safetensors", "a/b/c", "x\0y", "none*.safetensors", "\x1b[2J/a"])
def test_nothing_there_is_one_printable_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((CheckpointError, RunError)) as caught:
        open_checkpoint(path, Path("runs"))
    assert str(caught.value).isprintable()


def test_sharded_folder_is_one_model(tmp_path: Path):
    found = opened(sharded(tmp_path))
    assert (found.kind, names(found), found.problems) == (Kind.HUGGING_FACE, ["a.w", "b.w"], ())
    assert names(opened(tmp_path / "model.safetensors.index.json")) == ["a.w", "b.w"]


def test_missing_shard_is_told_with_what_was_in_it(tmp_path: Path):
    (sharded(tmp_path) / "model-2.safetensors").unlink()
    found = opened(tmp_path)
    assert names(found) == ["a.w"]
    assert "No such file or directory. 1 tensors of the index are in it." in found.problems[0]


@pytest.mark.parametrize(
    "name", ["../secret.safetensors", "/etc/passwd", "a/../../x.safetensors", "a\\b.safetensors", "", "~/x"]
)
def test_index_that_points_outside_is_not_followed(tmp_path: Path, name: str):
    tensor_file(tmp_path / "secret.safetensors", {"secret": np.zeros(1, np.float32)})
    found = opened(sharded(tmp_path / "model", {"a.w": "model-1.safetensors", "b.w": name}))
    assert names(found) == ["model-2.b.w", "model.a.w"]
    assert "points outside its folder" in found.problems[0]


@pytest.mark.parametrize(
    "index", ["{", "[]", "{}", '{"weight_map":[]}', '{"weight_map":{"a":1}}', "[" * 100_000, "\xff"]
)
def test_damaged_index_leaves_the_shards_readable(tmp_path: Path, index: str):
    sharded(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(index, encoding="latin-1")
    found = opened(tmp_path)
    assert sorted(name.split(".", 1)[1] if name.startswith("model") else name for name in names(found)) == [
        "a.w",
        "b.w",
    ]
    assert "is damaged" in found.problems[0]


def test_index_and_shards_that_disagree_are_noted(tmp_path: Path):
    found = opened(sharded(tmp_path, {"a.w": "model-2.safetensors", "b.w": "model-1.safetensors"}))
    assert 'model-1.safetensors lacks "b.w" of the index.' in found.notes
    assert 'model-1.safetensors has "a.w" that the index does not place there.' in found.notes


def test_shards_behind_links_are_read_as_the_hub_cache_has_them(tmp_path: Path):
    sharded(tmp_path / "snapshot")
    blob = tmp_path / "blobs" / "123"
    blob.parent.mkdir()
    (tmp_path / "snapshot" / "model-1.safetensors").rename(blob)
    (tmp_path / "snapshot" / "model-1.safetensors").symlink_to(blob)
    assert names(opened(tmp_path / "snapshot")) == ["a.w", "b.w"]


def test_pattern_and_folder_take_every_file_with_its_name_before(tmp_path: Path):
    tensor_file(tmp_path / "one.safetensors", {"w": np.zeros(1, np.float32)})
    tensor_file(tmp_path / "two.safetensors", {"w": np.zeros(1, np.float32)})
    assert names(open_checkpoint(str(tmp_path / "*.safetensors"), tmp_path)) == ["one.w", "two.w"]
    assert names(opened(tmp_path)) == ["one.w", "two.w"]
    assert names(open_checkpoint(str(tmp_path / "o*"), tmp_path)) == ["w"]


def test_folder_of_pickles_says_how_to_convert_them(tmp_path: Path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(CheckpointError, match="save_file"):
        opened(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(CheckpointError, match=r"has no \.safetensors file"):
        opened(tmp_path)


def test_a_name_is_found_by_its_end_where_only_one_has_it(tmp_path: Path):
    found = opened(arc_checkpoint(tmp_path))
    assert found.table.names[found.find("layer.bias")] == "agent.layer.bias"
    with pytest.raises(CheckpointError, match=r"no tensor .nothing. in checkpoint_00003"):
        found.find("nothing")
