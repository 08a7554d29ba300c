"""Step 11: reads a checkpoint back into models of the same configuration, or says what does not fit."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from arc_core.base.errors import CheckpointError, RunError
from arc_core.base.files import open_regular
from arc_core.base.paths import is_file
from arc_core.base.text import first_line, printable
from arc_core.checkpoints.form import require_form
from arc_core.checkpoints.sharded import sharded_like
from arc_core.checkpoints.tensor_file import ALIASES
from arc_core.run.checkpoint_index import FORMAT, STATE, read_manifest, read_state

PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK")
"""How pickles begin, and the zip files that torch puts them into."""
OPTIMIZER = "optimizer.safetensors"

Optimizers = Mapping[str, torch.optim.Optimizer]
Parts = Mapping[str, nn.Module]

_PLAIN = (int, float, bool, str, type(None), list, tuple)
_ANY: list[object] = []
"""The form of a list of any length."""


def restore_models(
    path: Path, live: Mapping[str, Mapping[str, Tensor]], form: Mapping[str, Any]
) -> dict[str, Any]:
    """Restore what was learned; optimizers and random generators are left alone.

    Args:
        path: The checkpoint's folder.
        live: The models' tensors by the path of their file.
        form: What state.json must look like, as `require_form` takes it.

    Returns:
        state.json.

    Raises:
        CheckpointError: If anything is missing or does not fit; names it.
    """
    state = read_state(path)
    if state.get("format") != FORMAT:
        raise CheckpointError(f"{STATE} has format {state.get('format')!r}; this version reads {FORMAT}")
    require_form(state, form, STATE)
    _require_files(path, cast("list[object]", state["files"]))
    for name, tensors in live.items():
        restore_tensors(path / name, tensors)
    return state


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a file's tensors, and its aliases: from each further name of a tensor to the one it is under.

    Raises:
        CheckpointError: If it is missing, damaged, or a pickle.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            aliases = json.loads((file.metadata() or {}).get(ALIASES, "{}"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing") from None
    except (SafetensorError, OSError, ValueError) as error:
        if _is_pickle(path):
            raise CheckpointError(
                f"{path} is a pickle, which is never read: where you trust it, load its tensors elsewhere "
                "and write them with safetensors.torch.save_file"
            ) from None
        raise CheckpointError(f"{path} cannot be read: {first_line(error)}") from None
    if not isinstance(aliases, dict):
        raise CheckpointError(f"{path}: its {ALIASES} are no object")
    return tensors, {str(name): str(target) for name, target in cast("dict[str, object]", aliases).items()}


def _require_files(path: Path, listed: list[object]) -> None:
    """Hold what state.json says of the files beside it against the manifest and the folder."""
    there = {entry.name for entry in read_manifest(path)} - {STATE}
    if foreign := sorted(there - set(map(str, listed))):
        raise CheckpointError(f"{STATE}: {printable(foreign[0])} is missing from files")
    for name in map(str, listed):
        if name not in there or not is_file(path / PurePosixPath(name)):
            raise CheckpointError(f"{printable(name)} is missing")


def _is_pickle(path: Path) -> bool:
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            return file.read(2) in PICKLE_STARTS
    except (OSError, RunError):
        return False


@torch.no_grad()
def restore_tensors(path: Path, live: Mapping[str, Tensor]) -> None:
    """Copy a file's tensors into live ones of the same names, shapes and types.

    Raises:
        CheckpointError: If the file cannot be read, or a tensor does not fit; names it.
    """
    saved, aliases = read_tensors(path)
    saved |= {name: saved[target] for name, target in aliases.items() if target in saved}
    if missing := sorted(live.keys() - saved.keys()):
        raise CheckpointError(f"{path}: {missing[0]} is missing")
    if foreign := sorted(saved.keys() - live.keys()):
        raise CheckpointError(f"{path}: {printable(foreign[0], 200)} does not belong to this configuration")
    for name, tensor in live.items():
        if saved[name].shape != tensor.shape:
            raise CheckpointError(
                f"{path}: {name} has shape {tuple(saved[name].shape)}, not {tuple(tensor.shape)}"
            )
        if saved[name].dtype != tensor.dtype:
            raise CheckpointError(f"{path}: {name} holds {saved[name].dtype}, not {tensor.dtype}")
        tensor.copy_(sharded_like(saved[name], tensor))


def restore_optimizers(
    optimizers: Optimizers, parts: Parts, saved: object, tensors: Mapping[str, Tensor]
) -> None:
    """Give optimizers their groups' settings and their moments back.

    Args:
        optimizers: By label.
        parts: The modules whose parameters they move, by name.
        saved: What state.json holds under `optimizer`.
        tensors: Of optimizer.safetensors.

    Raises:
        CheckpointError: If anything is missing or does not fit; names it.
    """
    require_form(saved, dict.fromkeys(optimizers, _ANY), STATE, "optimizer")
    groups = cast("dict[str, Any]", saved)
    slots: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, slot = key.rpartition(":")
        slots.setdefault(name, {})[slot] = tensor
    for label, optimizer in optimizers.items():
        _restore_optimizer(label, optimizer, groups[label], slots, parts)
    if slots:
        foreign = printable(next(iter(slots)), 200)
        raise CheckpointError(f"{OPTIMIZER}: {foreign} does not belong to this configuration")


def _parameter_names(optimizer: torch.optim.Optimizer, parts: Parts) -> list[list[str]]:
    """For each group the names `part.path` of its parameters, in its order."""
    names = {
        id(parameter): f"{part}.{name}"
        for part, module in parts.items()
        for name, parameter in module.named_parameters()
    }
    return [[names[id(parameter)] for parameter in group["params"]] for group in optimizer.param_groups]


def optimizer_tensors(optimizers: Optimizers, parts: Parts) -> dict[str, Tensor]:
    """The moments' live tensors, as `label/part.path:slot`.

    Raises:
        CheckpointError: If an optimizer keeps something else there.
    """
    tensors: dict[str, Tensor] = {}
    for label, optimizer in optimizers.items():
        for group, names in zip(optimizer.param_groups, _parameter_names(optimizer, parts), strict=True):
            for parameter, name in zip(group["params"], names, strict=True):
                for slot, value in optimizer.state.get(parameter, {}).items():
                    if not isinstance(value, Tensor):
                        raise CheckpointError(
                            f"the optimizer {label} keeps {slot} of {name} as a {type(value).__name__}, and "
                            "checkpoints hold tensors alone"
                        )
                    tensors[f"{label}/{name}:{slot}"] = value
    return tensors


def optimizer_groups(optimizer: torch.optim.Optimizer, parts: Parts) -> list[dict[str, Any]]:
    """Each group's settings, and which moments each of its parameters has by now; JSON-able."""
    found: list[dict[str, Any]] = []
    for group, names in zip(optimizer.param_groups, _parameter_names(optimizer, parts), strict=True):
        moments = {
            name: sorted(optimizer.state.get(parameter, {}))
            for name, parameter in zip(names, group["params"], strict=True)
        }
        found.append({**_settings(group), "moments": moments})
    return found


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in group.items() if k != "params" and isinstance(v, _PLAIN)}


def _restore_optimizer(
    label: str,
    optimizer: torch.optim.Optimizer,
    saved: object,
    slots: dict[str, dict[str, Tensor]],
    parts: Parts,
) -> None:
    where = f"{STATE}: the {label} optimizer"
    groups, names = cast("list[dict[str, Any]]", saved), _parameter_names(optimizer, parts)
    if len(groups) != len(optimizer.param_groups):
        raise CheckpointError(f"{where} does not have {len(optimizer.param_groups)} groups")
    form = [
        {**_settings(group), "moments": dict.fromkeys(own, _ANY)}
        for group, own in zip(optimizer.param_groups, names, strict=True)
    ]
    require_form(groups, form, where)
    for group, own, entry in zip(optimizer.param_groups, names, groups, strict=True):
        moments = {name: set(map(str, slots_of)) for name, slots_of in entry["moments"].items()}
        # Weight decay is what the configuration says now; the rest is part of the state.
        kept = {k: v for k, v in entry.items() if k not in ("moments", "weight_decay")}
        group.update({k: tuple(v) if isinstance(v, list) else v for k, v in kept.items()})
        for parameter, name in zip(group["params"], own, strict=True):
            found = slots.pop(f"{label}/{name}", {})
            if missing := sorted(moments[name] - found.keys()):
                raise CheckpointError(f"{OPTIMIZER}: {missing[0]} of {label}/{name} is missing")
            if missing := sorted(found.keys() - moments[name]):
                raise CheckpointError(f"{where}: {missing[0]} is missing from the moments of {name}")
            optimizer.state.pop(parameter, None)
            # A count of steps is read by the device's own kernel, or else by the host.
            on_device = group.get("fused") or group.get("capturable")
            counts_on = parameter.device if on_device else torch.device("cpu")
            if found:
                optimizer.state[parameter] = {
                    slot: _moment(f"{slot} of {label}/{name}", tensor, parameter, counts_on)
                    for slot, tensor in found.items()
                }


def _moment(name: str, saved: Tensor, parameter: nn.Parameter, counts_on: torch.device) -> Tensor:
    """A moment in the parameter's own memory layout, which the fused step relies on; a count where it is."""
    if saved.dim() == 0:
        return saved.to(counts_on, copy=True)
    if saved.shape != parameter.shape:
        raise CheckpointError(
            f"{OPTIMIZER}: {name} has shape {tuple(saved.shape)}, not {tuple(parameter.shape)}"
        )
    return torch.empty_like(parameter).copy_(sharded_like(saved, parameter))
