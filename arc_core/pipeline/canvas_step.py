"""Phase 3b for the agent that plans on the outputs' canvas: one training step, by the seed's steps 1 to 10.

Shape legend: B pairs of the batch, b of this process, S of these on which the policy tries its actions,
s of these in a part of the batch, G actions for each, T planning steps, C colours, A directions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from arc_core.pipeline.batch import Batch
from arc_core.pipeline.canvas import CanvasBatch
from arc_core.pipeline.canvas_flow import CanvasFlow, canvas_flow, plan_again, refine
from arc_core.pipeline.canvas_loss import canvas_losses
from arc_core.pipeline.canvas_planner import Planned, input_under_output
from arc_core.pipeline.declared import terms_of
from arc_core.pipeline.outcome import (
    DrawnGrids,
    PartOnDevice,
    StepOnDevice,
    StepResult,
    end_of_step,
    joined,
)
from arc_core.pipeline.planner import color_probabilities, one_hot
from arc_core.pipeline.policy import RefineInfo
from arc_core.pipeline.reward import Scores, score_batch
from arc_core.pipeline.system import ArcSystem
from arc_core.pipeline.whole import Whole
from arc_core.training.optimizer import clear_gradients, clip_and_step, set_rates

LEAST_SPREAD = 1e-3
"""Of the rewards of a pair's actions: below it their differences are noise."""


@dataclass(frozen=True)
class _Draws:
    """What is drawn for some pairs.

    Attributes:
        kept: [b] 1 where a task's learned vector is used, 0 where it is left out.
        tried: On so many of them, the first, the policy tries its actions.
        noise: Of each action, [S, A].
    """

    kept: Tensor
    tried: int
    noise: Sequence[Tensor]

    def part(self, rows: slice) -> _Draws:
        """Those of some of the pairs."""
        tried = len(range(self.tried)[rows])
        return _Draws(self.kept[rows], tried, [drawn[rows] for drawn in self.noise])


@dataclass(frozen=True)
class _Tries:
    """What came of the policy's tries on some pairs.

    Attributes:
        rewards: Of its mean action by its parts, [s] each.
        gained: [G, s] the reward of each action that was drawn.
        info: Of these actions, [G, s, ...] each; None where none was.
    """

    rewards: dict[str, Tensor]
    gained: Tensor
    info: RefineInfo | None


def canvas_step(
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
        batch: With targets, laid out, on the system's device.
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
    set_rates(system.optimizers, system.schedule.factor(step))
    clear_gradients(system.optimizers)
    kept = whole.cut(torch.rand(len(whole)) >= config.vector_dropout).float()
    some, width = whole.first(config.policy_pairs), system.policy.config.action_dim
    draws = _Draws(
        kept.to(system.device, non_blocking=True),
        len(some.places),
        [some.noise(width, system.device) for _ in range(config.policy_draws if config.refine else 0)],
    )
    size_weight = system.size_warmup.get_size_loss_weight(epoch)
    parts: list[PartOnDevice] = []
    tries: list[_Tries] = []
    for rows, pairs in whole.rows_of(chain([batch], later)):
        part, tried = _learn_from(system, pairs, draws.part(rows), size_weight, whole, rows)
        parts.append(part)
        if tried is not None:
            tries.append(tried)

    # Step 8: the policy learns which of its actions did better than others for the same pair.
    rewards, policy_norm = _learn_from_tries(system, tries, some)
    told = whole.means([(part.whole, part.means) for part in parts])
    share = config.reward_weight
    combined = (1.0 - share) * told["total"] - share * rewards["total"].mean()

    # Step 10: clip, step.
    norms, applied = clip_and_step(
        combined, system.optimizers, system.components, system.precision, config.clip_norm
    )
    numbers = {
        **{f"loss.{name}": told[name] for name in terms_of(config.to_dict())},
        "loss.efe_total": told["total"],
        "loss.combined": combined,
        **{f"reward.{name}": value.mean() for name, value in rewards.items()},
        "mask_ratio": told["mask_ratio"],
        **{f"norm.{name}": value for name, value in norms.items()},
        "norm.policy": policy_norm,
    }
    return end_of_step(system, StepOnDevice(numbers, applied, size_weight, parts), whole)


def _learn_from(
    system: ArcSystem, batch: Batch, draws: _Draws, size_weight: float, whole: Whole, rows: slice
) -> tuple[PartOnDevice, _Tries | None]:
    """Steps 2 to 7, 9 and the backward pass on some rows of a share; None where the policy tries nothing."""
    config, canvas, part = system.config, batch.laid, whole.part(rows)
    before, tries = None, None
    with system.precision.shared_casts():
        # Steps 2 to 5: prompts, and the plans under the refined ones.
        flow = canvas_flow(system, batch, draws.kept)

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
            among=part.among,
        )

        # Steps 3, 6 and 7: on some pairs, what the refinement gained over the base prompt.
        if draws.tried:
            before, tries = _try_actions(system, flow, canvas, draws)

    # Of the combined loss, what has a gradient.
    loss = part.weight * ((1.0 - config.reward_weight) * losses["total"])
    system.precision.backward(system.spread(loss, rows.stop < len(whole.places)))

    after = drawn(flow.planned, canvas)
    right = (after.cells == canvas.targets) * canvas.out_mask
    means = {name: value.detach() for name, value in losses.items()} | {"mask_ratio": mask_ratio}
    done = PartOnDevice(
        part,
        means,
        right.sum(dim=(1, 2)) / canvas.out_mask.sum(dim=(1, 2)),
        batch.prompt_inputs.summary,
        flow.refined.detach(),
        before,
        after,
    )
    return done, tries


def drawn(planned: Planned, canvas: CanvasBatch) -> DrawnGrids:
    """The grids of the plans' last step."""
    return DrawnGrids(planned.logits[:, -1].argmax(dim=-1), canvas.out_sizes)


def _try_actions(
    system: ArcSystem, flow: CanvasFlow, canvas: CanvasBatch, draws: _Draws
) -> tuple[DrawnGrids, _Tries]:
    """Plan the first pairs under the base prompt and under drawn actions; the grids of the former."""
    count = draws.tried
    places = torch.arange(count, device=system.device)
    some, prompts = canvas.take(places), flow.prompts.take(places)
    reading = flow.reading.take(places)
    drawn_actions = [refine(system, prompts, explore=True, noise=noise) for noise in draws.noise]
    under = torch.cat([prompts.base, *(refined for refined, _ in drawn_actions)])
    rows = 1 + len(drawn_actions)
    planned = plan_again(system, reading.take(places.repeat(rows)), under, some.take(places.repeat(rows)))
    both = zip(vars(_some(flow.planned, places)).values(), vars(planned).values(), strict=True)
    every = scores_of(
        system,
        Planned(*(torch.cat(two) for two in both)),
        some.take(places.repeat(1 + rows)),
        prompts.base.repeat(1 + rows, 1),
    )
    # The first row is of the mean actions, the second of none, the others of those drawn.
    scores = Scores(*(values.view(1 + rows, count) for values in vars(every).values()))
    gains = scores.gain_over(Scores(*(values[1] for values in vars(scores).values())))
    info = None
    if drawn_actions:
        infos = [info for _, info in drawn_actions]
        info = RefineInfo(
            torch.stack([info.state for info in infos]),
            torch.stack([info.summary for info in infos]),
            torch.stack([info.pre_tanh for info in infos]),
        )
    rewards = {name: values[0] for name, values in gains.items()}
    return drawn(_some(planned, places), some), _Tries(rewards, gains["total"][2:], info)


def _learn_from_tries(
    system: ArcSystem, tries: Sequence[_Tries], whole: Whole
) -> tuple[dict[str, Tensor], Tensor]:
    """Let the policy learn from the actions that were tried on the own pairs of a batch, part by part.

    An action's advantage is over the other actions for the same pair, in units of their spread (GRPO, Shao
    et al. 2024): how hard a pair is cancels out.

    Returns:
        Of all that the processes have tried, the reward of the mean action by its parts, and the norm of the
        policy's gradient.
    """
    names = tries[0].rewards
    rewards = whole.columns({name: joined([tried.rewards[name] for tried in tries]) for name in names})
    infos = [tried.info for tried in tries if tried.info is not None]
    if not infos:
        return rewards, torch.zeros((), device=system.device)
    by_pair = joined([tried.gained for tried in tries], dim=1)
    spread = by_pair.std(dim=0, correction=0)
    advantage = (by_pair - by_pair.mean(dim=0)) / spread.clamp_min(LEAST_SPREAD)
    info = RefineInfo(
        whole.draws(joined([info.state for info in infos], dim=1)),
        whole.draws(joined([info.summary for info in infos], dim=1)),
        whole.draws(joined([info.pre_tanh for info in infos], dim=1)),
    )
    told = system.policy.update(info, whole.draws(by_pair), whole.draws(advantage))
    return rewards, torch.as_tensor(told["grad_norm"])


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
