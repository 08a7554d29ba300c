"""Pretrains the solver's agent on pairs of many tasks; a run like any other.

With learned prompts each task has a prompt of its own under each symmetry, learned with the agent: what the
agent learns is to follow prompts. With prompts that are read, it sees three pairs of a task and answers the
fourth, each of the four in turn, under a random symmetry and naming of the colours.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from arc_core.checkpoint import ModelPersistence
from arc_core.checkpoint_index import STATE, checkpoint_id, find_checkpoint
from arc_core.config import TrainConfig
from arc_core.control import Control
from arc_core.dataset_files import Pair, TaskSet
from arc_core.errors import CheckpointError, ConfigError, DataError
from arc_core.events import EventReader, EventWriter
from arc_core.extra_data import load_extra
from arc_core.grids import Grid
from arc_core.loop import StopRequested, TrainingLoop
from arc_core.optimizer import backward_and_step, set_rates
from arc_core.preflight import Plan, refuse_what_cannot_fit
from arc_core.pretrain_data import (
    GROUP,
    Group,
    make_pool,
    plan_batches,
    plan_groups,
    plan_single_pairs,
    pretraining_tasks,
    without_evaluated,
)
from arc_core.pretrain_numbers import sample_fields, score_items, step_numbers
from arc_core.progress import Progress
from arc_core.provenance import describe_build
from arc_core.rundir import RunDirectory
from arc_core.saving import Saver
from arc_core.scoring import cell_accuracy
from arc_core.sizes import Placement
from arc_core.solver_batch import Item, pack
from arc_core.solver_config import SolverConfig
from arc_core.solver_net import SIZE_WEIGHT, SYMMETRIES, SolverNet, planning_loss
from arc_core.solver_system import SolverSystem
from arc_core.solver_task import PlacedTask
from arc_core.startup import (
    LOOP_FORM,
    check_build,
    choose_device,
    newest_usable,
    replay_settings,
    seen_so_far,
)
from arc_core.state_form import require_form
from arc_core.telemetry import Pace
from arc_core.timeline import Timeline, give_up_what_follows
from arc_core.views import make_views

CONTEXT = 4
"""Demonstrations shown for a validated pair."""

_OWN_VIEW = make_views(1, (0,), symmetries=False)


class Pretrainer(TrainingLoop[list[Group]]):
    """Trains the solver's agent.

    Args:
        run: The run directory, whose lock is held.
        config: As resolved, of the recipe `solver`.
        events: Where to tell what happens.
    """

    def __init__(self, run: RunDirectory, config: TrainConfig, events: EventWriter) -> None:
        self.config = config
        self.events = events
        self.device = choose_device(config.device)
        threads = config.threads or torch.get_num_threads()
        torch.set_num_threads(threads)
        self.solver = solver_config(config)
        self._load_data()
        first = self.plan_epoch(0)
        prompts = (
            (0, 0) if self.solver.reads_prompt else (len(self.pool), SYMMETRIES if config.augment else 1)
        )
        self.system = SolverSystem(config, self.solver, self.device, len(first) * config.epochs, prompts)
        plan = self._plan(first, threads)
        refuse_what_cannot_fit(plan, self.device, run.path)
        run.update(plan=plan.as_dict())
        persistence = ModelPersistence(run.checkpoints, keep=config.keep_checkpoints)
        persistence.clean()
        self.progress, elapsed = self._start(run, threads)
        tasks = TaskSet(self.tasks, name=f"{config.dataset} training, without what is evaluated")
        run.update(
            dataset={"name": tasks.name, "tasks": len(tasks), "sha256": tasks.sha256},
            solver=self.solver.to_dict(),
            seen=seen_so_far(run, tasks).to_json(),
        )
        held = None
        if self.progress.step:
            persistence.given_up = Timeline.of(run).given_up_checkpoints(run.checkpoints)
            held = self.progress.position
        self.saver = Saver(persistence, self.system, events, threads, self.warn, held)
        validates = config.validate_on != "none" and any(task.fresh for task in self.pool)
        self.control = Control(run, events, self.system, self.progress, validates=validates)
        self.validates = validates
        self.pace = Pace(elapsed)

    def _load_data(self) -> None:
        config = self.config
        self.tasks = pretraining_tasks(config.dataset, config.solutions)
        ids = {task.id for task in self.tasks}
        extra = without_evaluated(load_extra(config.extra_data, ids)) if config.extra_data else {}
        self.pool = make_pool(self.tasks, extra, config.small_cells)
        if not self.pool:
            raise DataError(f"{config.dataset}: no task has {GROUP} pairs to train on.")
        known = {task.id: task for task in self.tasks}
        self._placed = [PlacedTask(known[task.id], _OWN_VIEW) for task in self.pool]
        self._placements: dict[tuple[int, int], Placement] = {}

    def _plan(self, batches: Sequence[list[Group]], threads: int) -> Plan:
        config = self.config
        parameters = sum(p.numel() for p in self.system.net.parameters())
        # Per cell: what the backward pass keeps of each block, in float32.
        kept = 4 * self.solver.width * 12 * (self.solver.steps + self.solver.encoder_blocks + 2)
        return Plan(
            pairs=sum(len(group.pairs) for batch in batches for group in batch),
            batches_per_epoch=len(batches),
            total_steps=len(batches) * config.epochs,
            parameters=parameters,
            trainable_parameters=parameters,
            memory_bytes=20 * parameters + config.batch_size * 900 * kept + 600_000_000,
            checkpoint_bytes=16 * parameters,
            disk_bytes=16 * parameters * (config.keep_checkpoints + 2),
            threads=threads,
            device=str(self.device),
        )

    def _start(self, run: RunDirectory, threads: int) -> tuple[Progress, float]:
        """Begin, or go on from a checkpoint: the progress, and the seconds trained so far."""
        config, events, timeline = self.config, self.events, Timeline.of(run)
        if timeline.go_on_from is not None:
            path = find_checkpoint(run.checkpoints, timeline.go_on_from)
        else:
            path = newest_usable(run, timeline, self.warn)
        if path is not None:
            try:
                return self._resume(run, path, threads)
            except CheckpointError as error:
                raise CheckpointError(f"{path.name} cannot be used: {error}") from None
        progress = Progress(config.checkpoint_every, checkpoint_minutes=config.checkpoint_minutes)
        begun = any(event["type"] in ("run_started", "resumed") for event in EventReader(run.events))
        replay_settings(run, self.system, progress, after=0)
        if begun:
            events.emit("resumed", step=0, checkpoint=None, supersedes=0)
        else:
            events.emit("run_started", step=0)
        return progress, 0.0

    def _resume(self, run: RunDirectory, path: Path, threads: int) -> tuple[Progress, float]:
        state = self.system.load(path)
        require_form(state, LOOP_FORM | {"build": describe_build()}, STATE)
        check_build(run, state, threads, self.config, self.warn)
        progress = Progress.restored(state)
        last_seq = int(state["last_seq"])
        give_up_what_follows(run, path, last_seq, self.events.last_seq)
        replay_settings(run, self.system, progress, after=last_seq)
        self.events.emit("resumed", step=progress.step, checkpoint=checkpoint_id(path), supersedes=last_seq)
        return progress, float(state["elapsed_seconds"])

    def plan_epoch(self, epoch: int) -> Sequence[list[Group]]:
        """The batches of groups of an epoch."""
        plan = plan_groups if self.solver.reads_prompt else plan_single_pairs
        groups = plan(self.pool, seed=self.config.seed, epoch=epoch, augment=self.config.augment)
        batches = plan_batches(groups, self.pool, self.config.batch_size, seed=self.config.seed, epoch=epoch)
        return batches[: self.config.max_batches]

    def train_batch(self, batch: list[Group]) -> bool:
        """Train on the groups of a batch."""
        system, progress = self.system, self.progress
        items = [item for number, group in enumerate(batch) for item in self._items(group, number)]
        packed = pack(items).to(self.device)
        optimizers = list(system.optimizers.values())
        set_rates(optimizers, system.schedule.factor(progress.step + 1))
        with system.precision.autocast():
            planned = system.net(packed, self._prompts(system.net, batch))
        loss, sizes = planning_loss(planned, packed, deep=self.solver.deep_supervision)
        norms, applied = backward_and_step(
            loss + SIZE_WEIGHT * sizes, optimizers, [system.component], system.precision,
            self.config.clip_norm,
        )  # fmt: skip
        progress.step += 1
        if applied:
            system.update_mean(progress.step)
        scored = score_items(planned, packed)
        rate = self.pace.add(len(items))
        first = self.pool[batch[0].task].id
        shown = f"{len(batch)} groups of {GROUP} pairs" if self.solver.reads_prompt else f"{len(batch)} pairs"
        event = self.events.emit(
            "step",
            step=progress.step,
            epoch=progress.epoch,
            batch=progress.batch,
            pairs=len(items),
            pairs_per_second=rate,
            elapsed_seconds=self.pace.elapsed_seconds,
            rule=f"{shown}, the first of task {first}",
            **step_numbers(
                system,
                loss.item(),
                SIZE_WEIGHT * sizes.item(),
                norms["agent"].item(),
                self.config.reward_weight,
                scored,
            ),
        )
        progress.batch += 1
        progress.means.add(event)
        if progress.step % self.config.sample_every == 0 or progress.step == 1:
            self.events.emit(
                "sample", step=progress.step, **sample_fields(first, batch[0], items[0], planned)
            )
        return applied

    def _prompts(self, net: SolverNet, batch: Sequence[Group]) -> Tensor | None:
        """The learned prompts of a batch's pairs, [N, P]; None where they are read."""
        if self.solver.reads_prompt:
            return None
        tasks, symmetries = zip(*((group.task, group.view.symmetry) for group in batch), strict=True)
        return net.task_prompts[list(tasks), list(symmetries)]

    def _items(self, group: Group, number: int) -> list[Item]:
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

    def validate(self, mask_ratio: float | None = None) -> bool:
        """Answer pairs of the trained tasks that were never trained on, from demonstrations alone."""
        if not self.validates:
            return False
        began = time.monotonic()
        fresh = [(number, pair) for number, task in enumerate(self.pool) for pair in task.fresh]
        limit = self.config.validation_limit
        cells, exact, copies, blacks = list[float](), list[float](), list[float](), list[float]()
        sizes = list[float]()
        solved: dict[int, bool] = {}
        for number, pair in fresh[:limit]:
            answer, size_known = self._answer(number, pair)
            sizes.append(float(size_known))
            target = pair.output
            assert target is not None
            right = cell_accuracy(answer, target)
            cells.append(right)
            exact.append(float(right == 1.0))
            copies.append(cell_accuracy(pair.input, target))
            blacks.append(cell_accuracy(0 * pair.input, target))
            solved[number] = solved.get(number, True) and right == 1.0
            if not self.go_on_validating():
                raise StopRequested
        count, progress = len(cells), self.progress
        self.events.emit(
            "validation",
            step=progress.step,
            split="training",
            inputs=count,
            cell_accuracy=sum(cells) / count,
            exact=int(sum(exact)),
            tasks=len(solved),
            tasks_solved=sum(solved.values()),
            accuracy_delta=0.0,
            size_accuracy=sum(sizes) / count,  # of the size head; the grids are planned at the true size
            copy_cell_accuracy=sum(copies) / count,
            black_cell_accuracy=sum(blacks) / count,
        )
        progress.validated_at = progress.step
        self.pace.leave_out(time.monotonic() - began)
        mark = (sum(exact), sum(cells) / count)
        improved = mark > progress.best
        progress.best = max(mark, progress.best)
        return improved

    @torch.inference_mode()
    def _answer(self, number: int, pair: Pair) -> tuple[Grid, bool]:
        """What the averaged weights make of a pair's input at its own size; whether they know the size."""
        placed, output = self._placed[number], pair.output
        assert output is not None
        placement = placed.place(pair.input, output)
        query = Item(pair.input, None, placement, 0, placed.copies)
        shown = placed.demonstrations(0)[:CONTEXT] if self.solver.reads_prompt else []
        batch = pack([*shown, query]).to(self.device)
        prompts = self._prompts(self.system.mean, [Group(number, (0,), _OWN_VIEW[0])])
        with self.system.precision.autocast():
            planned = self.system.mean(batch, prompts)
        height, width = placement.size
        grid = planned.logits[-1, -1, :height, :width].argmax(dim=-1).to("cpu", torch.int8).numpy()
        rows, columns = (planned.size_logits[-1].argmax(dim=-1) + 1).tolist()
        return grid, (rows, columns) == placement.size


def solver_config(config: TrainConfig) -> SolverConfig:
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
    return SolverConfig.from_mapping(options, text=True)
