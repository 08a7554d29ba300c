"""Step 9 on the outputs' canvas: the one loss by which a run trains and a solver adapts to its task.

Shape legend: N pairs, P prompt.
"""

from __future__ import annotations

from torch import Tensor

from arc_core.pipeline.canvas import CanvasBatch
from arc_core.pipeline.canvas_planner import Planned, input_under_output
from arc_core.pipeline.loss import EFELoss
from arc_core.pipeline.loss_terms import hard_cell_weights
from arc_core.pipeline.padding import GridBatch
from arc_core.pipeline.planner import Planner, one_hot
from arc_core.training.optimizer import MixedPrecision


def canvas_losses(
    efe_loss: EFELoss,
    planned: Planned,
    prompts: Tensor,
    canvas: CanvasBatch,
    backward_planner: Planner | None,
    precision: MixedPrecision,
    *,
    hard_cell_gain: float,
    size_weight: float = 1.0,
    among: tuple[GridBatch, Tensor] | None = None,
) -> tuple[dict[str, Tensor], Tensor]:
    """Compute every term that has a weight on the outputs' canvas, wrong cells weighed up.

    Args:
        efe_loss: With the weights, which holds every planning step against the target.
        planned: The plans.
        prompts: [N, P] under which was planned.
        canvas: With the target of every pair.
        backward_planner: Plans from the targets back to the inputs under them; None takes the plans flipped,
            as the seed does.
        precision: Of the backward planner.
        hard_cell_gain: How much more a wrong cell counts.
        size_weight: The curriculum's weight of the size term.
        among: As `EFELoss` takes it.

    Returns:
        The weighted contribution of each term with their `total`, and the seed's mask ratio.
    """
    target, logits = canvas.outputs, planned.logits
    wrong = (logits[:, -1].detach().argmax(dim=-1) != target.cells).float() * target.mask
    weights, ratio = hard_cell_weights(wrong, target.mask, hard_cell_gain)
    backward, reconstruction, under = logits.flip(1), None, None
    if backward_planner is not None:
        with precision.autocast():
            plan = backward_planner(one_hot(target.cells, target.mask), prompts, target.mask)
        backward, reconstruction = plan.flip(1), plan[:, -1].float()
        laid = input_under_output(canvas)
        under = GridBatch(laid.argmax(dim=-1), laid.sum(dim=-1), target.sizes)
    losses = efe_loss(
        logits,
        backward,
        logits,
        None,
        logits[:, -1],
        target.cells,
        episode_length=logits.shape[1],
        prompt_embedding=prompts,
        grid_mask=target.mask,
        cell_weights=weights,
        reconstruction=reconstruction,
        inputs=under,
        size_logits=planned.size_logits,
        target_sizes=target.sizes,
        size_weight=size_weight,
        among=among,
    )
    return losses, ratio.mean()
