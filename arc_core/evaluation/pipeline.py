"""The whole pipeline on one task: trained on its demonstrations by a run's own step, then asked to answer.

Each demonstration is trained with the others as its context, as in a run. A test input is answered from all
demonstrations, at the sizes that the pipeline's own head gives: nothing here is given a test output.

Everything is a function of the task, where the pipeline starts, the settings, the seed and the number of
steps: the same answers come out on the same machine and build whenever it is run with one thread.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from arc_core.base.errors import CheckpointError
from arc_core.checkpoints.form import require_form
from arc_core.data.dataset import ARCDataset, Example, plan_batches
from arc_core.data.sizes import NO_RULE
from arc_core.data.tasks import Task, TaskSet
from arc_core.pipeline.batch import Batch, collate
from arc_core.pipeline.config import PipelineConfig
from arc_core.pipeline.placed_task import MOST_SIZES
from arc_core.pipeline.startup import color_shares
from arc_core.pipeline.step import training_step
from arc_core.pipeline.system import ArcSystem, Prediction, language_model_of
from arc_core.run.checkpoint_index import STATE
from arc_core.solver.solver import Answer
from arc_core.solver.start import AdaptationLook
from arc_core.solver.voting import Ballot, choose

UNREFINED_WEIGHT = 0.5
"""Of a vote for what the prompt gives before the policy refines it, beside 1 for the refined one's."""

LEAST_VOTE = 1e-12
"""Of a size that the head all but excludes; its grid is still the second answer where there is no other."""

_STATE_FORM = {"system": {"memory_ema": 0.0}, "position": {"epoch": 0}}


class Pipeline:
    """The models of phase 2, put back to where they start before each task.

    Args:
        config: Of the models and of training; its seed decides random weights.
        device: Where to compute.
        checkpoint: A run's checkpoint to start from; None starts from random weights.

    Raises:
        CheckpointError: If the checkpoint is missing, damaged, or of another configuration.
        LanguageModelError: If the language model cannot be loaded.
    """

    def __init__(
        self, config: PipelineConfig, device: torch.device | None = None, checkpoint: Path | None = None
    ) -> None:
        self.config = config
        self.device = device or torch.device("cpu")
        self.epoch = 0
        """Epoch in which the next step of the start would be, for the size warm-up."""
        self.from_checkpoint = checkpoint is not None
        self._memory_ema: float | None = None
        torch.manual_seed(config.seed)
        language_model = None if checkpoint is None else language_model_of(checkpoint, config)
        system = ArcSystem(config, self.device, language_model=language_model)
        if checkpoint is not None:
            self._read(checkpoint, system)
        self._language_model = system.qwen.language_model
        self._bookkeeping = system.memory.bookkeeping
        self._start = {name: tensor.detach().clone() for name, tensor in _tensors(system).items()}

    def _read(self, checkpoint: Path, system: ArcSystem) -> None:
        try:
            state = system.models.restore(checkpoint)
            require_form(state, _STATE_FORM, STATE)
        except CheckpointError as error:
            raise CheckpointError(f"{checkpoint.name} cannot be used: {error}") from None
        self._memory_ema = float(state["system"]["memory_ema"])
        self.epoch = int(state["position"]["epoch"])

    @torch.no_grad()
    def fresh_system(self, steps: int = 1) -> ArcSystem:
        """The models as they start, with new optimizers; the one before it must not be used any more.

        Args:
            steps: Steps that it will be trained for, for the schedule.
        """
        system = ArcSystem(self.config, self.device, max(steps, 1), self._language_model)
        for name, tensor in _tensors(system).items():
            tensor.copy_(self._start[name])
        system.memory.restore_bookkeeping(self._bookkeeping)
        if self._memory_ema is not None:
            system.memory_threshold.ema = self._memory_ema
        return system


def _tensors(system: ArcSystem) -> dict[str, Tensor]:
    """Everything that steps change in place: all modules' tensors, and the language model's weights."""
    return {
        f"{path}/{name}": tensor
        for path, tensors in system.models.tensors().items()
        for name, tensor in tensors.items()
    }


class PipelineSolver:
    """Adapts the pipeline to one task and answers it.

    Args:
        task: Its test outputs are not looked at.
        pipeline: What to start from.
        seed: At least 0; of the augmentation, the order of the pairs and the policy's noise.
    """

    def __init__(self, task: Task, pipeline: Pipeline, seed: int = 0) -> None:
        self.pipeline = pipeline
        config = pipeline.config
        # A task's answers do not depend on which other tasks are solved in the process.
        self._seed = seed * 2**32 + zlib.crc32(task.id.encode())
        blind = TaskSet((task.without_test_outputs(),))
        self.dataset = ARCDataset(
            tasks=blind, augment=config.augment, seed=self._seed, max_context=config.max_context
        )
        self.demonstrations = list(ARCDataset(tasks=blind, max_context=config.max_context))
        self.queries = list(ARCDataset(tasks=blind, part="test", max_context=config.max_context))
        self.system = pipeline.fresh_system()
        self.step = 0

    def batches(self) -> Iterator[tuple[int, Batch]]:
        """Epoch by epoch without end: the 0-based epoch of this task, and a batch of its demonstrations."""
        epoch = 0
        while True:
            for chosen in plan_batches(
                self.dataset, self.pipeline.config.batch_size, seed=self._seed, epoch=epoch
            ):
                examples = [self.dataset.example(index, epoch) for index in chosen]
                yield epoch, collate(examples).to(self.pipeline.device)
            epoch += 1

    def solve(
        self, steps: int, watch: Callable[[AdaptationLook], None] | None = None, looks: int = 20
    ) -> list[Answer]:
        """Adapt for so many steps and answer every test input.

        Args:
            steps: Training steps, 0 to answer from the start.
            watch: Told how far it is, and shown what it predicts; None for nobody.
            looks: How often, about.
        """
        self.adapt(steps, watch, looks)
        return [Answer(choose(ballots), ballots[0].grid, NO_RULE) for ballots in self.ballots(self.queries)]

    def adapt(
        self, steps: int, watch: Callable[[AdaptationLook], None] | None = None, looks: int = 20
    ) -> None:
        """Train on the demonstrations from the start; see `solve`."""
        self.system, self.step = self.pipeline.fresh_system(steps), 0
        if not self.pipeline.from_checkpoint:
            self.system.efe_loss.set_anchor(color_shares(self.dataset))
        # The policy draws its noise from torch's own generators.
        torch.manual_seed(self._seed % 2**63)
        every = max(1, steps // looks)
        batches = self.batches()
        while self.step < steps:
            epoch, batch = next(batches)
            result = training_step(self.system, batch, self.pipeline.epoch + epoch, self.step + 1)
            self.step += 1
            if watch is not None and (self.step % every == 0 or self.step in (1, steps)):
                watch(self.look(steps, result.loss["combined"]))

    def look(self, steps: int, loss: float) -> AdaptationLook:
        """What demonstrations and test inputs become now.

        A demonstration is answered as in training, from the others; it is fit if that gives its output.
        """
        known, asked = (
            [ballots[0].grid for ballots in self.ballots(examples)]
            for examples in (self.demonstrations, self.queries)
        )
        exact = tuple(
            example.target is not None and np.array_equal(grid, example.target)
            for grid, example in zip(known, self.demonstrations, strict=True)
        )
        return AdaptationLook(self.step, steps, loss, tuple(known), exact, tuple(asked))

    @torch.inference_mode()
    def ballots(self, examples: Sequence[Example]) -> list[list[Ballot]]:
        """Every prediction that the pipeline has for some inputs.

        The refined prompt's and, where the policy refines, the unrefined one's, each on the two sizes that
        its head finds likeliest; a vote weighs as much as its size is likely. The first of each input is the
        pipeline's own answer: the refined prompt's on the likeliest size.

        Args:
            examples: Their targets are taken off before anything is looked at.
        """
        batch = collate([replace(example, target=None) for example in examples]).to(self.pipeline.device)
        flow = self.system.flow(batch, explore=False)
        found: list[list[Ballot]] = [[] for _ in examples]
        sources = [(flow.after, 1.0)]
        if self.pipeline.config.refine:
            sources.append((flow.before, UNREFINED_WEIGHT))
        for prediction, weight in sources:
            sizes, likelihoods = likeliest_sizes(prediction.output.size_logits)
            for rank in range(MOST_SIZES):
                grids = _shares(prediction, batch, sizes[:, rank])
                votes = (weight * likelihoods[:, rank].clamp_min(LEAST_VOTE)).tolist()
                for ballots, grid, vote in zip(found, grids, votes, strict=True):
                    ballots.append(Ballot(grid, vote))
        return found

    @property
    def cells_a_step(self) -> float:
        """Padded cells of inputs and targets together in a step, on average over an epoch."""
        shapes = self.dataset.shapes()
        plan = plan_batches(self.dataset, self.pipeline.config.batch_size, seed=self._seed, epoch=0)
        return float(np.mean([_padded_cells(shapes[chosen]) for chosen in plan]))

    @property
    def cells_of_answers(self) -> float:
        """Padded cells of what is predicted at the end, outputs taken to be as large as inputs."""
        return float(2 * (_padded_inputs(self.queries) + _padded_inputs(self.demonstrations)))


def likeliest_sizes(size_logits: Tensor) -> tuple[Tensor, Tensor]:
    """The two sizes that a head finds likeliest, the likeliest first.

    Args:
        size_logits: [B, 2, S] scores of height and width.

    Returns:
        [B, 2, 2] sizes (height, width), and the probability of each, [B, 2].
    """
    shares = size_logits.float().log_softmax(dim=-1)
    sides = shares.shape[-1]
    joint = (shares[:, 0, :, None] + shares[:, 1, None, :]).flatten(1)
    best = joint.topk(MOST_SIZES, dim=-1)
    sizes = torch.stack([best.indices // sides + 1, best.indices % sides + 1], dim=-1)
    return sizes, best.values.exp()


def _shares(prediction: Prediction, batch: Batch, sizes: Tensor) -> list[np.ndarray]:
    """The last planning step's probabilities of each input on a size, float32 [h, w, 10]."""
    height, width = (int(side) for side in sizes.amax(dim=0))
    logits = prediction.on(batch.inputs, sizes, (height, width), slice(-1, None))[:, 0]
    shares = logits.softmax(dim=-1).cpu().numpy()
    return [grid[:rows, :columns] for grid, (rows, columns) in zip(shares, sizes.tolist(), strict=True)]


def _padded_cells(shapes: np.ndarray) -> int:
    """Cells of a batch's inputs and targets on their canvases, from [B, 4] sides."""
    rows, columns, target_rows, target_columns = shapes.max(axis=0).tolist()
    return len(shapes) * (rows * columns + target_rows * target_columns)


def _padded_inputs(examples: Sequence[Example]) -> int:
    rows, columns = (max(example.input.shape[axis] for example in examples) for axis in (0, 1))
    return len(examples) * rows * columns
