"""What a run will need of memory and disk, told before it starts, and refused where it cannot fit."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import psutil
import torch
from torch import nn

from arc_core.base.errors import PreflightError
from arc_core.pipeline.agent import ARCPromptGuidedAgentGPU
from arc_core.pipeline.language_model import LanguageModel
from arc_core.pipeline.loss import EFELoss
from arc_core.pipeline.memory import PermanentSolver
from arc_core.pipeline.model_estimate import (
    estimate_activation_bytes,
    estimate_hidden_size,
    estimate_parameters,
)
from arc_core.pipeline.policy import PolicyRefinedAgent, PolicyRefinedConfig
from arc_core.pipeline.prompt import QwenHybridPrompt
from arc_core.run.config import TrainConfig

GIGABYTE = 1e9
RUNTIME_BYTES = 600_000_000
"""What Python, torch and transformers take before the first parameter (measured: 0.55 GB)."""
KERNEL_BYTES = 200_000_000
"""What the CPU's kernels for a run's canvases take, and what the allocator keeps beside them (measured)."""


@dataclass(frozen=True)
class Plan:
    """What lies ahead of a run.

    Attributes:
        pairs: Training pairs an epoch.
        batches_per_epoch: Batches an epoch.
        total_steps: Steps of the whole run.
        parameters: Of all models.
        trainable_parameters: Those that learn.
        memory_bytes: Estimate of what training takes on its device.
        checkpoint_bytes: Size of one checkpoint.
        disk_bytes: Of all checkpoints kept at once, and the one being written.
        threads: Of torch on the CPU.
        device: Where it runs.
    """

    pairs: int
    batches_per_epoch: int
    total_steps: int
    parameters: int
    trainable_parameters: int
    memory_bytes: int
    checkpoint_bytes: int
    disk_bytes: int
    threads: int
    device: str

    def as_dict(self) -> dict[str, Any]:
        """The plan for run.json, with its sentence under `summary`."""
        return asdict(self) | {"summary": self.summary()}

    def summary(self) -> str:
        """One line for the user."""
        return (
            f"{self.pairs:,} pairs in {self.batches_per_epoch:,} batches an epoch, "
            f"{self.total_steps:,} steps; {self.parameters / 1e6:,.1f} M parameters; "
            f"about {self.memory_bytes / GIGABYTE:.1f} GB of memory on {self.device} "
            f"and {self.disk_bytes / GIGABYTE:.2f} GB of disk"
        )


class _Unloaded(nn.Module):
    """Stands for a language model of which only the width is known."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size


def plan_run(
    config: TrainConfig,
    pairs: int,
    batches_per_epoch: int,
    device: torch.device,
    threads: int,
    lm: str | None = None,
) -> Plan:
    """Estimate from the configuration alone; nothing is loaded.

    Args:
        config: As resolved.
        pairs: Training pairs.
        batches_per_epoch: Batches of an epoch.
        device: Where it is to run.
        threads: Of torch.
        lm: Where the language model's configuration is read: the folder in the checkpoint that a run goes
            on from; None takes the one that the configuration names.

    Raises:
        LanguageModelError: If the language model's configuration cannot be read.
    """
    lm = lm or config.lm
    with torch.device("meta"):
        ours: list[nn.Module] = [
            ARCPromptGuidedAgentGPU(
                hidden_dim=config.hidden_dim, prompt_dim=config.prompt_dim, max_steps=config.max_steps
            ),
            EFELoss(prompt_dim=config.prompt_dim),
            PermanentSolver(config.prompt_dim, capacity=config.memory_capacity),
            QwenHybridPrompt(
                prompt_dim=config.prompt_dim,
                language_model=cast(LanguageModel, _Unloaded(estimate_hidden_size(lm))),
            ),
            PolicyRefinedAgent(
                PolicyRefinedConfig(rl_prompt_dim=config.prompt_dim, rl_ctrl_dim=config.prompt_dim),
                device="meta",
            ),
        ]
    own = sum(p.numel() for module in ours for p in module.parameters())
    buffers = sum(b.numel() * b.element_size() for module in ours for b in module.buffers())
    language = estimate_parameters(lm)
    trained = own + (language if config.lm_train == "full" else 0)
    weight = 2 if config.lm_dtype == "bfloat16" else 4
    # Weight, gradient and two moments of each trained parameter; the weight alone of a frozen one.
    states = 16 * own + language * (4 * weight if config.lm_train == "full" else weight) + buffers
    # Per cell: what the backward pass keeps of encoder and heads, in float32.
    per_cell = 4 * config.hidden_dim * (4 + 5 * config.max_steps)
    batch = min(config.batch_size, pairs)
    activations = batch * 900 * per_cell
    if config.lm_train != "frozen":
        activations += estimate_activation_bytes(lm, batch)
    # Mixed precision keeps a copy of two bytes of each float32 weight while a step runs.
    if config.amp != "off":
        activations += 2 * (own + (language if config.lm_dtype == "float32" else 0))
    checkpoint = own * 12 + language * (3 * weight if config.lm_train == "full" else weight) + buffers
    # Every so many steps and at the end of each epoch; one more may be asked for. Of these remain the
    # newest ones and the best, beside the one that is being written.
    written = config.epochs * (batches_per_epoch // config.checkpoint_every + 1) + 1
    on_disk = min(written, config.keep_checkpoints + 2)
    return Plan(
        pairs=pairs,
        batches_per_epoch=batches_per_epoch,
        total_steps=batches_per_epoch * config.epochs,
        parameters=own + language,
        trainable_parameters=trained,
        memory_bytes=states + activations + runtime_bytes(device),
        checkpoint_bytes=checkpoint,
        disk_bytes=checkpoint * on_disk,
        threads=threads,
        device=str(device),
    )


def runtime_bytes(device: torch.device) -> int:
    """What a training process takes on its device beside models and activations."""
    return RUNTIME_BYTES + (KERNEL_BYTES if device.type == "cpu" else 0)


def refuse_what_cannot_fit(plan: Plan, device: torch.device, directory: Path) -> None:
    """Hold a plan against the machine.

    Raises:
        PreflightError: If memory or disk is too small; says how much is needed and how much there is.
    """
    if device.type == "cuda":
        free_memory = torch.cuda.mem_get_info(device)[0]
    else:
        free_memory = psutil.virtual_memory().available
    if plan.memory_bytes > free_memory:
        raise PreflightError(
            f"Training needs about {plan.memory_bytes / GIGABYTE:.1f} GB of memory on {plan.device} and "
            f"{free_memory / GIGABYTE:.1f} GB are free: take a smaller batch_size, lm or hidden_dim, or "
            f"lm_train lora or frozen."
        )
    free_disk = shutil.disk_usage(directory).free
    if plan.disk_bytes > free_disk:
        raise PreflightError(
            f"The checkpoints need {plan.disk_bytes / GIGABYTE:.1f} GB of disk in {directory} and "
            f"{free_disk / GIGABYTE:.1f} GB are free: keep fewer (keep_checkpoints) or take another runs_dir."
        )
