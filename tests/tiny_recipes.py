"""Recipes as small as can be, for tests of what any recipe gets, and of how a bad one is refused."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from arc_core.base.options import option
from arc_core.data.dataset import ARCDataset, plan_batches
from arc_core.run.config import TrainConfig
from arc_core.run.declared import Declared, GridForm, GroupKind, NumberGroup, trained_groups
from arc_core.run.evidence import Evidence, Work
from arc_core.training.models import TrainedModels
from arc_core.training.progress import PairKey, Progress
from arc_core.training.recipe import Data, Recipe, SampledPair, Step
from arc_core.training.telemetry import Validation

COLOURS = 10


@dataclass(frozen=True, kw_only=True)
class TinyConfig(TrainConfig):
    """With one option of its own."""

    bend: float = option(1.0, "What the loss is multiplied by.", low=0, high=10)


class Tiny(Recipe[list[int]]):
    """Learns the colours' shares of the outputs of all pairs from those of their inputs."""

    Config = TinyConfig

    def load(self) -> Data:
        self.pairs = ARCDataset(self.config.dataset, augment=False)
        return Data(self.pairs.tasks, "all" if self.config.validate_on == "training" else "")

    def declared(self) -> Declared:
        return Declared(
            (NumberGroup.of("loss", GroupKind.SERIES, "shares"), *trained_groups(["model"])),
            (GridForm("given"), GridForm("wanted")),
            "wanted",
        )

    def build(self, checkpoint: Path | None) -> TrainedModels:
        self.net = nn.Linear(COLOURS, COLOURS)
        adam = torch.optim.AdamW(self.net.parameters(), self.config.agent_lr)
        models = TrainedModels(self.config, self.device, {"model": self.net}, {"main": adam})
        if checkpoint is not None:
            models.load(checkpoint)
        return models

    def plan_epoch(
        self, epoch: int, left_out: Collection[PairKey] = (), batch_size: int | None = None
    ) -> Sequence[list[int]]:
        size = batch_size or self.config.batch_size
        return plan_batches(self.pairs, size, seed=self.config.seed, epoch=epoch, left_out=left_out)

    def keys_of(self, batch: list[int]) -> list[PairKey]:
        return [self.pairs.key(place) for place in batch]

    def loss(self, batch: list[int]) -> torch.Tensor:
        shares = [[_shares(grid) for grid in (p.input, p.target)] for p in map(self.pairs.__getitem__, batch)]
        given, wanted = torch.tensor(shares).unbind(1)
        return self.config.bend * (self.net(given) - wanted).square().mean()

    def numbers(self, loss: float) -> dict[str, Any]:
        return {"loss": {"shares": loss}}

    def sample(self, batch: list[int]) -> SampledPair:
        pair = self.pairs[batch[0]]
        return SampledPair({"given": pair.input, "wanted": pair.target}, pair.task_id, pair.pair_index)

    def step(self, batch: list[int], at: Progress) -> Step:
        loss = self.loss(batch)
        norms, applied = self.models.update(loss, at.step + 1)
        work = Work.WORKING if norms["model"] > 0 else Work.FAILING
        return Step(
            len(batch),
            self.numbers(loss.item()) | self.models.told(norms),
            applied,
            lambda: self.sample(batch),
            evidence=[Evidence("it learns", work, f"{norms['model']:.1e}", "The norm of its gradient.")],
        )

    def validate(self, go_on: Callable[[], bool]) -> Validation | None:
        if not go_on():
            return None
        with torch.no_grad():
            loss = self.loss(list(range(len(self.pairs)))).item()
        return Validation(score=-loss, numbers={"shares": loss})


class Forgetful(Tiny):
    """Keeps to itself what its steps depend on, so that it does not go on where it was."""

    seen = 0

    def loss(self, batch: list[int]) -> torch.Tensor:
        self.seen += 1
        return self.seen * super().loss(batch)


class Undeclared(Tiny):
    """Tells a group that it has not declared."""

    def numbers(self, loss: float) -> dict[str, Any]:
        return super().numbers(loss) | {"mood": {"now": 1.0}}


class Colourful(Tiny):
    """Shows a grid with a colour that there is not."""

    def sample(self, batch: list[int]) -> SampledPair:
        return SampledPair({"given": [[0, 1], [2, 12]], "wanted": [[1]]})


class Misnamed(Tiny):
    """Declares a group by a name that every step has."""

    def declared(self) -> Declared:
        return Declared((NumberGroup.of("epoch", GroupKind.SERIES, "a"),))


class NoRecipe:
    """Is none."""


def _shares(grid: Any) -> list[float]:
    return [float((grid == colour).mean()) for colour in range(COLOURS)]
