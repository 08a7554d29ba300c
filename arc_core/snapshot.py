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

from arc_core.agent import ARCPromptGuidedAgentGPU
from arc_core.checkpoint_index import FORMAT, STATE
from arc_core.errors import CheckpointError
from arc_core.loss import EFELoss
from arc_core.memory import PermanentSolver
from arc_core.policy import PolicyRefinedAgent
from arc_core.prompt import QwenHybridPrompt
from arc_core.tensor_file import encode, size_in_bytes, split_aliases

LANGUAGE_MODEL = "lm"
OPTIMIZER = "optimizer.safetensors"
RNG = "rng.safetensors"
ALIASES = "aliases"
"""Header entry of a file with tied tensors: JSON from each further name to the one that is written."""

_BACKBONE = "language_model."
_NUMBER = (int, float, bool, str, type(None), list, tuple)


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

    def take(
        self,
        number: int,
        epoch: int,
        batch: int,
        metrics: Mapping[str, float],
        state: Mapping[str, Any],
        *,
        copy: bool = True,
    ) -> Snapshot:
        """Take a snapshot; the one before it must have been written.

        Args:
            number: The checkpoint's id.
            epoch: 0-based.
            batch: 0-based in the epoch; the one that was trained last.
            metrics: Numbers to show beside the checkpoint.
            state: JSON-able state of the loop.
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
        content = {
            "format": FORMAT,
            "id": number,
            "epoch": epoch,
            "batch": batch,
            "metrics": dict(metrics),
            "memory": models.solver.bookkeeping,
            "optimizer": {
                "main": _groups(models.optimizer, models.parts),
                "policy": _groups(models.policy.optimizer, models.parts),
            },
            **state,
        }
        try:
            text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        except ValueError:
            raise CheckpointError("The state of the loop holds a number that is not finite") from None
        files[STATE] = Text(text.encode())
        return Snapshot(number, files, self._unchanging)

    @property
    def _unchanging(self) -> frozenset[str]:
        fixed = {f"{LANGUAGE_MODEL}/{name}" for name in self._layout}
        language_model = self._models.qwen.language_model
        if not any(weight.requires_grad for weight in language_model.weights().values()):
            fixed.add(f"{LANGUAGE_MODEL}/model.safetensors")
        return frozenset(fixed)

    def _live(self) -> dict[str, Mapping[str, Tensor]]:
        models = self._models
        return {
            **{f"{part}.safetensors": module_tensors(part, m) for part, m in models.parts.items()},
            OPTIMIZER: _optimizer_tensors(models),
            RNG: rng_tensors(),
            f"{LANGUAGE_MODEL}/model.safetensors": models.qwen.language_model.weights(),
        }

    def _copy(self, path: str, name: str, tensor: Tensor) -> Tensor:
        kept = self._copies.get((path, name))
        if kept is None or kept.shape != tensor.shape or kept.dtype != tensor.dtype:
            kept = torch.empty(tensor.shape, dtype=tensor.dtype)
            self._copies[path, name] = kept
        return kept.copy_(tensor.detach())


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
        CheckpointError: If a generator's state is missing.
    """
    for name in rng_tensors():
        if name not in tensors:
            raise CheckpointError(f"{RNG}: the state of {name} is missing")
    torch.set_rng_state(tensors["torch_cpu"])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all([tensors[f"cuda_{i}"] for i in range(torch.cuda.device_count())])


def restore_optimizers(models: Models, saved: object, tensors: Mapping[str, Tensor]) -> None:
    """Give both optimizers their groups' settings and their moments back.

    Args:
        models: Whose optimizers are set.
        saved: What state.json holds under `optimizer`.
        tensors: Of optimizer.safetensors.

    Raises:
        CheckpointError: If anything is missing or does not fit; names it.
    """
    if not isinstance(saved, dict):
        raise CheckpointError(f"{STATE}: optimizer is no object")
    groups = cast("dict[str, Any]", saved)
    slots: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, slot = key.rpartition(":")
        slots.setdefault(name, {})[slot] = tensor
    for label, optimizer in (("main", models.optimizer), ("policy", models.policy.optimizer)):
        if label not in groups:
            raise CheckpointError(f"{STATE}: optimizer lacks {label}")
        _restore_optimizer(label, optimizer, groups[label], slots, models.parts)
    if slots:
        raise CheckpointError(f"{OPTIMIZER}: {next(iter(slots))} does not belong to this configuration")


def _parameter_names(optimizer: torch.optim.Optimizer, parts: Mapping[str, nn.Module]) -> list[list[str]]:
    """For each group the names `part.path` of its parameters, in its order."""
    names = {
        id(parameter): f"{part}.{name}"
        for part, module in parts.items()
        for name, parameter in module.named_parameters()
    }
    return [[names[id(parameter)] for parameter in group["params"]] for group in optimizer.param_groups]


def _optimizer_tensors(models: Models) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for label, optimizer in (("main", models.optimizer), ("policy", models.policy.optimizer)):
        for group, names in zip(
            optimizer.param_groups, _parameter_names(optimizer, models.parts), strict=True
        ):
            for parameter, name in zip(group["params"], names, strict=True):
                for slot, value in optimizer.state.get(parameter, {}).items():
                    tensors[f"{label}/{name}:{slot}"] = value
    return tensors


def _groups(optimizer: torch.optim.Optimizer, parts: Mapping[str, nn.Module]) -> list[dict[str, Any]]:
    """Each group's settings, and which moments each of its parameters has by now."""
    found: list[dict[str, Any]] = []
    for group, names in zip(optimizer.param_groups, _parameter_names(optimizer, parts), strict=True):
        settings = {k: v for k, v in group.items() if k != "params" and isinstance(v, _NUMBER)}
        moments = {
            name: sorted(optimizer.state.get(parameter, {}))
            for name, parameter in zip(names, group["params"], strict=True)
        }
        found.append({**settings, "moments": moments})
    return found


def _restore_optimizer(
    label: str,
    optimizer: torch.optim.Optimizer,
    saved: object,
    slots: dict[str, dict[str, Tensor]],
    parts: Mapping[str, nn.Module],
) -> None:
    where = f"{STATE}: the {label} optimizer"
    if not isinstance(saved, list) or len(cast("list[Any]", saved)) != len(optimizer.param_groups):
        raise CheckpointError(f"{where} does not have {len(optimizer.param_groups)} groups")
    names = _parameter_names(optimizer, parts)
    for number, (group, own) in enumerate(zip(optimizer.param_groups, names, strict=True)):
        entry = cast("list[Any]", saved)[number]
        if not isinstance(entry, dict) or not isinstance(cast("dict[str, Any]", entry).get("moments"), dict):
            raise CheckpointError(f"{where}: group {number} lacks its moments")
        settings = dict(cast("dict[str, Any]", entry))
        moments = cast("dict[str, list[str]]", settings.pop("moments"))
        expected = {k for k, v in group.items() if k != "params" and isinstance(v, _NUMBER)}
        if missing := sorted(expected - settings.keys()):
            raise CheckpointError(f"{where}: group {number} lacks {missing[0]}")
        if missing := sorted(set(own) - moments.keys()):
            raise CheckpointError(f"{where}: group {number} lacks the moments of {missing[0]}")
        group.update({k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()})
        for parameter, name in zip(group["params"], own, strict=True):
            found = slots.pop(f"{label}/{name}", {})
            if missing := sorted(set(moments[name]) - found.keys()):
                raise CheckpointError(f"{OPTIMIZER}: {missing[0]} of {label}/{name} is missing")
            if found:
                optimizer.state[parameter] = {
                    # Moments take the parameter's own memory layout, which the fused step relies on.
                    slot: tensor.clone() if tensor.dim() == 0 else torch.empty_like(parameter).copy_(tensor)
                    for slot, tensor in found.items()
                }
