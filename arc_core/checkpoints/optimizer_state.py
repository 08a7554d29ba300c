"""The optimizers in a checkpoint: settings of their groups in state.json, moments as tensors by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from arc_core.base.errors import CheckpointError
from arc_core.base.text import printable
from arc_core.checkpoints.form import require_form
from arc_core.run.checkpoint_index import STATE

OPTIMIZER = "optimizer.safetensors"

Optimizers = Mapping[str, torch.optim.Optimizer]
Parts = Mapping[str, nn.Module]

_PLAIN = (int, float, bool, str, type(None), list, tuple)
_ANY: list[object] = []
"""The form of a list of any length."""


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
    """The moments' live tensors, as `label/part.path:slot`."""
    tensors: dict[str, Tensor] = {}
    for label, optimizer in optimizers.items():
        for group, names in zip(optimizer.param_groups, _parameter_names(optimizer, parts), strict=True):
            for parameter, name in zip(group["params"], names, strict=True):
                for slot, value in optimizer.state.get(parameter, {}).items():
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
            if found:
                optimizer.state[parameter] = {
                    slot: _moment(f"{slot} of {label}/{name}", tensor, parameter)
                    for slot, tensor in found.items()
                }


def _moment(name: str, saved: Tensor, parameter: nn.Parameter) -> Tensor:
    """A moment in the parameter's own memory layout, which the fused step relies on."""
    if saved.dim() == 0:
        return saved.clone()
    if saved.shape != parameter.shape:
        raise CheckpointError(
            f"{OPTIMIZER}: {name} has shape {tuple(saved.shape)}, not {tuple(parameter.shape)}"
        )
    return torch.empty_like(parameter).copy_(saved)
