"""Values of tensors, read in pieces of bounded size: by a thread of its own, ahead of who computes.

Files are read by `pread` into buffers that are used again, not by memory map: a file that is cut short or on
a failing disk is then an error with a sentence instead of a signal that ends the process, and the pages read
do not count as memory of the process.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from arc_core.errors import CheckpointError
from arc_core.text import printable
from arc_tui.inspect.dtypes import ElementType
from arc_tui.inspect.dtypes import decode as decode_elements
from arc_tui.inspect.header import open_data
from arc_tui.inspect.source import Checkpoint, Kind

PIECE_BYTES = 4 << 20
"""Read at once; a multiple of every element's size."""
AHEAD = 3
"""Buffers of that size: one is computed on while the others are filled."""
LARGEST_WHOLE = 64 << 20
"""Largest tensor, in bytes, that is ever read as one array."""

Bytes = npt.NDArray[np.uint8]


class Cancelled(Exception):
    """The user has called off what was being computed."""


class Descriptors:
    """Open files of a checkpoint, each opened when first needed; a context manager."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._open: dict[int, int] = {}

    def of(self, place: int) -> int:
        """Return a descriptor of the file that a tensor is in.

        Raises:
            CheckpointError: If it cannot be opened any more.
        """
        owner = int(self._checkpoint.owners[place])
        if owner not in self._open:
            ours = self._checkpoint.kind is Kind.CHECKPOINT
            self._open[owner] = open_data(self._checkpoint.parts[owner].path, follow_links=not ours)
        return self._open[owner]

    def read_into(self, place: int, buffer: memoryview, offset: int) -> None:
        """Fill a buffer from a tensor's file.

        Args:
            place: The tensor.
            buffer: To be filled.
            offset: In the file.

        Raises:
            CheckpointError: If the file ends early or cannot be read.
        """
        descriptor, done = self.of(place), 0
        shown = printable(str(self._checkpoint.owner(place).path), 500)
        while done < len(buffer):
            try:
                count = os.preadv(descriptor, [buffer[done:]], offset + done)
            except OSError as error:
                raise CheckpointError(f"Cannot read {shown}: {error.strerror}.") from None
            if count == 0:
                raise CheckpointError(f"{shown} has become shorter than its header says.")
            done += count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()


@dataclass(frozen=True)
class Piece:
    """A piece of a tensor.

    Attributes:
        place: The tensor.
        start: Bytes of the tensor before this piece.
        raw: Its bytes; valid until the next piece is asked for.
        last: Whether the tensor ends with it.
    """

    place: int
    start: int
    raw: Bytes
    last: bool


@contextmanager
def reading(checkpoint: Checkpoint, places: Sequence[int]) -> Iterator[Iterator[Piece]]:
    """Read tensors one after the other, ahead of who takes the pieces.

    Args:
        checkpoint: Where they are.
        places: Which; a tensor without bytes comes as one empty piece.

    Yields:
        The pieces in order.

    Raises:
        CheckpointError: From the iterator, if a file cannot be read to the end.
    """
    free: queue.Queue[Bytes | None] = queue.Queue()
    full: queue.Queue[Piece | CheckpointError | None] = queue.Queue()
    for _ in range(AHEAD):
        free.put(np.empty(PIECE_BYTES, np.uint8))

    def read() -> None:
        try:
            with Descriptors(checkpoint) as files:
                for piece in _pieces(checkpoint, places, files, free.get):
                    full.put(piece)
        except CheckpointError as error:
            full.put(error)
        finally:
            full.put(None)

    def take() -> Iterator[Piece]:
        while (piece := full.get()) is not None:
            if isinstance(piece, CheckpointError):
                raise piece
            yield piece
            base = piece.raw.base
            free.put(base if isinstance(base, np.ndarray) else piece.raw)

    thread = threading.Thread(target=read, name="reading tensors", daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        free.put(None)  # whoever stops early is not read for any longer
        thread.join()


def _pieces(
    checkpoint: Checkpoint, places: Sequence[int], files: Descriptors, take: Callable[[], Bytes | None]
) -> Iterator[Piece]:
    table = checkpoint.table
    for place in places:
        begin, size = int(table.begins[place]), int(table.bytes[place])
        for start in range(0, max(size, 1), PIECE_BYTES):
            buffer = take()
            if buffer is None:
                return
            count = min(PIECE_BYTES, size - start)
            if count:
                files.read_into(place, buffer[:count].data, begin + start)
            yield Piece(place, start, buffer[:count], start + count >= size)


def read_raw(checkpoint: Checkpoint, place: int, limit: int = LARGEST_WHOLE) -> Bytes:
    """Read a small tensor's bytes.

    Raises:
        CheckpointError: If it is larger than `limit` bytes, or its file cannot be read.
    """
    size = int(checkpoint.table.bytes[place])
    if size > limit:
        name = printable(checkpoint.table.names[place], 80)
        raise CheckpointError(f'The tensor "{name}" has {size:,} bytes; at most {limit:,} are read at once.')
    raw = np.empty(size, np.uint8)
    if size:
        with Descriptors(checkpoint) as files:
            files.read_into(place, raw.data, int(checkpoint.table.begins[place]))
    return raw


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
