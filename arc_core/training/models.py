"""The modules and optimizers of a run that need nothing of their own: rates, steps, checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from arc_core.checkpoints.restoring import OPTIMIZER, read_tensors, restore_models, restore_optimizers
from arc_core.checkpoints.snapshot import RNG, SnapshotTaker, restore_rng
from arc_core.run.checkpoint_index import FORMAT
from arc_core.run.config import TrainConfig
from arc_core.training.optimizer import (
    Component,
    MixedPrecision,
    Precision,
    Schedule,
    backward_and_step,
    set_rates,
)

STATE_FORM: dict[str, Any] = {"format": FORMAT, "files": [], "optimizer": {}}


class TrainedModels:
    """Modules and their optimizers.

    Args:
        config: The run's settings: mixed precision, schedule and clipping are taken from it.
        device: Where the modules are.
        parts: The modules by the name of their file in a checkpoint.
        optimizers: By their label in a checkpoint.
        trained: Names of the parts whose gradients are clipped, each for itself; None takes all that train.

    Attributes:
        precision: Autocast and its scaler.
        schedule: Of the learning rate.
    """

    def __init__(
        self,
        config: TrainConfig,
        device: torch.device,
        parts: Mapping[str, nn.Module],
        optimizers: Mapping[str, torch.optim.Optimizer],
        trained: Iterable[str] | None = None,
    ) -> None:
        self.device = device
        self.parts = dict(parts)
        self.optimizers = dict(optimizers)
        self.precision = MixedPrecision(device, cast(Precision, config.amp))
        self.schedule = Schedule(config.schedule, config.warmup_steps)
        self.components = [
            component
            for name in (self.parts if trained is None else trained)
            if (component := Component.of(name, self.parts[name].parameters())).parameters
        ]
        self._clip_norm = config.clip_norm
        for group in self._groups:
            group.setdefault("base_lr", group["lr"])

    @property
    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self.optimizers.values() for group in optimizer.param_groups]

    def autocast(self) -> torch.autocast:
        """The context of the forward pass."""
        return self.precision.autocast()

    def update(self, loss: Tensor, step: int) -> tuple[dict[str, float], bool]:
        """Step 10: set the rates by the schedule, go backward, clip, and move the weights.

        Args:
            loss: A scalar.
            step: The 1-based step.

        Returns:
            The gradient norm of each component before clipping, and whether the step was taken: one whose
            loss or gradient is not finite is not.
        """
        optimizers = list(self.optimizers.values())
        set_rates(optimizers, self.schedule.factor(step))
        norms, applied = backward_and_step(loss, optimizers, self.components, self.precision, self._clip_norm)
        ended = [*norms.values(), applied.float(), self.precision.scale()]
        *numbers, taken, scale = torch.stack(ended).tolist()
        self.precision.settle(bool(taken), scale)
        return dict(zip(norms, numbers, strict=True)), bool(taken)

    def told(self, norms: Mapping[str, float]) -> dict[str, dict[str, Any]]:
        """What a step tells of the optimizers, in the groups of `trained_groups`."""
        return {
            "grad_norm": dict(norms),
            "amp": self.precision.told(),
            "learning_rate": {c.name: float(self._group_of(c)["lr"]) for c in self.components},
        }

    def _group_of(self, component: Component) -> dict[str, Any]:
        """The first group that moves any of a component."""
        own = {id(parameter) for parameter in component.parameters}
        return next(group for group in self._groups if any(id(p) in own for p in group["params"]))

    def base_rates(self) -> dict[str, float]:
        """The learning rates by the names of their settings, before the schedule."""
        group = self._groups[0]
        return {"agent_lr": float(group["base_lr"]) / float(group.get("factor", 1.0))}

    def set_base_rate(self, name: str, rate: float) -> None:
        """Set a learning rate by its setting's name; a group's `factor` says how much of it the group has."""
        if name == "agent_lr":
            for group in self._groups:
                group["base_lr"] = rate * group.get("factor", 1.0)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of them beside the tensors."""
        return self.precision.state()

    def restore_state(self, saved: Mapping[str, Any]) -> None:
        """Take back what `state` gave.

        Raises:
            CheckpointError: If something is missing or of another kind; names it.
        """
        self.precision.restore(saved)

    def tensors(self) -> dict[str, Mapping[str, Tensor]]:
        """The live tensors by the path of their file."""
        return {f"{name}.safetensors": module.state_dict() for name, module in self.parts.items()}

    def bookkeeping(self) -> dict[str, Any]:
        """What state.json keeps of them beside the tensors, as `form` describes it."""
        return {}

    def snapshot_taker(self) -> SnapshotTaker:
        """What takes snapshots of them."""
        return SnapshotTaker(self)

    def load(self, path: Path) -> dict[str, Any]:
        """Restore tensors, optimizers and random generators from a checkpoint of the same configuration.

        Returns:
            state.json.

        Raises:
            CheckpointError: If anything is missing or does not fit; names it.
        """
        state = restore_models(path, self.tensors(), STATE_FORM)
        restore_optimizers(self.optimizers, self.parts, state["optimizer"], read_tensors(path / OPTIMIZER)[0])
        restore_rng(read_tensors(path / RNG)[0])
        return state


@torch.no_grad()
def move_mean(mean: nn.Module, net: nn.Module, share: float) -> None:
    """Move averaged weights towards a net's by a share from 0 to 1."""
    averages: list[Tensor] = [*mean.parameters()]
    values: list[Tensor] = [*net.parameters()]
    torch._foreach_lerp_(averages, values, share)  # pyright: ignore[reportPrivateImportUsage]
