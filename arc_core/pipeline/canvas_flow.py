"""Steps 2 to 5 for the agent that plans on the outputs' canvas.

What is read of a task, by language model, features, demonstrations and memory, is the base prompt. To it is
added the vector that was learned for the task, where there is one. The policy then goes some way along few
directions: the task's own vector, and the prompts that solved the most alike pairs of other tasks.

Shape legend: B pairs, A directions, P prompt.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from arc_core.pipeline.batch import Batch
from arc_core.pipeline.canvas import CanvasBatch
from arc_core.pipeline.canvas_planner import InputReading, Planned
from arc_core.pipeline.policy import RefineInfo
from arc_core.pipeline.system import FOUND_DIRECTIONS, ArcSystem
from arc_core.pipeline.task_prompts import TaskPrompts


@dataclass(frozen=True)
class Prompts:
    """The prompts of a batch.

    Attributes:
        base: [B, P] what is read of each task.
        lent: [B, P] what the memory has added to that.
        own: [B, P] the base with the task's learned vector.
        directions: [B, A, P] that the policy may go along.
        control: [B, P] the control vector that the policy sees.
        summary: [B, F] the features that it sees.
    """

    base: Tensor
    lent: Tensor
    own: Tensor
    directions: Tensor
    control: Tensor
    summary: Tensor

    def take(self, places: Tensor) -> Prompts:
        """Those of some pairs, by their places [n]."""
        return Prompts(**{name: tensor[places] for name, tensor in vars(self).items()})


def prompts_of(system: ArcSystem, batch: Batch, kept: Tensor | None = None) -> Prompts:
    """Step 2: read each pair's task, and look up what was learned for it.

    Args:
        system: Its agent plans on the outputs' canvas.
        batch: Laid out.
        kept: [B] 1 where a task's learned vector is used, 0 where it is left out; None uses all.
    """
    pack, base, _ = system.read_prompts(batch)
    vectors = learned_prompts(system)(batch.task_ids, batch.laid.views[:, 0])
    if kept is not None:
        vectors = vectors * kept[:, None]
    summary = batch.prompt_inputs.summary
    directions = vectors[:, None]
    if system.config.memory:
        found = system.memory.nearest(summary, batch.task_ids, FOUND_DIRECTIONS)
        there = found.abs().amax(dim=-1, keepdim=True) > 0
        directions = torch.cat([directions, (found - base.detach()[:, None]) * there], dim=1)
    else:
        nothing = directions.new_zeros(len(batch), FOUND_DIRECTIONS, base.shape[1])
        directions = torch.cat([directions, nothing], dim=1)
    lent = base - pack.prompt_embedding
    return Prompts(base, lent, base + vectors, directions, pack.control_vector, summary)


def learned_prompts(system: ArcSystem) -> TaskPrompts:
    """The tasks' own prompts.

    Raises:
        TypeError: If the system has none, as with the seed's planner.
    """
    if system.task_prompts is None:
        raise TypeError("only a system with the planner canvas learns prompts of tasks")
    return system.task_prompts


def refine(
    system: ArcSystem, prompts: Prompts, *, explore: bool, noise: Tensor | None = None
) -> tuple[Tensor, RefineInfo]:
    """Step 4: go along the directions as far as the policy says; the refined prompts [B, P].

    Args:
        system: With its policy.
        prompts: Of the pairs.
        explore: Draw the action; its mean is taken otherwise.
        noise: As `refine_prompt` takes it.
    """
    refined, info = system.policy.refine_prompt(
        prompts.own,
        prompts.control,
        prompts.summary,
        deterministic=not explore,
        directions=prompts.directions,
        noise=noise,
    )
    return (refined if system.config.refine else prompts.own), info


def go_along(system: ArcSystem, prompts: Prompts, actions: Tensor) -> Tensor:
    """The prompts [B, P] that actions of the policy, [B, A] before their tanh, make of the tasks' own."""
    return prompts.own + system.policy.change(actions, prompts.directions)


@dataclass(frozen=True)
class CanvasFlow:
    """Steps 2 to 5 of a batch.

    Attributes:
        prompts: Of the pairs.
        refined: [B, P] under which was planned.
        reading: What was read of the inputs.
        planned: The plans under the refined prompts.
    """

    prompts: Prompts
    refined: Tensor
    reading: InputReading
    planned: Planned


def canvas_flow(
    system: ArcSystem, batch: Batch, kept: Tensor | None = None, actions: Tensor | None = None
) -> CanvasFlow:
    """Read the tasks and the inputs of a batch, and plan.

    Args:
        system: Its agent plans on the outputs' canvas.
        batch: Laid out.
        kept: As `prompts_of` takes it.
        actions: [B, A] as `go_along` takes them; None takes the policy's mean.
    """
    planner = system.agent.canvas_planner
    prompts = prompts_of(system, batch, kept)
    if actions is None:
        refined, _ = refine(system, prompts, explore=False)
    else:
        refined = go_along(system, prompts, actions)
    with system.precision.autocast():
        reading = planner.read(batch.laid)
        planned = planner.plan(reading, refined, batch.laid)
    return CanvasFlow(prompts, refined, reading, planned)


@torch.no_grad()
def plan_again(system: ArcSystem, reading: InputReading, prompts: Tensor, canvas: CanvasBatch) -> Planned:
    """Step 3 and 5 once more: plan what was read under other prompts [N, P], without gradient."""
    with system.precision.autocast():
        return system.agent.canvas_planner.plan(reading, prompts, canvas)
