"""One agent that adapts to a task: it is trained on the demonstrations, then votes on the answers."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from arc_core.data.grids import Grid
from arc_core.data.sizes import Placement
from arc_core.data.tasks import Task
from arc_core.data.views import make_views
from arc_core.pipeline.canvas import Item, pack
from arc_core.pipeline.canvas_planner import CanvasPlanner, Planned
from arc_core.pipeline.placed_task import MOST_SIZES, PlacedTask
from arc_core.pipeline.task_prompts import PROMPT_SCALE, SYMMETRIES
from arc_core.solver.adaptation import Adaptation
from arc_core.solver.config import SolverConfig
from arc_core.solver.memory import cells_of_trying, nearest_tasks
from arc_core.solver.voting import Ballot
from arc_core.solver.weights_file import TASK_PROMPTS

SECOND_SIZE_WEIGHT = 0.25
"""Of a vote for a grid of the less trusted size, beside 1 for one of the first."""

LAST_PART = 0.4
"""Share of the steps at the end over which the snapshots that vote are spread."""

CHECK_EVERY = 50
"""Steps between two looks at whether nothing is left to learn, and over which the loss is averaged."""


@dataclass(frozen=True, eq=False)
class AdaptationLook:
    """How far an adaptation is, for whoever watches."""

    step: int
    """Of all starts together, as `steps`."""
    steps: int
    loss: float
    """Of the last step's demonstrations."""
    demonstrations: tuple[Grid, ...]
    """What each demonstration's input becomes now."""
    exact: tuple[bool, ...]
    """Whether that is its output."""
    queries: tuple[Grid, ...]
    """What each test input becomes now, at the most trusted size."""
    start: int = 1
    """Which start this is, from 1."""
    starts: int = 1
    """How many there are to be."""


class SolverStart:
    """One agent that adapts to a task and votes on its answers.

    Args:
        task: Its test outputs are not looked at.
        config: Architecture and adaptation.
        weights: Tensors of a `CanvasPlanner` to start from; None starts from random ones.
        seed: At least 0.
        device: Where to compute.
        number: Of this start among those of the task; another one has other views, weights and steps.
    """

    def __init__(
        self,
        task: Task,
        config: SolverConfig,
        weights: Mapping[str, Tensor] | None = None,
        seed: int = 0,
        device: torch.device | None = None,
        number: int = 0,
    ) -> None:
        self.config = config
        self.device = device or torch.device("cpu")
        # A task's answers do not depend on which other tasks are solved in the process.
        self._seeds = (seed, zlib.crc32(task.id.encode()), *([number] if number else []))
        # Torch's generator looks at 32 bits of a seed.
        mixed = int(np.random.SeedSequence(self._seeds).generate_state(1)[0])
        self._generator = torch.Generator().manual_seed(mixed)
        views = make_views(config.color_maps, self._seeds, symmetries=config.symmetries)
        self.placed = PlacedTask(task.without_test_outputs(), views)
        net = fresh_net(config, sum(self._seeds)).to(self.device)
        known = None
        if weights is not None:
            tensors = dict(weights)
            known = tensors.pop(TASK_PROMPTS, None)
            net.load_state_dict(tensors)
        self.memory_cells = 0 if known is None or not config.memory else cells_of_trying(known, self.placed)
        self.nearest = known
        """The pretrained prompts that it starts from, where there are any."""
        if self.memory_cells and known is not None:
            self.nearest = known[nearest_tasks(net, known, self.placed, config)]
        self._start_prompt = self._first_prompt()
        self._adaptation = Adaptation(net, config, self.device, self._start_prompt, sum(self._seeds))
        self.votes: list[list[list[Ballot]]] = []
        """What `ballots` gave at each of the moments that vote."""

    def _first_prompt(self) -> Tensor:
        """The prompt to start from under each symmetry, [8, P]."""
        shape = (SYMMETRIES, self.config.prompt_dim)
        if self.nearest is None:
            return PROMPT_SCALE * torch.randn(shape, generator=self._generator)
        return self.nearest.mean(dim=0).expand(shape)

    @property
    def views_a_step(self) -> int:
        """Views that one step trains on."""
        cells = self.placed.canvas_cells() * len(self.placed.demonstrations(0))
        most = len(self.placed.views) // (2 if self.config.symmetries else 1)
        return max(1, min(most, round(self.config.batch_cells / cells)))

    def training_items(self, step: int) -> list[Item]:
        """Draw a step's demonstrations: some views that share their orientation, so that little is padded."""
        turned = self.config.symmetries and step % 2 == 1
        able = [number for number, view in enumerate(self.placed.views) if view.turned == turned]
        order = torch.randperm(len(able), generator=self._generator)[: self.views_a_step].tolist()
        return [item for place in order for item in self.placed.demonstrations(able[place])]

    def look(self, steps: int, loss: float) -> AdaptationLook:
        """What demonstrations and test inputs become now, under the task's own view."""
        demonstrations = self.placed.demonstrations(0)
        placements = [placed[0] for placed in self.placements()]
        queries = [self.placed.query_item(i, placed, 0) for i, placed in enumerate(placements)]
        _, planned = self._adaptation.plan([*demonstrations, *queries])
        grids = [
            shares.argmax(axis=-1).astype(np.int8) for shares in _shares(planned, [*demonstrations, *queries])
        ]
        known = grids[: len(demonstrations)]
        exact = tuple(
            item.target is not None and bool((grid == item.target).all())
            for grid, item in zip(known, demonstrations, strict=True)
        )
        return AdaptationLook(
            self._adaptation.step, steps, loss, tuple(known), exact, tuple(grids[len(known) :])
        )

    def placements(self) -> list[tuple[Placement, ...]]:
        """For each test input the places to try, from rules or else from the size head."""
        return [
            query.placements or tuple(Placement(size) for size in self._learned_sizes(number))
            for number, query in enumerate(self.placed.queries)
        ]

    def _learned_sizes(self, query: int) -> list[tuple[int, int]]:
        """The two likeliest sizes of an output by the size head, averaged over the symmetries."""
        total = torch.zeros(2, 30)
        grid = self.placed.queries[query].input
        stand_in = Placement((grid.shape[0], grid.shape[1]))
        for number, view in enumerate(self.placed.views):
            if view.color_map == 0:
                _, planned = self._adaptation.plan([self.placed.query_item(query, stand_in, number)])
                scores = planned.size_logits[-1].float().log_softmax(dim=-1).cpu()
                total += scores.flip(0) if view.turned else scores
        joint = (total[0][:, None] + total[1][None, :]).flatten()
        best = joint.topk(MOST_SIZES).indices.tolist()
        return [(index // 30 + 1, index % 30 + 1) for index in best]

    def ballots(self) -> list[list[Ballot]]:
        """Every view's prediction for each test input, mapped back.

        The first of each is that of the task's own view at the most trusted size.
        """
        placements = self.placements()
        found: list[list[Ballot]] = [[] for _ in placements]
        for number, view in enumerate(self.placed.views):
            items: list[Item] = []
            owners: list[tuple[int, float]] = []
            for query, places in enumerate(placements):
                for rank, placement in enumerate(places):
                    items.append(self.placed.query_item(query, placement, number))
                    owners.append((query, SECOND_SIZE_WEIGHT if rank else 1.0))
            _, planned = self._adaptation.plan(items)
            for (query, weight), predicted in zip(owners, _shares(planned, items), strict=True):
                found[query].append(Ballot(view.undo_probabilities(predicted), weight))
        return found

    def adapt(self, steps: int, stop_by: int = 0, told: Callable[[int, float], None] | None = None) -> int:
        """Adapt, and vote at the end.

        Args:
            steps: Training steps, 0 to vote with the starting weights.
            stop_by: Last step at which it may stop because it has nothing left to learn.
            told: Called after each step with its number and loss.

        Returns:
            The steps that it took.
        """
        moments = snapshot_steps(steps, self.config.snapshots)
        adaptation, losses = self._adaptation, deque[float](maxlen=CHECK_EVERY)
        last = False
        while adaptation.step < steps and not last:
            batch = pack(self.training_items(adaptation.step)).to(self.device)
            losses.append(adaptation.train(batch, steps))
            step = adaptation.step
            if told is not None:
                told(step, losses[-1])
            last = step == steps or (step <= stop_by and self._is_done(losses))
            if last or step in moments:
                self.votes.append(self.ballots())
        self.votes = self.votes or [self.ballots()]
        return adaptation.step

    def ballots_on(self, query: int) -> list[Ballot]:
        """All its votes on a test input."""
        return [ballot for moment in self.votes for ballot in moment[query]]

    def _is_done(self, losses: Sequence[float]) -> bool:
        """Whether nothing is left to learn: the loss is nothing, and every demonstration comes right."""
        if self._adaptation.step % CHECK_EVERY or float(np.mean(losses)) >= self.config.stop_loss:
            return False
        return all(self.look(0, 0.0).exact)


def fresh_net(config: SolverConfig, seed: int) -> CanvasPlanner:
    """A net of random weights that depend on the seed, at least 0, alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CanvasPlanner(config)


def snapshot_steps(steps: int, snapshots: int) -> set[int]:
    """The 1-based steps after which the weights vote; the last step is one of them."""
    return {max(1, round(steps * (1 - LAST_PART * i / max(snapshots, 1)))) for i in range(snapshots)}


def _shares(planned: Planned, items: Sequence[Item]) -> list[np.ndarray]:
    """The last step's probabilities of each item on its own output, float32 [h, w, 10]."""
    shares = planned.logits[:, -1].float().softmax(dim=-1).cpu().numpy()
    return [
        grid[: item.placement.size[0], : item.placement.size[1]]
        for grid, item in zip(shares, items, strict=True)
    ]
