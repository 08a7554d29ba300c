"""The functions in which a step spends most of its time, compiled by torch where a run asks for it.

What is compiled is compiled for one shape: `batch_size` pairs, all on the largest canvas. On a GPU the cells
that are padding cost next to nothing, as a step waits for its operations to be begun and not for what they
compute; to compile for each of some hundred canvases would take longer than most runs. What comes in another
shape, as the last batch of an epoch and the inputs of validations, goes through the function as it is. No
module is wrapped: checkpoints are those of any run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from arc_core.base.errors import PreflightError
from arc_core.base.text import first_line
from arc_core.data.grids import MAX_SIDE
from arc_core.pipeline.batch import DEMONSTRATIONS_TOGETHER
from arc_core.pipeline.config import CANVAS, PipelineConfig
from arc_core.pipeline.system import ArcSystem
from arc_core.training.diagnostics import Finding

ONE_SIDE = (MAX_SIDE,)
"""The sides of all canvases of a step that is compiled."""

DEVICES = ("cuda",)
"""Where compiled functions are faster: on a CPU operations begin at once."""

BACKEND = "inductor"


def is_compiled(config: PipelineConfig, device: torch.device) -> bool:
    """Whether a run's steps are compiled."""
    return config.compile and device.type in DEVICES


def not_compiled(device: torch.device) -> Finding:
    """What a run is told that is to be compiled where it is not."""
    return Finding(
        "not_compiled",
        f"compile is true, but this run computes on {device}: it is for GPUs, and nothing is compiled here.",
        "Nothing needs to be done: the run goes on as without it.",
    )


class Compiled:
    """A function that is compiled for batches of some lengths on the largest canvas.

    Args:
        function: As it is.
        lengths: Of the batches.
        grids: Finds the tensor [N, H, W, ...] in the function's first argument.

    Attributes:
        plain: The function as it is.
    """

    def __init__(
        self, function: Callable[..., Any], lengths: Sequence[int], grids: Callable[[Any], Tensor]
    ) -> None:
        self.plain = function
        self._compiled = torch.compile(function, backend=BACKEND, dynamic=False)
        self._shapes = {(length, *ONE_SIDE, *ONE_SIDE) for length in lengths}
        self._grids = grids

    def __call__(self, first: Any, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        chosen = self._compiled if tuple(self._grids(first).shape[:3]) in self._shapes else self.plain
        return chosen(first, *args, **kwargs)


def compile_system(system: ArcSystem) -> None:
    """Have a system's planners, its reading of demonstrations, its loss and language model compiled.

    Raises:
        PreflightError: If torch cannot compile here.
    """
    _refuse_what_does_not_compile(system.device)
    config, agent = system.config, system.agent
    pairs = config.batch_size
    if config.planner == CANVAS:
        planner, tries = agent.canvas_planner, config.policy_pairs * (1 + config.policy_draws)
        _replace(planner, "read", [pairs], lambda canvas: canvas.out_mask)
        _replace(planner, "plan", [pairs, tries], lambda reading: reading.state)
    else:
        _replace(agent, "encode", [pairs], lambda cells: cells)
        _replace(agent, "plan", [pairs], lambda features: features)
    _replace(agent.backward_planner, "forward", [pairs], lambda cells: cells)
    _replace(system.qwen.demonstrations, "_read", [DEMONSTRATIONS_TOGETHER], lambda some: some.inputs.cells)
    _replace(system.efe_loss, "forward", [pairs], lambda plan: plan[:, 0])
    # Of any number of texts, as long as the longest: one function for all of these.
    backbone = system.qwen.language_model.backbone
    vars(backbone)["forward"] = torch.compile(backbone.forward, backend=BACKEND, dynamic=True)


def _replace(module: nn.Module, name: str, lengths: Sequence[int], grids: Callable[[Any], Tensor]) -> None:
    """Put a compiled method in the place of a module's own; beside its tensors, so that none is renamed."""
    vars(module)[name] = Compiled(getattr(module, name), lengths, grids)


def _refuse_what_does_not_compile(device: torch.device) -> None:
    """Compile one operation and its gradient, to see that a compiler is there.

    Raises:
        PreflightError: If it fails.
    """
    probe = torch.compile(lambda some: (some * some).sum(), backend=BACKEND)
    try:
        probe(torch.ones(8, device=device, requires_grad=True)).backward()
    except Exception as error:  # whatever a compiler, its driver or a missing one says
        raise PreflightError(
            f"compile is true, but torch cannot compile for {device} here ({first_line(error)}): use --set "
            "compile=false."
        ) from error
