"""A file system that keeps no permissions, as WSL's /mnt/c and vfat: all is open to everyone."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import make_run, train_here, write_dataset
from raw_events import read_lines

from arc_core.base.errors import RunError
from arc_core.base.files import keeps_permissions
from arc_core.run.directory import create_run, open_run, trusted_run


@pytest.fixture
def open_to_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder below which nothing keeps its mode; stands in for a mount, which needs a driver."""
    folder = tmp_path / "mnt"
    folder.mkdir()

    def ask(real: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
        def asked(place: Any, *args: Any, **options: Any) -> os.stat_result:
            found = real(place, *args, **options)
            named = (
                str(Path(f"/proc/self/fd/{place}").readlink()) if isinstance(place, int) else os.fspath(place)
            )
            if isinstance(named, bytes) or not named.startswith(str(folder)):
                return found
            return os.stat_result((found.st_mode | 0o777, *found[1:]), {"st_mtime_ns": found.st_mtime_ns})

        return asked

    for name in ("stat", "lstat", "fstat"):
        monkeypatch.setattr(os, name, ask(getattr(os, name)))
    return folder


@pytest.mark.slow
def test_run_trains_and_is_told_of_once(open_to_all: Path, tmp_path: Path):
    data = write_dataset(tmp_path / "data", tasks=2)
    run = make_run(open_to_all, "mine", data, epochs=1, max_batches=1, validate_on="none")
    train_here(run)
    train_here(run)  # all is trained: it only says so
    events = read_lines(run.events)
    (told,) = [event for event in events if event["type"] == "warning"]
    assert told["code"] == "open_to_everyone"
    assert "everyone on this machine can change the run" in told["message"]
    assert events[-1]["reason"] == "completed"
    assert [path.name for path in run.path.glob(".tmp-*")] == []


def test_run_is_opened_where_no_permission_can_be_kept(open_to_all: Path):
    create_run(open_to_all, "mine", {})
    assert not keeps_permissions(open_to_all / "mine")
    assert open_run(open_to_all, "mine").name == "mine"


def test_run_is_refused_where_its_permissions_can_be_kept(tmp_path: Path):
    run = create_run(tmp_path, "mine", {})
    run.path.chmod(0o777)
    before = sorted(run.path.iterdir()), run.path.stat().st_mode
    assert keeps_permissions(run.path)
    with pytest.raises(RunError, match="is writable by everyone: remove that permission"):
        trusted_run(run.path)
    assert (sorted(run.path.iterdir()), run.path.stat().st_mode) == before


def test_permissions_count_where_nothing_can_be_tried(tmp_path: Path):
    assert keeps_permissions(tmp_path / "none")
