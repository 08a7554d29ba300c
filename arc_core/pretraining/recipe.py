"""The recipe `solver`: pretrains the solver's agent on pairs of many tasks.

With learned prompts each task has a prompt of its own under each symmetry, learned with the agent: what the
agent learns is to follow prompts. With prompts that are read, it sees three pairs of a task and answers the
fourth, each of the four in turn, under a random symmetry and naming of the colours.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from arc_core.base.errors import ConfigError, DataError
from arc_core.base.options import canonical
from arc_core.data.generated import load_extra
from arc_core.data.grids import Grid
from arc_core.data.sizes import Placement
from arc_core.data.tasks import Pair, TaskSet
from arc_core.data.views import make_views
from arc_core.pipeline.canvas import Item, pack
from arc_core.pipeline.canvas_planner import SIZE_WEIGHT, CanvasPlanner, planning_loss
from arc_core.pipeline.padding import FEW_SIDES
from arc_core.pipeline.placed_task import PlacedTask
from arc_core.pipeline.startup import load_split
from arc_core.pipeline.task_prompts import SYMMETRIES
from arc_core.pretraining.config import PretrainConfig
from arc_core.pretraining.declared import declared_by
from arc_core.pretraining.pairs import (
    GROUP,
    ViewGroup,
    make_pool,
    plan_batches,
    plan_groups,
    plan_single_pairs,
    without_evaluated,
    without_kept_away,
)
from arc_core.pretraining.system import SolverSystem, cell_accuracies, sample_of, step_numbers
from arc_core.run.config import TrainConfig
from arc_core.run.declared import Declared
from arc_core.solver.config import ARCHITECTURE, RETIRED, SolverConfig
from arc_core.training.data_changes import describe_pairs, validation_print
from arc_core.training.diagnostics import Finding
from arc_core.training.preflight import Estimate, runtime_bytes
from arc_core.training.progress import PairKey, Progress
from arc_core.training.recipe import Data, Recipe, Step
from arc_core.training.telemetry import AnsweredInput, Validation

CONTEXT = 4
"""Demonstrations shown for a validated pair."""

_OWN_VIEW = make_views(1, (0,), symmetries=False)


class PretrainingRecipe(Recipe[list[ViewGroup]]):
    """Trains the solver's agent."""

    Config: ClassVar[type[TrainConfig]] = PretrainConfig

    config: PretrainConfig
    models: SolverSystem

    def load(self) -> Data:
        """Load the tasks and make the pool of pairs."""
        config = self.config
        self.solver = solver_config(config)
        self.tasks = without_kept_away(load_split(config, "training", self.warn).tasks)
        known = {task.id: task for task in self.tasks}
        extra = self._extra_pairs(known)
        self.pool = make_pool(self.tasks, extra, config.small_cells)
        if not self.pool:
            raise DataError(f"{config.dataset}: no task has {GROUP} pairs to train on.")
        self._placed = [PlacedTask(known[task.id], _OWN_VIEW) for task in self.pool]
        self._placements: dict[tuple[int, int], Placement] = {}
        fresh = [(number, pair) for number, task in enumerate(self.pool) for pair in task.fresh]
        self.fresh = fresh[: config.validation_limit] if config.validate_on != "none" else []
        answered = [(self.pool[number].id, 0, (pair,)) for number, pair in self.fresh]
        tasks = TaskSet(self.tasks, name=f"{config.dataset} training, without what is evaluated")
        data = {} if config.extra_data is None else {"extra_data": describe_pairs(config.extra_data, extra)}
        return Data(tasks, validation_print(answered) if answered else "", data)

    def declared(self) -> Declared:
        """What its steps and samples carry."""
        return declared_by(self.config.to_dict())

    def build(self, checkpoint: Path | None) -> SolverSystem:
        """Make the models, or restore them."""
        prompts, ids = self._prompt_shape, [] if self.solver.reads_prompt else [task.id for task in self.pool]
        system = SolverSystem(self.config, self.solver, self.device, prompts, ids)
        if checkpoint is not None:
            system.load(checkpoint)
        return system

    def noted(self, run_json: Mapping[str, Any]) -> Mapping[str, Any]:
        """The architecture."""
        del run_json
        return {"solver": self.solver.to_dict()}

    @property
    def _prompt_shape(self) -> tuple[int, int]:
        """Tasks with a learned prompt, and under how many symmetries."""
        if self.solver.reads_prompt:
            return (0, 0)
        return len(self.pool), SYMMETRIES if self.config.augment else 1

    def _extra_pairs(self, wanted: Collection[str]) -> dict[str, list[Pair]]:
        if self.config.extra_data is None:
            return {}
        extra = load_extra(self.config.extra_data, wanted)
        if told := extra.told():
            advice = "Nothing needs to be done: training goes on with all other pairs."
            self.warn(Finding("pairs_left_out", told, advice))
        return without_evaluated(extra.pairs)

    def estimate(self, checkpoint: Path | None) -> Estimate:
        """What it will need."""
        del checkpoint
        config = self.config
        with torch.device("meta"):
            net = CanvasPlanner(self.solver, self._prompt_shape)
        parameters = sum(p.numel() for p in net.parameters())
        # Per cell: what the backward pass keeps of each block, in float32; 2.9 GB were measured at 64.
        kept = 4 * self.solver.width * 17 * (self.solver.steps + self.solver.encoder_blocks + 2)
        memory = 20 * parameters + config.batch_size * 900 * kept + runtime_bytes(self.device)
        return Estimate(parameters, parameters, memory, 16 * parameters)

    def plan_epoch(
        self, epoch: int, left_out: Collection[PairKey] = (), batch_size: int | None = None
    ) -> Sequence[list[ViewGroup]]:
        """The batches of groups of an epoch."""
        seed, size = self.config.seed, batch_size or self.config.batch_size
        plan = plan_groups if self.solver.reads_prompt else plan_single_pairs
        groups = plan(self.pool, seed=seed, epoch=epoch, augment=self.config.augment)
        if left_out:
            groups = [group for group in groups if not any(key in left_out for key in self.keys_of([group]))]
        return plan_batches(groups, self.pool, size, seed=seed, epoch=epoch) if groups else []

    def keys_of(self, batch: list[ViewGroup]) -> list[PairKey]:
        """The pairs of a batch."""
        return [(self.pool[group.task].id, place) for group in batch for place in group.pairs]

    def step(self, batch: list[ViewGroup], at: Progress) -> Step:
        """Train on the groups of a batch."""
        system = self.models
        items = [item for number, group in enumerate(batch) for item in self._items(group, number)]
        packed = pack(items, FEW_SIDES).to(self.device)
        with system.autocast():
            planned = system.net(packed, self._prompts(system.net, batch))
        loss, sizes = planning_loss(planned, packed)
        norms, applied = system.update(loss + SIZE_WEIGHT * sizes, at.step + 1)
        if applied:
            system.update_mean(at.step + 1)
        first = self.pool[batch[0].task].id
        shown = f"{len(batch)} groups of {GROUP} pairs" if self.solver.reads_prompt else f"{len(batch)} pairs"
        cells = cell_accuracies(planned, packed)
        return Step(
            len(items),
            step_numbers(loss.item(), SIZE_WEIGHT * sizes.item(), cells) | system.told(norms),
            applied,
            lambda: sample_of(first, batch[0], items[0], planned),
            f"{shown}, the first of task {first}",
        )

    def _prompts(self, net: CanvasPlanner, batch: Sequence[ViewGroup]) -> Tensor | None:
        """The learned prompts of a batch's pairs, [N, P]; None where they are read."""
        if self.solver.reads_prompt:
            return None
        tasks, symmetries = zip(*((group.task, group.view.symmetry) for group in batch), strict=True)
        return net.task_prompts[list(tasks), list(symmetries)]

    def _items(self, group: ViewGroup, number: int) -> list[Item]:
        task, view = self.pool[group.task], group.view
        items = []
        for place in group.pairs:
            pair = task.pairs[place]
            assert pair.output is not None
            size = (pair.input.shape[0], pair.input.shape[1])
            items.append(
                Item(
                    view.apply(pair.input),
                    view.apply(pair.output),
                    self._placement(group.task, place).under(view.symmetry, size),
                    number,
                    self._placed[group.task].copies,
                )
            )
        return items

    def _placement(self, task: int, place: int) -> Placement:
        """Where a pair's output lies; worked out once, as finding objects takes longer than a step."""
        found = self._placements.get((task, place))
        if found is None:
            pair = self.pool[task].pairs[place]
            assert pair.output is not None
            found = self._placements[task, place] = self._placed[task].place(pair.input, pair.output)
        return found

    def validate(self, go_on: Callable[[], bool]) -> Validation | None:
        """Answer pairs of the trained tasks that were never trained on, from demonstrations alone."""
        found: list[AnsweredInput] = []
        for number, pair in self.fresh:
            assert pair.output is not None
            answer, size_known = self._answer(number, pair)
            # The grid is planned at the true size; what is told of sizes is of the size head.
            found.append(
                AnsweredInput(self.pool[number].id, pair.input, answer, pair.output, size_told=size_known)
            )
            if not go_on():
                return None
        return Validation.over(found)

    @torch.inference_mode()
    def _answer(self, number: int, pair: Pair) -> tuple[Grid, bool]:
        """What the averaged weights make of a pair's input at its own size; whether they know the size."""
        placed, output = self._placed[number], pair.output
        assert output is not None
        placement = placed.place(pair.input, output)
        query = Item(pair.input, None, placement, 0, placed.copies)
        shown = placed.demonstrations(0)[:CONTEXT] if self.solver.reads_prompt else []
        batch = pack([*shown, query], FEW_SIDES).to(self.device)
        prompts = self._prompts(self.models.mean, [ViewGroup(number, (0,), _OWN_VIEW[0])])
        with self.models.autocast():
            planned = self.models.mean(batch, prompts)
        height, width = placement.size
        grid = planned.logits[-1, -1, :height, :width].argmax(dim=-1).to("cpu", torch.int8).numpy()
        rows, columns = (planned.size_logits[-1].argmax(dim=-1) + 1).tolist()
        return grid, (rows, columns) == placement.size


def solver_config(config: PretrainConfig) -> SolverConfig:
    """The architecture that a run's settings ask for.

    Raises:
        ConfigError: If `agent_options` names a setting that is none, or gives it a value that it cannot have.
    """
    options: dict[str, object] = {
        "width": config.hidden_dim,
        "prompt_dim": config.prompt_dim,
        "steps": config.max_steps,
    }
    for part in (config.agent_options or "").split(","):
        if part.strip():
            key, separator, value = part.partition("=")
            if not separator:
                raise ConfigError(f"agent_options takes key=value, not {part}.")
            options[key.strip()] = value.strip()
    solver = SolverConfig.from_mapping(options, text=True)
    if foreign := [key for key in map(canonical, options) if key not in (*ARCHITECTURE, *RETIRED)]:
        raise ConfigError(
            f"agent_options: {foreign[0]} says how the agent adapts to a task (solve, eval), which "
            "pretraining does not."
        )
    return solver
