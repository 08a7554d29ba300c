"""A repository on a hub: what is in it, and its files read in parts by range requests."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arc_core.base.errors import HubError
from arc_core.base.text import printable
from arc_tui.hub import asking
from arc_tui.hub.asking import BusyHubError, answered, hub, told
from arc_tui.hub.names import HubName

if TYPE_CHECKING:
    from huggingface_hub import HfApi

BLOCK_BYTES = 64 << 10
"""Less than this is read as a block of this size, which is kept: headers, and rows that are looked at."""
KEPT_BLOCKS = 64
"""Of each file."""
SLOWEST = 10_000
"""Bytes a second below which a download is given up."""
PAUSES = (0.5, 2.0)
"""Seconds before each further try where the hub is busy."""


@dataclass(frozen=True)
class Repository:
    """A repository at one commit.

    Attributes:
        name: The repository, its revision the commit.
        files: Every file with its bytes; None where the hub does not tell.
    """

    name: HubName
    files: dict[str, int | None]
    api: HfApi

    def open(self, file: str) -> RemoteFile:
        """Return a file of it, to be read in parts; nothing is read yet.

        Raises:
            HubError: If the repository has no such file, or the hub does not tell its size.
        """
        from huggingface_hub import hf_hub_url

        name = HubName(self.name.repo, self.name.revision, file)
        size = self.files.get(file)
        if size is None:
            lacks = (
                "the hub does not tell its size" if file in self.files else "the repository has no such file"
            )
            raise HubError(f"{printable(name.typed, 500)}: {lacks}.")
        url = hf_hub_url(name.repo, file, revision=name.revision, endpoint=self.api.endpoint)
        return RemoteFile(name, url, size)


def open_repository(name: HubName) -> Repository:
    """Ask a hub what is in a repository.

    Raises:
        MissingPackageError: If huggingface_hub is not installed.
        HubError: If there is no such repository or revision, or the hub cannot be asked.
    """
    api = hub(f"Nothing here has the name {printable(name.typed, 200)}, and the hub")
    with answered(name, elsewhere=True):
        found = api.model_info(
            name.repo, revision=name.revision, files_metadata=True, timeout=asking.TIMEOUT_SECONDS
        )
        files = {
            str(one.rfilename): one.size if isinstance(one.size, int) and one.size >= 0 else None
            for one in found.siblings or ()
        }
    return Repository(HubName(name.repo, found.sha), files, api)


class RemoteFile:
    """A file on a hub, read in parts; for any thread.

    Args:
        name: The file.
        url: Where it is.
        size: Its bytes.
    """

    def __init__(self, name: HubName, url: str, size: int) -> None:
        self.size = size
        self._name = name
        self._url = url
        self._blocks: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill a buffer with what stands from `offset` on, as far as the file goes, and return the bytes.

        Raises:
            HubError: If the hub cannot be reached, refuses, is too slow or gives something else.
        """
        count = max(min(len(buffer), self.size - offset), 0)
        if count >= BLOCK_BYTES:
            self._fetch(buffer[:count], offset)
            return count
        done = 0
        while done < count:
            number, within = divmod(offset + done, BLOCK_BYTES)
            piece = self._block(number)[within : within + count - done]
            buffer[done : done + len(piece)] = piece
            done += len(piece)
        return count

    def close(self) -> None:
        """Do nothing: no request is open, and what is kept serves the next reader."""

    def _block(self, number: int) -> bytes:
        with self._lock:
            if number not in self._blocks:
                offset = number * BLOCK_BYTES
                block = bytearray(min(BLOCK_BYTES, self.size - offset))
                self._fetch(memoryview(block), offset)
                if len(self._blocks) >= KEPT_BLOCKS:
                    del self._blocks[next(iter(self._blocks))]
                self._blocks[number] = bytes(block)
            return self._blocks[number]

    def _fetch(self, buffer: memoryview, offset: int) -> None:
        for pause in PAUSES:
            try:
                return self._ask(buffer, offset)
            except BusyHubError:
                time.sleep(pause)
        return self._ask(buffer, offset)

    def _ask(self, buffer: memoryview, offset: int) -> None:
        """Fill a buffer by one range request."""
        from huggingface_hub import get_session
        from huggingface_hub.utils import hf_raise_for_status

        last = offset + len(buffer) - 1
        headers = {**asking.headers(), "Range": f"bytes={offset}-{last}", "Accept-Encoding": "identity"}
        seconds = asking.TIMEOUT_SECONDS
        deadline = time.monotonic() + seconds + len(buffer) / SLOWEST
        with (
            told(self._name),
            get_session().stream("GET", self._url, headers=headers, timeout=seconds) as response,
        ):
            hf_raise_for_status(response)
            if response.status_code != 206:
                raise self._problem(
                    "the server gives files only whole, not in parts (range requests): download it first"
                )
            if response.headers.get("Content-Range") != f"bytes {offset}-{last}/{self.size}":
                raise self._problem("the server gives another part than it was asked for, or of another file")
            done = 0
            for piece in response.iter_raw():
                if done + len(piece) > len(buffer):
                    raise self._problem("the server gives more than it was asked for")
                buffer[done : done + len(piece)] = piece
                done += len(piece)
                if time.monotonic() > deadline:
                    raise self._problem(f"the server gives less than {SLOWEST // 1000} kB a second")
            if done < len(buffer):
                raise self._problem("the server's answer ends early")

    def _problem(self, what: str) -> HubError:
        return HubError(f"{printable(self._name.typed, 500)}: {what}.")
