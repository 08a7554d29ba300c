"""Phase 4: validation on test inputs that are seen without their outputs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from arc_core.data.dataset import Example
from arc_core.pipeline.batch import collate
from arc_core.pipeline.canvas_flow import CanvasPrediction, canvas_flow, plan_again
from arc_core.pipeline.laying import Layouts
from arc_core.pipeline.padding import FEW_SIDES
from arc_core.pipeline.system import ArcSystem
from arc_core.training.telemetry import AnsweredInput, Validation


@dataclass(frozen=True)
class Predicted:
    """What the system says about one test input.

    Attributes:
        before: [h, w] colours under the unrefined prompt.
        after: The same under the refined one: the answer.
        without_memory: The same under the refined one without what the memory has added; None where that is
            not asked.
    """

    before: Tensor
    after: Tensor
    without_memory: Tensor | None = None


@torch.inference_mode()
def predict(
    system: ArcSystem,
    examples: Sequence[Example],
    batch_size: int,
    between_batches: Callable[[], bool] = lambda: True,
) -> list[Predicted]:
    """Answer test inputs; their targets are taken off before anything is looked at.

    Args:
        system: The models.
        examples: The inputs with their contexts.
        batch_size: Inputs a batch.
        between_batches: Called after each batch; predicting ends early when it returns False.

    Returns:
        One answer for each example, in order; fewer when it ended early.
    """

    def answer(some: list[Example]) -> list[Predicted]:
        batch = collate(some, FEW_SIDES).to(system.device)
        flow = system.flow(batch, explore=False)
        both = (prediction.grids(batch.inputs) for prediction in (flow.before, flow.after))
        return [Predicted(*grids) for grids in zip(*both, strict=True)]

    return _in_batches(examples, batch_size, between_batches, answer)


@torch.inference_mode()
def predict_on_canvas(
    system: ArcSystem,
    layouts: Layouts,
    examples: Sequence[Example],
    batch_size: int,
    between_batches: Callable[[], bool] = lambda: True,
) -> list[Predicted]:
    """Answer test inputs as `predict` does, on canvases of the sizes that rules or else the size head give.

    Args:
        system: Its agent plans on the outputs' canvas.
        layouts: Of the examples' tasks.
        examples: The inputs with their contexts.
        batch_size: Inputs a batch.
        between_batches: As for `predict`.
    """

    def answer(some: list[Example]) -> list[Predicted]:
        sizes = [layouts.known_size(example) for example in some]
        batch = collate(some, FEW_SIDES, layouts.lay(some)).to(system.device)
        flow = canvas_flow(system, batch)
        if None in sizes:
            told = (flow.planned.size_logits.argmax(dim=-1) + 1).tolist()
            asked = [
                None if size else (rows, columns) for size, (rows, columns) in zip(sizes, told, strict=True)
            ]
            batch = replace(batch, canvas=layouts.lay(some, asked).to(system.device))
            flow = canvas_flow(system, batch)
        base = plan_again(system, flow.reading, flow.prompts.base, batch.laid)
        plans = [base, flow.planned]
        if system.config.memory:
            plans.append(plan_again(system, flow.reading, flow.refined - flow.prompts.lent, batch.laid))
        each = (CanvasPrediction(planned, batch.laid).grids(batch.inputs) for planned in plans)
        return [Predicted(*grids) for grids in zip(*each, strict=True)]

    return _in_batches(examples, batch_size, between_batches, answer)


def _in_batches(
    examples: Sequence[Example],
    batch_size: int,
    between_batches: Callable[[], bool],
    answer: Callable[[list[Example]], list[Predicted]],
) -> list[Predicted]:
    """Answer examples without their targets, in batches of like sizes; the answers are in their own order."""
    blind = [replace(example, target=None) for example in examples]
    order = sorted(range(len(blind)), key=lambda index: blind[index].input.size)
    answers: dict[int, Predicted] = {}
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        answers.update(zip(chosen, answer([blind[index] for index in chosen]), strict=True))
        if not between_batches():
            break
    return [answers[index] for index in sorted(answers)]


def score(examples: Sequence[Example], answers: Sequence[Predicted]) -> Validation:
    """Score answers against the targets, beside the two baselines.

    Raises:
        ValueError: If an example has no target, or the two sequences differ in length.
    """
    found: list[AnsweredInput] = []
    for example, answer in zip(examples, answers, strict=True):
        if example.target is None:
            raise ValueError(f"task {example.task_id} has no target to score against")
        grids = example.input, answer.after.numpy(), example.target, answer.before.numpy()
        alone = None if answer.without_memory is None else answer.without_memory.numpy()
        found.append(AnsweredInput(example.task_id, *grids, without_memory=alone))
    return Validation.over(found)


def choose_inputs(examples: Sequence[Example], limit: int | None) -> list[Example]:
    """The fixed inputs of every validation: whole tasks spread over the list, `limit` inputs at most.

    Inputs without a target are left out.
    """
    scorable = [example for example in examples if example.target is not None]
    if limit is None or len(scorable) <= limit:
        return scorable
    by_task: dict[str, list[Example]] = defaultdict(list)
    for example in scorable:
        by_task[example.task_id].append(example)
    # A fixed permutation: the same inputs in every run, whatever its seed.
    order = np.random.default_rng(0).permutation(sorted(by_task))
    return [example for task in order for example in by_task[str(task)]][:limit]
