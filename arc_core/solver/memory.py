"""The memory of the pretrained tasks: which of them explain a new task's demonstrations best.

The seed keeps what worked and looks it up by the likeness of states (phase 2e). Here what worked is the
prompt of every pretrained task, and likeness is measured by what a prompt is for: how well the agent, told
that prompt, turns the new task's inputs into its outputs. So this is the refinement at test time too: the
known prompts are its proposals, the demonstrations judge them, and the gradient steps of the adaptation
begin at the best.
"""

from __future__ import annotations

import torch
from torch import Tensor

from arc_core.pipeline.canvas import Item, pack
from arc_core.pipeline.canvas_planner import CanvasPlanner, grid_losses
from arc_core.pipeline.placed_task import PlacedTask
from arc_core.solver.config import SolverConfig
from arc_core.training.optimizer import MixedPrecision

ASKED_CELLS = 400
"""Cells of the demonstrations that the known prompts are tried on, about: the smallest first."""

AT_ONCE = 12_000
"""Padded cells of a batch."""


def asked(placed: PlacedTask) -> list[Item]:
    """The demonstrations that known prompts are tried on: one at least, the smallest first."""
    items = sorted(placed.demonstrations(0), key=_cells)
    cells, kept = 0, list[Item]()
    for item in items:
        cells += _cells(item)
        if kept and cells > ASKED_CELLS:
            break
        kept.append(item)
    return kept


def _cells(item: Item) -> int:
    height, width = item.placement.size
    return max(height * width, item.input.size)


def cells_of_trying(known: Tensor, placed: PlacedTask) -> int:
    """Padded cells that are planned to try the known prompts on a task: what looking it up costs."""
    items = asked(placed)
    return len(known) * len(items) * max(map(_cells, items))


@torch.inference_mode()
def prompt_losses(net: CanvasPlanner, known: Tensor, placed: PlacedTask, config: SolverConfig) -> Tensor:
    """How badly each known prompt explains a task's demonstrations.

    Args:
        net: The agent, pretrained together with the prompts.
        known: [K, 8 or 1, P] their prompts under each symmetry, or under all.
        placed: The task.
        config: For the precision.

    Returns:
        [K] mean over the demonstrations of the cross-entropy of the last plan's cells.
    """
    device = next(net.parameters()).device
    items = asked(placed)
    precision = MixedPrecision(device, config.amp)  # pyright: ignore[reportArgumentType]
    share = max(1, AT_ONCE // (len(items) * max(map(_cells, items))))
    losses = []
    for first in range(0, len(known), share):
        some = known[first : first + share, 0].to(device)
        batch = pack(items * len(some)).to(device)
        with precision.autocast():
            planned = net(batch, some.repeat_interleave(len(items), dim=0))
        losses.append(grid_losses(planned.logits[:, -1], batch).view(len(some), -1).mean(dim=1).cpu())
    return torch.cat(losses)


def nearest_tasks(net: CanvasPlanner, known: Tensor, placed: PlacedTask, config: SolverConfig) -> Tensor:
    """The places among the known prompts of the `config.memory` that explain the demonstrations best."""
    losses = prompt_losses(net, known, placed, config)
    return losses.topk(min(config.memory, len(losses)), largest=False).indices
