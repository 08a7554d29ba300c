"""Pretrains the solver's agent on pairs of many tasks; a run like any other.

With learned prompts each task has a prompt of its own under each symmetry, learned with the agent: what the
agent learns is to follow prompts. With prompts that are read, it sees three pairs of a task and answers the
fourth, each of the four in turn, under a random symmetry and naming of the colours.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from torch import Tensor

from arc_core.base.errors import ConfigError, DataError
from arc_core.base.options import canonical
from arc_core.data.generated import load_extra
from arc_core.data.grids import Grid
from arc_core.data.scoring import cell_accuracy
from arc_core.data.sizes import Placement
from arc_core.data.tasks import Pair, TaskSet
from arc_core.data.views import make_views
from arc_core.pipeline.batch import FEW_SIDES
from arc_core.pipeline.startup import load_split
from arc_core.pretraining.config import PretrainConfig
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
from arc_core.pretraining.system import SolverSystem, cell_accuracies, sample_fields, step_numbers
from arc_core.run.directory import RunDirectory
from arc_core.run.events import EventWriter
from arc_core.solver.batch import Item, pack
from arc_core.solver.config import ARCHITECTURE, RETIRED, SolverConfig
from arc_core.solver.net import SIZE_WEIGHT, SYMMETRIES, SolverNet, planning_loss
from arc_core.solver.placed_task import PlacedTask
from arc_core.training.data_changes import describe_pairs
from arc_core.training.diagnostics import Finding, skipped_step
from arc_core.training.loop import StopRequested, TrainingLoop
from arc_core.training.optimizer import backward_and_step, set_rates
from arc_core.training.preflight import Plan, runtime_bytes
from arc_core.training.progress import PairKey
from arc_core.training.telemetry import Validation

CONTEXT = 4
"""Demonstrations shown for a validated pair."""

_OWN_VIEW = make_views(1, (0,), symmetries=False)


class Pretrainer(TrainingLoop[list[ViewGroup], SolverSystem]):
    """Trains the solver's agent.

    Args:
        run: The run directory, whose lock is held.
        config: As resolved, of the recipe `solver`.
        events: Where to tell what happens.
    """

    config: PretrainConfig  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, run: RunDirectory, config: PretrainConfig, events: EventWriter) -> None:
        super().__init__(run, config, events)
        self.solver = solver_config(config)
        extra = self._load_data()
        fresh = [(number, pair) for number, task in enumerate(self.pool) for pair in task.fresh]
        self.fresh = fresh[: config.validation_limit] if config.validate_on != "none" else []
        answered = ((self.pool[number].id, 0, (pair,)) for number, pair in self.fresh)
        tasks = TaskSet(self.tasks, name=f"{config.dataset} training, without what is evaluated")
        data = {} if config.extra_data is None else {"extra_data": describe_pairs(config.extra_data, extra)}
        self.begin(self._plan(), self._build, tasks, answered, data, solver=self.solver.to_dict())

    def _build(self, path: Path | None) -> SolverSystem:
        """Make the models, or restore them."""
        prompts, ids = self._prompt_shape, [] if self.solver.reads_prompt else [task.id for task in self.pool]
        system = SolverSystem(self.config, self.solver, self.device, prompts, ids)
        if path is not None:
            system.load(path)
        return system

    @property
    def _prompt_shape(self) -> tuple[int, int]:
        """Tasks with a learned prompt, and under how many symmetries."""
        if self.solver.reads_prompt:
            return (0, 0)
        return len(self.pool), SYMMETRIES if self.config.augment else 1

    def _load_data(self) -> dict[str, list[Pair]]:
        """Load the tasks and make the pool; returns the generated pairs."""
        config = self.config
        self.tasks = without_kept_away(load_split(config, "training", self.warn).tasks)
        known = {task.id: task for task in self.tasks}
        extra = self._extra_pairs(known)
        self.pool = make_pool(self.tasks, extra, config.small_cells)
        if not self.pool:
            raise DataError(f"{config.dataset}: no task has {GROUP} pairs to train on.")
        self._placed = [PlacedTask(known[task.id], _OWN_VIEW) for task in self.pool]
        self._placements: dict[tuple[int, int], Placement] = {}
        return extra

    def _extra_pairs(self, wanted: Collection[str]) -> dict[str, list[Pair]]:
        if self.config.extra_data is None:
            return {}
        extra = load_extra(self.config.extra_data, wanted)
        if told := extra.told():
            advice = "Nothing needs to be done: training goes on with all other pairs."
            self.warn(Finding("pairs_left_out", told, advice))
        return without_evaluated(extra.pairs)

    def _plan(self) -> Plan:
        config = self.config
        batches = self.plan_epoch(0)[: config.max_batches]
        with torch.device("meta"):
            net = SolverNet(self.solver, self._prompt_shape)
        parameters = sum(p.numel() for p in net.parameters())
        # Per cell: what the backward pass keeps of each block, in float32; 2.9 GB were measured at 64.
        kept = 4 * self.solver.width * 17 * (self.solver.steps + self.solver.encoder_blocks + 2)
        return Plan(
            pairs=sum(len(group.pairs) for batch in batches for group in batch),
            batches_per_epoch=len(batches),
            total_steps=len(batches) * config.epochs,
            parameters=parameters,
            trainable_parameters=parameters,
            memory_bytes=20 * parameters + config.batch_size * 900 * kept + runtime_bytes(self.device),
            checkpoint_bytes=16 * parameters,
            disk_bytes=16 * parameters * (config.keep_checkpoints + 2),
            threads=self.threads,
            device=str(self.device),
        )

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

    def train_batch(self, batch: list[ViewGroup]) -> bool:
        """Train on the groups of a batch."""
        system, progress = self.system, self.progress
        items = [item for number, group in enumerate(batch) for item in self._items(group, number)]
        packed = pack(items, FEW_SIDES).to(self.device)
        optimizers = list(system.optimizers.values())
        set_rates(optimizers, system.schedule.factor(progress.step + 1))
        with system.precision.autocast():
            planned = system.net(packed, self._prompts(system.net, batch))
        loss, sizes = planning_loss(planned, packed)
        norms, applied = backward_and_step(
            loss + SIZE_WEIGHT * sizes, optimizers, [system.component], system.precision,
            self.config.clip_norm,
        )  # fmt: skip
        if applied:
            system.update_mean(progress.step + 1)
        first, norm = self.pool[batch[0].task].id, norms["agent"].item()
        shown = f"{len(batch)} groups of {GROUP} pairs" if self.solver.reads_prompt else f"{len(batch)} pairs"
        cells = cell_accuracies(planned, packed)
        numbers = step_numbers(system, loss.item(), SIZE_WEIGHT * sizes.item(), norm, cells)
        numbers["rule"] = f"{shown}, the first of task {first}"
        self.tell_step(len(items), numbers, lambda: sample_fields(first, batch[0], items[0], planned))
        if not applied:
            losses = {"consistency": loss.item(), "size": sizes.item()}
            self.warn(skipped_step(progress.step, losses, {"agent": norm}))
        return applied

    def _prompts(self, net: SolverNet, batch: Sequence[ViewGroup]) -> Tensor | None:
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

    def answer_validation(self) -> Validation:
        """Answer pairs of the trained tasks that were never trained on, from demonstrations alone."""
        found: list[tuple[float, float, float, float]] = []
        solved: dict[int, bool] = {}
        for number, pair in self.fresh:
            answer, size_known = self._answer(number, pair)
            assert pair.output is not None
            grids = (answer, pair.input, 0 * pair.input)
            right, copied, black = (cell_accuracy(grid, pair.output) for grid in grids)
            found.append((right, copied, black, float(size_known)))
            solved[number] = solved.get(number, True) and right == 1.0
            if not self.go_on_validating():
                raise StopRequested
        cells, copies, blacks, sizes = (sum(column) / len(found) for column in zip(*found, strict=True))
        return Validation(
            inputs=len(found),
            cell_accuracy=cells,
            exact=sum(right == 1.0 for right, *_ in found),
            tasks=len(solved),
            tasks_solved=sum(solved.values()),
            accuracy_delta=0.0,
            size_accuracy=sizes,  # of the size head; the grids are planned at the true size
            copy_cell_accuracy=copies,
            black_cell_accuracy=blacks,
        )

    @torch.inference_mode()
    def _answer(self, number: int, pair: Pair) -> tuple[Grid, bool]:
        """What the averaged weights make of a pair's input at its own size; whether they know the size."""
        placed, output = self._placed[number], pair.output
        assert output is not None
        placement = placed.place(pair.input, output)
        query = Item(pair.input, None, placement, 0, placed.copies)
        shown = placed.demonstrations(0)[:CONTEXT] if self.solver.reads_prompt else []
        batch = pack([*shown, query], FEW_SIDES).to(self.device)
        prompts = self._prompts(self.system.mean, [ViewGroup(number, (0,), _OWN_VIEW[0])])
        with self.system.precision.autocast():
            planned = self.system.mean(batch, prompts)
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
