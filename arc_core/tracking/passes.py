"""A pass over a loop's batches, which a resume goes on with at the batch where it was.

A pass is begun again from the random state that it began with, and what has been trained is passed over; then
the random state is that of the checkpoint. So the order and the content of the batches that follow are the
same to the bit, for whatever draws from torch's generators, the global one and the loader's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar, cast

import torch
from torch import Tensor

from arc_core.base.errors import TrackError
from arc_core.checkpoints.snapshot import restore_rng, rng_tensors

PASS = "pass.safetensors"
"""File of a checkpoint: the random state that the present pass began with."""

T = TypeVar("T")


def random_state(batches: object) -> dict[str, Tensor]:
    """Return the state of torch's generators, and of those that a loader draws from itself."""
    own = {f"loader_{n}": generator.get_state() for n, generator in enumerate(_generators(batches))}
    return rng_tensors() | own


def restore_random_state(batches: object, state: Mapping[str, Tensor]) -> None:
    """Set them as they were.

    Raises:
        CheckpointError: If the state of one is missing or none.
    """
    restore_rng(state)
    for number, generator in enumerate(_generators(batches)):
        if (saved := state.get(f"loader_{number}")) is not None:
            generator.set_state(saved)


def pass_over(batches: Iterator[T], done: int) -> None:
    """Take the batches that have been trained.

    Raises:
        TrackError: If there are fewer.
    """
    for number in range(done):
        if next(batches, _END) is _END:
            raise TrackError(
                f"The run has trained {done} batches of this pass, and there are only {number} now: go on "
                "with the data that it was trained on."
            )


def items_of(batch: object) -> int:
    """Return how many items a batch holds: the first side of the first tensor in it, else one."""
    first = next(_tensors(batch), None)
    return int(first.shape[0]) if first is not None and first.dim() else 1


def _tensors(batch: object) -> Iterator[Tensor]:
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, Mapping | list | tuple):
        parts = cast("Mapping[object, object] | Sequence[object]", batch)
        for part in parts.values() if isinstance(parts, Mapping) else parts:
            yield from _tensors(part)


_END = object()


def _generators(batches: object) -> list[torch.Generator]:
    sampler = getattr(batches, "sampler", None)
    inner = getattr(getattr(batches, "batch_sampler", None), "sampler", None)
    found = [getattr(each, "generator", None) for each in (batches, sampler, inner)]
    return list({id(each): each for each in found if isinstance(each, torch.Generator)}.values())
