"""Phases 2f and 2g, step 10: parameter groups, schedule, mixed precision, clipping, gradient health."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from arc_core.base.errors import ConfigError
from arc_core.checkpoints.form import require_form
from arc_core.checkpoints.sharded import gathered
from arc_core.run.checkpoint_index import STATE

Precision = Literal["auto", "off", "bfloat16", "float16"]
_DTYPES = {"off": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def cpu_has_fast_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware (AMX or AVX-512 BF16, or Arm's)."""
    found = torch.cpu.get_capabilities()
    return any(bool(found.get(name)) for name in ("amx_bf16", "amx_tile", "avx512_bf16", "bf16"))


class MixedPrecision:
    """Autocast, and a GradScaler where float16 needs one (fix 7). Weights stay float32.

    Args:
        device: Where the model lives.
        precision: `auto` takes bfloat16 where the hardware has it, else float16 on a GPU and
            float32 on a CPU.
        init_scale: Of the GradScaler.
    """

    def __init__(
        self, device: torch.device, precision: Precision = "auto", init_scale: float = 65536.0
    ) -> None:
        self.device = device
        if precision == "auto":
            if device.type == "cuda":
                precision = "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
            else:
                precision = "bfloat16" if cpu_has_fast_bfloat16() else "off"
        self.dtype = _DTYPES[precision]
        self.scaler = torch.amp.GradScaler(
            device.type, enabled=self.dtype == torch.float16, init_scale=init_scale
        )
        self.skipped_steps = 0
        self._scale = init_scale if self.scaler.is_enabled() else 1.0

    def autocast(self) -> torch.autocast:
        """The context of the forward pass."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32)

    def shared_casts(self) -> torch.autocast:
        """A context in which several of `autocast` share their copies of weights.

        Let the first to use a weight in it be one that trains it. Torch 2.13 tells a copy that was made
        without gradients apart, as trying the other order has shown; another version may not.
        """
        return torch.autocast(self.device.type, enabled=False)

    @property
    def dtype_name(self) -> str:
        """`float32`, `bfloat16` or `float16`."""
        return str(self.dtype).removeprefix("torch.")

    def told(self) -> dict[str, Any]:
        """What a step's event tells of it; the scale is 1 where nothing is scaled."""
        return {
            "dtype": self.dtype_name,
            "scale": self._scale,
            "skipped_steps": self.skipped_steps,
        }

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss, scaled, to those that are there."""
        self.scaler.scale(loss).backward()

    def scale(self) -> Tensor:
        """What losses are multiplied by, on the device; 1 where nothing is scaled."""
        return self.scaler.scale(torch.ones((), device=self.device))

    def settle(self, applied: bool, scale: float) -> None:
        """Take in how a step ended, when the host knows it: whether it was taken, and the scale after it."""
        self.skipped_steps += not applied
        self._scale = scale

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {
            "skipped_steps": self.skipped_steps,
            "amp_dtype": self.dtype_name,
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take back what `state` gave; a run that goes on in float16 after another type starts a new scale.

        Raises:
            CheckpointError: If something is missing or of another kind; names it.
        """
        has_scale = saved.get("amp_dtype") == self.dtype_name
        require_form(saved, self.state() if has_scale else self.state() | {"scaler": {}}, STATE, "system")
        self.skipped_steps = int(saved["skipped_steps"])
        if self.scaler.is_enabled() and has_scale:
            self.scaler.load_state_dict(dict(saved["scaler"]))
            self._scale = float(self.scaler.get_scale())


@dataclass(frozen=True)
class Component:
    """Parameters that are clipped together.

    Attributes:
        name: Its name in the `grad_norm` event.
        parameters: Those that train.
    """

    name: str
    parameters: tuple[nn.Parameter, ...]

    @classmethod
    def of(cls, name: str, parameters: Iterable[nn.Parameter]) -> Component:
        """Keep the parameters that require a gradient."""
        return cls(name, tuple(p for p in parameters if p.requires_grad))


def make_optimizer(
    components: Iterable[tuple[Component, float]], kind: str, weight_decay: float
) -> torch.optim.Optimizer:
    """Build the optimizer of phase 2f: one group a component, with a rate of its own.

    Args:
        components: Each with its learning rate. One without parameters (a frozen LM) keeps an empty
            group, so that groups keep their place.
        kind: `adamw`, or `adam` for the seed's coupled decay.
        weight_decay: Of all groups.

    Raises:
        ConfigError: If `kind` is neither.
    """
    groups = [
        {"params": list(component.parameters), "lr": rate, "name": component.name, "base_lr": rate}
        for component, rate in components
    ]
    kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
    if kind not in kinds:
        raise ConfigError(f"optimizer: {kind!r} is not one of {', '.join(kinds)}")
    return kinds[kind](groups, weight_decay=weight_decay, fused=True)


@dataclass(frozen=True)
class Schedule:
    """Factor on every base learning rate.

    Attributes:
        kind: `constant` as in the seed, or `cosine` down to 0 at `total_steps`.
        warmup_steps: Steps over which the factor rises linearly.
        total_steps: Steps of the whole run.
    """

    kind: str = "constant"
    warmup_steps: int = 0
    total_steps: int = 1

    def factor(self, step: int) -> float:
        """Factor of a 1-based step."""
        if step <= self.warmup_steps:
            return step / self.warmup_steps
        if self.kind == "constant":
            return 1.0
        progress = (step - self.warmup_steps) / max(self.total_steps - self.warmup_steps, 1)
        return 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))


def set_rates(optimizers: Iterable[torch.optim.Optimizer], factor: float) -> None:
    """Set every group's rate to a share of its own base rate: of a schedule, its factor of the step."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor


def backward_and_step(
    loss: Tensor,
    optimizers: Sequence[torch.optim.Optimizer],
    components: Iterable[Component],
    precision: MixedPrecision,
    clip_norm: float,
) -> tuple[dict[str, Tensor], Tensor]:
    """Step 10: scaled backward, unscale, clip every component, step unless a gradient is not finite.

    Args:
        loss: The combined loss.
        optimizers: Over all components together.
        components: Clipped one by one.
        precision: With its scaler; to be told by `settle` when the host knows how the step ended.
        clip_norm: Largest norm of a component's gradient.

    Returns:
        The norm of each component before clipping, and whether the step was taken, both on the device: the
        host does not wait for them.
    """
    clear_gradients(optimizers)
    precision.backward(loss)
    return clip_and_step(loss, optimizers, components, precision, clip_norm)


def clear_gradients(optimizers: Iterable[torch.optim.Optimizer]) -> None:
    """Forget the gradients of the step before."""
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)


def clip_and_step(
    loss: Tensor,
    optimizers: Sequence[torch.optim.Optimizer],
    components: Iterable[Component],
    precision: MixedPrecision,
    clip_norm: float,
) -> tuple[dict[str, Tensor], Tensor]:
    """Step 10 once all gradients are there: as `backward_and_step`, with the loss as a number.

    Of several processes that is the loss of all, the same on each: all of them skip a step or none.
    """
    for optimizer in optimizers:
        precision.scaler.unscale_(optimizer)
    norms = {
        # Where nothing has a gradient, the norm is a zero of the host's.
        component.name: clip(component.parameters, clip_norm).to(loss.device, non_blocking=True)
        if component.parameters
        else loss.new_zeros(())
        for component in components
    }
    finite = torch.isfinite(torch.stack([*norms.values(), loss.detach()])).all()
    for optimizer in optimizers:
        step_if(finite, optimizer)
    precision.scaler.update()
    return {name: norm.detach() for name, norm in norms.items()}, finite


def clip(parameters: Iterable[nn.Parameter], most: float) -> Tensor:
    """Clip the gradients of some parameters together; their norm before."""
    return gathered(nn.utils.clip_grad_norm_(parameters, most, foreach=True))


def step_if(finite: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Let an optimizer step where a number on the device is true, without asking it where that can be.

    Torch's fused optimizers, and those that say that they do as these, read a number `found_inf`.
    """
    if getattr(optimizer, "_step_supports_amp_scaling", False):
        optimizer.found_inf = 1.0 - finite.float()  # pyright: ignore[reportAttributeAccessIssue]
        optimizer.step()
        del optimizer.found_inf  # pyright: ignore[reportAttributeAccessIssue]
    elif finite:
        optimizer.step()


class GradientMonitor:
    """Reports the norm of a module's gradient (step 10's check that the LM trains).

    Attributes:
        history: The last norm of each name that was checked.
    """

    def __init__(self) -> None:
        self.history: dict[str, float] = {}

    def check_gradients(self, module: nn.Module, name: str) -> float:
        """Norm over all of the module's gradients; 0.0 where there are none."""
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients).item() if gradients else 0.0
        self.history[name] = norm
        return norm
