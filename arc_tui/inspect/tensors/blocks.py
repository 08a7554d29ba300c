"""Several tensors of the same number of elements, read side by side in blocks of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from arc_tui.inspect.tensors.dtypes import decode_float64
from arc_tui.inspect.tensors.pieces import Bytes, Descriptors, readable
from arc_tui.inspect.tensors.source import Checkpoint

BLOCK = 1 << 18
"""Elements of a block: an even number, so that packed ones fill whole bytes."""

Floats = npt.NDArray[np.float64]


def raw_block(files: Descriptors, checkpoint: Checkpoint, place: int, first: int, count: int) -> Bytes:
    """Read elements `first` to `first + count` of a tensor, as bytes; `first` must lie on a whole byte.

    Raises:
        CheckpointError: If its type is not decoded, or its file cannot be read.
    """
    element = readable(checkpoint, place)
    raw = np.empty(count * element.bits // 8, np.uint8)
    if len(raw):
        files.read_into(place, raw.data, int(checkpoint.table.begins[place]) + first * element.bits // 8)
    return raw


def blocks(files: Descriptors, checkpoint: Checkpoint, places: Sequence[int]) -> Iterator[list[Floats]]:
    """Read tensors of one checkpoint side by side.

    Args:
        files: Its open files.
        checkpoint: The checkpoint.
        places: Tensors of equally many elements.

    Yields:
        For each stretch of elements one float64 array for each tensor.

    Raises:
        CheckpointError: As `raw_block`.
    """
    table = checkpoint.table
    total = int(table.parameters[places[0]])
    for first in range(0, total, BLOCK):
        count = min(BLOCK, total - first)
        yield [
            decode_float64(table.element(place), raw_block(files, checkpoint, place, first, count))
            for place in places
        ]
