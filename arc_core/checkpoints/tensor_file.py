"""The safetensors format, written in pieces: eight bytes of length, a JSON header, the tensors' bytes.

The library writes a file in one call that neither syncs nor hashes it; a checkpoint needs both, and its
writes must be faults that a test can place. Reading is the library's.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from arc_core.checkpoints.sharded import is_sharded

ALIASES = "aliases"
"""Header entry of a file with tied tensors: JSON from each further name to the one that is written."""

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def split_aliases(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Keep one of the names that share a tensor (tied weights).

    Returns:
        The tensors by the first of their names, and for every further name the one that is kept.
    """
    kept: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    first: dict[tuple[object, ...], str] = {}
    for name, tensor in tensors.items():
        place = None
        if tensor.numel() and not is_sharded(tensor):  # what is sharded has no memory of its own
            place = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device)
        if place is not None and place in first:
            aliases[name] = first[place]
        else:
            if place is not None:
                first[place] = name
            kept[name] = tensor
    return kept, aliases


def size_in_bytes(tensors: Mapping[str, Tensor]) -> int:
    """Bytes of the tensors' values."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def encode(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> Iterator[bytes | memoryview]:
    """Write tensors as a safetensors file.

    Args:
        tensors: By name; from a GPU each is fetched when its turn comes.
        metadata: Texts for the header.

    Yields:
        The file's bytes, in pieces that share memory with the tensors where those are contiguous.
    """
    # The widest first, so that every tensor lies at a multiple of its width; by name for a stable file.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, tensor in ordered:
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield struct.pack("<Q", len(text)) + text
    for _, tensor in ordered:
        if tensor.numel():
            yield tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
