"""What is said to be on the disk is there: the order of writes, syncs and renames, and nothing in between."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from arc_core.base.files import (
    PIECE_BYTES,
    link_file,
    publish,
    remove_folder,
    replace_file,
    sync_folder,
    write_file,
)
from arc_core.checkpoints.persistence import CheckpointFolder
from arc_core.checkpoints.snapshot import Snapshot, Text

Calls = list[tuple[str, str]]
"""What the system was asked for, in order: the function's name and the path."""

ON_DESCRIPTORS = ("write", "fsync", "close")
ON_PATHS = ("rename", "replace", "link")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    """Record what goes through the os module, with the path of each descriptor."""
    made: Calls = []
    paths: dict[int, str] = {}
    real = {
        name: getattr(os, name) for name in ("open", "write", "fsync", "close", "rename", "replace", "link")
    }

    def opening(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        fd = real["open"](path, flags, *rest, **options)
        paths[fd] = os.fspath(path) if not isinstance(path, int) else f"fd {path}"
        return fd

    def on_descriptor(name: str) -> Callable[..., Any]:
        def call(fd: int, *rest: Any) -> Any:
            if fd in paths:
                made.append((name, paths[fd]))
            return real[name](fd, *rest)

        return call

    def on_paths(name: str) -> Callable[..., Any]:
        def call(source: Any, target: Any, **options: Any) -> Any:
            made.append((name, f"{os.fspath(source)} -> {os.fspath(target)}"))
            return real[name](source, target, **options)

        return call

    monkeypatch.setattr(os, "open", opening)
    for name in ON_DESCRIPTORS:
        monkeypatch.setattr(os, name, on_descriptor(name))
    for name in ON_PATHS:
        monkeypatch.setattr(os, name, on_paths(name))
    yield made
    monkeypatch.undo()


def short(calls: Calls, folder: Path) -> list[str]:
    """The calls without closing, paths relative to a folder, repeated writes once."""
    texts = [f"{name} {what}".replace(f"{folder}/", "").replace(str(folder), ".") for name, what in calls]
    kept = [text for text in texts if not text.startswith("close")]
    return [text for number, text in enumerate(kept) if number == 0 or text != kept[number - 1]]


def test_a_checkpoint_is_written_in_the_promised_order(tmp_path: Path, calls: Calls) -> None:
    def note(path: Path) -> None:
        calls.append(("saved", path.name))

    files = {"a.json": Text(b"aaa"), "lm/b.json": Text(b"bb"), "state.json": Text(b"{}")}
    CheckpointFolder(tmp_path).write(Snapshot(7, files, frozenset()), note)
    new = ".tmp-checkpoint_00007"
    temporary = f".tmp-{os.getpid()}-latest"
    expected = [
        *(f"{what} {new}/{name}" for name in (*files, "MANIFEST.json") for what in ("write", "fsync")),
        f"fsync {new}/lm",
        f"fsync {new}",
        f"rename {new} -> checkpoint_00007",
        "fsync .",
        "saved checkpoint_00007",
        *(f"write {temporary}", f"fsync {temporary}", f"replace {temporary} -> latest", "fsync ."),
    ]
    assert short(calls, tmp_path) == expected


def test_a_file_is_synced_before_it_is_closed_and_hashed_as_meant(tmp_path: Path, calls: Calls) -> None:
    data = os.urandom(PIECE_BYTES + 10)
    size, sha256 = write_file(tmp_path / "a", [data[:7], memoryview(data)[7:]])
    assert (size, sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (tmp_path / "a").read_bytes() == data
    assert [name for name, _ in calls] == ["write"] * 3 + ["fsync", "close"]
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


def test_a_write_that_takes_only_a_part_goes_on_with_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, view: real(fd, view[:1000]))
    size, sha256 = write_file(tmp_path / "a", [b"x" * 2500])
    monkeypatch.undo()
    assert size == 2500
    assert sha256 == hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest()


def test_nothing_is_written_over_or_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    for name in ("there", "link"):
        with pytest.raises(FileExistsError):
            write_file(tmp_path / name, [b"new"])
    assert (tmp_path / "there").read_text() == "old"
    assert not (tmp_path / "outside").exists()


def test_a_failed_sync_is_an_error_and_leaves_no_descriptor_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    def broken(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    for attempt in (lambda: write_file(tmp_path / "a", [b"x"]), lambda: sync_folder(tmp_path)):
        with pytest.raises(OSError, match="Input/output"):
            attempt()
    monkeypatch.undo()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_replaced_file_is_the_old_one_until_the_new_is_on_the_disk(tmp_path: Path, calls: Calls) -> None:
    path = tmp_path / "latest"
    replace_file(path, b"one")
    temporary = f".tmp-{os.getpid()}-latest"
    (tmp_path / temporary).write_bytes(b"left by a killed process")
    calls.clear()
    replace_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert short(calls, tmp_path) == [
        *(f"write {temporary}", f"fsync {temporary}", f"replace {temporary} -> latest", "fsync ."),
    ]


def test_publishing_renames_and_then_syncs_the_parent(tmp_path: Path, calls: Calls) -> None:
    (tmp_path / "new").mkdir()
    publish(tmp_path / "new", tmp_path / "final")
    assert short(calls, tmp_path) == ["rename new -> final", "fsync ."]


def test_a_removed_folder_loses_its_name_before_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "checkpoint_00001"
    folder.mkdir()
    (folder / "a").write_text("x")

    def killed(path: Any, *rest: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        remove_folder(folder)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == [".tmp-checkpoint_00001"]
    remove_folder(tmp_path / ".tmp-checkpoint_00001")
    assert list(tmp_path.iterdir()) == []


def test_a_linked_file_is_one_file_and_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    assert link_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").stat().st_ino == (tmp_path / "b").stat().st_ino
    (tmp_path / "symbolic").symlink_to(tmp_path / "a")
    assert link_file(tmp_path / "symbolic", tmp_path / "c")
    assert (tmp_path / "c").is_symlink(), "it is the link that has two names now, not what it points to"
    assert not link_file(tmp_path / "nothing", tmp_path / "d")
