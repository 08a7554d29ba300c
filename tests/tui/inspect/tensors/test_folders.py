"""Folders as they lie about: all that is in them is listed, the damaged in its place, and verified."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from inspect_files import arc_run, opened, tensor_file

from arc_core.base.errors import CheckpointError
from arc_tui import cli
from arc_tui.inspect.tensors.source import Checkpoint, Kind, open_checkpoint
from arc_tui.inspect.tensors.verify import verify

PICKLE = b"PK\x03\x04" + bytes(22) + b"\x10\0\0\0" + b"archive/data.pkl"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 492265168\n"


def weights(path: Path, *names: str) -> Path:
    return tensor_file(path, {name: np.ones(2, np.float32) for name in names or ("w",)}, {"format": "pt"})


def shards(folder: Path, base: str, count: int, there: int | None = None) -> None:
    """An index of so many shards, of which the first few are there."""
    files = [f"{base}-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]
    for number, name in enumerate(files[:there]):
        weights(folder / name, f"layer.{number}")
    folder.mkdir(parents=True, exist_ok=True)
    index = {"weight_map": {f"layer.{number}": name for number, name in enumerate(files)}}
    (folder / f"{base}.safetensors.index.json").write_text(json.dumps(index))


def states(found: Checkpoint) -> dict[str, str]:
    return {part.label: "read" if part.header else part.state for part in found.parts}


def wrong(found: Checkpoint) -> set[str]:
    return {file.name for file in verify(found) if file.problem}


def modules(found: Checkpoint) -> set[str]:
    return {name.split(".")[0] for name in found.table.names}


def diffusers(folder: Path) -> Path:
    weights(folder / "v1.5-pruned.safetensors")
    shards(folder / "unet", "diffusion_pytorch_model", 2)
    weights(folder / "vae" / "diffusion_pytorch_model.safetensors")
    weights(folder / "vae" / "diffusion_pytorch_model.fp16.safetensors")
    weights(folder / "text_encoder" / "model.safetensors")
    (folder / "text_encoder" / "pytorch_model.bin").write_bytes(PICKLE)
    return folder


def test_every_part_of_a_diffusers_folder_is_listed_and_well_formed(tmp_path: Path):
    found = opened(diffusers(tmp_path / "sd"))
    assert states(found) == {
        "text_encoder/model.safetensors": "read",
        "text_encoder/pytorch_model.bin": "not read: pickle",
        "unet/diffusion_pytorch_model-00001-of-00002.safetensors": "read",
        "unet/diffusion_pytorch_model-00002-of-00002.safetensors": "read",
        "v1.5-pruned.safetensors": "read",
        "vae/diffusion_pytorch_model.fp16.safetensors": "read",
        "vae/diffusion_pytorch_model.safetensors": "read",
    }
    assert modules(found) == {
        "text_encoder/model",
        "unet/diffusion_pytorch_model",
        "v1_5-pruned",
        "vae/diffusion_pytorch_model",
        "vae/diffusion_pytorch_model_fp16",
    }
    assert found.problems == ()
    assert wrong(found) == set()


def test_damage_deep_in_a_folder_is_a_row_in_its_place(tmp_path: Path):
    folder = diffusers(tmp_path / "sd")
    (folder / "unet" / "diffusion_pytorch_model-00002-of-00002.safetensors").unlink()
    (folder / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(LFS)
    (folder / "text_encoder" / "pytorch_model.bin").write_bytes(LFS)
    found = opened(folder)
    bad = {label: state for label, state in states(found).items() if state != "read"}
    assert bad == {
        "text_encoder/pytorch_model.bin": "damaged",
        "unet/diffusion_pytorch_model-00002-of-00002.safetensors": "missing",
        "vae/diffusion_pytorch_model.safetensors": "damaged",
    }
    assert wrong(found) == set(bad)


def test_an_index_does_not_hide_the_files_beside_it(tmp_path: Path):
    shards(tmp_path, "model", 4, there=0)
    weights(tmp_path / "other-1.safetensors")
    weights(tmp_path / "other-2.safetensors")
    shards(tmp_path, "second", 2)
    found = opened(tmp_path)
    assert modules(found) == {"other-1", "other-2", "second"}
    assert sum(state == "missing" for state in states(found).values()) == 4
    assert len(wrong(found)) == 4
    assert any("other-1.safetensors is not named by" in note for note in found.notes)


def test_numbered_files_without_an_index_are_one_model_whose_gaps_are_named(tmp_path: Path):
    for number in (1, 3):
        weights(tmp_path / f"model-{number:05d}-of-00003.safetensors", f"layer.{number}")
    found = opened(tmp_path)
    assert sorted(found.table.names) == ["layer.1", "layer.3"]
    assert wrong(found) == {"model-00002-of-00003.safetensors"}
    assert states(found)["model-00002-of-00003.safetensors"] == "missing"


def test_a_damaged_index_keeps_its_numbered_shards_together(tmp_path: Path):
    shards(tmp_path, "model", 2)
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": null}')
    found = opened(tmp_path)
    assert sorted(found.table.names) == ["layer.0", "layer.1"]
    assert wrong(found) == {"model.safetensors.index.json"}
    assert "its weight_map is null" in found.problems[0]


def test_the_hub_cache_shows_every_revision_and_unfinished_downloads(tmp_path: Path):
    folder = tmp_path / "models--x--y"
    for revision in ("aaa", "bbb"):
        weights(folder / "blobs" / f"1{revision}")
        (folder / "snapshots" / revision).mkdir(parents=True)
        (folder / "snapshots" / revision / "model.safetensors").symlink_to(f"../../blobs/1{revision}")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("bbb")
    found = opened(folder)
    assert modules(found) == {"snapshots/aaa/model", "snapshots/bbb/model"}
    assert found.notes == ("refs/main names snapshots/bbb.",)
    assert wrong(found) == set()
    (folder / "blobs" / "123.incomplete").write_bytes(b"1")
    (folder / "blobs" / "1aaa").unlink()
    (folder / "refs" / "main").write_text("ccc")
    assert wrong(opened(folder)) == {"blobs/123.incomplete", "snapshots/aaa/model.safetensors", "refs/main"}


def test_nested_folders_of_checkpoints_and_modules_are_listed(tmp_path: Path):
    for step in (500, 1000):
        weights(tmp_path / "run" / f"checkpoint-{step}" / "model.safetensors")
        (tmp_path / "run" / f"checkpoint-{step}" / "optimizer.pt").write_bytes(PICKLE)
    weights(tmp_path / "st" / "model.safetensors")
    weights(tmp_path / "st" / "2_Dense" / "model.safetensors")
    assert modules(opened(tmp_path)) == {
        "run/checkpoint-500/model",
        "run/checkpoint-1000/model",
        "st/model",
        "st/2_Dense/model",
    }
    assert modules(opened(tmp_path / "st")) == {"model", "2_Dense/model"}
    assert sorted(opened(tmp_path / "run" / "checkpoint-500").table.names) == ["w"]
    assert modules(open_checkpoint(str(tmp_path / "run" / "*"), tmp_path)) == {
        "checkpoint-500/model",
        "checkpoint-1000/model",
    }


def test_links_that_lead_nowhere_or_round_and_pipes_are_told_and_end(tmp_path: Path):
    weights(tmp_path / "good.safetensors")
    (tmp_path / "nowhere.safetensors").symlink_to("gone")
    (tmp_path / "round.safetensors").symlink_to("round.safetensors")
    (tmp_path / "back").symlink_to("..")
    (tmp_path / "self").symlink_to(".")
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "empty.safetensors").touch()
    (tmp_path / "cut.safetensors.part").write_bytes(b"1")
    found = opened(tmp_path)
    assert found.table.names == ["good.w"]
    assert wrong(found) == {
        "cut.safetensors.part",
        "empty.safetensors",
        "nowhere.safetensors",
        "pipe.safetensors",
        "round.safetensors",
    }
    assert sum("leads to a folder that is listed already" in note for note in found.notes) == 2


def test_a_folder_of_damaged_files_names_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "a.safetensors").touch()
    (tmp_path / "b.safetensors").write_bytes(LFS)
    assert wrong(opened(tmp_path)) == {"a.safetensors", "b.safetensors"}
    for option, code in (("--verify", 1), ("--plain", 0)):
        with pytest.raises(SystemExit) as caught:
            cli.main(["inspect", "checkpoint", str(tmp_path), option])
        assert caught.value.code == code
        said = capsys.readouterr().out
        assert "is empty" in said
        assert "is a Git LFS pointer" in said


def test_verifying_a_run_or_a_folder_of_runs_holds_every_checkpoint_against_its_manifest(tmp_path: Path):
    path = arc_run(tmp_path / "runs")
    found = opened(path)
    assert len(list(verify(found))) == 24
    damaged = path / "checkpoints" / "checkpoint_00001" / "agent.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\x01")
    assert wrong(found) == {"checkpoint_00001/agent.safetensors"}
    assert wrong(opened(path.parent)) == {"demo/checkpoints/checkpoint_00001/agent.safetensors"}
    assert wrong(opened(path / "checkpoints" / "checkpoint_00003")) == set()


def test_metadata_is_told_once_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tensor_file(tmp_path / "a.safetensors", {"w": np.ones(1, np.float32)}, {"ss_steps": "1600"})
    with pytest.raises(SystemExit):
        cli.main(["inspect", "checkpoint", str(tmp_path / "a.safetensors"), "--plain"])
    assert "Metadata\n  ss_steps: 1600\n" in capsys.readouterr().out


def test_the_mark_of_the_best_is_not_read_through_a_pipe_or_link(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = arc_run(tmp_path / "runs")
    best = path / "checkpoints" / "best"
    best.unlink()
    os.mkfifo(best)
    with pytest.raises(SystemExit) as caught:
        cli.main(["inspect", "checkpoint", str(path), "--timeline"])
    assert caught.value.code == 0
    (tmp_path / "elsewhere").write_text("checkpoint_00002\n")
    best.unlink()
    best.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SystemExit):
        cli.main(["inspect", "checkpoint", str(path), "--timeline"])
    assert "best" not in capsys.readouterr().out


@pytest.mark.parametrize("path", ["x" * 300, "a/" + "x" * 300 + ".safetensors", "~nobody-has-this-name/x"])
def test_a_path_that_the_system_refuses_is_one_sentence(tmp_path: Path, path: str):
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(path, tmp_path)
    assert str(caught.value).isprintable()


def test_thousands_of_files_open_within_a_few_seconds(tmp_path: Path):
    for number in range(3000):
        weights(tmp_path / f"{number % 50}" / f"{number}.safetensors")
    start = time.process_time()
    found = opened(tmp_path)
    assert time.process_time() - start < 5
    assert (len(found.parts), found.kind) == (3000, Kind.FILES)
