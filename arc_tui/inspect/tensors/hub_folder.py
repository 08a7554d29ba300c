"""The files of a repository on a hub, listed as those of a folder are: no more than headers is read."""

from __future__ import annotations

import posixpath
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from arc_core.base.errors import CheckpointError, HubError
from arc_core.base.file_formats import LARGEST_INDEX, leads_outside
from arc_core.base.text import first_of, printable
from arc_tui.hub.names import HubName
from arc_tui.hub.reading import Repository
from arc_tui.inspect.tensors.data_file import read
from arc_tui.inspect.tensors.header import Part, header_of, readable_as
from arc_tui.inspect.tensors.hugging_face import Shard, read_index
from arc_tui.inspect.tensors.listing import MOST_FILES, Listing, Role, role_of

TOGETHER = 8
"""Headers that are asked for at once."""
COMMIT_DIGITS = 12
"""Of a commit, as it is shown."""


class HubFolder:
    """The files of a repository.

    Args:
        repository: The repository.
        listing: What is listed of it; of its shards the headers are read too, many at once.

    Raises:
        HubError: If the hub refuses, cannot be reached, or gives something else than what is asked for.
    """

    def __init__(self, repository: Repository, listing: Listing) -> None:
        self._repository = repository
        indexes = [label for label, role in listing.files.items() if role is Role.INDEX]
        self._indexes = {label: self._read_index(label) for label in indexes}
        shards = {
            posixpath.join(posixpath.dirname(label), shard.name)
            for label, (found, _) in self._indexes.items()
            for shard in found
            if shard.problem is None
        }
        tensors = {label for label, role in listing.files.items() if role is Role.TENSORS}
        wanted = sorted((tensors | shards) & repository.files.keys())
        pool = ThreadPoolExecutor(TOGETHER, thread_name_prefix="reading headers")
        try:
            self._parts = {part.label: part for part in pool.map(self._read, wanted)}
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, label: str) -> Part:
        path, file = self.path(label), self._repository.open(label)
        try:
            with readable_as(path):
                return Part(label, path, "", header_of(file), remote=file)
        except CheckpointError as error:
            return Part(label, path, "", None, str(error), size=file.size, remote=file)

    def path(self, label: str) -> Path:
        """Return a file's name as a user types it."""
        return Path(f"{shown_name(self._repository)}:{label}")

    def part(self, label: str) -> Part:
        """Return a file with its header."""
        missing = f"The repository has no {printable(label, 200)}."
        return self._parts.get(label) or Part(label, self.path(label), "", None, missing)

    def unread(self, label: str) -> Part:
        """Name a file of a form that is not read, by its name alone."""
        path = self.path(label)
        told = f"{printable(str(path), 500)} ends with {path.suffix}, which is not read."
        return Part(label, path, "", None, unread=told, size=self._repository.files.get(label))

    def index(self, label: str) -> tuple[list[Shard], str | None]:
        """Return what an index says."""
        return self._indexes[label]

    def _read_index(self, label: str) -> tuple[list[Shard], str | None]:
        path, file = self.path(label), self._repository.open(label)
        if file.size > LARGEST_INDEX:
            return [], f"The index {printable(str(path), 500)} is larger than {LARGEST_INDEX} bytes."
        return read_index(path, read(file, file.size, 0))


def shown_name(repository: Repository) -> str:
    """Return a repository's name with the start of its commit."""
    return f"{repository.name.repo}@{(repository.name.revision or 'main')[:COMMIT_DIGITS]}"


def list_repository(repository: Repository, name: HubName) -> Listing:
    """List what a name means of a repository.

    Raises:
        HubError: If there is nothing of that name, or too much.
    """
    listing = Listing()
    for label in repository.files:
        inside = name.file is None or label == name.file or label.startswith(name.file.rstrip("/") + "/")
        if not inside or (role := role_of(posixpath.basename(label))) is None:
            continue
        if leads_outside(label):
            told = (
                f'The repository lists "{printable(label, 200)}", which is no name of a file: it is not read.'
            )
            listing.problems[label] = told
        else:
            listing.files[label] = role
    typed = printable(name.typed, 500)
    if len(listing.files) > MOST_FILES:
        raise HubError(
            f"{typed}: it has {len(listing.files):,} files with weights; at most {MOST_FILES:,} go."
        )
    if name.file is not None and not (listing.files or listing.problems):
        known = [label for label in repository.files if role_of(posixpath.basename(label)) is Role.TENSORS]
        has = f"it has {first_of(known)}" if known else "it has none"
        raise HubError(f"{typed}: the repository has no such file with weights; {has}.")
    return listing
