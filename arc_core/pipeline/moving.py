"""Batches on their way to the device: all tensors of one in a single copy, which nobody waits for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from itertools import accumulate
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

Held = TypeVar("Held")

_ALIGNMENT = 16
"""Bytes; kernels read wide words at once."""


def to_device(held: Held, device: torch.device | str) -> Held:
    """Move every tensor of a structure, each once however often it occurs.

    From the host to a GPU they go together, out of pinned memory, and the host goes on meanwhile: a copy of
    its own for each would make it wait each time until the GPU is done with all it has been given.

    Args:
        held: A tensor; a frozen dataclass, or a tuple, of structures. What else it holds is kept as it is.
        device: Where to.
    """
    device = torch.device(device)
    found: dict[int, Tensor] = {}
    _each(held, lambda tensor: found.setdefault(id(tensor), tensor))
    tensors = list(found.values())
    if device.type == "cuda" and tensors and all(tensor.device.type == "cpu" for tensor in tensors):
        there = _in_one_copy(tensors, device)
    else:
        there = [tensor.to(device) for tensor in tensors]
    moved = dict(zip(found, there, strict=True))
    return _each(held, lambda tensor: moved[id(tensor)])


def _each(held: Held, change: Callable[[Tensor], Tensor]) -> Held:
    """The structure with every tensor changed."""
    given: Any = held
    if isinstance(given, Tensor):
        return cast(Held, change(given))
    if isinstance(given, tuple):
        return cast(Held, tuple(_each(item, change) for item in cast("tuple[object, ...]", given)))
    if is_dataclass(given) and not isinstance(given, type):
        changed = {f.name: _each(getattr(given, f.name), change) for f in fields(given)}
        return cast(Held, replace(given, **changed))
    return held


def _in_one_copy(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    sizes = [tensor.numel() * tensor.element_size() for tensor in tensors]
    *starts, end = accumulate((-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes), initial=0)
    packed = torch.empty(end, dtype=torch.uint8, pin_memory=True)
    for tensor, start, size in zip(tensors, starts, sizes, strict=True):
        packed[start : start + size].copy_(tensor.contiguous().view(-1).view(torch.uint8))
    there = packed.to(device, non_blocking=True)
    return [
        there[start : start + size].view(tensor.dtype).view(tensor.shape)
        for tensor, start, size in zip(tensors, starts, sizes, strict=True)
    ]
