"""Step 2 for tasks that are trained on: a vector learned for each is added to what is read of it.

A task has one vector. Under a symmetry of the square it is turned by a matrix that is learned for that
symmetry and starts as the identity, so every example of a task teaches the same vector whatever its view.

Shape legend: B pairs, K tasks, P prompt.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from arc_core.pipeline.moving import to_device

SYMMETRIES = 8

PROMPT_SCALE = 1.0
"""Standard deviation of the numbers of a learned vector at first."""


class TaskPrompts(nn.Module):
    """Learned vectors of tasks.

    Args:
        tasks: Their ids; each has its vector at its place.
        prompt_dim: Width of the prompt.
    """

    def __init__(self, tasks: Sequence[str], prompt_dim: int) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self._places = {task: place for place, task in enumerate(self.tasks)}
        self.vectors = nn.Parameter(PROMPT_SCALE * torch.randn(len(self.tasks), prompt_dim))
        self.turns = nn.Parameter(torch.eye(prompt_dim).repeat(SYMMETRIES, 1, 1))
        self.shifts = nn.Parameter(torch.zeros(SYMMETRIES, prompt_dim))

    def forward(self, tasks: Sequence[str], symmetries: Tensor) -> Tensor:
        """The vectors of pairs, each under its symmetry; 0 for a task that has none.

        Args:
            tasks: The task of each pair.
            symmetries: [B] 0 to 7.

        Returns:
            [B, P].
        """
        known, places = to_device(
            (
                torch.tensor([task in self._places for task in tasks]),
                torch.tensor([self._places.get(task, 0) for task in tasks]),
            ),
            self.vectors.device,
        )
        turned = torch.einsum("bp,bpq->bq", self.vectors[places], self.turns[symmetries])
        return (turned + self.shifts[symmetries]) * known[:, None]

    def under_symmetries(self, task: str) -> Tensor:
        """A task's vector under each symmetry, [8, P]; 0 for a task that has none."""
        return self([task] * SYMMETRIES, torch.arange(SYMMETRIES, device=self.vectors.device))
