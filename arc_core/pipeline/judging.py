"""Step 4 where nothing is learned any more: the policy proposes, the task's own demonstrations judge.

Each demonstration is answered from the others under every proposal. The proposal that explains them best is
taken for the test input too; among equals, and where there is nothing to judge by, that is to change nothing.

Shape legend: K proposals, B test inputs, D demonstrations of all of them, A directions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from arc_core.data.dataset import Example
from arc_core.pipeline.batch import collate
from arc_core.pipeline.canvas_flow import go_along, plan_again, prompts_of, refine
from arc_core.pipeline.canvas_planner import grid_losses
from arc_core.pipeline.laying import Layouts
from arc_core.pipeline.padding import FEW_SIDES
from arc_core.pipeline.system import ArcSystem

AT_ONCE = 64
"""Demonstrations of a batch."""

DRAW_SEED = 0
"""The proposals of an answer are the same whenever it is given, and training's draws are left alone."""


def demonstrations_of(layouts: Layouts, example: Example, max_context: int) -> list[Example]:
    """The demonstrations of a test input, shown as it is, each to be answered from the others."""
    shown = layouts.task(example.task_id).train
    return [
        Example(
            example.task_id,
            place,
            "train",
            (shown[:place] + shown[place + 1 :])[:max_context],
            pair.input,
            pair.output,
        )
        for place, pair in enumerate(shown)
        if pair.output is not None
    ]


@torch.no_grad()
def judged_actions(system: ArcSystem, layouts: Layouts, examples: Sequence[Example]) -> Tensor:
    """How far to go along each direction for some test inputs, [B, A].

    Args:
        system: Its policy proposes its mean action and `config.judged_draws` others.
        layouts: Of the examples' tasks.
        examples: Test inputs as they are.
    """
    batch = collate(examples, FEW_SIDES, layouts.lay(examples)).to(system.device)
    prompts = prompts_of(system, batch)
    with torch.random.fork_rng(devices=[system.device] if system.device.type == "cuda" else []):
        torch.manual_seed(DRAW_SEED)
        draws = [refine(system, prompts, explore=True)[1] for _ in range(system.config.judged_draws)]
    mean = refine(system, prompts, explore=False)[1]
    actions = torch.stack([info.pre_tanh for info in (mean, *draws)])
    actions = torch.cat([torch.zeros_like(actions[:1]), actions])
    asked = [
        (owner, demonstration)
        for owner, example in enumerate(examples)
        for demonstration in demonstrations_of(layouts, example, system.config.max_context)
    ]
    asked.sort(key=lambda one: one[1].input.size)
    losses = actions.new_zeros(actions.shape[:2])
    for start in range(0, len(asked), AT_ONCE):
        some = asked[start : start + AT_ONCE]
        owners = torch.tensor([owner for owner, _ in some], device=system.device)
        shown = [demonstration for _, demonstration in some]
        batch = collate(shown, FEW_SIDES, layouts.lay(shown)).to(system.device)
        prompts = prompts_of(system, batch)
        with system.precision.autocast():
            reading = system.agent.canvas_planner.read(batch.laid)
        for proposal, loss in zip(actions, losses, strict=True):
            under = go_along(system, prompts, proposal[owners])
            planned = plan_again(system, reading, under, batch.laid)
            loss.index_add_(0, owners, grid_losses(planned.logits[:, -1], batch.laid))
    least, best = losses.min(dim=0)
    best = best * (least < losses[0])  # torch may name any of equals, and the first is to change nothing
    return actions[best, torch.arange(len(examples), device=best.device)]
