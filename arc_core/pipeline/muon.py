"""The optimizers of the solver's agent: Muon for the matrices between its layers, AdamW for all else.

Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers") replaces a matrix's momentum by the nearest
orthogonal one. In pretraining on small pairs its loss is 0.40 after 154 seconds, where AdamW's is 0.60 after
147, see docs/results.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

MUON_RATE = 20 / 3
"""Muon's learning rate by AdamW's: steps of orthogonal matrices are larger."""

MUON_DECAY = 0.01

PROMPT_RATE = 3.0
"""Learning rate of pretrained tasks' prompts by that of all else: each is in one batch out of many."""

TASK_PROMPTS = "task_prompts"
"""Name of the pretrained tasks' prompts among the weights, [tasks, 8 or 1, P]."""

HIDDEN = ("planner", "encoder", "transfer", "enter")
"""Parts of `CanvasPlanner` whose matrices lie between layers."""


def is_hidden_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter of `CanvasPlanner` is a matrix between two layers, as Muon wants them."""
    return parameter.ndim == 2 and name.split(".")[0] in HIDDEN


def agent_optimizers(
    net: nn.Module,
    others: Iterable[nn.Parameter],
    *,
    kind: str,
    rate: float,
    weight_decay: float,
) -> dict[str, torch.optim.Optimizer]:
    """Make the optimizers of an agent by label: `main`, and `muon` where that is asked for.

    Args:
        net: A `CanvasPlanner`.
        others: Further parameters, for AdamW.
        kind: `adamw`, `adam` or `muon`.
        rate: AdamW's learning rate; every group has its own as `base_lr`.
        weight_decay: Of AdamW; Muon's is `MUON_DECAY`.
    """
    named = [(name, p) for name, p in net.named_parameters() if p.requires_grad]
    hidden = [p for name, p in named if kind == "muon" and is_hidden_matrix(name, p)]
    prompts = [p for name, p in named if name == TASK_PROMPTS]
    apart = {id(p) for p in (*hidden, *prompts)}
    rest = [*(p for _, p in named if id(p) not in apart), *others]
    groups = [_group(rest, rate, 1.0, weight_decay)]
    if prompts:
        groups.append(_group(prompts, rate, PROMPT_RATE, 0.0))
    adam = torch.optim.Adam if kind == "adam" else torch.optim.AdamW
    made: dict[str, torch.optim.Optimizer] = {"main": adam(groups, fused=True)}
    if hidden:
        made["muon"] = torch.optim.Muon([_group(hidden, rate, MUON_RATE, MUON_DECAY)])
    return made


def _group(parameters: list[nn.Parameter], rate: float, factor: float, weight_decay: float) -> dict[str, Any]:
    lr = factor * rate
    return {
        "params": parameters,
        "name": "agent",
        "lr": lr,
        "base_lr": lr,
        "factor": factor,
        "weight_decay": weight_decay,
    }
