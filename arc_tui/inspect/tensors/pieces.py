"""Values of tensors, read in pieces of bounded size by a few threads, ahead of who needs them.

Files are read by `pread` into buffers that are used again, not by memory map: a file that is cut short or on
a failing disk is then an error with a sentence instead of a signal that ends the process, and the pages read
do not count as memory of the process.
"""

from __future__ import annotations

import collections
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from arc_core.base.errors import CheckpointError
from arc_core.base.text import printable
from arc_tui.inspect.tensors.data_file import DataFile
from arc_tui.inspect.tensors.dtypes import ElementType
from arc_tui.inspect.tensors.dtypes import decode as decode_elements
from arc_tui.inspect.tensors.header import open_part
from arc_tui.inspect.tensors.source import Checkpoint, Kind
from arc_tui.ui.cancelled import Cancelled

PIECE_BYTES = 4 << 20
"""Read at once; a multiple of every element's size."""
BLOCK = 1 << 18
"""Elements of a block: an even number, so that packed ones fill whole bytes."""
WORKERS = min(4, os.cpu_count() or 1)
"""Threads that read, and compute what numpy computes without holding the interpreter."""
AHEAD = WORKERS + 2
"""Pieces that are read ahead of who takes them."""
LARGEST_WHOLE = 64 << 20
"""Largest tensor, in bytes, that is ever read as one array."""

Bytes = npt.NDArray[np.uint8]


class DataFiles(ExitStack):
    """Open files of a checkpoint, each opened when first needed; a context manager, for any thread."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._open: dict[int, DataFile] = {}
        self._lock = threading.Lock()

    def of(self, place: int) -> DataFile:
        """Return the file that a tensor is in.

        Raises:
            CheckpointError: If it cannot be opened any more.
        """
        owner = int(self._checkpoint.owners[place])
        with self._lock:
            if owner not in self._open:
                ours = self._checkpoint.kind is Kind.CHECKPOINT
                self._open[owner] = open_part(self._checkpoint.parts[owner], follow_links=not ours)
                self.callback(self._open[owner].close)
            return self._open[owner]

    def read_into(self, place: int, raw: Bytes, start: int = 0) -> Bytes:
        """Fill an array with a tensor's bytes from `start` on, and return it.

        Raises:
            CheckpointError: If the file ends early or cannot be read.
        """
        done, offset = 0, int(self._checkpoint.table.begins[place]) + start
        shown = printable(str(self._checkpoint.owner(place).path), 500)
        while done < len(raw):
            try:
                count = self.of(place).read_into(raw.data[done:], offset + done)
            except OSError as error:
                raise CheckpointError(f"Cannot read {shown}: {error.strerror}.") from None
            if count == 0:
                raise CheckpointError(f"{shown} has become shorter than its header says.")
            done += count
        return raw

    def blocks(self, place: int) -> Iterator[Bytes]:
        """Read a tensor in stretches of `BLOCK` elements, the last of what is left.

        Raises:
            CheckpointError: If its type is not decoded, or its file cannot be read.
        """
        bits = readable(self._checkpoint, place).bits
        total = int(self._checkpoint.table.parameters[place])
        for first in range(0, total, BLOCK):
            raw = np.empty(min(BLOCK, total - first) * bits // 8, np.uint8)
            yield self.read_into(place, raw, first * bits // 8)


@dataclass(frozen=True)
class Piece:
    """A piece of a tensor.

    Attributes:
        place: The tensor.
        start: Bytes of the tensor before this piece.
        raw: Its bytes; valid until the next piece is asked for.
        last: Whether the tensor ends with it.
        prepared: What has been computed of it by the thread that read it.
    """

    place: int
    start: int
    raw: Bytes
    last: bool
    prepared: object


@contextmanager
def reading(
    checkpoint: Checkpoint, places: Sequence[int], prepare: Callable[[int, Bytes], object]
) -> Iterator[Iterator[Piece]]:
    """Read tensors one after the other, by threads ahead of who takes the pieces.

    Args:
        checkpoint: Where they are.
        places: Which; a tensor without bytes comes as one empty piece.
        prepare: Computes something of a piece, in the thread that has read it, from its tensor's place and
            its bytes.

    Yields:
        The pieces in order.

    Raises:
        CheckpointError: From the iterator, if a file cannot be read to the end.
    """
    free: queue.SimpleQueue[Bytes | None] = queue.SimpleQueue()
    for _ in range(AHEAD + 1):
        free.put(np.empty(PIECE_BYTES, np.uint8))
    with DataFiles(checkpoint) as files:

        def load(place: int, start: int, count: int, last: bool) -> tuple[Bytes, Piece]:
            buffer = free.get()
            if buffer is None:
                raise Cancelled
            raw = files.read_into(place, buffer[:count], start)
            return buffer, Piece(place, start, raw, last, prepare(place, raw))

        def take() -> Iterator[Piece]:
            waiting: collections.deque[Future[tuple[Bytes, Piece]]] = collections.deque()
            tasks = _tasks(checkpoint, places)
            while True:
                waiting.extend(pool.submit(load, *task) for task in islice(tasks, AHEAD - len(waiting)))
                if not waiting:
                    return
                buffer, piece = waiting.popleft().result()
                yield piece
                free.put(buffer)

        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="reading tensors")
        try:
            yield take()
        finally:
            for _ in range(WORKERS):
                free.put(None)  # whoever stops early is not read for any longer
            pool.shutdown(cancel_futures=True)


def _tasks(checkpoint: Checkpoint, places: Sequence[int]) -> Iterator[tuple[int, int, int, bool]]:
    """Cut tensors into pieces: place, start, bytes, and whether it is the tensor's last."""
    sizes = checkpoint.table.bytes
    for place in places:
        size = int(sizes[place])
        for start in range(0, max(size, 1), PIECE_BYTES):
            count = min(PIECE_BYTES, size - start)
            yield place, start, count, start + count >= size


def read_raw(checkpoint: Checkpoint, place: int, limit: int = LARGEST_WHOLE) -> Bytes:
    """Read a small tensor's bytes.

    Raises:
        CheckpointError: If it is larger than `limit` bytes, or its file cannot be read.
    """
    size = int(checkpoint.table.bytes[place])
    if size > limit:
        name = printable(checkpoint.table.names[place], 80)
        raise CheckpointError(f'The tensor "{name}" has {size:,} bytes; at most {limit:,} are read at once.')
    with DataFiles(checkpoint) as files:
        return files.read_into(place, np.empty(size, np.uint8))


def read_values(checkpoint: Checkpoint, place: int, limit: int = LARGEST_WHOLE) -> npt.NDArray[np.generic]:
    """Read a small tensor as numbers in its shape.

    Raises:
        CheckpointError: As `read_raw`; or if its type is not decoded.
    """
    element = readable(checkpoint, place)
    return decode_elements(element, read_raw(checkpoint, place, limit)).reshape(
        checkpoint.table.shapes[place]
    )


def readable(checkpoint: Checkpoint, place: int) -> ElementType:
    """Return a tensor's element type.

    Raises:
        CheckpointError: If its values are not decoded.
    """
    element = checkpoint.table.element(place)
    if element.kind == "unread":
        raise CheckpointError(f"Values of {element.label} are not read: how they are packed is not fixed.")
    return element
