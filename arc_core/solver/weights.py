"""Weights of the solver in a file: float16 tensors, and what they are and were trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from arc_core.base.errors import CheckpointError
from arc_core.base.files import replace_file
from arc_core.base.text import printable
from arc_core.checkpoints.tensor_file import encode
from arc_core.data.seen import SeenTasks
from arc_core.pipeline.canvas_planner import CanvasPlanner
from arc_core.pipeline.task_prompts import SYMMETRIES
from arc_core.solver.config import SolverConfig
from arc_core.solver.weights_file import LARGEST_BYTES, NOTES, TASK_PROMPTS, WeightsNotes, parse_notes


@dataclass(frozen=True)
class Weights:
    """What a weights file holds."""

    tensors: dict[str, Tensor]
    """float32, by their names in `CanvasPlanner`."""
    notes: WeightsNotes


def save_weights(
    path: Path,
    config: SolverConfig,
    seen: SeenTasks,
    recipe: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    prompt_tasks: Sequence[str] = (),
) -> int:
    """Write weights as float16, whole or not at all.

    Args:
        path: The file, replaced if it is there.
        config: Whose architecture it is.
        seen: Every task that the weights were trained on.
        recipe: How they were made.
        tensors: By their names in `CanvasPlanner`, as of the net itself or averaged.
        prompt_tasks: The tasks whose prompts are among them, in order.

    Returns:
        The size of the file in bytes.

    Raises:
        CheckpointError: If a value does not fit float16, or the file would be larger than 20 MB.
    """
    halves = {name: tensor.detach().to("cpu", torch.float16) for name, tensor in tensors.items()}
    for name, tensor in halves.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"The weights {name} do not fit float16.")
    notes = {
        "architecture": config.architecture(),
        "seen": seen.to_json(),
        "recipe": dict(recipe),
        "prompt_tasks": list(prompt_tasks),
    }
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
        CheckpointError: If it is missing, damaged, or holds something else than its notes say.
        ConfigError: If its notes give the architecture a value that it cannot have.
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
    weights = Weights(tensors, parse_notes(notes, shown))
    _require_architecture(weights, shown)
    return weights


def _require_architecture(weights: Weights, shown: str) -> None:
    """Hold the tensors against the net that the notes describe, and against what numbers may be."""
    refused = f"{shown} cannot be used as weights:"
    config = SolverConfig.from_mapping(weights.notes.architecture)
    with torch.device("meta"):
        wanted = {name: tensor.shape for name, tensor in CanvasPlanner(config).state_dict().items()}
    if TASK_PROMPTS in weights.tensors:
        tasks, symmetries, *_ = (*weights.tensors[TASK_PROMPTS].shape, 0, 0)
        if not tasks or symmetries not in (1, SYMMETRIES):
            raise CheckpointError(f"{refused} {TASK_PROMPTS} do not fit its architecture.")
        wanted[TASK_PROMPTS] = torch.Size((tasks, symmetries, config.prompt_dim))
    named = len(weights.notes.prompt_tasks)
    if named and (TASK_PROMPTS not in weights.tensors or named != len(weights.tensors[TASK_PROMPTS])):
        raise CheckpointError(f"{refused} its notes name {named} tasks with a prompt, and it holds others.")
    if odd := sorted(wanted.keys() ^ weights.tensors.keys()):
        raise CheckpointError(f"{refused} {printable(odd[0], 100)} is missing or does not belong there.")
    for name, tensor in weights.tensors.items():
        if tensor.shape != wanted[name] or not torch.isfinite(tensor).all():
            raise CheckpointError(f"{refused} {name} is of another shape or not finite.")
