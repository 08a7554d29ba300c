"""Phase 3b for the agent that plans on the outputs' canvas: one training step, by the seed's steps 1 to 10.

Shape legend: B pairs of the batch, S of them on which the policy tries its actions, G actions for each,
T planning steps, C colours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from arc_core.pipeline.batch import Batch
from arc_core.pipeline.canvas import CanvasBatch
from arc_core.pipeline.canvas_flow import CanvasFlow, canvas_flow, plan_again, refine
from arc_core.pipeline.canvas_loss import canvas_losses
from arc_core.pipeline.canvas_planner import Planned, input_under_output
from arc_core.pipeline.declared import terms_of
from arc_core.pipeline.outcome import DrawnGrids, StepOnDevice, StepResult, end_of_step
from arc_core.pipeline.planner import color_probabilities, one_hot
from arc_core.pipeline.policy import RefineInfo
from arc_core.pipeline.reward import Scores, score_batch
from arc_core.pipeline.system import ArcSystem
from arc_core.pipeline.whole import Whole
from arc_core.training.optimizer import backward_and_step, set_rates

LEAST_SPREAD = 1e-3
"""Of the rewards of a pair's actions: below it their differences are noise."""


def canvas_step(
    system: ArcSystem, batch: Batch, epoch: int, step: int, whole: Whole | None = None
) -> StepResult:
    """Train on one batch.

    Args:
        system: The models; moved by this step.
        batch: With targets, laid out, on the system's device.
        epoch: 0-based, for the size warm-up.
        step: 1-based over the whole run, for the schedule.
        whole: What the batch is this process's share of; None where it is all.

    Raises:
        ValueError: If the batch has no targets.
    """
    if batch.targets is None:
        raise ValueError("a training batch needs targets")
    config, canvas = system.config, batch.laid
    whole = whole or Whole.alone(batch, batch.targets)
    set_rates(system.optimizers, system.schedule.factor(step))

    kept = whole.cut(torch.rand(len(whole)) >= config.vector_dropout).float()
    kept = kept.to(system.device, non_blocking=True)
    some = whole.first(config.policy_pairs)
    tried = torch.arange(len(some.places), device=system.device)
    size_weight = system.size_warmup.get_size_loss_weight(epoch)
    with system.precision.shared_casts():
        # Steps 2 to 5: prompts, and the plans under the refined ones.
        flow = canvas_flow(system, batch, kept)

        # Step 9: the loss on the outputs' canvas.
        losses, mask_ratio = canvas_losses(
            system.efe_loss,
            flow.planned,
            flow.refined,
            canvas,
            system.backward_planner,
            system.precision,
            hard_cell_gain=config.hard_cell_gain,
            size_weight=size_weight,
            among=whole.among,
        )

        # Steps 3, 6, 7 and 8: on some pairs, what the refinement gained over the base prompt.
        before, rewards, policy_norm = _try_actions(system, flow, canvas, tried, some)
    share = config.reward_weight
    combined = (1.0 - share) * losses["total"] - share * rewards["total"].mean()

    told = whole.means({**losses, "combined": combined, "mask_ratio": mask_ratio})

    # Step 10: backward, clip, step.
    norms, applied = backward_and_step(
        system.spread(whole.weight * combined),
        system.optimizers,
        system.components,
        system.precision,
        config.clip_norm,
        told["combined"],
    )

    numbers = {
        **{f"loss.{name}": told[name] for name in terms_of(config.to_dict())},
        "loss.efe_total": told["total"],
        "loss.combined": told["combined"],
        **{f"reward.{name}": value.mean() for name, value in rewards.items()},
        "mask_ratio": told["mask_ratio"],
        **{f"norm.{name}": value for name, value in norms.items()},
        "norm.policy": policy_norm,
    }
    after = drawn(flow.planned, canvas)
    right = (after.cells == canvas.targets) * canvas.out_mask
    accuracy = whole.every(right.sum(dim=(1, 2)) / canvas.out_mask.sum(dim=(1, 2)))
    prompts = flow.refined.detach()
    before_grids = drawn(before, canvas.take(tried))
    done = StepOnDevice(numbers, applied, accuracy, prompts, size_weight, before_grids, after)
    return end_of_step(system, batch, done, whole)


def drawn(planned: Planned, canvas: CanvasBatch) -> DrawnGrids:
    """The grids of the plans' last step."""
    return DrawnGrids(planned.logits[:, -1].argmax(dim=-1), canvas.out_sizes)


def _try_actions(
    system: ArcSystem, flow: CanvasFlow, canvas: CanvasBatch, tried: Tensor, whole: Whole
) -> tuple[Planned, dict[str, Tensor], Tensor]:
    """Plan some pairs under the base prompt and under drawn actions; the policy learns which did better.

    An action's advantage is over the other actions for the same pair, in units of their spread (GRPO, Shao
    et al. 2024): how hard a pair is cancels out.

    Returns:
        The plans under the base prompts; and of all that the processes have tried, the reward of the mean
        action by its parts, and the norm of the policy's gradient.
    """
    config, count = system.config, len(tried)
    some, prompts = canvas.take(tried), flow.prompts.take(tried)
    reading = flow.reading.take(tried)
    draws: list[tuple[Tensor, RefineInfo]] = []
    if config.refine:
        width = system.policy.config.action_dim
        draws = [
            refine(system, prompts, explore=True, noise=whole.noise(width, system.device))
            for _ in range(config.policy_draws)
        ]
    under = torch.cat([prompts.base, *(refined for refined, _ in draws)])
    places = torch.arange(count, device=tried.device)
    planned = plan_again(
        system, reading.take(places.repeat(1 + len(draws))), under, some.take(places.repeat(1 + len(draws)))
    )
    both = zip(vars(_some(flow.planned, tried)).values(), vars(planned).values(), strict=True)
    every = scores_of(
        system,
        Planned(*(torch.cat(two) for two in both)),
        some.take(places.repeat(2 + len(draws))),
        prompts.base.repeat(2 + len(draws), 1),
    )
    # The first row is of the mean actions, the second of none, the others of those drawn.
    rows = Scores(*(values.view(2 + len(draws), count) for values in vars(every).values()))
    gains = rows.gain_over(Scores(*(values[1] for values in vars(rows).values())))
    rewards = whole.columns({name: values[0] for name, values in gains.items()})
    norm = torch.zeros((), device=system.device)
    if draws:
        by_pair = gains["total"][2:]
        spread = by_pair.std(dim=0, correction=0)
        advantage = (by_pair - by_pair.mean(dim=0)) / spread.clamp_min(LEAST_SPREAD)
        info = RefineInfo(
            whole.draws(torch.stack([info.state for _, info in draws])),
            whole.draws(torch.stack([info.summary for _, info in draws])),
            whole.draws(torch.stack([info.pre_tanh for _, info in draws])),
        )
        told = system.policy.update(info, whole.draws(by_pair), whole.draws(advantage))
        norm = torch.as_tensor(told["grad_norm"])
    return _some(planned, places), rewards, norm


def _some(planned: Planned, places: Tensor) -> Planned:
    return Planned(planned.logits[places], planned.size_logits[places], planned.prompts[places])


@torch.no_grad()
def scores_of(system: ArcSystem, planned: Planned, canvas: CanvasBatch, prompts: Tensor) -> Scores:
    """The four metrics of plans on the outputs' own canvases; the size is that of the size head.

    Args:
        system: Its backward planner judges reversibility.
        planned: The plans.
        canvas: With the targets.
        prompts: [N, P] that the judge sees.
    """
    sizes = planned.size_logits.argmax(dim=-1) + 1
    target = canvas.outputs
    last = planned.logits[:, -1]
    scores = score_batch(
        last, canvas.out_mask, canvas.out_sizes, planned.size_logits.float(), target, canvas.inputs, None
    )
    ratio = torch.minimum(sizes, target.sizes) / torch.maximum(sizes, target.sizes)
    found, judge = scores.reversibility, system.backward_planner
    if judge is not None:
        shown = one_hot(last.argmax(dim=-1), canvas.out_mask)
        with system.precision.autocast():
            plan = judge(shown, prompts, canvas.out_mask)
        under = input_under_output(canvas)
        right = (under * color_probabilities(plan[:, -1].float())).sum(dim=(1, 2, 3))
        found = right / under.sum(dim=(1, 2, 3)).clamp_min(1)
    return Scores(scores.accuracy, ratio.prod(dim=1), scores.color, found)
