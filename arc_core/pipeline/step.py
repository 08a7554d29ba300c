"""Phase 3b: one training step, in the order of the seed's steps 1 to 10.

Shape legend: B pairs of a part of the batch, T planning steps, H and W padded sides, C colours, S sides.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import torch
from torch import Tensor
from torch.func import functional_call

from arc_core.pipeline.batch import Batch
from arc_core.pipeline.loss import TERMS
from arc_core.pipeline.loss_terms import cell_mean, hard_cell_weights
from arc_core.pipeline.outcome import (
    DrawnGrids,
    PartOnDevice,
    StepOnDevice,
    StepResult,
    end_of_step,
    joined,
)
from arc_core.pipeline.padding import GridBatch
from arc_core.pipeline.planner import color_probabilities, one_hot
from arc_core.pipeline.policy import RefineInfo
from arc_core.pipeline.resize import resize_logits
from arc_core.pipeline.reward import Scores, score_batch, straight_through
from arc_core.pipeline.system import ArcSystem, Flow, Prediction
from arc_core.pipeline.whole import Whole
from arc_core.training.optimizer import clear_gradients, clip_and_step, set_rates


def training_step(
    system: ArcSystem,
    batch: Batch,
    epoch: int,
    step: int,
    whole: Whole | None = None,
    later: Iterable[Batch] = (),
) -> StepResult:
    """Train on one batch.

    Args:
        system: The models; moved by this step.
        batch: With targets, on the system's device.
        epoch: 0-based, for the size warm-up.
        step: 1-based over the whole run, for the schedule.
        whole: What `batch`, with those that come later, is this process's share of; None where it is all.
        later: Further parts of the share, each asked for when the one before has been learned from.

    Raises:
        ValueError: If the batch has no targets.
    """
    if batch.targets is None:
        raise ValueError("a training batch needs targets")
    config = system.config
    whole = whole or Whole.alone(batch, batch.targets)
    set_rates([system.optimizer], system.schedule.factor(step))
    clear_gradients([system.optimizer])
    noise = whole.noise(config.prompt_dim, system.device)
    size_weight = system.size_warmup.get_size_loss_weight(epoch)
    parts: list[PartOnDevice] = []
    infos: list[RefineInfo] = []
    rewards: list[Tensor] = []
    for rows, pairs in whole.rows_of(chain([batch], later)):
        part, info, reward = _learn_from(system, pairs, noise[rows], size_weight, whole, rows)
        parts.append(part)
        infos.append(info)
        rewards.append(reward)

    # Step 8: the policy learns from each pair's reward.
    policy_norm = torch.zeros((), device=system.device)
    if config.refine:
        info = RefineInfo(
            **{name: whole.every(joined([vars(one)[name] for one in infos])) for name in vars(infos[0])}
        )
        told = system.policy.update(info, whole.every(joined(rewards)))
        policy_norm = torch.as_tensor(told["grad_norm"])
    means = whole.means([(part.whole, part.means) for part in parts])

    # Step 10: clip, step.
    norms, applied = clip_and_step(
        means["loss.combined"], [system.optimizer], system.components, system.precision, config.clip_norm
    )
    norms = {f"norm.{name}": value for name, value in norms.items()}
    numbers = {**means, **norms, "norm.policy": policy_norm}
    return end_of_step(system, StepOnDevice(numbers, applied, size_weight, parts), whole)


def _learn_from(
    system: ArcSystem, batch: Batch, noise: Tensor, size_weight: float, whole: Whole, rows: slice
) -> tuple[PartOnDevice, RefineInfo, Tensor]:
    """Steps 2 to 7, 9 and the backward pass on some rows of a share; with what the policy did and brought."""
    target, part = batch.targets, whole.part(rows)
    assert target is not None

    # Steps 2 to 5: prompt, baseline prediction, refinement, refined prediction.
    flow = system.flow(batch, explore=True, noise=noise)

    # Steps 6 and 7: what the refinement gained, each prediction at the size it predicts itself.
    with torch.no_grad():
        before, drawn_before = _scores(system, flow.before, flow.base_prompt, batch, target)
    after, drawn_after = _scores(system, flow.after, flow.base_prompt, batch, target)
    reward = after.gain_over(before)
    if system.config.refine:
        with torch.no_grad():
            flow.refine_info.outcome = _outcome_summary(flow, batch)

    # Step 9: the loss on the target's grid.
    losses, mask_ratio = _efe_losses(system, flow, batch, target, size_weight, part)
    share = system.config.reward_weight
    combined = (1.0 - share) * losses["total"] - share * reward["total"].mean()

    # Step 10, its first half.
    system.precision.backward(system.spread(part.weight * combined, rows.stop < len(whole.places)))
    means = {
        **{f"loss.{name}": losses[name] for name in TERMS},
        "loss.efe_total": losses["total"],
        "loss.combined": combined,
        **{f"reward.{name}": value.mean() for name, value in reward.items()},
        "mask_ratio": mask_ratio,
    }
    done = PartOnDevice(
        part,
        {name: value.detach() for name, value in means.items()},
        after.accuracy.detach(),
        batch.prompt_inputs.summary,
        flow.prompt.detach(),
        drawn_before,
        drawn_after,
    )
    return done, flow.refine_info, reward["total"].detach()


def _scores(
    system: ArcSystem, prediction: Prediction, prompt: Tensor, batch: Batch, target: GridBatch
) -> tuple[Scores, DrawnGrids]:
    """Draw a prediction at its own size and score it, with the backward planner as judge of reversibility."""
    logits, mask = prediction.final(batch.inputs)
    sizes, judge = prediction.output.sizes, system.backward_planner
    cells, size_logits = logits.argmax(dim=-1), prediction.output.size_logits
    drawn = DrawnGrids(cells, sizes)
    if judge is None:
        return score_batch(logits, mask, sizes, size_logits, target, batch.inputs, None), drawn
    probabilities = color_probabilities(logits)
    hard = one_hot(cells, mask, logits.shape[-1])
    # Whole colours with the probabilities' gradient: the judge sees what it is shown elsewhere.
    shown = straight_through(hard, probabilities * mask[..., None])
    frozen = {name: weight.detach() for name, weight in judge.named_parameters()}
    with system.precision.autocast():
        # A judge that the reward could train would learn to please it.
        plan = functional_call(judge, frozen, (shown, prompt.detach(), mask))
    found = _last_on_inputs(plan, sizes, batch.inputs)
    return score_batch(logits, mask, sizes, size_logits, target, batch.inputs, found), drawn


def _last_on_inputs(plan: Tensor, sizes: Tensor, inputs: GridBatch) -> Tensor:
    """The backward plan's last step on the inputs' sizes, [B, H, W, C]."""
    return resize_logits(plan[:, -1:], sizes, inputs.sizes, inputs.canvas)[:, 0]


def _efe_losses(
    system: ArcSystem, flow: Flow, batch: Batch, target: GridBatch, size_weight: float, whole: Whole
) -> tuple[dict[str, Tensor], Tensor]:
    """Step 9: all terms on the target's grid, hard cells weighed up; and the mask ratio."""
    forward_preds = flow.after.on(batch.inputs, target.sizes, target.canvas, slice(None))
    final = forward_preds[:, -1]
    wrong = (final.detach().argmax(dim=-1) != target.cells).float() * target.mask
    weights, ratio = hard_cell_weights(wrong, target.mask, system.config.hard_cell_gain)
    reconstruction = None
    if system.backward_planner is None:
        backward_preds = forward_preds.flip(1)
    else:
        with system.precision.autocast():
            plan = system.agent.reconstruct(one_hot(target.cells, target.mask), flow.prompt, target.mask)
        # The backward plan starts at the output: its step T+1-t stands beside the forward step t.
        backward_preds = plan.flip(1)
        reconstruction = _last_on_inputs(plan, target.sizes, batch.inputs)
    losses = system.efe_loss(
        forward_preds,
        backward_preds,
        forward_preds,
        None,
        final,
        target.cells,
        episode_length=forward_preds.shape[1],
        prompt_embedding=flow.prompt,
        grid_mask=target.mask,
        cell_weights=weights,
        reconstruction=reconstruction,
        inputs=batch.inputs,
        size_logits=flow.after.output.size_logits,
        target_sizes=target.sizes,
        size_weight=size_weight,
        among=whole.among,
    )
    return losses, ratio.mean()


def _outcome_summary(flow: Flow, batch: Batch) -> Tensor:
    """What came of the refinement, for curiosity: [B, 32] numbers about 0 to 1.

    Predicted colours after (10) and before (10), their largest difference (1), confidence after and
    before (2), entropy after and before (2), share of cells that changed (1), share that copy the
    input (1), sizes after and before over 30 (4), whether the size changed (1).
    """
    mask = batch.inputs.mask
    after, before = (color_probabilities(p.logits[:, -1]) for p in (flow.after, flow.before))
    cells = mask.sum(dim=(1, 2))[:, None]
    shares = [(p * mask[..., None]).sum(dim=(1, 2)) / cells for p in (after, before)]
    confidence = [cell_mean(p.amax(dim=-1), mask) for p in (after, before)]
    entropy = [cell_mean(-torch.xlogy(p, p).sum(dim=-1), mask) for p in (after, before)]
    chosen = [p.argmax(dim=-1) for p in (after, before)]
    sizes = [p.output.sizes for p in (flow.after, flow.before)]
    columns = [
        (shares[0] - shares[1]).abs().amax(dim=1),
        *confidence,
        *entropy,
        cell_mean((chosen[0] != chosen[1]).float(), mask),
        cell_mean((chosen[0] == batch.inputs.cells).float(), mask),
        (sizes[0] != sizes[1]).any(dim=1).float(),
    ]
    return torch.cat([*shares, torch.stack(columns, dim=1), *(size / 30.0 for size in sizes)], dim=1)
