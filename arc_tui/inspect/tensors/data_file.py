"""A file that tensors are read from by their offsets, wherever it is."""

from __future__ import annotations

import os
from typing import Protocol


class DataFile(Protocol):
    """A file that is read in parts, by any thread."""

    @property
    def size(self) -> int:
        """Its bytes."""
        ...

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill a buffer with what stands from `offset` on; return the bytes, 0 at the end of the file.

        Raises:
            OSError: If the system refuses.
            ArcError: If whoever else gives the file does.
        """
        ...

    def close(self) -> None:
        """Give back what is held."""
        ...


class LocalFile:
    """A file of this machine.

    Args:
        descriptor: Of the opened file; closed by `close`.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill a buffer, as `DataFile` says."""
        return os.preadv(self._descriptor, [buffer], offset)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)


def read(file: DataFile, count: int, offset: int) -> bytes:
    """Read at most `count` bytes from `offset` on; fewer at the end of the file.

    Raises:
        OSError, ArcError: As `DataFile.read_into` does.
    """
    buffer = bytearray(max(min(count, file.size - offset), 0))
    done = file.read_into(memoryview(buffer), offset) if buffer else 0
    return bytes(buffer) if done == len(buffer) else bytes(buffer[:done])
