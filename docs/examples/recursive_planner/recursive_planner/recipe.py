"""The recipe: learns the demonstrations of all tasks together, and answers their test inputs."""

import copy
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from arc_core.base.options import option
from arc_core.data.dataset import ARCDataset, Example, plan_batches
from arc_core.data.grids import Grid, dihedral
from arc_core.data.sizes import size_guesses
from arc_core.data.tasks import load_tasks
from arc_core.pipeline.validation import choose_inputs
from arc_core.run.config import TrainConfig
from arc_core.run.declared import Declared, GridForm, GroupKind, NumberGroup, trained_groups
from arc_core.training.data_changes import validation_print
from arc_core.training.models import TrainedModels, move_mean
from arc_core.training.progress import PairKey, Progress
from arc_core.training.recipe import Data, Recipe, SampledPair, Step
from arc_core.training.telemetry import AnsweredInput, Validation
from recursive_planner.net import OUTSIDE, Planner


@dataclass(frozen=True, kw_only=True)
class PlannerConfig(TrainConfig):
    """Its settings beside those that every recipe has."""

    validate_on: str = option("training", "Whose tests are validated on.", choices=("training", "none"))
    agent_lr: float = option(3e-3, "Learning rate.", low=0, high=1)
    batch_size: int = option(32, "Training pairs in a batch.", low=1, high=65_536)
    width: int = option(48, "Channels of the canvas.", low=4, high=4096, held=True)
    prompt: int = option(64, "Numbers that stand for a task.", low=1, high=4096, held=True)
    recursions: int = option(2, "Thoughts before each answer.", low=1, high=64, held=True)
    answers: int = option(2, "Answers of a step, each with a loss of its own.", low=1, high=16)
    average: float = option(0.99, "Share of the past in the weights that validations ask.", low=0, high=1)


class RecursivePlanner(Recipe[list[int]]):
    """Trains a `Planner`. A batch is a list of places in `pairs`, shown under one symmetry of the square."""

    Config = PlannerConfig

    def load(self) -> Data:
        """Load the tasks, and draft the outputs of their pairs."""
        config = self.config
        tasks = load_tasks(config.dataset, solutions=config.solutions, skip_bad_tasks=config.skip_bad_tasks)
        self.numbers = {task.id: number for number, task in enumerate(tasks.tasks)}
        self.pairs = ARCDataset(tasks=tasks)
        self.grids = [(*drafts(pair), pair.target) for pair in self.pairs]
        tests = [] if config.validate_on == "none" else list(ARCDataset(tasks=tasks, part="test"))
        chosen = choose_inputs(tests, config.validation_limit)
        self.tests = sorted(((test, drafts(test)) for test in chosen), key=lambda test: test[0].input.size)
        identity = validation_print((test.task_id, test.pair_index, test.context) for test in chosen)
        return Data(tasks, identity if chosen else "")

    def declared(self) -> Declared:
        """What its steps and samples carry."""
        answers = [f"answer_{number + 1}" for number in range(self.config.answers)]
        groups = (
            NumberGroup.of("loss", GroupKind.CONTRIBUTIONS, *answers, "total", totals=("total",)),
            NumberGroup.of("accuracy", GroupKind.SERIES, "cell", "exact"),
            *trained_groups(["model"]),
        )
        judged = [GridForm(name, f"{name} answer", judged=True) for name in ("first", "last")]
        return Declared(groups, (GridForm("input"), *judged, GridForm("target")), "target")

    def build(self, checkpoint: Path | None) -> TrainedModels:
        """Make the net and its average, or restore them."""
        config = self.config
        self.net = Planner(len(self.numbers), config.width, config.prompt, config.recursions)
        self.net.to(self.device, memory_format=torch.channels_last)
        self.mean = copy.deepcopy(self.net).requires_grad_(False)
        adam = torch.optim.AdamW(self.net.parameters(), config.agent_lr, weight_decay=config.weight_decay)
        models = TrainedModels(config, self.device, {"model": self.net, "mean": self.mean}, {"main": adam})
        if checkpoint is not None:
            models.load(checkpoint)
        return models

    def plan_epoch(
        self, epoch: int, left_out: Collection[PairKey] = (), batch_size: int | None = None
    ) -> Sequence[list[int]]:
        """Batches of pairs alike in size."""
        size, seed = batch_size or self.config.batch_size, self.config.seed
        return plan_batches(self.pairs, size, seed=seed, epoch=epoch, left_out=left_out)

    def keys_of(self, batch: list[int]) -> list[PairKey]:
        """The pairs of a batch."""
        return [self.pairs.key(place) for place in batch]

    def step(self, batch: list[int], at: Progress) -> Step:
        """Answer a batch several times, and learn from each answer."""
        symmetry = int(np.random.default_rng([self.config.seed, at.epoch, batch[0]]).integers(8))
        pairs = [self.pairs[place] for place in batch]
        shown = [[dihedral(grid, symmetry) for grid in self.grids[place]] for place in batch]
        scores, canvas = self._ask(self.net, pairs, shown, symmetry)
        target, counts = canvas[:, -1], (canvas[:, [1, -1]] != OUTSIDE).any(dim=1)  # cells of draft or target
        entropies = [F.cross_entropy(answer.movedim(-1, 1), target, reduction="none") for answer in scores]
        cells = counts.sum(dim=(1, 2))  # [N], by which all pairs weigh alike
        losses = [(entropy.sum(dim=(1, 2)) / cells).mean() / len(scores) for entropy in entropies]
        norms, applied = self.models.update(torch.stack(losses).sum(), at.step + 1)
        if applied:
            move_mean(self.mean, self.net, 1 - min(self.config.average, at.step / (at.step + 10)))
        right = ((scores[-1].argmax(dim=-1) == target) & counts).sum(dim=(1, 2)) / cells
        parts = {f"answer_{number}": loss.item() for number, loss in enumerate(losses, 1)}
        accuracy = {"cell": right.mean().item(), "exact": (right == 1).float().mean().item()}
        numbers = {"loss": parts | {"total": sum(parts.values())}, "accuracy": accuracy}

        def sample() -> SampledPair:
            first, last = (grid_of(answer[0].detach()) for answer in (scores[0], scores[-1]))
            grids = {"input": shown[0][0], "first": first, "last": last, "target": shown[0][-1]}
            return SampledPair(grids, *self.pairs.key(batch[0]))

        return Step(len(batch), numbers | self.models.told(norms), applied, sample)

    @torch.inference_mode()
    def validate(self, go_on: Callable[[], bool]) -> Validation | None:
        """Answer the test inputs with the averaged weights, which have seen none of them."""
        found: list[AnsweredInput] = []
        for start in range(0, len(self.tests), self.config.batch_size):
            tests, shown = zip(*self.tests[start : start + self.config.batch_size], strict=True)
            scores, _ = self._ask(self.mean, tests, shown, symmetry=0)
            for test, answer in zip(tests, scores[-1], strict=True):
                found.append(AnsweredInput(test.task_id, test.input, grid_of(answer), test.target))
            if not go_on():
                return None
        return Validation.over(found)

    def _ask(
        self, net: Planner, pairs: Sequence[Example], shown: Sequence[Sequence[Grid]], symmetry: int
    ) -> tuple[list[Tensor], Tensor]:
        """What a net answers, and the canvas that the grids are laid on corner on corner, [N, G, H, W]."""
        height, width = (max(grid.shape[axis] for grids in shown for grid in grids) for axis in (0, 1))
        canvas = np.full((len(shown), len(shown[0]), height, width), OUTSIDE)
        for layers, grids in zip(canvas, shown, strict=True):
            for layer, grid in zip(layers, grids, strict=True):
                layer[: grid.shape[0], : grid.shape[1]] = grid
        laid = torch.from_numpy(canvas).to(self.device)
        tasks = torch.tensor([self.numbers[pair.task_id] for pair in pairs], device=self.device)
        with self.models.autocast():
            return net(laid[:, :3], tasks, symmetry, self.config.answers), laid


def drafts(pair: Example) -> tuple[Grid, Grid, Grid]:
    """The input, and the same laid and stretched onto the size that its task's demonstrations suggest."""
    given, old = pair.input, pair.input.shape
    rows, columns = next((guess.size for guess in size_guesses(pair.context, given)), old)
    laid = np.zeros((rows, columns), dtype=np.int8)
    laid[: old[0], : old[1]] = given[:rows, :columns]
    return given, laid, given[np.arange(rows) * old[0] // rows][:, np.arange(columns) * old[1] // columns]


def grid_of(scores: Tensor) -> Grid:
    """The answer that [H, W, 11] give, at the size that is most likely."""
    inside = scores[..., :OUTSIDE].logsumexp(dim=-1) - scores[..., OUTSIDE]  # log odds of each cell
    rows, columns = divmod(int(inside.cumsum(0).cumsum(1).argmax()), inside.shape[1])
    return scores[: rows + 1, : columns + 1, :OUTSIDE].argmax(dim=-1).to("cpu", torch.int8).numpy()
