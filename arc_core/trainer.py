"""Phases 3 and 4: the epochs of a run, its commands, events and checkpoints."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from arc_core.batch import collate
from arc_core.checkpoint import LANGUAGE_MODEL, ModelPersistence
from arc_core.checkpoint_index import (
    checkpoint_id,
    list_checkpoints,
    newest_intact,
    next_id,
    read_state,
    size_of,
)
from arc_core.commands import Command, CommandInbox
from arc_core.config import TrainConfig
from arc_core.data import ARCDataset, Example, load_tasks, plan_batches
from arc_core.diagnostics import OUT_OF_MEMORY_ADVICE, Diagnostics, Finding
from arc_core.errors import CheckpointError, DataError, PreflightError, RunError
from arc_core.evaluate import choose_inputs, predict, score
from arc_core.events import EventWriter, read_events
from arc_core.language_model import LanguageModel
from arc_core.preflight import plan_run, refuse_what_cannot_fit
from arc_core.rundir import RunDirectory
from arc_core.step import StepResult, training_step
from arc_core.system import ArcSystem
from arc_core.telemetry import EpochMeans, Pace, sample_fields, step_fields

PAUSE_POLL_SECONDS = 0.05


class StopRequested(Exception):
    """Raised at a step boundary when the run is to end there."""


@dataclasses.dataclass
class Position:
    """How far a run is.

    Attributes:
        step: Steps taken.
        epoch: 0-based epoch of the next step.
        batch: 0-based batch of the next step.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0


class Trainer:
    """Trains one run from wherever its directory says it is.

    Args:
        run: The run directory, whose lock is held.
        config: As resolved.
        events: Where to tell what happens.
    """

    def __init__(self, run: RunDirectory, config: TrainConfig, events: EventWriter) -> None:
        self.run = run
        self.config = config
        self.events = events
        self.device = choose_device(config.device)
        self.threads = config.threads or torch.get_num_threads()
        torch.set_num_threads(self.threads)
        self.checkpoint_every = config.checkpoint_every
        self.persistence = ModelPersistence(run.checkpoints, keep=config.keep_checkpoints)
        self.dataset, self.validation_set = self._load_data()
        self.position = Position()
        self.means = EpochMeans()
        self.best: list[float] = []
        self.validation_step = -1
        self.skipped_in_a_row = 0
        self.stop_reason: str | None = None
        self._validate_now: list[str] = []
        batches = -(-len(self.dataset) // config.batch_size)
        self.batches_per_epoch = min(batches, config.max_batches or batches)
        self.plan = plan_run(config, len(self.dataset), self.batches_per_epoch, self.device, self.threads)
        refuse_what_cannot_fit(self.plan, self.device, run.path)
        self.system, elapsed = self._build()
        lm_trains = config.lm_train != "frozen"
        self.diagnostics = Diagnostics(lm_trains, config.refine)
        self.inbox = CommandInbox(run.commands, time.time())
        self.pace = Pace(elapsed)
        self._record_identity()

    # Getting ready

    def _load_data(self) -> tuple[ARCDataset, list[Example]]:
        config = self.config
        tasks = load_tasks(
            config.dataset, "training", solutions=config.solutions, skip_bad_tasks=config.skip_bad_tasks
        )
        if tasks.skipped:
            listed = " ".join(tasks.skipped[:10])
            rest = len(tasks.skipped) - 10
            self.warn(
                Finding(
                    "tasks_skipped",
                    f"{len(tasks.skipped)} bad tasks are left out: {listed}"
                    + (f" And {rest} more." if rest > 0 else ""),
                    "Mend the files; the run goes on without these tasks.",
                )
            )
        dataset = ARCDataset(
            tasks=tasks,
            augment=config.augment,
            seed=config.seed,
            max_context=config.max_context,
            max_cells=config.small_cells,
            max_pairs=config.max_pairs,
        )
        if len(dataset) == 0:
            raise DataError(f"{config.dataset}: no training pair has at most {config.small_cells} cells")
        if config.validate_on == "none":
            return dataset, []
        held = tasks
        if config.validate_on == "evaluation":
            held = load_tasks(
                config.dataset,
                "evaluation",
                solutions=config.solutions,
                skip_bad_tasks=config.skip_bad_tasks,
            )
        tests = ARCDataset(tasks=held, part="test", max_context=config.max_context)
        chosen = choose_inputs(list(tests), config.validation_limit)
        if not chosen:
            self.warn(
                Finding(
                    "no_validation",
                    f"{config.dataset} has no test outputs to validate against.",
                    "Give the solutions file (--solutions), or --validate-on none.",
                )
            )
        return dataset, chosen

    def _build(self) -> tuple[ArcSystem, float]:
        """Build the models, fresh or from the newest checkpoint that verifies; return seconds trained."""
        config = self.config
        torch.manual_seed(config.seed)
        path, rejected = newest_intact(self.run.checkpoints)
        for bad, problems in rejected:
            self.warn(
                Finding(
                    "checkpoint_rejected",
                    f"{bad.name} is not used: {'; '.join(problems)}.",
                    "An older checkpoint is taken instead.",
                )
            )
        if path is None:
            if rejected:
                raise CheckpointError(
                    f"No checkpoint of {self.run.name} is intact: all {len(rejected)} were rejected, "
                    f"{rejected[0][0].name} because {rejected[0][1][0]}"
                )
            started = bool(read_events(self.run.events))
            system = ArcSystem(config, self.device, self.plan.total_steps)
            system.efe_loss.set_anchor(self._color_shares())
            if started:
                self.events.emit("resumed", step=0, checkpoint=None, supersedes=0)
            else:
                self.events.emit("run_started", step=0)
            return system, 0.0
        language_model = LanguageModel.load(
            str(path / LANGUAGE_MODEL),
            train=config.lm_train,  # pyright: ignore[reportArgumentType]
            dtype=config.lm_dtype,  # pyright: ignore[reportArgumentType]
        )
        system = ArcSystem(config, self.device, self.plan.total_steps, language_model)
        return system, self._restore(path, system)

    def _restore(self, path: Path, system: ArcSystem) -> float:
        models = (system.agent, system.qwen, system.memory, system.efe_loss, system.policy, system.optimizer)
        saved_threads = read_state(path).get("threads")
        if saved_threads != self.threads and self.config.threads is None:
            raise RunError(
                f"{self.run.name} was trained with {saved_threads} threads and would go on with "
                f"{self.threads}, which changes its numbers: give --set threads={saved_threads} to keep "
                f"them, or --set threads={self.threads} to go on all the same"
            )
        state = self.persistence.load_checkpoint(path, *models)
        try:
            self.position = Position(**state["position"])
            self.means = EpochMeans.restored(state["means"])
            self.best = [float(value) for value in state["best"]]
            self.validation_step = int(state["validation_step"])
            self.checkpoint_every = int(state["checkpoint_every"])
            self.skipped_in_a_row = int(state["skipped_in_a_row"])
            system.memory_threshold.ema = float(state["memory_ema"])
            system.precision.skipped_steps = int(state["amp"]["skipped_steps"])
            if system.precision.scaler.is_enabled():
                system.precision.scaler.load_state_dict(state["amp"]["scaler"])
            elapsed = float(state["elapsed_seconds"])
            saved_at, last_seq = float(state["saved_at"]), int(state["last_seq"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path.name}: its state.json lacks or damages {error}") from None
        self._replay_settings(system, saved_at)
        self.events.emit(
            "resumed", step=self.position.step, checkpoint=checkpoint_id(path), supersedes=last_seq
        )
        return elapsed

    def _replay_settings(self, system: ArcSystem, since: float) -> None:
        """Apply what was set after the checkpoint: by commands, and by flags given on resuming."""
        changes: list[tuple[float, dict[str, Any]]] = [
            (event["time"], event["new"])
            for event in read_events(self.run.events)
            if event["type"] == "command_applied" and event["command"] == "set" and event["time"] > since
        ]
        for change in self.run.read().get("changes", []):
            if change["time"] > since:
                changes.append((change["time"], {change["key"]: change["new"]}))
        for _, values in sorted(changes, key=lambda change: change[0]):
            self._apply_settings(system, values)

    def _color_shares(self) -> torch.Tensor:
        counts = torch.zeros(10)
        for task in self.dataset.tasks.tasks:
            for pair in task.train:
                if pair.output is not None:
                    counts += torch.bincount(torch.tensor(pair.output).flatten().long(), minlength=10)
        return counts / counts.sum()

    def _record_identity(self) -> None:
        tasks = self.dataset.tasks
        self.run.update(
            dataset={"name": tasks.name, "tasks": len(tasks), "sha256": tasks.sha256},
            language_model=self.system.qwen.language_model.identity,
            plan=self.plan.as_dict() | {"amp": self.system.precision.dtype_name},
        )

    # Training

    def train(self) -> str:
        """Train to the end, or to where it is told to stop; returns the reason for `run_finished`."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._ask_to_stop("stopped by a signal"))
        try:
            self._check_in()
            while self.position.epoch < self.config.epochs:
                self._epoch()
            return "completed"
        except StopRequested:
            self._checkpoint("stop")
            return self.stop_reason or "stopped"

    def _ask_to_stop(self, reason: str) -> None:
        self.stop_reason = self.stop_reason or reason

    def _epoch(self) -> None:
        position = self.position
        started = self.pace.elapsed_seconds
        batches = plan_batches(
            self.dataset,
            self.config.batch_size,
            seed=self.config.seed,
            epoch=position.epoch,
            max_batches=self.config.max_batches,
        )
        last: StepResult | None = None
        while position.batch < len(batches):
            last = self._step([self.dataset.example(i, position.epoch) for i in batches[position.batch]])
            at_end = position.batch == len(batches)
            if not at_end and position.step % self.checkpoint_every == 0:
                self._checkpoint("interval")
            self._check_in()
        means = self.means.means()
        self.events.emit("epoch", epoch=position.epoch, seconds=self.pace.elapsed_seconds - started, **means)
        finished = position.epoch
        position.epoch, position.batch = finished + 1, 0
        self.means = EpochMeans()
        improved = self._validate(finished, last)
        self._checkpoint("epoch", best=improved)
        self._check_in()

    def _step(self, examples: list[Example]) -> StepResult:
        position = self.position
        batch = collate(examples).to(self.device)
        result = training_step(self.system, batch, position.epoch, position.step + 1)
        position.step += 1
        event = self.events.emit(
            "step",
            step=position.step,
            epoch=position.epoch,
            batch=position.batch,
            **step_fields(
                result, batch, self.system.precision, self.pace.add(len(batch)), self.pace.elapsed_seconds
            ),
        )
        position.batch += 1
        self.means.add(event)
        if position.step % self.config.sample_every == 0 or position.step == 1:
            self.events.emit("sample", step=position.step, **sample_fields(result, batch))
        for finding in self.diagnostics.after_step(position.step, result):
            self.warn(finding)
        self.skipped_in_a_row = 0 if result.applied else self.skipped_in_a_row + 1
        if self.skipped_in_a_row >= self.config.nan_patience:
            self._ask_to_stop(f"{self.skipped_in_a_row} steps in a row were not finite")
            raise StopRequested
        return result

    def _validate(self, epoch: int, last: StepResult | None) -> bool:
        """Validate and say whether it is the best so far."""
        if not self.validation_set:
            return False
        before = time.monotonic()
        answers = predict(
            self.system, self.validation_set, max(self.config.batch_size, 8), self._between_batches
        )
        self.pace.leave_out(0.0)
        if len(answers) < len(self.validation_set):
            raise StopRequested
        found = score(self.validation_set, answers)
        split = "training" if self.config.validate_on == "training" else "evaluation"
        self.events.emit("validation", step=self.position.step, split=split, **dataclasses.asdict(found))
        self.validation_step = self.position.step
        weight = self.system.size_warmup.get_size_loss_weight(epoch)
        ratio = last.mask_ratio if last is not None else 0.0
        for finding in self.diagnostics.after_validation(epoch, weight, ratio, found):
            self.warn(finding)
        self.pace.leave_out(time.monotonic() - before)
        mark = [float(found.exact), found.cell_accuracy]
        improved = mark > self.best
        self.best = max(mark, self.best)
        return improved

    def _between_batches(self) -> bool:
        """Look for commands in the middle of a validation; False ends it."""
        self._take_commands(validating=True)
        return self.stop_reason is None

    # Checkpoints

    def _checkpoint(self, reason: str, *, best: bool = False) -> None:
        if reason == "stop" and self._already_saved():
            return
        system = self.system
        number = next_id(self.persistence.directory)
        step = self.position.step
        began = time.monotonic()

        def tell(phase: str, why: str | None = reason, size: int | None = None) -> None:
            seconds = None if phase == "requested" else time.monotonic() - began
            self.events.emit(
                "checkpoint", id=number, step=step, phase=phase, reason=why, bytes=size, seconds=seconds
            )

        tell("requested")
        last_seq = self.events.last_seq

        def saved(path: Path) -> None:
            self.events.sync()
            tell("saved", size=size_of(path))

        try:
            path = self.persistence.save_checkpoint(
                system.agent, system.qwen, system.memory, system.efe_loss, system.policy, system.optimizer,
                self.position.epoch, self.position.batch, self._metrics(), self._state(last_seq), saved,
            )  # fmt: skip
        except (OSError, CheckpointError) as error:
            tell("failed", why=str(error))
            self.warn(
                Finding(
                    "checkpoint_failed",
                    f"Checkpoint {number} of step {step} could not be saved: {error}.",
                    "Training goes on and the last good checkpoint stays; make room on the disk.",
                )
            )
            return
        tell("verified", size=size_of(path))
        if best:
            self.persistence.mark_best(path)
        self.persistence.prune()

    def _already_saved(self) -> bool:
        saved = list_checkpoints(self.persistence.directory)
        return bool(saved) and read_state(saved[-1]).get("position") == dataclasses.asdict(self.position)

    def _metrics(self) -> dict[str, Any]:
        means = self.means.means()
        metrics: dict[str, Any] = {"step": self.position.step}
        if means:
            metrics |= {
                "loss": means["loss"]["combined"],
                "reward": means["reward"]["total"],
                "cell_accuracy": means["accuracy"]["cell"],
                "exact": means["accuracy"]["exact"],
            }
        if self.best and self.validation_step == self.position.step:
            metrics |= {"best_validation_exact": self.best[0], "best_validation_cell_accuracy": self.best[1]}
        return metrics

    def _state(self, last_seq: int) -> dict[str, Any]:
        system = self.system
        return {
            "position": dataclasses.asdict(self.position),
            "means": self.means.state(),
            "best": self.best,
            "validation_step": self.validation_step,
            "checkpoint_every": self.checkpoint_every,
            "skipped_in_a_row": self.skipped_in_a_row,
            "memory_ema": system.memory_threshold.ema,
            "amp": {
                "dtype": system.precision.dtype_name,
                "skipped_steps": system.precision.skipped_steps,
                "scaler": system.precision.scaler.state_dict(),
            },
            "elapsed_seconds": self.pace.elapsed_seconds,
            "threads": self.threads,
            "saved_at": time.time(),
            "last_seq": last_seq,
        }

    # Commands

    def _check_in(self) -> None:
        """Obey signals and commands at a step boundary."""
        self._take_commands()
        while self._validate_now:
            self._validate_now.clear()
            self._validate(self.position.epoch, None)
            self._take_commands()
        if self.stop_reason is not None:
            raise StopRequested

    def _take_commands(self, *, validating: bool = False) -> None:
        for command in self.inbox.poll():
            if command.reason is not None:
                self.events.emit("command_rejected", id=command.id, reason=command.reason)
            else:
                self._obey(command, validating)

    def _obey(self, command: Command, validating: bool) -> None:
        def applied(old: Any = None, new: Any = None) -> None:
            self.events.emit("command_applied", id=command.id, command=command.command, old=old, new=new)

        match command.command:
            case "set":
                old = self._apply_settings(self.system, command.args)
                applied(old, command.args)
                self.events.sync()
            case "stop":
                applied()
                self._ask_to_stop("stopped by a command")
            case "checkpoint":
                applied()
                self._checkpoint("command")
            case "validate":
                if validating:
                    self.events.emit(
                        "command_rejected", id=command.id, reason="A validation is already under way."
                    )
                else:
                    applied()
                    self._validate_now.append(command.id)
            case "pause":
                applied()
                self._pause()
            case _:
                self.events.emit("command_rejected", id=command.id, reason="Training is not paused.")

    def _pause(self) -> None:
        """Stand still until told to go on; other commands are obeyed meanwhile."""
        self.events.emit("paused", step=self.position.step)
        began = time.monotonic()
        paused = True
        while paused and self.stop_reason is None:
            for command in self.inbox.poll():
                if command.reason is not None:
                    self.events.emit("command_rejected", id=command.id, reason=command.reason)
                elif command.command == "resume":
                    self.events.emit("command_applied", id=command.id, command="resume", old=None, new=None)
                    paused = False
                elif command.command == "pause":
                    self.events.emit("command_rejected", id=command.id, reason="Training is paused already.")
                else:
                    self._obey(command, validating=False)
            time.sleep(PAUSE_POLL_SECONDS)
        self.pace.leave_out(time.monotonic() - began)
        self.events.emit("unpaused", step=self.position.step)

    def _apply_settings(self, system: ArcSystem, values: dict[str, Any]) -> dict[str, Any]:
        """Set rates and the checkpoint interval; returns the old values of those that are live settings."""
        groups = {group["name"]: group for group in system.optimizer.param_groups}
        policy = system.policy.optimizer.param_groups[0]
        settings: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
            "agent_lr": (lambda: groups["agent"]["base_lr"], system.set_agent_rate),
            "qwen_lr": (
                lambda: groups["lm"]["base_lr"],
                lambda rate: [groups[name].update(base_lr=rate) for name in ("lm", "prompt")] and None,
            ),
            "policy_lr": (lambda: policy["lr"], lambda rate: policy.update(lr=rate)),
            "checkpoint_every": (
                lambda: self.checkpoint_every,
                lambda every: setattr(self, "checkpoint_every", every),
            ),
        }
        old: dict[str, Any] = {}
        for name, value in values.items():
            if name in settings:
                read, write = settings[name]
                old[name] = read()
                write(value)
        return old

    def warn(self, finding: Finding) -> None:
        """Tell a warning with its advice."""
        self.events.emit("warning", **dataclasses.asdict(finding))


def choose_device(name: str) -> torch.device:
    """Resolve `auto`, and refuse a GPU that is not there.

    Raises:
        PreflightError: If the device is not on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise PreflightError(
            f"device {name!r} is not here: torch sees {torch.cuda.device_count()} GPUs; use auto or cpu"
        )
    return device


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch failed for want of memory, on a GPU or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def out_of_memory(step: int, config: TrainConfig) -> Finding:
    """The warning for a step that found no memory."""
    return Finding(
        "out_of_memory",
        f"Out of memory in step {step + 1} with batch_size {config.batch_size} and lm {config.lm}.",
        OUT_OF_MEMORY_ADVICE,
    )
