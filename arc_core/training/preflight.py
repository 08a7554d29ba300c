"""What a run will need of memory and disk, told before it starts, and refused where it cannot fit."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from arc_core.base.errors import PreflightError
from arc_core.run.config import TrainConfig
from arc_core.training.launching import ONE, World

GIGABYTE = 1e9
RUNTIME_BYTES = 600_000_000
"""What Python, torch and transformers take before the first parameter (measured: 0.55 GB)."""
KERNEL_BYTES = 200_000_000
"""What the CPU's kernels for a run's canvases take, and what the allocator keeps beside them (measured)."""


@dataclass(frozen=True)
class Estimate:
    """What a recipe's models and steps will take, as far as it can be told before they are there.

    Attributes:
        parameters: Of all models.
        trainable_parameters: Those that learn.
        memory_bytes: What training takes on its device.
        checkpoint_bytes: Size of one checkpoint.
    """

    parameters: int
    trainable_parameters: int
    memory_bytes: int
    checkpoint_bytes: int


@dataclass(frozen=True)
class Plan:
    """What lies ahead of a run.

    Attributes:
        pairs: Training pairs an epoch.
        batches_per_epoch: Batches an epoch.
        total_steps: Steps of the whole run.
        parameters: Of all models.
        trainable_parameters: Those that learn.
        memory_bytes: Estimate of what training takes on its device; 0 where the recipe cannot tell.
        checkpoint_bytes: Size of one checkpoint; 0 likewise.
        disk_bytes: Of all checkpoints kept at once, and the one being written.
        threads: Of torch on the CPU, for each process.
        device: Where it runs.
        processes: That train together.
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
    processes: int

    @classmethod
    def of(
        cls,
        estimate: Estimate | None,
        pairs: int,
        batches: int,
        config: TrainConfig,
        device: str,
        threads: int,
        world: World = ONE,
    ) -> Plan:
        """Make a plan of what a recipe estimates, for so many pairs and batches an epoch."""
        found = estimate or Estimate(0, 0, 0, 0)
        # Every so many steps and at the end of each epoch; one more may be asked for. Of these remain the
        # newest ones and the best, beside the one that is being written.
        written = config.epochs * (batches // config.checkpoint_every + 1) + 1
        return cls(
            pairs=pairs,
            batches_per_epoch=batches,
            total_steps=batches * config.epochs,
            parameters=found.parameters,
            trainable_parameters=found.trainable_parameters,
            # Those on one machine share its memory, and each has a GPU of its own.
            memory_bytes=found.memory_bytes * (world.beside if device == "cpu" else 1),
            checkpoint_bytes=found.checkpoint_bytes,
            disk_bytes=found.checkpoint_bytes * min(written, config.keep_checkpoints + 2),
            threads=threads,
            device=device,
            processes=world.count,
        )

    def as_dict(self) -> dict[str, Any]:
        """The plan for run.json, with its sentence under `summary`."""
        return asdict(self) | {"summary": self.summary()}

    def summary(self) -> str:
        """One line for the user."""
        work = (
            f"{self.pairs:,} pairs in {self.batches_per_epoch:,} batches an epoch, {self.total_steps:,} steps"
        )
        if self.processes > 1:
            work += f" of {self.processes} processes"
        if not self.parameters:
            return f"{work}; on {self.device}"
        return (
            f"{work}; {self.parameters / 1e6:,.1f} M parameters; "
            f"about {self.memory_bytes / GIGABYTE:.1f} GB of memory on {self.device} "
            f"and {self.disk_bytes / GIGABYTE:.2f} GB of disk"
        )


def choose_device(name: str, world: World = ONE) -> torch.device:
    """Resolve `auto`, and refuse a GPU that is not there; each of several processes takes one of its own.

    Raises:
        PreflightError: If the device is not on this machine, or is one for several processes.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and world.count > 1:
        if device.index is not None:
            raise PreflightError(f"device {name} is one GPU for {world.count} processes: use cuda or auto.")
        here = torch.cuda.device_count()
        if here < world.beside:
            raise PreflightError(
                f"{world.beside} processes need a GPU each, and torch sees {here} here: use --processes "
                f"{max(here, 1)}{'' if here else ' and --device cpu'}."
            )
        device = torch.device("cuda", world.place)
        torch.cuda.set_device(device)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise PreflightError(
            f"device {name!r} is not here: torch sees {torch.cuda.device_count()} GPUs; use auto or cpu"
        )
    return device


def runtime_bytes(device: torch.device) -> int:
    """What a training process takes on its device beside models and activations."""
    return RUNTIME_BYTES + (KERNEL_BYTES if device.type == "cpu" else 0)


def refuse_what_cannot_fit(plan: Plan, device: torch.device, directory: Path) -> None:
    """Hold a plan against the machine.

    Raises:
        PreflightError: If memory or disk is too small; says how much is needed and how much there is. If
            there are more processes than pairs.
    """
    if plan.processes > plan.pairs:
        raise PreflightError(
            f"{plan.processes} processes are more than the {plan.pairs} training pairs of an epoch: "
            f"take --processes {max(plan.pairs, 1)} at most."
        )
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
