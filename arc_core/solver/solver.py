"""Test-time training: agents and prompts trained on one task's demonstrations, then asked for its answers.

A short budget trains one agent. One that fits the demonstrations learns nothing more, so a long budget trains
several, one after another, each from another start. Everything is a function of the task, the starting
weights, the configuration, the seed and the number of steps: the same answers come out on the same machine
and build whenever it is run with one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from arc_core.data.grids import Grid
from arc_core.data.tasks import Task
from arc_core.solver.config import SolverConfig
from arc_core.solver.start import AdaptationLook, SolverStart
from arc_core.solver.voting import Choice, choose_among
from arc_core.solver.weights_file import TASK_PROMPTS

NARROWER = 0.75
"""Width of every third start, beside that of the others: it costs so much of their time a step (measured)."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What comes out for one test input."""

    choice: Choice
    single: Grid
    """The answer of the best start's last weights under the task's own view alone."""
    size_rule: str
    """Family of the rule that gave the size; `none` where the size head did."""


class Solver:
    """Solves one task: by one start, or by several one after another, each with its own vote.

    The first start has the given weights, the next ones random weights, random weights of another width, and
    again the given ones with another seed, in turns; without given weights all are random.

    Args:
        task: Its test outputs are not looked at.
        config: Architecture and adaptation.
        weights: Tensors of a `CanvasPlanner` to start from; None starts from random ones.
        seed: At least 0.
        device: Where to compute.
    """

    def __init__(
        self,
        task: Task,
        config: SolverConfig,
        weights: Mapping[str, Tensor] | None = None,
        seed: int = 0,
        device: torch.device | None = None,
    ) -> None:
        self.config = config
        self._task, self._weights, self._seed, self._device = task, weights, seed, device
        self.starts = [SolverStart(task, config, weights, seed, device)]
        """Those that were begun; a first one at once."""
        self.best = self.starts[0]
        """The start that gets most demonstrations right, the earliest of several; known once all are over."""
        # The starts to come need not look the task up again.
        if weights is not None and (nearest := self.starts[0].nearest) is not None:
            self._weights = {**weights, TASK_PROMPTS: nearest}

    def _width(self, number: int) -> int:
        return max(8, round(NARROWER * self.config.width)) if number % 3 == 2 else self.config.width

    def step_cost(self, starts: int) -> float:
        """What a step costs in the mean of so many starts, beside one of the first."""
        return sum(map(self._width, range(starts))) / (starts * self.config.width)

    def _begin(self, number: int) -> SolverStart:
        config = replace(self.config, width=self._width(number))
        weights = None if number % 3 else self._weights
        start = SolverStart(self._task, config, weights, self._seed, self._device, number)
        self.starts.append(start)
        return start

    def look(self, steps: int, loss: float) -> AdaptationLook:
        """What demonstrations and test inputs become now, by the best start."""
        return self.best.look(steps, loss)

    def solve(
        self, steps: int, watch: Callable[[AdaptationLook], None] | None = None, looks: int = 20
    ) -> list[Answer]:
        """Adapt for so many steps in all and answer every test input.

        Args:
            steps: Training steps, 0 to answer from the starting weights.
            watch: Told how far it is, and shown what it predicts; None for nobody.
            looks: How often, about.
        """
        most, to_come = self.config.max_starts, self.config.starts(steps)
        share, left = max(1, steps // to_come), steps
        for number in range(most):
            start = self._begin(number) if number else self.starts[0]
            own = left // to_come
            # Where a start stops early, half a share at least is left for another one.
            stop_by = min(own // 2, left - (share + 1) // 2) if number + 1 < most else 0
            tell = watch and self._teller(watch, looks, own, steps - left, steps, number + to_come)
            left -= start.adapt(own, stop_by, tell)
            to_come = min(most - number - 1, int(left / share + 0.5))
            if not to_come:
                break
        fits = [1.0]
        if len(self.starts) > 1:
            fits = [float(np.mean(start.look(0, 0.0).exact)) for start in self.starts]
            self.best = self.starts[int(np.argmax(fits))]
        return [
            Answer(
                choose_among([start.ballots_on(number) for start in self.starts], fits),
                self.best.votes[-1][number][0].grid,
                query.size_rule,
            )
            for number, query in enumerate(self.best.placed.queries)
        ]

    def _teller(
        self,
        watch: Callable[[AdaptationLook], None],
        looks: int,
        own: int,
        before: int,
        steps: int,
        starts: int,
    ) -> Callable[[int, float], None]:
        """What tells the watcher of the newest start's steps: its own ones, those before it, all steps."""
        every = max(1, steps // looks)
        start, number = self.starts[-1], len(self.starts)

        def tell(step: int, loss: float) -> None:
            if (before + step) % every == 0 or step in (1, own):
                look = start.look(steps, loss)
                watch(replace(look, step=before + step, start=number, starts=starts))

        return tell
