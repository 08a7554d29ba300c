"""What a run came to, so that one that was killed or met faults can be held against one that was not."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from raw_events import counting, read_lines
from safetensors.torch import load_file

from arc_core.run.checkpoint_index import list_checkpoints, read_state
from arc_core.run.directory import RunDirectory

MEASURED = ("loss", "reward", "hard_cells", "curriculum", "memory", "grad_norm", "learning_rate", "accuracy")
"""Of a step's event, what does not depend on how long it took."""


@dataclass(frozen=True)
class Outcome:
    """What a finished run came to, without its times.

    Attributes:
        parameters: sha256 over every tensor of agent, policy, memory, efe_loss, prompt and language model.
        optimizer: sha256 over both optimizers' moments and the random generators' states.
        state: Of state.json what the next step depends on.
        steps: What each step measured, superseded ones dropped.
    """

    parameters: str
    optimizer: str
    state: dict[str, Any]
    steps: list[tuple[int, dict[str, Any]]]

    @classmethod
    def of(cls, run: RunDirectory) -> Outcome:
        newest = list_checkpoints(run.checkpoints)[-1]
        steps = [e for e in counting(read_lines(run.events)) if e["type"] == "step"]
        return cls(
            parameters_sha256(newest),
            sha256_of(newest, ("optimizer", "rng")),
            training_state(newest),
            [(event["step"], {name: event[name] for name in MEASURED}) for event in steps],
        )


def parameters_sha256(checkpoint: Path) -> str:
    """Digest of everything that is trained."""
    return sha256_of(checkpoint, ("agent", "policy", "memory", "efe_loss", "prompt", "lm/model"))


def sha256_of(checkpoint: Path, parts: tuple[str, ...]) -> str:
    """Digest of the tensors in a checkpoint's files: names, types, shapes and bits."""
    sha = hashlib.sha256()
    for part in parts:
        for name, tensor in sorted(load_file(checkpoint / f"{part}.safetensors").items()):
            sha.update(f"{part} {name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            sha.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def training_state(checkpoint: Path) -> dict[str, Any]:
    """What state.json holds of the training itself, without times."""
    state = read_state(checkpoint)
    names = ("epoch", "batch", "position", "memory", "system", "best", "optimizer", "checkpoint_every")
    return {name: state[name] for name in names}
