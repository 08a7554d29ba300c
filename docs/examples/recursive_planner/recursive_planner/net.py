"""A tiny recursive model: one block that works on a thought and on an answer, over and over.

After "Less is More: Recursive Reasoning with Tiny Networks" (Jolicoeur-Martineau, 2025), with convolutions
in place of attention, which suits a CPU. Shapes: N pairs, G grids (an input and two drafts of its output),
H x W cells of a canvas, D channels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

OUTSIDE = 10
"""Stands where a grid has no cell. Answers have it too: their sizes follow from it."""


class Planner(nn.Module):
    """Answers grids, each as its task demands, with `recursions` thoughts before each answer."""

    def __init__(self, tasks: int, width: int, prompt: int, recursions: int) -> None:
        super().__init__()
        self.width, self.recursions, self.inner = width, recursions, 2 * width + 3 * (width // 4)
        self.tasks = nn.Embedding(tasks, prompt)
        self.turns = nn.Parameter(torch.eye(prompt).repeat(8, 1, 1))  # a task under a symmetry of the square
        self.read = nn.Conv2d(3 * (OUTSIDE + 1) + 2, width, 3, padding=1)
        self.near = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.far = nn.Linear(width, width // 4)
        self.steer = nn.Linear(prompt, 2 * self.inner + width)
        self.out = nn.Linear(self.inner, width)
        self.colors = nn.Linear(width, OUTSIDE + 1)
        self.trust = nn.Linear(prompt, 2)
        nn.init.constant_(self.trust.bias, 2.0)  # most cells of most outputs are their input's

    def forward(self, grids: Tensor, tasks: Tensor, symmetry: int, answers: int) -> list[Tensor]:
        """Answer so many times, each from the state that the answer before left, without its gradient.

        From grids [N, G, H, W] of tasks [N] under a symmetry 0 to 7, to scores [N, H, W, 11] of each answer.
        """
        cells = F.one_hot(grids, OUTSIDE + 1).float()  # [N, G, H, W, 11]
        task = self.tasks(tasks) @ self.turns[symmetry]
        enter, scale, shift = self.steer(task)[:, None, None].split([self.width, self.inner, self.inner], -1)
        draft = torch.einsum("ng,nghwc->nhwc", self.trust(task).float(), cells[:, 1:])
        given = enter + _convolved(self.read, torch.cat([*cells.unbind(1), _places(grids[:, 0])], dim=-1))
        answer = thought = torch.zeros_like(given)
        scores = []
        for _ in range(answers):
            for _ in range(self.recursions):
                thought = self._think(given + answer + thought, scale, shift)
            answer = self._think(answer + thought, scale, shift)
            scores.append(self.colors(answer).float() + draft)
            answer, thought = answer.detach(), thought.detach()
        return scores

    def _think(self, state: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Look at neighbours and at the highest of row, column and canvas, as the task steers it."""
        state = F.rms_norm(state, state.shape[-1:])
        far = self.far(state)
        rows, columns = far.amax(dim=2, keepdim=True), far.amax(dim=1, keepdim=True)
        highest = [part.expand_as(far) for part in (rows, columns, rows.amax(dim=1, keepdim=True))]
        inner = F.gelu(torch.cat([_convolved(self.near, state), *highest], dim=-1))
        return state + self.out(inner * (1 + scale) + shift)


def _convolved(layer: nn.Conv2d, state: Tensor) -> Tensor:
    return layer(state.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # [N, H, W, D], as all else is


def _places(inputs: Tensor) -> Tensor:
    """Row and column of each cell, from -1 to 1 over its input: [N, H, W] to [N, H, W, 2]."""
    places = []
    for axis in (1, 2):
        sides = (inputs != OUTSIDE).any(dim=3 - axis).sum(dim=1)[:, None]
        place = (2 * torch.arange(inputs.shape[axis], device=inputs.device) + 1) / sides - 1
        places.append(place.clamp_max(3).unsqueeze(3 - axis).expand_as(inputs))
    return torch.stack(places, dim=-1)
