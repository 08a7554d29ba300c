"""Step 11: checkpoints of everything that the next step depends on, as safetensors and JSON.

A checkpoint is written under a temporary name, synced, given its manifest, renamed into place and read
back. No pickle in any form.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from arc_core.agent import ARCPromptGuidedAgentGPU
from arc_core.checkpoint_index import (
    MANIFEST,
    STATE,
    TEMPORARY_PREFIX,
    checkpoint_id,
    checkpoint_name,
    describe_files,
    list_checkpoints,
    next_id,
    problems_of,
    read_state,
)
from arc_core.errors import CheckpointError
from arc_core.loss import EFELoss
from arc_core.memory import PermanentSolver
from arc_core.policy import PolicyRefinedAgent
from arc_core.prompt import QwenHybridPrompt

FORMAT = 1
LANGUAGE_MODEL = "lm"
_BACKBONE = "language_model."
_NUMBER = (int, float, bool, str, type(None), list, tuple)


class ModelPersistence:
    """Writes, verifies, prunes and restores the checkpoints of one folder.

    Args:
        directory: The folder; made on the first save.
        keep: Newest checkpoints kept, beside the best.
    """

    def __init__(self, directory: Path | str = "checkpoints", keep: int = 5) -> None:
        self.directory = Path(directory)
        self.keep = keep

    def save_checkpoint(
        self,
        agent: ARCPromptGuidedAgentGPU,
        qwen: QwenHybridPrompt,
        solver: PermanentSolver,
        efe_loss: EFELoss,
        policy: PolicyRefinedAgent,
        optimizer: torch.optim.Optimizer,
        epoch: int,
        batch: int,
        metrics: Mapping[str, float],
        state: Mapping[str, Any] | None = None,
        on_saved: Callable[[Path], None] | None = None,
    ) -> Path:
        """Save a checkpoint (the seed's call; `state` adds what else the next step depends on).

        Args:
            agent: The agent.
            qwen: The prompt with its language model.
            solver: The memory.
            efe_loss: The loss.
            policy: The policy with its own optimizer.
            optimizer: The optimizer of everything else.
            epoch: 0-based.
            batch: 0-based in the epoch; the one that was trained last.
            metrics: Numbers to show beside the checkpoint.
            state: JSON-able state of the loop.
            on_saved: Told of the folder once it is in place and before it is read back.

        Returns:
            The checkpoint's folder, after it was read back.

        Raises:
            CheckpointError: If what is read back is not what was written.
            OSError: If it cannot be written; nothing of it is left then.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = next_id(self.directory)
        final = self.directory / checkpoint_name(number)
        folder = self.directory / f"{TEMPORARY_PREFIX}{final.name}"
        modules = _parts(agent, qwen, solver, efe_loss, policy)
        folder.mkdir(mode=0o700)
        try:
            for name, module in modules.items():
                _save(folder / f"{name}.safetensors", _module_tensors(name, module))
            _save(folder / "optimizer.safetensors", _optimizer_tensors(modules, optimizer, policy))
            _save(folder / "rng.safetensors", rng_tensors())
            qwen.language_model.save(folder / LANGUAGE_MODEL)
            _write_json(
                folder / STATE,
                {
                    "format": FORMAT,
                    "id": number,
                    "epoch": epoch,
                    "batch": batch,
                    "metrics": dict(metrics),
                    "memory": solver.bookkeeping,
                    "optimizer": {"main": _groups(optimizer), "policy": _groups(policy.optimizer)},
                    **(state or {}),
                },
            )
            for path in folder.rglob("*"):
                if path.is_file():
                    path.chmod(0o600)
                _sync(path)
            files = [vars(entry) for entry in describe_files(folder)]
            _write_json(folder / MANIFEST, {"format": FORMAT, "files": files})
            _sync(folder / MANIFEST)
            _sync(folder)
            folder.rename(final)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        _sync(self.directory)
        if on_saved is not None:
            on_saved(final)
        if problems := problems_of(final):
            raise CheckpointError(f"{final.name} did not read back: {'; '.join(problems)}")
        self._hint("latest", final.name)
        return final

    def mark_best(self, path: Path) -> None:
        """Note a checkpoint as the best one, which is never pruned."""
        self._hint("best", path.name)

    def prune(self) -> list[Path]:
        """Remove all but the newest `keep` and the best; return what was removed."""
        best = self.directory / "best"
        kept = best.read_text(encoding="utf-8").strip() if best.is_file() else ""
        old = [path for path in list_checkpoints(self.directory)[: -self.keep] if path.name != kept]
        for path in old:
            # A half-removed checkpoint must not look like one.
            doomed = path.with_name(f"{TEMPORARY_PREFIX}{path.name}")
            path.rename(doomed)
            shutil.rmtree(doomed)
        return old

    def _hint(self, name: str, value: str) -> None:
        temporary = self.directory / f"{TEMPORARY_PREFIX}{name}"
        temporary.write_text(value + "\n", encoding="utf-8")
        temporary.replace(self.directory / name)

    def load_checkpoint(
        self,
        path: Path,
        agent: ARCPromptGuidedAgentGPU,
        qwen: QwenHybridPrompt,
        solver: PermanentSolver,
        efe_loss: EFELoss,
        policy: PolicyRefinedAgent,
        optimizer: torch.optim.Optimizer,
    ) -> dict[str, Any]:
        """Restore everything from a checkpoint into models of the same configuration.

        The language model's own weights are those of `path / "lm"`; load it from there first.

        Returns:
            state.json.

        Raises:
            CheckpointError: If anything is missing or does not fit.
        """
        state = read_state(path)
        if state.get("format") != FORMAT:
            raise CheckpointError(
                f"{path.name} has format {state.get('format')!r}; this version reads {FORMAT}"
            )
        modules = _parts(agent, qwen, solver, efe_loss, policy)
        for name, module in modules.items():
            _restore(path / f"{name}.safetensors", _module_tensors(name, module))
        try:
            solver.restore_bookkeeping(state["memory"])
            groups = state["optimizer"]
            tensors = _read(path / "optimizer.safetensors")
            _restore_optimizer("main", optimizer, groups["main"], tensors, modules)
            _restore_optimizer("policy", policy.optimizer, groups["policy"], tensors, modules)
        except KeyError as error:
            raise CheckpointError(f"{path.name}: {error.args[0]} is missing from its state") from None
        restore_rng(_read(path / "rng.safetensors"))
        return state


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
            raise CheckpointError(f"rng.safetensors: the state of {name} is missing")
    torch.set_rng_state(tensors["torch_cpu"])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all([tensors[f"cuda_{i}"] for i in range(torch.cuda.device_count())])


def _parts(
    agent: nn.Module, qwen: nn.Module, solver: nn.Module, efe_loss: nn.Module, policy: nn.Module
) -> dict[str, nn.Module]:
    return {"agent": agent, "policy": policy, "memory": solver, "efe_loss": efe_loss, "prompt": qwen}


def _module_tensors(part: str, module: nn.Module) -> dict[str, Tensor]:
    """A module's live tensors; of the prompt without the backbone, which `lm/` holds."""
    tensors = dict(module.state_dict(keep_vars=False))
    if part == "prompt":
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(_BACKBONE)}
        adapters = cast(QwenHybridPrompt, module).language_model.adapter_state()
        tensors.update({f"adapter.{name}": tensor for name, tensor in adapters.items()})
    return tensors


def _names(modules: Mapping[str, nn.Module]) -> dict[int, str]:
    """Each parameter's name, `part.path`, by identity."""
    return {
        id(parameter): f"{part}.{name}"
        for part, module in modules.items()
        for name, parameter in module.named_parameters()
    }


def _slots(
    label: str, optimizer: torch.optim.Optimizer, modules: Mapping[str, nn.Module]
) -> Iterator[tuple[str, nn.Parameter]]:
    names = _names(modules)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            yield f"{label}/{names[id(parameter)]}", parameter


def _optimizer_tensors(
    modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer, policy: PolicyRefinedAgent
) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for label, one in (("main", optimizer), ("policy", policy.optimizer)):
        for name, parameter in _slots(label, one, modules):
            for slot, value in one.state.get(parameter, {}).items():
                tensors[f"{name}:{slot}"] = value
    return tensors


def _groups(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Each group's settings without its parameters."""
    return [
        {key: value for key, value in group.items() if key != "params" and isinstance(value, _NUMBER)}
        for group in optimizer.param_groups
    ]


def _restore_optimizer(
    label: str,
    optimizer: torch.optim.Optimizer,
    groups: list[dict[str, Any]],
    tensors: Mapping[str, Tensor],
    modules: Mapping[str, nn.Module],
) -> None:
    if len(groups) != len(optimizer.param_groups):
        raise CheckpointError(
            f"the checkpoint's {label} optimizer has {len(groups)} groups, not {len(optimizer.param_groups)}"
        )
    for group, saved in zip(optimizer.param_groups, groups, strict=True):
        group.update({key: tuple(v) if isinstance(v, list) else v for key, v in saved.items()})
    by_parameter: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, slot = key.rsplit(":", 1)
        by_parameter.setdefault(name, {})[slot] = tensor
    for name, parameter in _slots(label, optimizer, modules):
        slots = by_parameter.get(name)
        if slots is None:
            continue  # a parameter that has not had a gradient yet has no moments
        optimizer.state[parameter] = {
            # Moments take the parameter's own memory layout, which the fused step relies on.
            slot: tensor.clone() if tensor.dim() == 0 else torch.empty_like(parameter).copy_(tensor)
            for slot, tensor in slots.items()
        }


def _save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None


@torch.no_grad()
def _restore(path: Path, live: Mapping[str, Tensor]) -> None:
    """Copy a file's tensors into live ones of the same names and shapes."""
    saved = _read(path)
    if missing := sorted(live.keys() - saved.keys()):
        raise CheckpointError(f"{path}: {missing[0]} is missing")
    if foreign := sorted(saved.keys() - live.keys()):
        raise CheckpointError(f"{path}: {foreign[0]} does not belong to this configuration")
    for name, tensor in live.items():
        if saved[name].shape != tensor.shape:
            raise CheckpointError(
                f"{path}: {name} has shape {tuple(saved[name].shape)}, not {tuple(tensor.shape)}"
            )
        tensor.copy_(saved[name])


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    path.chmod(0o600)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = ["FORMAT", "LANGUAGE_MODEL", "ModelPersistence", "checkpoint_id", "restore_rng", "rng_tensors"]
