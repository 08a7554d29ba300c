"""Step 11: checkpoints, written so that whatever happens on the way they are there whole or not at all.

The order is the promise: every file is written and synced, then the manifest with the digests of what was
meant to be written, then the folder; the folder is renamed into place and the rename synced; then it is
read back from the disk. Only after that is it called verified, and only then are older ones removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path, PurePosixPath

from arc_core.base.errors import CheckpointError
from arc_core.base.files import (
    forget_cached,
    link_file,
    publish,
    remove_folder,
    replace_file,
    sync_folder,
    write_file,
)
from arc_core.base.paths import is_dir, is_link, matching
from arc_core.checkpoints.snapshot import Snapshot
from arc_core.run.checkpoint_index import (
    MANIFEST,
    TEMPORARY_PREFIX,
    FileEntry,
    checkpoint_id,
    checkpoint_name,
    list_checkpoints,
    manifest_text,
    problems_of,
    read_hint,
    read_manifest,
)

SPARE_BYTES = 16 << 20
"""Disk that a checkpoint leaves free, so that the event log can still grow."""


class CheckpointFolder:
    """Writes, verifies and prunes the checkpoints of one folder.

    Args:
        directory: The folder; made on the first save.
        keep: Newest checkpoints kept, beside the best.

    Attributes:
        given_up: Ids of a course that the run no longer follows; they take no other's place when pruning.
    """

    def __init__(self, directory: Path | str = "checkpoints", keep: int = 5) -> None:
        self.directory = Path(directory)
        self.keep = keep
        self.given_up: Collection[int] = ()
        self._previous: Path | None = None
        """The last checkpoint that this object wrote: unchanging files are linked from it."""

    def write(self, snapshot: Snapshot, on_saved: Callable[[Path], None] | None = None) -> Path:
        """Write a snapshot as the checkpoint of its number.

        Args:
            snapshot: What to write.
            on_saved: Told of the folder once it is in place and before it is read back.

        Returns:
            The checkpoint's folder, after it was read back.

        Raises:
            CheckpointError: If the snapshot holds a tensor that is not finite, the disk has too little
                room, or what is read back is not what was written. No checkpoint is left behind.
            OSError: If it cannot be written; nothing of it is left then.
        """
        if name := snapshot.first_nonfinite():
            raise CheckpointError(f"The state is not worth keeping: {name} is not finite")
        self._make_directory()
        linked = self._linkable(snapshot)
        self._refuse_too_little_room(snapshot, linked)
        final = self.directory / checkpoint_name(snapshot.number)
        folder = self.directory / f"{TEMPORARY_PREFIX}{final.name}"
        folder.mkdir(mode=0o700)
        try:
            linked = self._fill(folder, snapshot, linked)
            publish(folder, final)
            if on_saved is not None:
                on_saved(final)
            self._read_back(final, linked)
        except BaseException:
            for place in (folder, final):
                if is_dir(place):
                    with contextlib.suppress(OSError):
                        remove_folder(place)
            raise
        self._previous = final
        with contextlib.suppress(OSError):  # a hint, not worth losing a good checkpoint for
            self._hint("latest", final.name)
        return final

    def link_from(self, path: Path) -> None:
        """Take a checkpoint that the models were restored from as the one to link unchanging files from."""
        self._previous = path

    def mark_best(self, path: Path) -> None:
        """Note a checkpoint as the best one, which is never pruned."""
        self._hint("best", path.name)

    def prune(self) -> list[Path]:
        """Remove all but the newest `keep` and the best; return what was removed."""
        found = list_checkpoints(self.directory)
        counted = [path for path in found if checkpoint_id(path) not in self.given_up]
        kept = {*found[-self.keep :], *counted[-self.keep :]}
        best = read_hint(self.directory, "best")
        old = [path for path in found if path not in kept and path.name != best]
        for path in old:
            remove_folder(path)
        return old

    def clean(self) -> None:
        """Remove what a killed process left unfinished. The caller holds the run's lock."""
        if is_dir(self.directory) and not is_link(self.directory):
            for path in matching(self.directory, f"{TEMPORARY_PREFIX}*"):
                if is_dir(path) and not is_link(path):
                    shutil.rmtree(path)
                else:
                    path.unlink()

    def _make_directory(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if is_link(self.directory):
            raise CheckpointError(f"{self.directory} is a symbolic link: checkpoints go into a real folder")

    def _linkable(self, snapshot: Snapshot) -> dict[str, FileEntry]:
        """Files of the previous checkpoint that this one shares, by path."""
        if self._previous is None or not snapshot.unchanging:
            return {}
        try:
            entries = read_manifest(self._previous)
        except CheckpointError:
            return {}
        return {entry.name: entry for entry in entries if entry.name in snapshot.unchanging}

    def _refuse_too_little_room(self, snapshot: Snapshot, linked: Mapping[str, FileEntry]) -> None:
        needed = sum(content.bytes for path, content in snapshot.files.items() if path not in linked)
        free = shutil.disk_usage(self.directory).free
        if needed + SPARE_BYTES > free:
            raise CheckpointError(
                f"It needs {needed / 1e6:.1f} MB and {free / 1e6:.1f} MB of disk are free in {self.directory}"
            )

    def _fill(self, folder: Path, snapshot: Snapshot, linked: Mapping[str, FileEntry]) -> frozenset[str]:
        """Write all files, then the manifest, each synced; return the paths that were linked."""
        entries: list[FileEntry] = []
        shared: set[str] = set()
        folders = {folder}
        for path, content in snapshot.files.items():
            target = folder / PurePosixPath(path)
            if target.parent not in folders:
                target.parent.mkdir(mode=0o700)
                folders.add(target.parent)
            entry = linked.get(path)
            if entry is not None and self._previous is not None and link_file(self._previous / path, target):
                shared.add(path)
                entries.append(entry)
            else:
                entries.append(FileEntry(path, *write_file(target, content.pieces())))
        write_file(folder / MANIFEST, [manifest_text(entries)])
        for place in sorted(folders, key=lambda place: len(place.parts), reverse=True):
            sync_folder(place)
        return frozenset(shared)

    def _read_back(self, final: Path, linked: frozenset[str]) -> None:
        for place, _, names in os.walk(final):
            for name in names:
                forget_cached(Path(place, name))
        if problems := problems_of(final, unread=linked):
            raise CheckpointError(f"{final.name} did not read back: {'; '.join(problems)}")

    def _hint(self, name: str, value: str) -> None:
        replace_file(self.directory / name, f"{value}\n".encode())
