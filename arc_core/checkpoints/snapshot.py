"""Step 11: what a checkpoint is made of. A snapshot is taken at a step boundary and written later.

Taking one copies every tensor that the next step depends on, so that training may go on while another
thread writes. Copies are made into the same memory each time. From a GPU they come into pinned memory, one
behind the other, and are waited for once; what never changes is fetched only where it is written.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from arc_core.base.errors import CheckpointError
from arc_core.checkpoints.restoring import OPTIMIZER, optimizer_groups, optimizer_tensors
from arc_core.checkpoints.sharded import gathered, is_sharded
from arc_core.checkpoints.tensor_file import ALIASES, encode, size_in_bytes, split_aliases
from arc_core.run.checkpoint_index import FORMAT, STATE

LANGUAGE_MODEL = "lm"
RNG = "rng.safetensors"


@dataclass(frozen=True)
class Moment:
    """When a snapshot is taken, and what the loop keeps of that moment."""

    number: int
    """The checkpoint's id."""
    epoch: int
    """0-based."""
    batch: int
    """0-based in the epoch; the one that was trained last."""
    metrics: Mapping[str, float]
    """To be shown beside the checkpoint."""
    state: Mapping[str, Any]
    """Of the loop, JSON-able."""


class Stateful(Protocol):
    """Models of a run, as far as a snapshot needs to know them."""

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        """The modules that the optimizers move, by name."""
        ...

    @property
    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """The optimizers by their label in a checkpoint."""
        ...

    def tensors(self) -> Mapping[str, Mapping[str, Tensor]]:
        """The live tensors by the path of their file, the optimizers' left out."""
        ...

    def bookkeeping(self) -> Mapping[str, Any]:
        """What state.json keeps of such models beside their tensors."""
        ...


@dataclass(frozen=True)
class Tensors:
    """Content of one safetensors file: unique tensors, and texts for its header."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]

    def pieces(self) -> Iterator[bytes | memoryview]:
        """The file's bytes."""
        return encode(self.tensors, self.metadata)

    @property
    def bytes(self) -> int:
        """About the size of the file."""
        return size_in_bytes(self.tensors) + 256 * len(self.tensors)


@dataclass(frozen=True)
class Text:
    """Content of one small file."""

    content: bytes

    def pieces(self) -> Iterator[bytes | memoryview]:
        """The file's bytes."""
        yield self.content

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return len(self.content)


@dataclass(frozen=True)
class Snapshot:
    """The files of a checkpoint that is still to be written.

    Attributes:
        number: The checkpoint's id.
        files: By their path inside the checkpoint.
        unchanging: Paths of files that are the same in every checkpoint of this process.
    """

    number: int
    files: Mapping[str, Tensors | Text]
    unchanging: frozenset[str]

    def first_nonfinite(self) -> str | None:
        """Name of a tensor that holds NaN or Inf, as no state worth keeping does; None if none does."""
        for path, content in self.files.items():
            if isinstance(content, Tensors) and path not in self.unchanging:
                for name, tensor in content.tensors.items():
                    # A sum over finite numbers may still overflow: only then is each looked at.
                    if (
                        tensor.is_floating_point()
                        and not torch.isfinite(tensor.sum())
                        and not torch.isfinite(tensor).all()
                    ):
                        return f"{name} in {path}"
        return None


class SnapshotTaker:
    """Takes snapshots of one set of models.

    Args:
        models: Whose state it is.
        texts: Small files that are the same in every snapshot, by path.
        unchanging: Paths of the models' files that are the same in every snapshot.
    """

    def __init__(
        self, models: Stateful, texts: Mapping[str, Text] | None = None, unchanging: Collection[str] = ()
    ) -> None:
        self._models = models
        self._texts = texts or {}
        self._unchanging = frozenset(unchanging)
        self._copies: dict[tuple[str, str], Tensor] = {}

    @property
    def bytes(self) -> int:
        """Bytes that a copy takes."""
        return sum(
            size_in_bytes(tensors) for path, tensors in self._live().items() if path not in self._unchanging
        )

    @property
    def sharded(self) -> bool:
        """Whether other processes must give their parts of the tensors."""
        return any(is_sharded(tensor) for tensors in self._live().values() for tensor in tensors.values())

    def give_parts(self) -> None:
        """Give this process's parts of sharded tensors to the one that takes a snapshot."""
        for tensors in self._live().values():
            for tensor in split_aliases(tensors)[0].values():
                gathered(tensor.detach())

    def take(self, moment: Moment, *, copy: bool = True) -> Snapshot:
        """Take a snapshot; the one before it must have been written.

        Args:
            moment: When it is taken.
            copy: False shares memory with the models, which must then stand still until it is written.

        Raises:
            CheckpointError: If the loop's state holds a number that is not finite.
        """
        files, live = dict[str, Tensors | Text](), self._live()
        for path, tensors in live.items():
            unique, aliases = split_aliases(tensors)
            if copy and path not in self._unchanging:
                unique = {name: self._copy(path, name, tensor) for name, tensor in unique.items()}
            else:
                unique = {name: _at_rest(tensor.detach()) for name, tensor in unique.items()}
            if path.startswith(f"{LANGUAGE_MODEL}/"):
                metadata = {"format": "pt"}  # what transformers asks for; it knows by itself what is tied
            else:
                metadata = {ALIASES: json.dumps(aliases)} if aliases else {}
            files[path] = Tensors(unique, metadata)
        for gpu in {one.device for tensors in live.values() for one in tensors.values() if one.is_cuda}:
            torch.cuda.synchronize(gpu)  # once for all copies
        files |= self._texts
        files[STATE] = _state_text(moment, files, self._models)
        return Snapshot(moment.number, files, self._unchanging)

    def _live(self) -> dict[str, Mapping[str, Tensor]]:
        models = self._models
        return {
            **models.tensors(),
            OPTIMIZER: optimizer_tensors(models.optimizers, models.parts),
            RNG: rng_tensors(),
        }

    def _copy(self, path: str, name: str, tensor: Tensor) -> Tensor:
        kept = self._copies.get((path, name))
        if kept is None or kept.shape != tensor.shape or kept.dtype != tensor.dtype:
            kept = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
            self._copies[path, name] = kept
        return kept.copy_(gathered(tensor.detach()), non_blocking=True)


def _at_rest(tensor: Tensor) -> Tensor:
    """A tensor itself, or all of a sharded one on the host, where it takes nothing from the training."""
    return gathered(tensor).cpu() if is_sharded(tensor) else tensor


def _state_text(moment: Moment, files: Mapping[str, Tensors | Text], models: Stateful) -> Text:
    """Write state.json, of the moment, the names of the other files, and the models."""
    everything = {
        "format": FORMAT,
        "id": moment.number,
        "epoch": moment.epoch,
        "batch": moment.batch,
        "metrics": dict(moment.metrics),
        "files": sorted(files),
        **models.bookkeeping(),
        "optimizer": {
            label: optimizer_groups(optimizer, models.parts) for label, optimizer in models.optimizers.items()
        },
        **moment.state,
    }
    try:
        text = json.dumps(everything, indent=1, allow_nan=False) + "\n"
    except ValueError:
        raise CheckpointError("The state of the loop holds a number that is not finite") from None
    return Text(text.encode())


def rng_tensors() -> dict[str, Tensor]:
    """State of every random generator that training draws from."""
    tensors = {"torch_cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors.update({f"cuda_{i}": s for i, s in enumerate(torch.cuda.get_rng_state_all())})
    return tensors


def restore_rng(tensors: Mapping[str, Tensor]) -> None:
    """Set every random generator; that of a GPU which the checkpoint was saved without stays as it is.

    Raises:
        CheckpointError: If the state of the CPU's is missing, or one is none.
    """
    if "torch_cpu" not in tensors:
        raise CheckpointError(f"{RNG}: the state of torch_cpu is missing")
    try:
        torch.set_rng_state(tensors["torch_cpu"])
        for number in range(torch.cuda.device_count()):
            if (state := tensors.get(f"cuda_{number}")) is not None:
                torch.cuda.set_rng_state(state, number)
    except (RuntimeError, TypeError):  # of another length or kind
        raise CheckpointError(f"{RNG} does not hold the state of this build's random generators") from None
