"""The event log: one whole line a write, non-finite numbers, torn lines, superseded events."""

import dataclasses
import errno
import json
import math
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_events import PIPELINE, read_lines, typed

from arc_core.base.errors import RunError
from arc_core.run import event_writer
from arc_core.run import events as events_module
from arc_core.run.event_forms import EVENT_TYPES, MeasuredEvent, UnknownEvent, kind_of
from arc_core.run.event_lines import FORMS, content_of, event_of, validate_event
from arc_core.run.events import (
    EventReader,
    EventWriter,
    drop_superseded,
    events_after,
    next_seq,
    read_events,
)

GROUPS = {"agent": 1.0, "lm": 1.0, "memory": 1.0, "efe_loss": 1.0, "policy": 1.0}
LOSS_TERMS = ("risk", "ambiguity", "step", "consistency", "bidirectional", "z_anchor", "prompt", "size")
LOSS_NAMES = (*LOSS_TERMS, "efe_total", "combined")
STEP = {
    "step": 1,
    "epoch": 0,
    "batch": 0,
    "pairs": 8,
    "pairs_per_second": 20.0,
    "elapsed_seconds": 0.4,
    "loss": dict.fromkeys(LOSS_NAMES, 0.5),
    "reward": {"total": 0.115, "d_acc": 0.05, "d_size": 0.1, "d_color": 0.02, "d_rev": 0.01},
    "hard_cells": {"mask_ratio": 0.347},
    "curriculum": {"size_weight": 1.0},
    "memory": {"ema": 0.2, "threshold": 0.22, "entries": 3, "stored": 1},
    "grad_norm": GROUPS,
    "amp": {"dtype": "float32", "scale": 1.0, "skipped_steps": 0},
    "learning_rate": GROUPS,
    "accuracy": {"cell": 0.4, "exact": 0.0},
    "rule": "mirror the grid",
}

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
trees = st.recursive(scalars, lambda t: st.lists(t) | st.dictionaries(st.text(max_size=5), t), max_leaves=20)


def _nonfinite_leaves(value: object, name: str) -> list[str]:
    if isinstance(value, float):
        return [] if math.isfinite(value) else [name]
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [leaf for key, item in pairs for leaf in _nonfinite_leaves(item, f"{name}.{key}")]


def _write(path: Path, count: int = 3) -> None:
    with EventWriter(path) as writer:
        for step in range(1, count + 1):
            writer.emit("paused", step=step)


@given(trees)
def test_nonfinite_numbers_become_null_and_are_named(tmp_path_factory: pytest.TempPathFactory, tree: object):
    path = tmp_path_factory.mktemp("events") / "e.jsonl"
    with EventWriter(path) as writer:
        writer.emit("warning", value=tree)
    (event,) = [json.loads(line, parse_constant=pytest.fail) for line in path.read_bytes().splitlines()]
    assert event.get("nonfinite", []) == _nonfinite_leaves(tree, "value")
    assert ("nonfinite" in event) == bool(_nonfinite_leaves(tree, "value"))


def test_step_always_lists_its_nonfinite_numbers_and_has_the_designs_form(tmp_path: Path):
    with EventWriter(tmp_path / "e") as writer:
        assert writer.emit("step", **STEP)["nonfinite"] == []
        bad = writer.emit(
            "step", **STEP | {"loss": STEP["loss"] | {"risk": math.nan}, "reward": STEP["reward"]}
        )
    assert bad["nonfinite"] == ["loss.risk"]
    assert [validate_event(event, PIPELINE) for event in read_lines(tmp_path / "e")] == [[], []]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"step": "1"}, "step: '1' is not int"),
        ({"step": True}, "step: True is not int"),
        ({"extra": 1}, "extra: not part of the form"),
        ({"memory": {"ema": 0.2, "threshold": 0.2, "entries": 3}}, "memory.stored: missing"),
        ({"reward": None}, "reward: None is not an object"),
        ({"elapsed_seconds": None}, "elapsed_seconds: None is not float"),
        ({"nonfinite": ["loss.risk"]}, "nonfinite: loss.risk is not null"),
    ],
)
def test_departure_from_the_form_is_named(change: dict, problem: str):
    event = {"type": "step", "seq": 1, "time": 0.0, "nonfinite": [], **STEP, **change}
    assert validate_event(event, PIPELINE) == [problem]


def test_forms_of_the_rarer_events_are_checked():
    common = {"seq": 1, "time": 1.0}
    good = {"id": 3, "step": 50, "phase": "saved", "reason": None, "bytes": 10, "seconds": 0.1}
    assert validate_event({"type": "checkpoint", **common, **good}, PIPELINE) == []
    assert validate_event({"type": "checkpoint", **common, **good, "phase": "lost"}, PIPELINE) != []
    sample = {"step": 1, "task": "t", "pair": 0, "input": ["01"], "before": [], "after": [], "target": [1]}
    assert validate_event({"type": "sample", **common, **sample}, PIPELINE) == ["target: [1] is not list"]
    assert validate_event({"type": "nonsense", **common}, PIPELINE) == ["type: unknown event 'nonsense'"]


def test_one_event_is_one_write_of_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    writes: list[bytes] = []
    real = os.write
    monkeypatch.setattr(events_module.os, "write", lambda fd, data: (writes.append(data), real(fd, data))[1])
    _write(tmp_path / "e", 2)
    assert len(writes) == 2
    assert all(data.endswith(b"\n") and data.count(b"\n") == 1 and data.isascii() for data in writes)


def test_log_is_private_and_numbers_rise(tmp_path: Path):
    path = tmp_path / "e"
    _write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [event.seq for event in read_events(path)] == [1, 2, 3]
    assert next_seq(path) == 4


def _short_writes(patch: pytest.MonkeyPatch) -> None:
    real = os.write
    patch.setattr(events_module.os, "write", lambda fd, data: real(fd, data[:5]))


def test_event_that_finds_no_room_waits_and_is_written_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "e"
    _write(path, 1)
    before = path.read_bytes()
    with EventWriter(path, next_seq(path)) as writer:
        with monkeypatch.context() as patch:
            _short_writes(patch)
            assert writer.emit("paused", step=2)["seq"] == 2
            assert path.read_bytes() == before, "nothing torn is left behind"
            with pytest.raises(OSError, match="no room") as caught:
                writer.sync()
            assert caught.value.errno == errno.ENOSPC
        assert writer.emit("unpaused", step=2)["seq"] == 3
        writer.sync()
    assert [(event["seq"], event["type"]) for event in read_lines(path)][1:] == [
        (2, "paused"),
        (3, "unpaused"),
    ]


def test_event_that_waits_is_written_at_the_latest_when_the_log_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    writer = EventWriter(tmp_path / "e")
    with monkeypatch.context() as patch:
        _short_writes(patch)
        writer.emit("paused", step=2)
    writer.close()
    assert [event["type"] for event in read_lines(tmp_path / "e")] == ["paused"]


def test_part_of_a_line_that_cannot_be_taken_back_is_a_damaged_line_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(fd: int, size: int) -> None:
        raise OSError(errno.EIO, "I/O error")

    with EventWriter(tmp_path / "e") as writer:
        writer.emit("paused", step=1)
        with monkeypatch.context() as patch:
            _short_writes(patch)
            patch.setattr(events_module.os, "ftruncate", refuse)
            writer.emit("paused", step=2)
        writer.emit("paused", step=3)
    reader = EventReader(tmp_path / "e")
    assert [event.step for event in reader.poll()] == [1, 2, 3]
    assert reader.damaged == 1


def test_log_that_cannot_be_written_for_too_long_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(event_writer, "MOST_WAITING_BYTES", 150)
    with EventWriter(tmp_path / "e") as writer, monkeypatch.context() as patch:
        _short_writes(patch)
        writer.emit("paused", step=1)
        writer.emit("paused", step=2)
        with pytest.raises(OSError, match="no room"):
            writer.emit("paused", step=3)


def test_log_is_synced_once_in_a_while_off_the_writing_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    synced = threading.Event()
    threads: list[int] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        threads.append(threading.get_ident())
        real(fd)
        synced.set()

    monkeypatch.setattr(events_module.os, "fsync", fsync)
    with EventWriter(tmp_path / "e") as writer:
        writer.keep_synced(0.001)
        writer.emit("paused", step=1)
        assert synced.wait(20)
    assert threading.get_ident() not in threads
    assert len(threads) == 1, "what has not changed is not synced again"


def test_sync_that_failed_unseen_is_told_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    failed = threading.Event()

    def fsync(fd: int) -> None:
        failed.set()
        raise OSError(errno.EIO, "I/O error")

    with EventWriter(tmp_path / "e") as writer:
        with monkeypatch.context() as patch:
            patch.setattr(events_module.os, "fsync", fsync)
            writer.keep_synced(0.001)
            writer.emit("paused", step=1)
            assert failed.wait(20)
            writer.close_syncer()
        with pytest.raises(OSError, match="I/O error"):
            writer.sync()
        writer.sync()


def test_end_of_a_long_log_is_found_without_reading_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events_module, "TAIL_BYTES", 300)
    path = tmp_path / "e"
    with EventWriter(path) as writer:
        for step in range(1, 101):
            writer.emit("paused", step=step)
    whole = read_events(path)
    read: list[int] = []
    real = events_module.read_tail
    monkeypatch.setattr(events_module, "read_tail", lambda p, limit: (read.append(limit), real(p, limit))[1])
    assert next_seq(path) == 101
    assert events_after(path, 90) == whole[90:]
    assert max(read) < path.stat().st_size / 2
    assert events_after(path, 0) == whole
    assert events_after(path, 100) == []


def test_writer_refuses_the_fields_that_it_fills(tmp_path: Path):
    with EventWriter(tmp_path / "e") as writer, pytest.raises(ValueError, match="seq"):
        writer.emit("paused", seq=1)


def test_reader_waits_for_the_rest_of_a_line(tmp_path: Path):
    path = tmp_path / "e"
    reader = EventReader(path)
    assert reader.poll() == []
    _write(path, 2)
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    assert [event.step for event in reader.poll()] == [1]
    path.write_bytes(data)
    assert [event.step for event in reader.poll()] == [2]
    assert (reader.poll(), reader.damaged) == ([], 0)


@pytest.mark.parametrize(
    "line", [b"{", b"[1]", b"\xff\xfe", b'{"type":"step"}', b'{"type":"a","seq":NaN}', b"", b"[" * 100_000]
)
def test_damaged_line_is_skipped_and_counted(tmp_path: Path, line: bytes):
    path = tmp_path / "e"
    _write(path, 1)
    path.write_bytes(path.read_bytes() + line + b"\n" + path.read_bytes())
    reader = EventReader(path)
    assert len(reader.poll()) == 2
    assert reader.damaged == 1


def test_line_longer_than_a_chunk_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events_module, "CHUNK_BYTES", 16)
    _write(tmp_path / "e", 5)
    assert len(read_events(tmp_path / "e")) == 5


def test_writer_cuts_a_torn_tail_before_it_appends(tmp_path: Path):
    path = tmp_path / "e"
    _write(path, 2)
    path.write_bytes(path.read_bytes() + b'{"type":"st')
    with EventWriter(path, next_seq(path)) as writer:
        writer.emit("paused", step=3)
    reader = EventReader(path)
    assert [event.seq for event in reader.poll()] == [1, 2, 3]
    assert reader.damaged == 0


def test_reader_from_the_end_sees_only_what_follows(tmp_path: Path):
    path = tmp_path / "e"
    _write(path, 2)
    reader = EventReader(path, from_end=True)
    with EventWriter(path, next_seq(path)) as writer:
        writer.emit("paused", step=3)
    assert [event.step for event in reader.poll()] == [3]


def test_links_and_pipes_are_refused(tmp_path: Path):
    _write(tmp_path / "real", 1)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(RunError, match="no regular file"):
            EventWriter(tmp_path / name)
    with pytest.raises(RunError, match="no regular file"):
        EventReader(tmp_path / "link").poll()


def test_resume_supersedes_training_but_not_what_the_user_did():
    log = [
        {"type": "step", "seq": 1, "step": 1},
        {"type": "checkpoint", "seq": 3, "step": 1, "id": 0},
        {"type": "step", "seq": 4, "step": 2},
        {"type": "command_applied", "seq": 5},
        {"type": "checkpoint", "seq": 6, "step": 2, "id": 1},
        {"type": "validation", "seq": 7, "step": 2},
        {"type": "resumed", "seq": 8, "step": 1, "checkpoint": 0, "supersedes": 2},
        {"type": "step", "seq": 9, "step": 2},
    ]
    assert [event.seq for event in drop_superseded(typed(log))] == [1, 3, 5, 8, 9]


def test_later_resume_supersedes_what_an_earlier_one_let_stand():
    log = [{"type": "step", "seq": seq, "step": seq} for seq in (1, 2, 3)]
    log += [{"type": "resumed", "seq": 4, "step": 2, "checkpoint": 1, "supersedes": 2}]
    log += [{"type": "step", "seq": 5, "step": 3}]
    log += [{"type": "resumed", "seq": 6, "step": 1, "checkpoint": 0, "supersedes": 1}]
    assert [event.seq for event in drop_superseded(typed(log))] == [1, 4, 6]


@pytest.mark.parametrize("kind", [*EVENT_TYPES, "dance"])
@pytest.mark.parametrize("value", [None, True, 10**400, "x\x1b[2J", [["1"]], {"a": None}])
def test_damaged_fields_read_as_nothing_and_texts_are_safe_to_print(kind: str, value: object):
    line = {"type": kind, "seq": 1, "time": value} | dict.fromkeys(FORMS.get(kind, {}), value)
    event = event_of(line | {"type": kind, "seq": 1})
    assert event is not None
    assert kind_of(event) == kind
    assert type(event) is EVENT_TYPES.get(kind, UnknownEvent)
    told = [getattr(event, field.name) for field in dataclasses.fields(event)]
    assert not any("\x1b" in part for part in told if isinstance(part, str))
    if isinstance(event, MeasuredEvent):
        assert event.epoch in (0, 1)
        assert math.isnan(event.number("loss.risk"))


def test_event_of_the_file_and_event_that_is_read_are_one_another():
    step = {"type": "step", "seq": 1, "time": 2.0, **STEP, "nonfinite": []}
    saved = {"id": 3, "step": 50, "phase": "saved", "reason": "interval", "bytes": 10, "seconds": 0.1}
    sample = {"step": 1, "task": "t", "pair": 0, "input": ["01"], "before": [], "after": [], "target": ["1"]}
    common = {"seq": 1, "time": 2.0}
    for line in (step, {"type": "checkpoint", **common, **saved}, {"type": "sample", **common, **sample}):
        (event,) = typed([line])
        assert content_of(event) == line


def test_numbers_of_a_step_are_read_by_their_dotted_names():
    lost = {"loss": STEP["loss"] | {"risk": None, "size": None}, "nonfinite": ["loss.size"]}
    (step,) = typed([{"type": "step", **STEP, **lost}])
    assert isinstance(step, MeasuredEvent)
    assert step.nonfinite == ["loss.size"]
    assert math.isnan(step.number("loss.size"))
    assert (step.count("pairs"), step.number("loss.step")) == (8, 0.5)
