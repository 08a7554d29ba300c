"""Step 11: a process begins a run or goes on with it, the same way whatever the run trains."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch

from arc_core.base.errors import CheckpointError, RunError
from arc_core.checkpoints.form import require_form
from arc_core.run.checkpoint_index import STATE, checkpoint_id, find_checkpoint, newest_intact, read_state
from arc_core.run.commands import INTERVALS, changeable
from arc_core.run.config import LAUNCH_OPTIONS, LIMITS, TrainConfig
from arc_core.run.course import Timeline, give_up_what_follows, settings_then
from arc_core.run.declared import Declared
from arc_core.run.directory import RunDirectory
from arc_core.run.event_forms import CommandAppliedEvent, ResumedEvent, RunStartedEvent
from arc_core.run.events import EventReader, EventWriter, events_after
from arc_core.run.provenance import describe_build
from arc_core.training.control import Rated, apply_settings
from arc_core.training.diagnostics import Finding
from arc_core.training.optimizer import Schedule
from arc_core.training.progress import Progress
from arc_core.training.ranks import ALONE, Ranks
from arc_core.training.saving import Saveable

LOOP_FORM = {"system": {}, "elapsed_seconds": 0.0, "threads": 0, "saved_at": 0.0, "last_seq": 0}
"""What the loop adds to state.json beside its progress and build, as `require_form` takes it."""

VALIDATION_OPTIONS = ("validate_on", "validation_inputs", "max_batches", "max_context")
"""Settings that decide what validations answer."""

SMALLEST_JUMP = 1e-3
"""Share of the base rate by which a schedule may differ from the one before without a word."""

Warn = Callable[[Finding], None]


class Trainable(Rated, Saveable, Protocol):
    """Models that a run trains, and goes on with."""

    def restore_state(self, saved: Mapping[str, Any]) -> None:
        """Take back what `state` gave; raises CheckpointError where it does not fit."""
        ...


S = TypeVar("S", bound=Trainable)


@dataclass(frozen=True)
class Start(Generic[S]):
    """Where a process begins.

    Attributes:
        system: The models, fresh or restored.
        progress: How far the run is.
        then: The settings that the checkpoint was trained with.
        live: Those of them that commands may set, as the checkpoint has them.
        elapsed_seconds: That it has been trained for.
        checkpoint: What it was restored from; None at step 0.
        schedule: Of the learning rate by then; None where that is not known.
        supersedes: Number of the last event that still counts; None where the run begins.
    """

    system: S
    progress: Progress
    then: TrainConfig
    live: Mapping[str, Any]
    elapsed_seconds: float = 0.0
    checkpoint: Path | None = None
    schedule: Schedule | None = None
    supersedes: int | None = None

    def tell(self, run: RunDirectory, events: EventWriter) -> None:
        """Tell that the run begins or goes on, and note what it gives up by going back."""
        step = self.progress.step
        if self.checkpoint is not None and self.supersedes is not None:
            give_up_what_follows(run, self.checkpoint, self.supersedes, events.last_seq)
        if self.supersedes is None:
            events.emit("run_started", step=step)
        else:
            number = None if self.checkpoint is None else checkpoint_id(self.checkpoint)
            events.emit("resumed", step=step, checkpoint=number, supersedes=self.supersedes)


def checkpoint_to_resume(run: RunDirectory, warn: Warn, ranks: Ranks = ALONE) -> Path | None:
    """The checkpoint to go on from: the one asked for, else the newest that verifies; None if there is none.

    Of several processes the first one chooses.

    Raises:
        CheckpointError: If there are checkpoints and none is intact, or not the one asked for.
    """
    found = _checkpoint(run, warn) if ranks.first else None
    name, _ = ranks.agree("" if found is None else found.name)
    return run.checkpoints / name if name else None


def _checkpoint(run: RunDirectory, warn: Warn) -> Path | None:
    timeline = Timeline.of(run)
    if timeline.go_on_from is not None:
        return find_checkpoint(run.checkpoints, timeline.go_on_from)
    path, rejected = newest_intact(run.checkpoints, timeline.given_up_checkpoints(run.checkpoints))
    for bad, problems in rejected:
        warn(
            Finding(
                "checkpoint_rejected",
                f"{bad.name} is not used: {'; '.join(problems)}.",
                "An older checkpoint is taken instead.",
            )
        )
    if path is None and rejected:
        raise CheckpointError(
            f"No checkpoint of {run.name} is intact: all {len(rejected)} were rejected, "
            f"{rejected[0][0].name} because {rejected[0][1][0]}"
        )
    return path


def start_or_resume(
    run: RunDirectory,
    config: TrainConfig,
    path: Path | None,
    build: Callable[[Path | None], S],
    declared: Declared,
    threads: int,
    warn: Warn,
    processes: int = 1,
) -> Start[S]:
    """Build the models, fresh or from a checkpoint.

    Args:
        run: The run, whose lock is held.
        config: As resolved.
        path: What `checkpoint_to_resume` found.
        build: Makes the models, and restores their tensors and optimizers from a checkpoint's folder.
        declared: What steps carry.
        threads: Of torch.
        warn: Tells a warning.
        processes: That train the run together.

    Raises:
        CheckpointError: If the checkpoint cannot be used.
        RunError: If the run was trained with another number of threads and nothing was said of it.
    """
    torch.manual_seed(config.seed)
    if path is not None:
        try:
            return _resume(run, config, path, build, declared, threads, warn, processes)
        except CheckpointError as error:
            raise CheckpointError(f"{path.name} cannot be used: {error}") from None
    system = build(None)
    progress = Progress(config.checkpoint_every, declared, checkpoint_minutes=config.checkpoint_minutes)
    trained_before = any(
        isinstance(event, RunStartedEvent | ResumedEvent) for event in EventReader(run.events)
    )
    replay_settings(run, system, progress, after=0)
    return Start(
        system, progress, config, live_settings(system, progress), supersedes=0 if trained_before else None
    )


def _resume(
    run: RunDirectory,
    config: TrainConfig,
    path: Path,
    build: Callable[[Path | None], S],
    declared: Declared,
    threads: int,
    warn: Warn,
    processes: int,
) -> Start[S]:
    state = read_state(path)
    require_form(state, LOOP_FORM | {"build": describe_build()}, STATE)
    before = state.get("processes", 1)
    # Processes on one machine share its threads: another number of them is told, and this follows from it.
    asked = config.threads is not None or before != processes
    check_build(run, state, threads, asked=asked, warn=warn)
    if before != processes:
        warn(
            Finding(
                "other_processes",
                f"The run goes on in {processes} processes, and its checkpoint is of {before}: "
                f"a step takes {processes} times batch_size pairs, not {before} times.",
                f"Its numbers are other ones from here on; --processes {before} goes on as before.",
            )
        )
    system = build(path)
    progress = Progress.restored(state, declared)
    require_form(state["metrics"], progress.metrics(), STATE, "metrics")
    system.restore_state(state["system"])
    elapsed, last_seq = float(state["elapsed_seconds"]), int(state["last_seq"])
    then, schedule = settings_then(run, config, last_seq), schedule_then(state)
    live = live_settings(system, progress)
    replay_settings(run, system, progress, after=last_seq)
    return Start(system, progress, then, live, elapsed, path, schedule, last_seq)


def check_build(
    run: RunDirectory,
    state: Mapping[str, Any],
    threads: int,
    *,
    asked: bool,
    warn: Warn,
    give: str = "--set ",
) -> None:
    """Refuse another number of threads unless it was asked for; tell of anything else that differs.

    Args:
        run: The run.
        state: The checkpoint's state.json.
        threads: Of torch.
        asked: Whether that number was asked for.
        warn: Tells a warning.
        give: What stands before a setting where it is given.

    Raises:
        RunError: If the number is another.
    """
    if state["threads"] != threads and not asked:
        raise RunError(
            f"{run.name} was trained with {state['threads']} threads and would go on with {threads}, "
            f"which changes its numbers: give {give}threads={state['threads']} to keep them, or "
            f"{give}threads={threads} to go on all the same"
        )
    saved, here = state["build"], describe_build()
    changed = [f"{k} {saved.get(k)} is now {v}" for k, v in here.items() if saved.get(k) != v]
    if changed:
        warn(
            Finding(
                "another_build",
                f"The run goes on with another build or machine: {'; '.join(changed)}.",
                "Its numbers may differ in their last digits from those of an uninterrupted run.",
            )
        )


def schedule_then(state: Mapping[str, Any]) -> Schedule | None:
    """The schedule that a checkpoint was trained under; None where it does not say."""
    if "schedule" not in state:
        return None
    form = Schedule()
    require_form(state["schedule"], dataclasses.asdict(form), STATE, "schedule")
    known = {field.name: state["schedule"][field.name] for field in dataclasses.fields(form)}
    return Schedule(**known)


def live_settings(system: Rated, progress: Progress) -> dict[str, Any]:
    """What commands may set, as it is now."""
    return {**system.base_rates(), **{name: getattr(progress, name) for name in INTERVALS}}


def options_changed(
    then: TrainConfig, now: TrainConfig, live_then: Mapping[str, Any], live: Mapping[str, Any]
) -> Finding | None:
    """What is told of settings that differ from the checkpoint's; None if none does.

    Args:
        then: The checkpoint's.
        now: The present ones.
        live_then: The checkpoint's `live_settings`, which its configuration does not know.
        live: The present ones.
    """
    apart = {*LAUNCH_OPTIONS, *LIMITS, "processes", *changeable(now.to_dict())}
    pairs = {name: (getattr(then, name), getattr(now, name)) for name in then.to_dict() if name not in apart}
    pairs |= {name: (live_then[name], live[name]) for name in live}
    changed = [f"{name} {old} is now {new}" for name, (old, new) in pairs.items() if old != new]
    if not changed:
        return None
    return Finding(
        "options_changed",
        f"The run goes on with other settings than its checkpoint's: {'; '.join(changed)}.",
        "It is no longer the run that it would have been; give the old values to go on as before.",
    )


def schedule_jumps(before: Schedule | None, now: Schedule, step: int, rate: float) -> Finding | None:
    """What is told of a schedule that does not go on where it was; None where it does.

    Args:
        before: The checkpoint's.
        now: The present one.
        step: The last step taken.
        rate: The base learning rate of the agent.
    """
    if before is None or step == 0 or abs(before.factor(step) - now.factor(step)) < SMALLEST_JUMP:
        return None
    shapes = [f"{s.kind}, warm-up {s.warmup_steps}, over {s.total_steps} steps" for s in (before, now)]
    return Finding(
        "schedule_jumps",
        f"The learning rate jumps: by its schedule agent_lr was {rate * before.factor(step):.3g} at step "
        f"{step} ({shapes[0]}) and is {rate * now.factor(step + 1):.3g} at step {step + 1} ({shapes[1]}).",
        "Take schedule constant and a lower agent_lr if the run is to go on gently.",
    )


def hold_best_to(
    progress: Progress, validated_on: str, then: TrainConfig, now: TrainConfig, data_differs: bool
) -> Finding | None:
    """Let the best mark stand only beside marks on the same validation data; what is told if it does not.

    Args:
        progress: With the mark.
        validated_on: Identity of what validations answer now.
        then: The checkpoint's settings.
        now: The present ones.
        data_differs: Whether the data is not the run's of before.
    """
    if progress.validated_on:
        other = progress.validated_on != validated_on
    else:  # a checkpoint that does not say
        pairs = ((getattr(then, name, None), getattr(now, name, None)) for name in VALIDATION_OPTIONS)
        other = data_differs or any(before != after for before, after in pairs)
    progress.validated_on = validated_on
    if not other or not progress.best:
        return None
    first, cells, *scored = progress.best
    progress.best, progress.without_best = (), 0
    best = f"score {first:g}" if scored else f"{first:.0f} exact"
    return Finding(
        "best_reset",
        f"The best validation so far ({best}, {cells:.4f} of the cells) was on other "
        "inputs than those of now, so it counts no more.",
        "The next validation is the best again, until a better one.",
    )


def replay_settings(run: RunDirectory, system: Rated, progress: Progress, after: int) -> None:
    """Apply what was set after the event `after`: by commands, and by flags given on resuming."""
    timeline = Timeline.of(run)
    changes: list[tuple[int, Mapping[str, Any]]] = [
        (event.seq, event.new)
        for event in events_after(run.events, after)
        if isinstance(event, CommandAppliedEvent) and event.new is not None
    ]
    # A change by a flag bears the number of the event that followed it.
    flags = [(int(c["seq"]), {c["key"]: c["new"]}) for c in run.read().get("changes", []) if "seq" in c]
    changes += [change for change in flags if change[0] > after]
    for seq, values in sorted(changes, key=lambda change: change[0]):
        if not timeline.is_given_up(seq):
            apply_settings(system, progress, values)
