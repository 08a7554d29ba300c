"""Comparing checkpoints, drift over a timeline, verifying, and copying parts out."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from inspect_files import arc_checkpoint, arc_run, opened, tensor_file, write_manifest
from safetensors.numpy import load_file
from transformers import Qwen2Config, Qwen2Model

from arc_core.base.errors import CheckpointError
from arc_core.run.checkpoint_index import problems_of
from arc_core.run.directory import RunDirectory
from arc_tui.inspect.tensors import pieces
from arc_tui.inspect.tensors.compare import Change, by_change, changes, differences, together
from arc_tui.inspect.tensors.extract import export_language_model, export_module
from arc_tui.inspect.tensors.timeline import drift, timeline
from arc_tui.inspect.tensors.verify import verify, verify_checkpoint
from arc_tui.ui.cancelled import Cancelled
from arc_tui.ui.jobs import Job


def pair(folder: Path, before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> list[Change]:
    one = opened(tensor_file(folder / "one.safetensors", before))
    two = opened(tensor_file(folder / "two.safetensors", after))
    return list(changes(one, two, differences(one, two).common))


def test_headers_alone_tell_what_was_added_removed_and_reshaped(tmp_path: Path):
    one = opened(
        tensor_file(
            tmp_path / "1.safetensors",
            {
                "same": np.zeros(2, np.float32),
                "gone": np.zeros(2, np.float32),
                "shape": np.zeros((2, 3), np.float32),
                "packed": ("F6_E2M3", [4], bytes(3)),
            },
        )
    )
    two = opened(
        tensor_file(
            tmp_path / "2.safetensors",
            {
                "same": np.zeros(2, np.float16),
                "new": np.zeros(2, np.float32),
                "shape": np.zeros((3, 2), np.float32),
                "packed": ("F6_E2M3", [4], bytes(3)),
            },
        )
    )
    found = differences(one, two)
    assert (found.added, found.removed, found.common, found.unread) == (
        ("new",),
        ("gone",),
        ("same",),
        ("packed",),
    )
    assert [(r.name, r.before, r.after) for r in found.reshaped] == [("shape", (2, 3), (3, 2))]
    [change] = changes(one, two, found.common)
    assert change.retyped == ("float32", "float16")


FLOATS = hnp.arrays(
    np.float32, st.integers(1, 60), elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), a=FLOATS)
def test_changes_are_those_of_numpy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: st.DataObject, a):
    b = data.draw(hnp.arrays(np.float32, a.shape, elements=st.floats(-1e6, 1e6, width=32)))
    monkeypatch.setattr(pieces, "BLOCK", 16)
    [change] = pair(tmp_path, {"w": a}, {"w": b})
    x, y = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(x), np.linalg.norm(y)
    assert change.largest == np.abs(y - x).max()
    assert change.difference == pytest.approx(np.linalg.norm(y - x), rel=1e-9)
    if norms[0]:
        assert change.relative == pytest.approx(np.linalg.norm(y - x) / norms[0], rel=1e-9)
    if all(norms):
        assert change.cosine == pytest.approx(np.dot(x, y) / norms[0] / norms[1], abs=1e-9)
    else:
        assert math.isnan(change.cosine)


def test_equal_tensors_have_no_change_even_with_nan(tmp_path: Path):
    values = np.array([1, np.nan, np.inf], np.float32)
    [change] = pair(tmp_path, {"w": values}, {"w": values})
    assert change.is_none
    assert (change.relative, change.cosine, change.unequal_nonfinite) == (0, 1, 0)


def test_values_that_are_not_finite_are_counted_where_they_differ(tmp_path: Path):
    before = np.array([1, np.nan, np.inf, 2, -np.inf], np.float32)
    after = np.array([2, np.nan, -np.inf, np.nan, -np.inf], np.float32)
    [change] = pair(tmp_path, {"w": before}, {"w": after})
    assert (change.unequal_nonfinite, change.largest, change.relative) == (2, 1, 1)
    assert not change.is_none


def test_change_from_nothing_is_infinite_and_sorts_first(tmp_path: Path):
    found = pair(
        tmp_path,
        {"a": np.ones(2, np.float32), "b": np.zeros(2, np.float32), "c": np.ones(2, np.float32)},
        {"a": np.full(2, 1.5, np.float32), "b": np.ones(2, np.float32), "c": np.ones(2, np.float32)},
    )
    assert [(change.name, change.relative) for change in by_change(found)] == [
        ("b", math.inf),
        ("a", 0.5),
        ("c", 0),
    ]


def test_several_tensors_together_are_one_long_vector(tmp_path: Path):
    rng = np.random.default_rng(0)
    one = {name: rng.standard_normal(5).astype(np.float32) for name in "ab"}
    two = {name: value + rng.standard_normal(5).astype(np.float32) for name, value in one.items()}
    [whole] = pair(
        tmp_path, {"w": np.concatenate(list(one.values()))}, {"w": np.concatenate(list(two.values()))}
    )
    parts = together(pair(tmp_path, one, two), "w")
    for name in ("before", "after", "difference", "cosine", "largest", "relative"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), rel=1e-9)


def test_comparing_can_be_called_off(tmp_path: Path):
    found = opened(tensor_file(tmp_path / "x.safetensors", {"w": np.zeros(3, np.float32)}))
    job = Job("comparing")
    job.cancel()
    with pytest.raises(Cancelled):
        list(changes(found, found, ["w"], progress=job.progress))


def test_timeline_lists_every_checkpoint_with_its_numbers(tmp_path: Path):
    path = arc_run(tmp_path)
    (path / "checkpoints" / "checkpoint_00002" / "state.json").write_text("{")
    marks = timeline(RunDirectory(path))
    assert [(mark.number, mark.step, mark.is_best) for mark in marks] == [
        (1, 10, True),
        (2, None, False),
        (3, 30, False),
    ]
    assert marks[0].metrics == {"step": 10.0, "loss": 2.4}
    assert marks[1].problem is not None


def test_drift_is_measured_from_the_first_and_from_the_last(tmp_path: Path):
    path = arc_run(tmp_path, numbers=(1, 2, 3, 4))
    (path / "checkpoints" / "checkpoint_00003" / "agent.safetensors").unlink()
    found = list(drift(RunDirectory(path), ["agent.layer.weight", "agent.layer.bias"]))
    # Weights are doubled from each id to the next: 2, 4, (8), 16.
    assert [one.since_first for one in found] == pytest.approx([0, 1, math.nan, 7], nan_ok=True)
    assert [one.since_last for one in found] == pytest.approx([0, 1, math.nan, 3], nan_ok=True)
    assert found[3].cosine == pytest.approx(1)
    assert "checkpoint_00003 has no agent.layer.weight" in str(found[2].problem)
    with pytest.raises(CheckpointError, match="No checkpoint of demo has"):
        list(drift(RunDirectory(path), ["nothing"]))


def test_verifying_finds_what_the_checkpoint_index_finds(tmp_path: Path):
    path = arc_checkpoint(tmp_path)
    assert all(file.problem is None and file.by == "sha256" for file in verify(opened(path)))
    assert problems_of(path) == []
    raw = bytearray((path / "agent.safetensors").read_bytes())
    raw[-1] ^= 1
    (path / "agent.safetensors").write_bytes(raw)
    (path / "rng.safetensors").unlink()
    os.truncate(path / "state.json", 5)
    (path / "foreign").touch()
    found = {file.name for file in verify(opened(path)) if file.problem}
    assert found == {"agent.safetensors", "rng.safetensors", "state.json", "foreign"}
    assert found == {problem.split(" ", 1)[0] for problem in problems_of(path)}
    assert [file.name for file in verify_checkpoint(path, "lm/")] == [
        "lm/config.json",
        "lm/model.safetensors",
    ]


def test_other_files_are_verified_by_their_layout(tmp_path: Path):
    path = tensor_file(tmp_path / "x.safetensors", {"w": np.zeros(3, np.float32)})
    [file] = verify(opened(path))
    assert (file.problem, file.by) == (None, "header")
    path.write_bytes(path.read_bytes() + b"more")
    [file] = verify(opened(path))
    assert file.problem == "4 bytes of its data belong to no tensor."


def test_manifest_that_is_missing_does_not_verify(tmp_path: Path):
    path = arc_checkpoint(tmp_path)
    found = opened(path)
    (path / "MANIFEST.json").unlink()
    [file] = verify(found)
    assert "MANIFEST.json is missing" in str(file.problem)


def test_exported_module_is_read_back_by_safetensors(tmp_path: Path):
    rng = np.random.default_rng(0)
    tensors = {
        "m.a": rng.standard_normal((3, 4)).astype(np.float32),
        "m.b.c": rng.integers(0, 9, 7).astype(np.int8),
        "m.d": np.zeros((0, 2), np.float64),
        "n": np.ones(2, np.float32),
    }
    found = opened(tensor_file(tmp_path / "x.safetensors", tensors))
    [file] = export_module(found, "m", tmp_path / "out")
    back = load_file(file)
    assert back.keys() == {"a", "b.c", "d"}
    for name, value in back.items():
        np.testing.assert_array_equal(value, tensors[f"m.{name}"])
        assert value.dtype == tensors[f"m.{name}"].dtype


def test_exported_language_model_is_read_by_transformers(tmp_path: Path):
    path = arc_checkpoint(tmp_path)
    config = Qwen2Config(
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        vocab_size=16,
    )
    Qwen2Model(config).save_pretrained(path / "lm")
    write_manifest(path)
    files = export_language_model(opened(path), tmp_path / "out")
    assert {file.name for file in files} >= {"config.json", "model.safetensors"}
    assert Qwen2Model.from_pretrained(tmp_path / "out").config.hidden_size == 8


def test_nothing_damaged_is_exported_and_nothing_is_written_over(tmp_path: Path):
    path = arc_checkpoint(tmp_path)
    found = opened(path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(CheckpointError, match="not an empty folder"):
        export_module(found, "agent", tmp_path / "full")
    with pytest.raises(CheckpointError, match=r"no module .nothing. in checkpoint_00003; there are agent"):
        export_module(found, "nothing", tmp_path / "out")
    raw = bytearray((path / "agent.safetensors").read_bytes())
    raw[-1] ^= 1
    (path / "agent.safetensors").write_bytes(raw)
    with pytest.raises(CheckpointError, match=r"Nothing is written: agent\.safetensors"):
        export_module(found, "agent.layer", tmp_path / "out")
    with pytest.raises(CheckpointError, match="Cannot write"):
        export_module(found, "lm", Path("/proc/none/out"))
    assert not (tmp_path / "out").exists()
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".tmp")] == []
