"""Tensors of which each process of a run holds a part, told by what torch's DTensor has; none is imported."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def is_sharded(tensor: Tensor) -> bool:
    """Whether this process holds a part of it alone."""
    return hasattr(tensor, "full_tensor")


def gathered(tensor: Tensor) -> Tensor:
    """All of a tensor; where it is sharded every process must ask for it."""
    found: Any = tensor
    return found.full_tensor() if is_sharded(tensor) else tensor


def sharded_like(whole: Tensor, live: Tensor) -> Tensor:
    """What a live tensor holds here of one that every process has: a part, or all where it is not sharded."""
    if not is_sharded(live):
        return whole
    from torch.distributed.tensor import distribute_tensor  # 0.4 s, and needed by few

    held: Any = live
    mesh, placements = held.device_mesh, held.placements
    return distribute_tensor(whole.to(live.device), mesh, placements, src_data_rank=None)
