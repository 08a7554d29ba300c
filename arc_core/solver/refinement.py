"""After the adaptation to a task a policy refines the prompt by the reward of doing so (seed, steps 4 to 8).

The policy is the pipeline's: REINFORCE with a value baseline. Its reward is what the refined prompt gains
over the unrefined one on the task's own demonstrations, each planned with the others as context; what it
learns then refines the prompts of the test inputs too. Curiosity stays silent for so few updates.

Shape legend: N pairs, P prompt, h and w sides of the outputs' canvas, C colours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from arc_core.data.features import SUMMARY_DIM, feature_summary
from arc_core.data.tasks import Pair
from arc_core.pipeline.canvas import CanvasBatch, Item, pack
from arc_core.pipeline.canvas_planner import Planned
from arc_core.pipeline.padding import GridBatch
from arc_core.pipeline.policy import PolicyRefinedAgent, PolicyRefinedConfig, RefineInfo
from arc_core.pipeline.reward import Scores, score_batch, size_similarity

POLICY_RATE = 1e-2
"""Learning rate of the policy. The seed's 5e-5 is for thousands of updates."""

TRIALS = 2
"""Draws of demonstrations over which the policy must have gained something to be used."""

Plan = Callable[[CanvasBatch, Tensor | None], Planned]
"""Plans a batch, without gradient, with a change of its prompts, [N, P] or None."""

FoundAgain = Callable[[CanvasBatch, Tensor, Tensor], Tensor]
"""Share of each input, [N], that a backward planner is expected to find again.

From colours [N, h, w] on the outputs' canvas, under prompts [N, P].
"""


class PromptRefinement:
    """A policy over the prompts of one task.

    Args:
        plan: With the weights that answer.
        prompt_dim: Width of the prompt.
        device: Where it lives.
        seed: Decides where the policy starts and what it tries.
        found_again: For d_rev, which is 0 where it is None.
    """

    def __init__(
        self,
        plan: Plan,
        prompt_dim: int,
        device: torch.device,
        seed: int,
        found_again: FoundAgain | None = None,
    ) -> None:
        self.useful = False
        """Whether the policy gained something when it was tried."""
        self._plan = plan
        self._device = device
        self._seed = seed
        self._found_again = found_again
        settings = PolicyRefinedConfig(
            rl_prompt_dim=prompt_dim, rl_ctrl_dim=prompt_dim, rl_feat_dim=SUMMARY_DIM, rl_lr=POLICY_RATE
        )
        with _randomness(seed, device):
            self._policy = PolicyRefinedAgent(settings, device)

    def learn(self, draw: Callable[[int], Sequence[Item]], steps: int) -> float:
        """Train the policy, then try it.

        Args:
            draw: Demonstrations for a 0-based step; those of a group are each other's context.
            steps: Updates of the policy.

        Returns:
            The mean reward of the trained policy's mean action; it is used where this is above 0.
        """
        with _randomness(self._seed, self._device):
            for step in range(steps):
                info, reward = self._try(draw(step), explore=True)
                self._policy.update(info, reward)
            rewards = [self._try(draw(steps + trial), explore=False)[1] for trial in range(TRIALS)]
        gained = torch.cat(rewards).mean().item()
        self.useful = gained > 0
        return gained

    def change(self, items: Sequence[Item], prompts: Tensor) -> Tensor:
        """What the trained policy adds to the prompts of some items, [N, P]."""
        return self._refine(items, prompts, explore=False)[0]

    def _refine(self, items: Sequence[Item], prompts: Tensor, *, explore: bool) -> tuple[Tensor, RefineInfo]:
        summaries = torch.from_numpy(np.stack([_summary(item, items) for item in items])).to(self._device)
        control = F.layer_norm(prompts, prompts.shape[-1:])
        refined, info = self._policy.refine_prompt(prompts, control, summaries, deterministic=not explore)
        return refined - prompts, info

    def _try(self, items: Sequence[Item], *, explore: bool) -> tuple[RefineInfo, Tensor]:
        """Refine the prompts of some demonstrations; the reward of each is [N]."""
        batch = pack(items).to(self._device)
        before = self._plan(batch, None)
        change, info = self._refine(items, before.prompts, explore=explore)
        after = self._plan(batch, change)
        gains = self._scores(batch, after, before.prompts).gain_over(
            self._scores(batch, before, before.prompts)
        )
        return info, gains["total"]

    @torch.no_grad()
    def _scores(self, batch: CanvasBatch, planned: Planned, prompts: Tensor) -> Scores:
        """The four metrics of plans on the outputs' own canvases; the size is that of the size head.

        Reversibility is judged under the unrefined prompts, so that the policy cannot please the judge.
        """
        targets = GridBatch(batch.targets, batch.out_mask, batch.out_sizes)
        scores = score_batch(
            planned.logits[:, -1],
            batch.out_mask,
            batch.out_sizes,
            planned.size_logits.float(),
            targets,
            batch.inputs,
            None,
        )
        guessed = (planned.size_logits.argmax(dim=-1) + 1).tolist()
        sizes = [
            size_similarity((guess[0], guess[1]), (truth[0], truth[1]))
            for guess, truth in zip(guessed, batch.out_sizes.tolist(), strict=True)
        ]
        found = scores.reversibility
        if self._found_again is not None:
            found = self._found_again(batch, planned.logits[:, -1].argmax(dim=-1), prompts)
        return replace(scores, size=torch.tensor(sizes, device=self._device), reversibility=found)


def _summary(item: Item, items: Sequence[Item]) -> np.ndarray:
    """The 32 numbers of an item's task: of its group's other demonstrations, and its input."""
    context = [
        Pair(other.input, other.target)
        for other in items
        if other is not item and other.group == item.group and other.target is not None
    ]
    return feature_summary(context, item.input)


@contextmanager
def _randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from a stream of its own, and leave everyone else's as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
