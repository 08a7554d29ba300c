"""What the optimizer Muon moves of an agent: the matrices between its layers; AdamW moves all else.

Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers") replaces a matrix's momentum by the nearest
orthogonal one. In pretraining on small pairs its loss is 0.40 after 154 seconds, where AdamW's is 0.60 after
147, see docs/results.md.
"""

from __future__ import annotations

from torch import nn

MUON_RATE = 20 / 3
"""Muon's learning rate by AdamW's: steps of orthogonal matrices are larger."""

MUON_DECAY = 0.01

PROMPT_RATE = 3.0
"""Learning rate of pretrained tasks' prompts by that of all else: each is in one batch out of many."""

HIDDEN = ("planner", "encoder", "transfer", "enter")
"""Parts of `CanvasPlanner` whose matrices lie between layers."""


def is_hidden_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter of `CanvasPlanner` is a matrix between two layers, as Muon wants them."""
    return parameter.ndim == 2 and name.split(".")[0] in HIDDEN
