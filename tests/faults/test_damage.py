"""A byte that changed on the disk is always noticed: an older checkpoint is taken, the damaged one named."""

import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command import Finished, train
from small_run import new_run, opened, told
from small_run import train as train_here

from arc_core.base.errors import CheckpointError
from arc_core.run.checkpoint_index import MANIFEST, list_checkpoints, newest_intact, problems_of
from arc_core.run.directory import RunDirectory

TRIALS = 1000


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run with two checkpoints, of steps 3 and 6, each with a solved pair in its memory."""
    made = new_run(tmp_path_factory.mktemp("damage"), checkpoint_every=3)
    train_here(made, lambda trainer: vars(trainer.system.memory_threshold).update(ema=0.0))
    assert len(list_checkpoints(made.checkpoints)) == 2
    return made


@contextmanager
def flipped(path: Path, offset: int, mask: int) -> Iterator[None]:
    """Change one byte of a file in place, and back."""
    fd = os.open(path, os.O_RDWR)
    try:
        byte = os.pread(fd, 1, offset)[0]
        os.pwrite(fd, bytes([byte ^ mask]), offset)
        yield
        os.pwrite(fd, bytes([byte]), offset)
    finally:
        os.close(fd)


def regions_of(checkpoint: Path) -> dict[str, tuple[Path, range]]:
    """Every region of every file of a checkpoint: its file, and where it lies there."""
    regions: dict[str, tuple[Path, range]] = {}
    for path in sorted(p for p in checkpoint.rglob("*") if p.is_file()):
        name, size = path.relative_to(checkpoint).as_posix(), path.stat().st_size
        if path.suffix == ".safetensors":
            header = 8 + int.from_bytes(path.read_bytes()[:8], "little")
            parts = {"header length": range(8), "header": range(8, header), "data": range(header, size)}
        else:
            parts = {"JSON": range(size)}
        regions.update({f"{name}, {part}": (path, where) for part, where in parts.items()})
    return regions


def test_every_flipped_byte_in_every_region_is_found_and_the_older_checkpoint_taken(
    run: RunDirectory,
) -> None:
    older, newer = list_checkpoints(run.checkpoints)
    regions = regions_of(newer)
    assert {"agent.safetensors, header length", "state.json, JSON", "lm/config.json, JSON"} <= {*regions}
    chance = random.Random(20)
    names = sorted(regions)
    for trial in range(TRIALS):
        path, where = regions[names[trial % len(names)]]
        offset, mask = chance.choice(where), chance.randrange(1, 256)
        with flipped(path, offset, mask):
            taken, rejected = newest_intact(run.checkpoints)
        what = f"byte {offset} of {path.name} changed by {mask:#x}"
        assert taken == older, what
        ((found, problems),) = rejected
        assert found == newer, what
        if path.name != MANIFEST:
            name = path.relative_to(newer).as_posix()
            assert problems == [f"{name} is damaged: its sha256 is not the manifest's"], what
    assert newest_intact(run.checkpoints) == (newer, [])


def test_every_byte_of_a_manifest_counts(run: RunDirectory) -> None:
    newer = list_checkpoints(run.checkpoints)[-1]
    manifest, chance = newer / MANIFEST, random.Random(21)
    for offset in range(manifest.stat().st_size):
        with flipped(manifest, offset, chance.randrange(1, 256)):
            assert problems_of(newer), f"byte {offset}"
    assert problems_of(newer) == []


@pytest.mark.parametrize("indent", [None, 2])
def test_a_manifest_that_says_the_same_in_other_words_is_damaged(
    run: RunDirectory, indent: int | None
) -> None:
    manifest = list_checkpoints(run.checkpoints)[-1] / MANIFEST
    original = manifest.read_bytes()
    manifest.write_text(json.dumps(json.loads(original), indent=indent))
    problems = problems_of(manifest.parent)
    manifest.write_bytes(original)
    assert len(problems) == 1
    assert "is not as a manifest is written" in problems[0]


def test_a_run_whose_checkpoints_are_all_damaged_is_refused_and_says_why(run: RunDirectory) -> None:
    older, newer = list_checkpoints(run.checkpoints)
    with (
        flipped(older / "rng.safetensors", 100, 1),
        flipped(newer / "state.json", 7, 4),
        pytest.raises(CheckpointError, match=r"all 2 were rejected, .*00001 because state\.json is damaged"),
        opened(run),
    ):
        pass
    names = [event["message"].split()[0] for event in told(run, "warning")[-2:]]
    assert names == [newer.name, older.name]


def test_damage_to_a_frozen_models_one_file_is_found_in_every_checkpoint_that_shares_it(
    tmp_path: Path,
) -> None:
    run = new_run(tmp_path, checkpoint_every=3, lm_train="frozen")
    train_here(run)
    older, newer = list_checkpoints(run.checkpoints)
    with flipped(newer / "lm" / "model.safetensors", 300_000, 2):
        for path in (older, newer):
            assert problems_of(path) == ["lm/model.safetensors is damaged: its sha256 is not the manifest's"]
    for name in ("config.json", "tokenizer.json"):  # small files are never shared
        with flipped(newer / "lm" / name, 10, 1):
            assert newest_intact(run.checkpoints)[0] == older


@pytest.mark.slow
def test_the_command_resumes_from_the_older_one_and_names_the_damaged_one(tmp_path: Path) -> None:
    run = new_run(tmp_path, name="mine", checkpoint_every=3)
    train_here(run)
    older, newer = list_checkpoints(run.checkpoints)

    def resumed() -> Finished:
        return train(tmp_path, "mine", "--headless", "--resume", "mine")

    with flipped(newer / "optimizer.safetensors", 5000, 16):
        done = resumed()
    assert done.code == 0, done.err
    said = f"{newer.name} is not used: optimizer.safetensors is damaged"
    assert said in done.out
    assert [e["message"].startswith(said) for e in done.of("warning")] == [True]
    assert [(e["checkpoint"], e["step"]) for e in done.of("resumed")] == [(0, 3)]
    assert [e["step"] for e in done.of("step")] == [1, 2, 3, 4, 5, 6, 4, 5, 6]
    assert older in list_checkpoints(run.checkpoints)

    for path in list_checkpoints(run.checkpoints):
        (path / MANIFEST).write_bytes(b"")
    before = len(done.of("step"))
    done = resumed()
    assert done.code == 2
    assert "No checkpoint of mine is intact" in done.err
    assert "Traceback" not in done.err + done.out
    assert len(done.of("step")) == before
