"""The run directory: permissions, names, how a run is found, and its lock."""

import errno
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from arc_core.base import files
from arc_core.base.errors import RunError
from arc_core.pipeline.config import PipelineConfig
from arc_core.run import directory
from arc_core.run.directory import (
    RunLock,
    config_of,
    create_run,
    is_alive,
    list_runs,
    lock_holder,
    open_run,
    refuse_if_alive,
    stored_config,
    write_json_atomic,
)
from arc_core.run.provenance import describe_run, git_revision


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_new_run_is_private(tmp_path: Path):
    run = create_run(tmp_path / "runs", "a", {"config": {}})
    assert {_mode(path) for path in (run.path, run.commands, run.checkpoints)} == {0o700}
    assert _mode(run.run_json) == 0o600
    assert run.read() == {"config": {}}
    assert sorted(path.name for path in run.path.iterdir()) == ["checkpoints", "commands", "run.json"]


def test_default_name_is_the_seeds_with_a_number_when_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(directory.time, "strftime", lambda form: "arc_complete_20261122_190210")
    names = [create_run(tmp_path, None, {}).name for _ in range(3)]
    assert names == [f"arc_complete_20261122_190210{end}" for end in ("", "_2", "_3")]


def test_taken_name_is_refused_and_left_as_it_was(tmp_path: Path):
    create_run(tmp_path, "a", {"mine": 1})
    with pytest.raises(RunError, match="The run a exists already"):
        create_run(tmp_path, "a", {})
    assert open_run(tmp_path, "a").read() == {"mine": 1}


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "../x",
        "a/b",
        "a\\b",
        ".hidden",
        "-flag",
        "a\x1b[31m",
        "a\u202eb",
        "a\nb",
        "latest",
        "x" * 101,
    ],
)
def test_name_that_could_leave_hide_or_confuse_is_refused(tmp_path: Path, name: str):
    with pytest.raises(RunError) as caught:
        create_run(tmp_path, name, {})
    assert str(caught.value).isprintable()
    assert list(tmp_path.iterdir()) == []
    if name != "latest":
        with pytest.raises(RunError):
            open_run(tmp_path, name)


def test_failure_to_write_leaves_no_run_behind(tmp_path: Path):
    with pytest.raises(TypeError):
        create_run(tmp_path, "a", {"bad": object()})
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="Cannot make the run directory"):
        create_run(tmp_path / "file", "a", {})


def test_run_is_found_by_name_prefix_path_and_latest(tmp_path: Path):
    for created, name in enumerate(("old", "older_b", "newest")):
        create_run(tmp_path, name, {"created": created})
    assert open_run(tmp_path, "old").name == "old"
    assert open_run(tmp_path, "older").name == "older_b"
    assert open_run(tmp_path, f"{tmp_path}/new").name == "newest"
    assert open_run(tmp_path).name == "newest"
    assert [run.name for run in list_runs(tmp_path)] == ["newest", "older_b", "old"]


def test_ambiguous_and_missing_runs_name_the_candidates(tmp_path: Path):
    with pytest.raises(RunError, match="There is no run in"):
        open_run(tmp_path, "latest")
    for name in ("demo_1", "demo_2"):
        create_run(tmp_path, name, {})
    with pytest.raises(RunError, match="demo is the start of 2 runs: demo_1, demo_2"):
        open_run(tmp_path, "demo")
    with pytest.raises(RunError, match=r"There is no run x in .*; there are demo_2, demo_1"):
        open_run(tmp_path, "x")


def test_linked_and_world_writable_runs_are_refused(tmp_path: Path):
    run = create_run(tmp_path, "real", {})
    (tmp_path / "link").symlink_to(run.path)
    with pytest.raises(RunError, match="is a symbolic link"):
        open_run(tmp_path, "link")
    assert [found.name for found in list_runs(tmp_path)] == ["real"]
    run.path.chmod(0o777)
    with pytest.raises(RunError, match="writable by everyone"):
        open_run(tmp_path, "real")


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"[" * 100_000])
def test_damaged_run_json_is_named(tmp_path: Path, content: bytes):
    run = create_run(tmp_path, "a", {})
    run.run_json.write_bytes(content)
    with pytest.raises(RunError, match=r"run\.json is damaged"):
        run.read()
    assert open_run(tmp_path).name == "a"


def test_second_holder_is_refused_and_told_who_holds(tmp_path: Path):
    run = create_run(tmp_path, "a", {})
    assert not is_alive(run)
    with RunLock(run):
        assert is_alive(run)
        assert lock_holder(run) == os.getpid()
        with pytest.raises(RunError, match=f"The run a is in use by process {os.getpid()}"), RunLock(run):
            pass
        with pytest.raises(RunError, match="in use by"):
            refuse_if_alive(run)
    assert not is_alive(run)
    assert lock_holder(run) is None
    with RunLock(run):
        assert _mode(run.lock) == 0o600


def test_lock_goes_with_a_killed_process(tmp_path: Path):
    run = create_run(tmp_path, "a", {})
    code = (
        "import sys, pathlib; from arc_core.run.directory import RunDirectory, RunLock\n"
        "RunLock(RunDirectory(pathlib.Path(sys.argv[1]))).acquire()\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(run.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert is_alive(run)
        assert lock_holder(run) == holder.pid
        holder.kill()
    refuse_if_alive(run, wait_seconds=5)
    with RunLock(run):
        pass


def test_asking_whether_it_lives_does_not_refuse_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = create_run(tmp_path, "a", {})
    run.lock.touch()
    prober = os.open(run.lock, os.O_RDONLY)
    directory.fcntl.flock(prober, directory.fcntl.LOCK_SH)
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        directory.fcntl.flock(prober, directory.fcntl.LOCK_UN)

    monkeypatch.setattr(directory.time, "sleep", nap)
    with RunLock(run):
        assert len(naps) == 1
    os.close(prober)


def test_json_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "x.json"
    write_json_atomic(path, {"a": 1})
    with pytest.raises(ValueError, match="Out of range"):
        write_json_atomic(path, {"a": float("nan")})

    def fail(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_json_atomic(path, {"a": 2})
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("x.json", '{\n  "a": 1\n}\n')]


def test_what_a_killed_writer_left_is_removed_and_a_living_ones_stays(tmp_path: Path):
    run = create_run(tmp_path, "a", {"mine": 1})
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    left = [run.path / f".tmp-{int(done.stdout)}-run.json", run.path / f".tmp-{os.getpid()}-run.json"]
    kept = [run.path / f".tmp-{os.getppid()}-run.json", run.path / ".tmp-notes-run.json"]
    for path in left + kept:
        path.write_text("{", encoding="ascii")
    files.remove_unfinished(run.run_json)
    assert [path.exists() for path in left + kept] == [False, False, True, True]
    assert run.read() == {"mine": 1}


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_run_json_that_cannot_be_written_is_told_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
):
    run = create_run(tmp_path, "a", {"mine": 1})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with pytest.raises(RunError, match=r"Cannot write .*run\.json: No space left on device\."):
            run.update(mine=2)
    assert run.read() == {"mine": 1}
    assert not list(run.path.glob(".tmp-*"))


def test_lock_holds_where_the_disk_has_no_room_for_its_holders_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = create_run(tmp_path, "a", {})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with RunLock(run):
        assert is_alive(run)
        assert lock_holder(run) is None
        with pytest.raises(RunError, match="in use by another process"):
            RunLock(run).acquire()
    assert not is_alive(run)


def test_run_json_says_where_a_run_comes_from(tmp_path: Path):
    before = time.time()
    described = describe_run(PipelineConfig(epochs=3), ["arc-tui", "train"])
    assert PipelineConfig.from_mapping(described["config"]) == PipelineConfig(epochs=3)
    assert described["versions"].keys() >= {"python", "torch", "transformers", "arc-tui"}
    assert described["created"] >= before
    assert described["argv"] == ["arc-tui", "train"]
    assert git_revision(tmp_path) is None


def test_a_configuration_is_read_back_as_it_was_written(tmp_path: Path):
    config = PipelineConfig(epochs=3, hidden_dim=48)
    run = create_run(tmp_path, "a", {"config": config.to_dict()})
    assert config_of(run) == config
    assert stored_config(run.read()) == config.to_dict()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "run.json is damaged: it holds no config."),
        ({"config": [1]}, "run.json is damaged: it holds no config."),
        ({"config": {"epochs": "many"}}, "run.json is damaged: .*epochs"),
    ],
)
def test_a_run_without_a_sound_configuration_is_refused(tmp_path: Path, content: dict[str, Any], said: str):
    with pytest.raises(RunError, match=said):
        config_of(create_run(tmp_path, "a", content))
