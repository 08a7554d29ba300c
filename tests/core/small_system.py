"""A small ArcSystem and batches of small real pairs, for tests of what a training step does."""

from functools import cache
from typing import Any

import torch
from torch import Tensor

from arc_core.data.dataset import ARCDataset, Example
from arc_core.pipeline.batch import Batch, collate
from arc_core.pipeline.config import PipelineConfig
from arc_core.pipeline.step import StepResult, training_step
from arc_core.pipeline.system import ArcSystem, Flow

CPU = torch.device("cpu")


def small_system(seed: int = 0, **settings: Any) -> ArcSystem:
    """A system with the tiny language model; float32, no weight decay, quick rates unless told otherwise."""
    chosen: dict[str, Any] = {
        "hidden_dim": 32, "prompt_dim": 32, "batch_size": 4, "amp": "off", "weight_decay": 0.0,
        "agent_lr": 3e-3, "qwen_lr": 1e-3,
    }  # fmt: skip
    torch.manual_seed(seed)
    return ArcSystem(PipelineConfig(**chosen | settings), CPU)


@cache
def _one_pair_a_task(same_size: bool) -> tuple[Example, ...]:
    chosen: dict[str, Example] = {}
    for example in ARCDataset("arcagi2", max_cells=40):
        assert example.target is not None
        if (example.input.shape == example.target.shape) == same_size:
            chosen.setdefault(example.task_id, example)
    return tuple(chosen.values())


def real_batch(first: int = 0, pairs: int = 4, *, same_size: bool = True) -> Batch:
    """Training pairs of ARC-AGI-2, each of another task; with `same_size` no logit has to be resized."""
    return collate(_one_pair_a_task(same_size)[first : first + pairs])


def step_and_flow(
    system: ArcSystem, batch: Batch, epoch: int = 0, step: int = 1, draw: int = 7
) -> tuple[StepResult, Flow]:
    """Take one training step; the flow's prompt, logits and sizes keep their gradients.

    Args:
        system: Is moved.
        batch: With targets.
        epoch: 0-based.
        step: 1-based.
        draw: Seeds the policy's noise, so that two steps can be compared.
    """
    flows: list[Flow] = []
    run = system.flow

    def kept(batch: Batch, *, explore: bool, noise: Tensor | None = None) -> Flow:
        flow = run(batch, explore=explore, noise=noise)
        for tensor in (flow.prompt, flow.after.logits, flow.after.output.size_logits):
            tensor.retain_grad()
        flows.append(flow)
        return flow

    torch.manual_seed(draw)
    vars(system)["flow"] = kept
    try:
        result = training_step(system, batch, epoch, step)
    finally:
        del vars(system)["flow"]
    return result, flows[0]


def trained(steps: int, batch: Batch, seed: int = 0, **settings: Any) -> ArcSystem:
    """A system that has been trained on one batch."""
    system = small_system(seed, **settings)
    for step in range(1, steps + 1):
        training_step(system, batch, 0, step)
    return system


def stand_still(system: ArcSystem) -> ArcSystem:
    """Set every learning rate to 0, so that steps can be compared on the same weights."""
    for group in system.optimizer.param_groups:
        group["base_lr"] = 0.0
    system.policy.optimizer.param_groups[0]["lr"] = 0.0
    return system


def weights_of(system: ArcSystem) -> dict[str, torch.Tensor]:
    """A copy of every parameter that the main optimizer moves, as `component.number`."""
    return {
        f"{component.name}.{number}": parameter.detach().clone()
        for component in system.components
        for number, parameter in enumerate(component.parameters)
    }
