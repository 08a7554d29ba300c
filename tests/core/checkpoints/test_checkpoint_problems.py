"""Nothing damaged or unfinished is taken for a checkpoint."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from saved_systems import MakeSystem, models_of, save

from arc_core.base.errors import CheckpointError
from arc_core.pipeline.persistence import ModelPersistence
from arc_core.run.checkpoint_index import (
    MANIFEST,
    TEMPORARY_PREFIX,
    checkpoint_id,
    list_checkpoints,
    newest_intact,
    next_id,
    problems_of,
    read_manifest,
)

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
