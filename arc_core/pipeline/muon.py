"""Muon, the optimizer of the matrices between the layers of a planner on canvases; all else has AdamW.

Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers") replaces a matrix's momentum by the nearest
orthogonal one. In pretraining on small pairs its loss is 0.40 after 154 seconds, where AdamW's is 0.60 after
147, see docs/results.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

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


class BatchedMuon(torch.optim.Muon):
    """Muon for all matrices of a shape at once: torch's own takes them one by one, in far more operations.

    Attributes:
        found_inf: A number on the device, other than 0 where a step is not to move anything: as torch's fused
            optimizers read it, so that the host need not wait for it.
    """

    found_inf: Tensor | None = None
    _step_supports_amp_scaling = True

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Move the matrices by their gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            matrices, gradients, momenta = list[Tensor](), list[Tensor](), list[Tensor]()
            self._init_group(group, matrices, gradients, momenta)
            taken = 1.0 if self.found_inf is None else 1.0 - self.found_inf
            kept = 1.0 - group["lr"] * group["weight_decay"] * taken
            torch._foreach_mul_(matrices, kept)  # pyright: ignore[reportPrivateImportUsage]
            alike = defaultdict[torch.Size, list[int]](list)
            for place, matrix in enumerate(matrices):
                alike[matrix.shape].append(place)
            for places in alike.values():
                some = ([all_of[k] for k in places] for all_of in (matrices, gradients, momenta))
                self._move(group, taken, *some)
        return loss

    def _move(
        self,
        group: dict[str, Any],
        taken: float | Tensor,
        matrices: list[Tensor],
        gradients: list[Tensor],
        momenta: list[Tensor],
    ) -> None:
        gradient, momentum = torch.stack(gradients), torch.stack(momenta)
        if self.found_inf is not None:  # what is not finite would stay so under a factor of 0
            gradient = gradient.masked_fill(self.found_inf > 0, 0.0)
        momentum = momentum + (gradient - momentum) * ((1.0 - group["momentum"]) * taken)
        torch._foreach_copy_(momenta, momentum.unbind())  # pyright: ignore[reportPrivateImportUsage]
        wanted = gradient.lerp(momentum, group["momentum"]) if group["nesterov"] else momentum
        rows, columns = gradient.shape[1:]
        rate = group["lr"] * max(1.0, rows / columns) ** 0.5
        update = orthogonal(wanted, group["ns_coefficients"], group["ns_steps"], group["eps"])
        moved = update.to(gradient.dtype) * (-rate * taken)
        torch._foreach_add_(matrices, moved.unbind())  # pyright: ignore[reportPrivateImportUsage]


def orthogonal(
    matrices: Tensor, coefficients: tuple[float, float, float], steps: int, least: float
) -> Tensor:
    """The orthogonal matrices nearest to some, by Newton and Schulz's iteration in bfloat16.

    Args:
        matrices: [N, rows, columns].
        coefficients: Of the iteration's polynomial.
        steps: Iterations.
        least: Below which a norm is not divided by.
    """
    linear, cubic, quintic = coefficients
    upright = matrices.shape[1] > matrices.shape[2]
    found = (matrices.mT if upright else matrices).bfloat16()
    found = found / found.norm(dim=(1, 2), keepdim=True).clamp_min(least)
    for _ in range(steps):
        gram = found @ found.mT
        gram = torch.baddbmm(gram, gram, gram, beta=cubic, alpha=quintic)
        found = torch.baddbmm(found, gram, found, beta=linear)
    return found.mT if upright else found
