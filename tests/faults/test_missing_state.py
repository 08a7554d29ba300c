"""Nothing of a checkpoint may be missing: whatever is taken out of it, resuming names it and goes no further.

The manifest is rewritten after each deletion, so that only the reading of the content can notice.
"""

import copy
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from small_run import new_run, opened, stop_after, told, train

from arc_core.base.errors import ArcError, CheckpointError
from arc_core.pipeline.persistence import ModelPersistence
from arc_core.pipeline.system import ArcSystem
from arc_core.run.checkpoint_index import (
    MANIFEST,
    STATE,
    FileEntry,
    digest,
    list_checkpoints,
    manifest_text,
    problems_of,
    read_state,
)
from arc_core.run.directory import RunDirectory
from arc_core.training.loop import TrainingLoop

Place = tuple[str | int, ...]
"""Keys and list positions that lead to an entry of state.json."""

SETTINGS: dict[str, Any] = {
    **{"epochs": 2, "max_batches": 5, "checkpoint_every": 1000, "validate_on": "training"},
    **{"amp": "float16", "lm_train": "lora", "max_steps": 1},
}


@pytest.fixture(scope="module", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """A thousand resumes would wait for it most of the time, and nothing here depends on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: None)
        yield


every_or_some = pytest.mark.parametrize("stride", [pytest.param(1, marks=pytest.mark.slow), 10])
"""Every parameter's moments in turn, or every tenth one's; whatever else there is, always all of it."""


def begin(trainer: TrainingLoop) -> None:
    trainer.system.memory_threshold.ema = 0.0  # every pair is worth remembering
    stop_after(trainer, 8)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run with one checkpoint that has some of everything.

    It is taken within the second epoch, after a validation, in float16 with its scale, with adapters on the
    language model, and with pairs in the memory.
    """
    made = new_run(tmp_path_factory.mktemp("missing"), **SETTINGS)
    assert train(made, begin) == "stopped after step 8"
    first, last = list_checkpoints(made.checkpoints)
    shutil.rmtree(first)
    state = read_state(last)
    assert state["position"] == {"step": 8, "epoch": 1, "batch": 3}
    assert state["memory"]["keys"]
    assert state["best"]
    assert state["means"]["count"] == 3
    assert state["system"]["scaler"]
    return made


@pytest.fixture(scope="module")
def checkpoint(run: RunDirectory) -> Path:
    (found,) = list_checkpoints(run.checkpoints)
    return found


@pytest.fixture(scope="module")
def system(run: RunDirectory) -> ArcSystem:
    """Models of the run's configuration, to be restored over and over."""
    with opened(run) as trainer:
        return trainer.system


def seal(checkpoint: Path) -> None:
    """Write the manifest anew, so that it fits what is there."""
    files = [path for path in checkpoint.rglob("*") if path.is_file() and path.name != MANIFEST]
    entries = [
        FileEntry(path.relative_to(checkpoint).as_posix(), path.stat().st_size, digest(path))
        for path in files
    ]
    (checkpoint / MANIFEST).write_bytes(manifest_text(entries))


@contextmanager
def changed(checkpoint: Path, name: str, content: bytes | None) -> Iterator[None]:
    """Replace or remove a file of a checkpoint and seal it; everything is put back."""
    path, manifest = checkpoint / name, checkpoint / MANIFEST
    before, sealed = path.read_bytes(), manifest.read_bytes()
    try:
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        seal(checkpoint)
        assert problems_of(checkpoint) == []
        yield
    finally:
        path.write_bytes(before)
        manifest.write_bytes(sealed)


def resume(run: RunDirectory) -> None:
    with opened(run):
        pass


def load(system: ArcSystem, checkpoint: Path) -> None:
    """The part of resuming that reads the tensors, which is a third of it."""
    ModelPersistence(checkpoint.parent).load_checkpoint(
        checkpoint,
        *(system.agent, system.qwen, system.memory, system.efe_loss, system.policy, system.optimizer),
    )


def refusal(what: str, restore: Callable[[], None]) -> str:
    """The sentence with which restoring is refused."""
    try:
        restore()
    except ArcError as error:
        return str(error)
    raise AssertionError(f"resumed without {what}")


@contextmanager
def suppress_refusal(refusals: list[str]) -> Iterator[None]:
    """Note a refusal; anything else that is raised is a crash."""
    try:
        yield
    except ArcError as error:
        refusals.append(str(error))


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """Every entry of a JSON value, however deep."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*at, key)
        yield from places(inner, (*at, key))


def edited(state: dict[str, Any], place: Place, *value: Any) -> bytes:
    """state.json with an entry replaced by a value, or deleted if none is given."""
    state = copy.deepcopy(state)
    holder: Any = state
    for key in place[:-1]:
        holder = holder[key]
    if value:
        (holder[place[-1]],) = value
    else:
        del holder[place[-1]]
    return json.dumps(state).encode()


def last_name(place: Place) -> str:
    return [key for key in place if isinstance(key, str)][-1]


def test_the_untouched_checkpoint_is_resumed_and_sealing_it_changes_nothing(
    run: RunDirectory, checkpoint: Path
) -> None:
    sealed = (checkpoint / MANIFEST).read_bytes()
    seal(checkpoint)
    assert (checkpoint / MANIFEST).read_bytes() == sealed
    resume(run)
    assert told(run, "resumed")[-1]["step"] == 8


@every_or_some
def test_no_entry_of_the_state_can_be_missing(
    run: RunDirectory, checkpoint: Path, system: ArcSystem, stride: int
) -> None:
    state = read_state(checkpoint)
    loading, resuming = partial(load, system, checkpoint), partial(resume, run)
    of_moments = [place for place in places(state) if "moments" in place]
    others = [place for place in places(state) if "moments" not in place]
    assert len(of_moments) > 400
    assert len(others) > 150
    for place in [*others, *of_moments[::stride]]:
        with changed(checkpoint, STATE, edited(state, place)):
            quick = place[0] in ("optimizer", "memory", "files")
            said = refusal(str(place), loading if quick else resuming)
        assert last_name(place) in said, place
        assert STATE in said or place[0] == "files", said


@every_or_some
def test_no_tensor_can_be_missing(
    run: RunDirectory, checkpoint: Path, system: ArcSystem, stride: int
) -> None:
    loading, resuming = partial(load, system, checkpoint), partial(resume, run)
    files = sorted(checkpoint.rglob("*.safetensors"))
    assert len(files) == 8
    for path in files:
        name = path.relative_to(checkpoint).as_posix()
        tensors = load_file(path)
        for missing in list(tensors)[:: stride if "optimizer" in name else 1]:
            left = {key: tensor for key, tensor in tensors.items() if key != missing}
            before = path.read_bytes()
            save_file(left, path, {"format": "pt"})
            content = path.read_bytes()
            path.write_bytes(before)
            with changed(checkpoint, name, content):
                said = refusal(missing, loading if path.parent == checkpoint else resuming)
            parameter, _, slot = missing.rpartition(":")
            assert (f"{slot} of {parameter}" if parameter else missing) in said
            assert name in said or f"{checkpoint}/lm" in said


def test_no_file_can_be_missing(run: RunDirectory, checkpoint: Path) -> None:
    files = [path.relative_to(checkpoint).as_posix() for path in checkpoint.rglob("*") if path.is_file()]
    assert len(files) == 13
    for name in files:
        if name == MANIFEST:
            continue
        with changed(checkpoint, name, None):
            said = refusal(name, lambda: resume(run))
        assert name.removeprefix("lm/") in said or "tokenizer" in said


def test_a_refused_checkpoint_changes_nothing_of_the_run(run: RunDirectory, checkpoint: Path) -> None:
    state = read_state(checkpoint)
    lines, run_json = run.events.read_bytes(), run.read()
    with (
        changed(checkpoint, STATE, edited(state, ("system", "memory_ema"))),
        pytest.raises(
            CheckpointError, match=r"checkpoint_00001 cannot be used: state\.json: system\.memory_ema is"
        ),
    ):
        resume(run)
    assert run.events.read_bytes() == lines
    assert run.read() == run_json
    resume(run)


def test_entries_of_another_kind_are_refused_or_taken_but_never_a_crash(
    run: RunDirectory, checkpoint: Path
) -> None:
    state, chance = read_state(checkpoint), random.Random(5)
    refusals: list[str] = []
    for place in chance.sample([place for place in places(state) if "moments" not in place[:-1]], 80):
        value = chance.choice([None, "x", -1, 1e308, [], {}, [[]], True, "\u202e\x1b[2J", 10**400])
        with changed(checkpoint, STATE, edited(state, place, value)), suppress_refusal(refusals):
            resume(run)
    assert len(refusals) > 40
    assert [said for said in refusals if "\x1b" in said or "\u202e" in said] == []
