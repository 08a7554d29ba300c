"""Several processes that train one run together, by torch.distributed; with one, nothing is done.

Every process goes through the same loop over the same plan, each with its share of a batch. What one alone
knows is told to the others here: sums of numbers and rows, and what the first was commanded.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import Store, TCPStore, rendezvous  # pyright: ignore[reportPrivateImportUsage]
from torch.nn.parallel import DistributedDataParallel

from arc_core.base.errors import RunError
from arc_core.checkpoints.sharded import is_sharded
from arc_core.training.launching import ONE, World

JOIN_SECONDS = 120.0
"""How long processes wait for each other at the start."""

COLLECTIVE_SECONDS = 1800.0
"""How long they wait for each other later, as for a machine that hangs; one that ends is noticed at once."""

LOST = ("closed by peer", "reset by peer", "broken pipe", "gloo", "nccl")
"""What torch's errors about a lost process say, in lower case."""


class Ranks:
    """The processes of a run.

    Args:
        world: Which of them this one is.

    Attributes:
        world: The same.
    """

    def __init__(self, world: World = ONE) -> None:
        self.world = world

    @property
    def count(self) -> int:
        """Processes of the run."""
        return self.world.count

    @property
    def alone(self) -> bool:
        """Whether this process is the only one."""
        return self.count == 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.world.rank == 0

    def mine(self, count: int) -> range:
        """The places, among so many, of this process's share."""
        return range(self.world.rank, count, self.count)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, the same on each to the bit; the tensor given may be used for it."""
        if not self.alone:
            dist.all_reduce(values)
        return values

    def agree(self, text: str = "", asked: bool = False) -> tuple[str, bool]:
        """The first process's text, and whether any process asked; all wait for each other."""
        if self.alone:
            return text, asked
        told = text.encode() if self.first else b""
        size, anyone = self.sum(torch.tensor([len(told), asked])).tolist()
        if not size:
            return "", anyone > 0
        content = torch.frombuffer(bytearray(told or bytes(size)), dtype=torch.uint8)
        dist.broadcast(content, 0)
        return bytes(content.tolist()).decode(), anyone > 0

    def spread(self, parameters: Iterable[nn.Parameter]) -> Callable[[Tensor, bool], Tensor]:
        """Have the gradients of parameters averaged over the processes, all of which now take the first's.

        Those that are sharded have theirs averaged where they are gathered.

        Returns:
            What each loss goes through before its `backward`. Told that more losses of the step follow, it
            has their gradients added up here; with those of the last one they are averaged.
        """
        if self.alone:
            return lambda loss, more: loss
        own = (parameter for parameter in parameters if not is_sharded(parameter))
        # Not every step's loss reaches every parameter: such as those of an empty memory.
        trained = DistributedDataParallel(_Trained(own), find_unused_parameters=True)

        def through(loss: Tensor, more: bool) -> Tensor:
            with trained.no_sync() if more else contextlib.nullcontext():
                return trained(loss)

        return through


class _Trained(nn.Module):
    """What is trained. The loss is computed outside: torch finds what it reaches by its graph."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        super().__init__()
        self.parameters_of_all = nn.ParameterList(parameters)

    def forward(self, loss: Tensor) -> Tensor:
        return loss


@contextlib.contextmanager
def joined(world: World) -> Iterator[Ranks]:
    """Join the processes of a run, and leave them at the end.

    Raises:
        RunError: If one of them does not come in time.
    """
    if world.count == 1:
        yield Ranks(world)
        return
    wait, later = timedelta(seconds=JOIN_SECONDS), timedelta(seconds=COLLECTIVE_SECONDS)
    try:
        store = _store(world, wait)
        store.set(f"here {world.rank}", "")
        store.wait([f"here {rank}" for rank in range(world.count)], wait)
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, store=store, rank=world.rank, world_size=world.count, timeout=later)
    except RuntimeError as error:
        where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        met = "were not met by all others" if world.rank == 0 else f"did not meet the others at {where}"
        raise RunError(f"{world.name} {met.replace('were', 'was')} within {JOIN_SECONDS:.0f} s.") from error
    try:
        yield Ranks(world)
    finally:
        dist.destroy_process_group()


def _store(world: World, wait: timedelta) -> Store:
    if world.listener is None:
        return next(rendezvous("env://", world.rank, world.count, timeout=wait))[0]
    return TCPStore(
        "127.0.0.1", 0, world.count, is_master=True, timeout=wait, master_listen_fd=world.listener
    )


def is_lost(error: RuntimeError) -> bool:
    """Whether torch failed because another process of the run has ended."""
    said = str(error).lower()
    return isinstance(error, dist.DistError) or any(word in said for word in LOST)


ALONE = Ranks()
"""A run of one process."""
