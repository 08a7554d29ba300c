"""Phase 4: validation on test inputs that are seen without their outputs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from arc_core.data.dataset import Example, augment_example
from arc_core.data.grids import MAX_SIDE, NUM_COLORS
from arc_core.data.sizes import Size
from arc_core.data.views import View, make_views
from arc_core.pipeline.batch import collate
from arc_core.pipeline.canvas import CanvasBatch
from arc_core.pipeline.canvas_flow import canvas_flow, plan_again
from arc_core.pipeline.canvas_planner import Planned
from arc_core.pipeline.judging import judged_actions
from arc_core.pipeline.laying import Layouts
from arc_core.pipeline.padding import FEW_SIDES
from arc_core.pipeline.system import ArcSystem
from arc_core.training.ranks import ALONE, Ranks
from arc_core.training.telemetry import AnsweredInput, Validation

_VIEWS = make_views(1, (0,))
_OWN_COLORS = np.arange(NUM_COLORS)


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


@torch.no_grad()  # what inference mode makes, a sharded model could not train with later
def predict(
    system: ArcSystem,
    examples: Sequence[Example],
    batch_size: int,
    between_batches: Callable[[], bool] = lambda: True,
    ranks: Ranks = ALONE,
) -> list[Predicted]:
    """Answer test inputs; their targets are taken off before anything is looked at.

    Args:
        system: The models.
        examples: The inputs with their contexts.
        batch_size: Inputs a batch.
        between_batches: Called after each batch; predicting ends early when it returns False.
        ranks: The processes that answer them together, each some of the batches.

    Returns:
        One answer for each example, in order; fewer when it ended early.
    """

    def answer(some: list[Example]) -> list[Predicted]:
        batch = collate(some, FEW_SIDES).to(system.device)
        flow = system.flow(batch, explore=False)
        both = (prediction.grids(batch.inputs) for prediction in (flow.before, flow.after))
        return [Predicted(*grids) for grids in zip(*both, strict=True)]

    return _in_batches(examples, batch_size, between_batches, answer, ranks)


@torch.no_grad()  # as in `predict`
def predict_on_canvas(
    system: ArcSystem,
    layouts: Layouts,
    examples: Sequence[Example],
    batch_size: int,
    between_batches: Callable[[], bool] = lambda: True,
    ranks: Ranks = ALONE,
) -> list[Predicted]:
    """Answer test inputs as `predict` does, on canvases of the sizes that rules or else the size head give.

    Each cell of an answer has the likeliest colour in the mean of the first `answer_views` symmetries.

    Args:
        system: Its agent plans on the outputs' canvas.
        layouts: Of the examples' tasks.
        examples: The inputs with their contexts.
        batch_size: Inputs a batch.
        between_batches: As for `predict`.
        ranks: As for `predict`.
    """
    config = system.config

    def answer(some: list[Example]) -> list[Predicted]:
        sizes: list[Size | None] = [None] * len(some)
        if any(layouts.known_size(example) is None for example in some):
            told = canvas_flow(system, collate(some, FEW_SIDES, layouts.lay(some)).to(system.device))
            guesses = (told.planned.size_logits.argmax(dim=-1) + 1).tolist()
            sizes = [
                None if layouts.known_size(example) else (rows, columns)
                for example, (rows, columns) in zip(some, guesses, strict=True)
            ]
        actions = judged_actions(system, layouts, some) if config.refine and config.judged_draws else None
        votes = [_Votes(some) for _ in range(3 if config.memory else 2)]
        for view in _VIEWS[: config.answer_views]:
            seen = [augment_example(example, view.symmetry, _OWN_COLORS) for example in some]
            batch = collate(seen, FEW_SIDES, layouts.lay(seen, sizes)).to(system.device)
            flow = canvas_flow(system, batch, actions=actions)
            plans = [plan_again(system, flow.reading, flow.prompts.base, batch.laid), flow.planned]
            if config.memory:
                plans.append(plan_again(system, flow.reading, flow.refined - flow.prompts.lent, batch.laid))
            for planned, vote in zip(plans, votes, strict=True):
                vote.add(planned, batch.laid, view)
        return [Predicted(*grids) for grids in zip(*(vote.grids() for vote in votes), strict=True)]

    return _in_batches(examples, batch_size, between_batches, answer, ranks)


class _Votes:
    """The probabilities that views of some inputs give each colour, added up."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._sums: list[np.ndarray | float] = [0.0] * len(examples)

    def add(self, planned: Planned, canvas: CanvasBatch, view: View) -> None:
        """Take in what was planned under a view."""
        shares = planned.logits[:, -1].softmax(dim=-1).cpu().numpy()
        for number, (height, width) in enumerate(canvas.out_sizes.tolist()):
            self._sums[number] += view.undo_probabilities(shares[number, :height, :width])

    def grids(self) -> list[Tensor]:
        """The likeliest colours, each [h, w]."""
        return [torch.from_numpy(np.asarray(shares).argmax(axis=-1)) for shares in self._sums]


def _in_batches(
    examples: Sequence[Example],
    batch_size: int,
    between_batches: Callable[[], bool],
    answer: Callable[[list[Example]], list[Predicted]],
    ranks: Ranks,
) -> list[Predicted]:
    """Answer examples without their targets, in batches of like sizes; the answers are in their own order."""
    blind = [replace(example, target=None) for example in examples]
    order = sorted(range(len(blind)), key=lambda index: blind[index].input.size)
    answers: dict[int, Predicted] = {}
    # All processes go through as many rounds, as they take commands together in each.
    for start in range(0, len(order), batch_size * ranks.count):
        own = start + batch_size * ranks.world.rank
        chosen = order[own : own + batch_size]
        if chosen:
            answers.update(zip(chosen, answer([blind[index] for index in chosen]), strict=True))
        if not between_batches():
            break
    answers = answers if ranks.alone else _of_all(answers, len(order), ranks)
    return [answers[index] for index in sorted(answers)]


def _of_all(own: dict[int, Predicted], count: int, ranks: Ranks) -> dict[int, Predicted]:
    """The answers of all processes, by their places among so many."""
    # Of each grid its height and width, 0 where there is none, and its cells.
    table = torch.zeros(count, 3, 2 + MAX_SIDE * MAX_SIDE, dtype=torch.int32)
    for index, answer in own.items():
        for row, grid in zip(table[index], (answer.before, answer.after, answer.without_memory), strict=True):
            if grid is not None:
                row[:2] = torch.tensor(grid.shape)
                row[2:].view(MAX_SIDE, MAX_SIDE)[: grid.shape[0], : grid.shape[1]] = grid
    answers: dict[int, Predicted] = {}
    for index, rows in enumerate(ranks.sum(table)):
        grids = [row[2:].view(MAX_SIDE, MAX_SIDE)[: int(row[0]), : int(row[1])] for row in rows]
        if grids[0].numel():
            before, after, alone = grids
            answers[index] = Predicted(before, after, alone if alone.numel() else None)
    return answers


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
