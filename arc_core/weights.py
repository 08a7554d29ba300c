"""Weights of the solver in a file: float16 tensors, and what they are and were trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from arc_core.durable import replace_file
from arc_core.errors import CheckpointError
from arc_core.options import Value
from arc_core.protocol import SeenTasks
from arc_core.solver_config import ARCHITECTURE, SolverConfig
from arc_core.solver_net import SolverNet
from arc_core.tensor_file import encode
from arc_core.text import printable

NOTES = "arc_tui"
"""Entry of the file's header that holds everything beside the tensors, as JSON."""

LARGEST_BYTES = 20_000_000


@dataclass(frozen=True)
class Weights:
    """What a weights file holds."""

    tensors: dict[str, Tensor]
    """float32, by their names in `SolverNet`."""
    architecture: dict[str, Value]
    """The options that the net was built with."""
    seen: SeenTasks
    """What it was trained on."""
    recipe: dict[str, Any]
    """How it was made: settings, seed, steps, data; to be read by people."""


def save_weights(
    path: Path, net: SolverNet, seen: SeenTasks, recipe: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> int:
    """Write weights as float16, whole or not at all.

    Args:
        path: The file, replaced if it is there.
        net: Whose architecture it is.
        seen: Every task that the weights were trained on.
        recipe: How they were made.
        tensors: By their names in `SolverNet`, as of the net itself or averaged.

    Returns:
        The size of the file in bytes.

    Raises:
        CheckpointError: If a value does not fit float16, or the file would be larger than 20 MB.
    """
    halves = {name: tensor.detach().to("cpu", torch.float16) for name, tensor in tensors.items()}
    for name, tensor in halves.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"The weights {name} do not fit float16.")
    notes = {"architecture": net.config.architecture(), "seen": seen.to_json(), "recipe": dict(recipe)}
    content = b"".join(bytes(piece) for piece in encode(halves, {NOTES: json.dumps(notes)}))
    if len(content) > LARGEST_BYTES:
        raise CheckpointError(
            f"The weights take {len(content) / 1e6:.1f} MB; a weights file has at most "
            f"{LARGEST_BYTES / 1e6:.0f} MB."
        )
    replace_file(path, content)
    return len(content)


def load_weights(path: Path | str) -> Weights:
    """Read a weights file.

    Raises:
        CheckpointError: If it is missing, damaged, or holds something else.
    """
    shown = printable(str(path))
    try:
        with safe_open(path, "pt") as file:
            notes: object = json.loads((file.metadata() or {}).get(NOTES, "null"))
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - no mapping
    except FileNotFoundError:
        raise CheckpointError(f"There are no weights {shown}.") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{shown} cannot be read as weights: {error}") from None
    parts = cast("dict[str, Any]", notes) if isinstance(notes, dict) else {}
    architecture: object = parts.get("architecture")
    if not isinstance(architecture, dict) or set(architecture) != set(ARCHITECTURE):
        raise CheckpointError(f"{shown} holds no weights of this version's solver.")
    recipe: object = parts.get("recipe")
    return Weights(
        tensors,
        cast("dict[str, Value]", architecture),
        SeenTasks.from_json(parts.get("seen"), shown),
        cast("dict[str, Any]", recipe) if isinstance(recipe, dict) else {},
    )


def fit_config(weights: Weights, values: Mapping[str, object], *, text: bool = False) -> SolverConfig:
    """The configuration for weights: their architecture, and whatever else is given.

    Raises:
        CheckpointError: If another architecture is given.
        ConfigError: If a value is refused.
    """
    given = SolverConfig.from_mapping(values, text=text)
    named = {key.replace("-", "_") for key in values}
    for name in ARCHITECTURE:
        if name in named and getattr(given, name) != weights.architecture[name]:
            raise CheckpointError(
                f"The weights have {name} {weights.architecture[name]}, not {getattr(given, name)}: give "
                "--weights none to start from random ones."
            )
    return SolverConfig.from_mapping({**given.to_dict(), **weights.architecture})
