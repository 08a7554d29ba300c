"""Step 11: what a checkpoint is made of. A snapshot is taken at a step boundary and written later.

Taking one copies every tensor that the next step depends on, so that training may go on while another
thread writes. Copies are made into the same memory each time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from arc_core.base.errors import CheckpointError
from arc_core.checkpoints.optimizer_state import OPTIMIZER, optimizer_groups, optimizer_tensors
from arc_core.checkpoints.tensor_file import encode, size_in_bytes, split_aliases
from arc_core.pipeline.agent import ARCPromptGuidedAgentGPU
from arc_core.pipeline.loss import EFELoss
from arc_core.pipeline.memory import PermanentSolver
from arc_core.pipeline.policy import PolicyRefinedAgent
from arc_core.pipeline.prompt import QwenHybridPrompt
from arc_core.run.checkpoint_index import FORMAT, STATE

LANGUAGE_MODEL = "lm"
RNG = "rng.safetensors"
ALIASES = "aliases"
"""Header entry of a file with tied tensors: JSON from each further name to the one that is written."""

STATE_FORM = {
    "format": FORMAT,
    "id": 0,
    "epoch": 0,
    "batch": 0,
    "metrics": {},
    "files": [],
    "memory": {"keys": [], "stored_ever": 0},
    "optimizer": {"main": [], "policy": []},
}
"""What state.json holds whoever saves it, as `require_form` takes it; the loop's own state lies beside it."""

_BACKBONE = "language_model."


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


@dataclass(frozen=True)
class Models:
    """Everything of a run that has state, by the seed's names."""

    agent: ARCPromptGuidedAgentGPU
    qwen: QwenHybridPrompt
    solver: PermanentSolver
    efe_loss: EFELoss
    policy: PolicyRefinedAgent
    optimizer: torch.optim.Optimizer

    @property
    def parts(self) -> dict[str, nn.Module]:
        """The modules by the name of their file."""
        return {
            "agent": self.agent,
            "policy": self.policy,
            "memory": self.solver,
            "efe_loss": self.efe_loss,
            "prompt": self.qwen,
        }

    @property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """The optimizers by their label in a checkpoint."""
        return {"main": self.optimizer, "policy": self.policy.optimizer}


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
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._copies: dict[tuple[str, str], Tensor] = {}
        self._layout = models.qwen.language_model.layout_files()

    @property
    def bytes(self) -> int:
        """Bytes that a copy takes."""
        return sum(
            size_in_bytes(tensors) for path, tensors in self._live().items() if path not in self._unchanging
        )

    def take(self, moment: Moment, *, copy: bool = True) -> Snapshot:
        """Take a snapshot; the one before it must have been written.

        Args:
            moment: When it is taken.
            copy: False shares memory with the models, which must then stand still until it is written.

        Raises:
            CheckpointError: If the loop's state holds a number that is not finite.
        """
        models, files = self._models, dict[str, Tensors | Text]()
        for path, tensors in self._live().items():
            unique, aliases = split_aliases(tensors)
            if copy and path not in self._unchanging:
                unique = {name: self._copy(path, name, tensor) for name, tensor in unique.items()}
            else:
                unique = {name: tensor.detach().cpu() for name, tensor in unique.items()}
            if path.startswith(f"{LANGUAGE_MODEL}/"):
                metadata = {"format": "pt"}  # what transformers asks for; it knows by itself what is tied
            else:
                metadata = {ALIASES: json.dumps(aliases)} if aliases else {}
            files[path] = Tensors(unique, metadata)
        files |= {f"{LANGUAGE_MODEL}/{name}": Text(content) for name, content in self._layout.items()}
        own = {"memory": models.solver.bookkeeping}
        files[STATE] = state_text(moment, files, own, models.optimizers, models.parts)
        return Snapshot(moment.number, files, self._unchanging)

    @property
    def _unchanging(self) -> frozenset[str]:
        # Small files are written anew: sharing saves nothing, and damage to one would be damage to all.
        language_model = self._models.qwen.language_model
        trained = any(weight.requires_grad for weight in language_model.weights().values())
        return frozenset() if trained else frozenset({f"{LANGUAGE_MODEL}/model.safetensors"})

    def _live(self) -> dict[str, Mapping[str, Tensor]]:
        models = self._models
        return {
            **{f"{part}.safetensors": module_tensors(part, m) for part, m in models.parts.items()},
            OPTIMIZER: optimizer_tensors(models.optimizers, models.parts),
            RNG: rng_tensors(),
            f"{LANGUAGE_MODEL}/model.safetensors": models.qwen.language_model.weights(),
        }

    def _copy(self, path: str, name: str, tensor: Tensor) -> Tensor:
        kept = self._copies.get((path, name))
        if kept is None or kept.shape != tensor.shape or kept.dtype != tensor.dtype:
            kept = torch.empty(tensor.shape, dtype=tensor.dtype)
            self._copies[path, name] = kept
        return kept.copy_(tensor.detach())


def state_text(
    moment: Moment,
    files: Mapping[str, Tensors | Text],
    own: Mapping[str, Any],
    optimizers: Mapping[str, torch.optim.Optimizer],
    parts: Mapping[str, nn.Module],
) -> Text:
    """Write state.json.

    Args:
        moment: When the snapshot is taken.
        files: What else is in the checkpoint.
        own: What models of this kind keep beside their tensors.
        optimizers: Theirs, by label.
        parts: The modules whose parameters these move, by name.

    Raises:
        CheckpointError: If the loop's state holds a number that is not finite.
    """
    groups = {label: optimizer_groups(optimizer, parts) for label, optimizer in optimizers.items()}
    everything = {
        "format": FORMAT,
        "id": moment.number,
        "epoch": moment.epoch,
        "batch": moment.batch,
        "metrics": dict(moment.metrics),
        "files": sorted(files),
        **own,
        "optimizer": groups,
        **moment.state,
    }
    try:
        text = json.dumps(everything, indent=1, allow_nan=False) + "\n"
    except ValueError:
        raise CheckpointError("The state of the loop holds a number that is not finite") from None
    return Text(text.encode())


def module_tensors(part: str, module: nn.Module) -> dict[str, Tensor]:
    """A module's live tensors; of the prompt without the backbone, which `lm/` holds."""
    tensors = dict(module.state_dict(keep_vars=False))
    if part == "prompt":
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(_BACKBONE)}
        adapters = cast(QwenHybridPrompt, module).language_model.adapter_state()
        tensors.update({f"adapter.{name}": tensor for name, tensor in adapters.items()})
    return tensors


def rng_tensors() -> dict[str, Tensor]:
    """State of every random generator that training draws from."""
    tensors = {"torch_cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors.update({f"cuda_{i}": s for i, s in enumerate(torch.cuda.get_rng_state_all())})
    return tensors


def restore_rng(tensors: Mapping[str, Tensor]) -> None:
    """Set every random generator.

    Raises:
        CheckpointError: If a generator's state is missing or none.
    """
    for name in rng_tensors():
        if name not in tensors:
            raise CheckpointError(f"{RNG}: the state of {name} is missing")
    try:
        torch.set_rng_state(tensors["torch_cpu"])
        if torch.cuda.is_available():
            torch.cuda.set_rng_state_all([tensors[f"cuda_{i}"] for i in range(torch.cuda.device_count())])
    except (RuntimeError, TypeError):  # of another length or kind
        raise CheckpointError(f"{RNG} does not hold the state of this build's random generators") from None
