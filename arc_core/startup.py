"""Phases 1 and 3a of a process: its device and data, and its models, fresh or from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from arc_core.checkpoint import LANGUAGE_MODEL, ModelPersistence
from arc_core.checkpoint_index import STATE, checkpoint_id, find_checkpoint, newest_intact, read_state
from arc_core.config import TrainConfig
from arc_core.control import Rated, apply_settings
from arc_core.data import ARCDataset, Example, TaskSet, load_tasks
from arc_core.diagnostics import Finding
from arc_core.errors import CheckpointError, DataError, PreflightError, RunError
from arc_core.evaluate import choose_inputs
from arc_core.events import EventReader, EventWriter, events_after
from arc_core.language_model import Dtype, LanguageModel, TrainMode
from arc_core.progress import Progress
from arc_core.protocol import SeenTasks
from arc_core.provenance import describe_build
from arc_core.rundir import SEEN, RunDirectory
from arc_core.state_form import require_form
from arc_core.system import ArcSystem
from arc_core.timeline import Timeline, give_up_what_follows

MOST_LISTED = 10

LOOP_FORM = {"system": {}, "elapsed_seconds": 0.0, "threads": 0, "saved_at": 0.0, "last_seq": 0}
"""What the loop adds to state.json beside its progress and build, as `require_form` takes it."""

Warn = Callable[[Finding], None]


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


def load_data(config: TrainConfig, warn: Warn) -> tuple[ARCDataset, list[Example]]:
    """Load the training pairs, and the test inputs that every validation answers.

    Raises:
        DataError: If the data is bad, or nothing is left to train on.
    """
    tasks = load_tasks(
        config.dataset, "training", solutions=config.solutions, skip_bad_tasks=config.skip_bad_tasks
    )
    if tasks.skipped:
        rest = len(tasks.skipped) - MOST_LISTED
        listed = " ".join(tasks.skipped[:MOST_LISTED]) + (f" And {rest} more." if rest > 0 else "")
        warn(
            Finding(
                "tasks_skipped",
                f"{len(tasks.skipped)} bad tasks are left out: {listed}",
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
            config.dataset, "evaluation", solutions=config.solutions, skip_bad_tasks=config.skip_bad_tasks
        )
    tests = ARCDataset(tasks=held, part="test", max_context=config.max_context)
    chosen = choose_inputs(list(tests), config.validation_limit)
    if not chosen:
        warn(
            Finding(
                "no_validation",
                f"{config.dataset} has no test outputs to validate against.",
                "Give the solutions file (--solutions), or --validate-on none.",
            )
        )
    return dataset, chosen


def seen_so_far(run: RunDirectory, tasks: TaskSet) -> SeenTasks:
    """What a run has been trained on once it has begun to train on these tasks, for run.json.

    A run may go on with other data, and a branch goes on from what another run has learned: what was seen
    stays seen.

    Raises:
        DataError: If run.json does not say it as it was written.
    """
    content = run.read()
    if SEEN not in content:
        return SeenTasks.of(tasks.tasks)
    before = SeenTasks.from_json(content[SEEN], run.name)
    known = cast("dict[str, object]", content.get("dataset", {})).get("sha256") == tasks.sha256
    return before if known else before | SeenTasks.of(tasks.tasks)


def color_shares(dataset: ARCDataset) -> torch.Tensor:
    """Share of each colour in the demonstrations' outputs, [10]: where the anchor Ĉ starts."""
    counts = torch.zeros(10)
    for task in dataset.tasks.tasks:
        for pair in task.train:
            if pair.output is not None:
                counts += torch.bincount(torch.tensor(pair.output).flatten().long(), minlength=10)
    return counts / counts.sum()


@dataclass(frozen=True)
class Start:
    """Where a process begins.

    Attributes:
        system: The models, fresh or restored.
        progress: How far the run is.
        elapsed_seconds: That it has been trained for.
        checkpoint: What it was restored from; None at step 0.
    """

    system: ArcSystem
    progress: Progress
    elapsed_seconds: float = 0.0
    checkpoint: Path | None = None


def start_or_resume(
    run: RunDirectory,
    config: TrainConfig,
    dataset: ARCDataset,
    device: torch.device,
    threads: int,
    total_steps: int,
    events: EventWriter,
    warn: Warn,
) -> Start:
    """Build the models, fresh or from a checkpoint: the one asked for, else the newest that verifies.

    Raises:
        CheckpointError: If there are checkpoints and none can be used, or not the one asked for.
        RunError: If the run was trained with another number of threads and nothing was said of it.
    """
    torch.manual_seed(config.seed)
    timeline = Timeline.of(run)
    if timeline.go_on_from is not None:
        path = find_checkpoint(run.checkpoints, timeline.go_on_from)
    else:
        path = newest_usable(run, timeline, warn)
    if path is not None:
        try:
            return _resume(path, run, config, device, threads, total_steps, events, warn)
        except CheckpointError as error:
            raise CheckpointError(f"{path.name} cannot be used: {error}") from None
    system = ArcSystem(config, device, total_steps)
    system.efe_loss.set_anchor(color_shares(dataset))
    progress = Progress(config.checkpoint_every, checkpoint_minutes=config.checkpoint_minutes)
    trained_before = any(event["type"] in ("run_started", "resumed") for event in EventReader(run.events))
    replay_settings(run, system, progress, after=0)
    if trained_before:
        events.emit("resumed", step=0, checkpoint=None, supersedes=0)
    else:
        events.emit("run_started", step=0)
    return Start(system, progress)


def newest_usable(run: RunDirectory, timeline: Timeline, warn: Warn) -> Path | None:
    """The newest checkpoint that verifies and was not given up; None if there is none at all.

    Raises:
        CheckpointError: If there are checkpoints and none is intact.
    """
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


def _resume(
    path: Path,
    run: RunDirectory,
    config: TrainConfig,
    device: torch.device,
    threads: int,
    total_steps: int,
    events: EventWriter,
    warn: Warn,
) -> Start:
    state = read_state(path)
    require_form(state, LOOP_FORM | {"build": describe_build()}, STATE)
    check_build(run, state, threads, config, warn)
    language_model = LanguageModel.load(
        str(path / LANGUAGE_MODEL),
        train=cast(TrainMode, config.lm_train),
        dtype=cast(Dtype, config.lm_dtype),
    )
    system = ArcSystem(config, device, total_steps, language_model)
    ModelPersistence(run.checkpoints).load_checkpoint(
        path, system.agent, system.qwen, system.memory, system.efe_loss, system.policy, system.optimizer
    )
    progress = Progress.restored(state)
    require_form(state["metrics"], progress.metrics(), STATE, "metrics")
    system.restore_state(state["system"])
    elapsed, last_seq = float(state["elapsed_seconds"]), int(state["last_seq"])
    give_up_what_follows(run, path, last_seq, events.last_seq)
    replay_settings(run, system, progress, after=last_seq)
    events.emit("resumed", step=progress.step, checkpoint=checkpoint_id(path), supersedes=last_seq)
    return Start(system, progress, elapsed, path)


def check_build(
    run: RunDirectory, state: Mapping[str, Any], threads: int, config: TrainConfig, warn: Warn
) -> None:
    """Refuse another number of threads unless it was asked for; tell of anything else that differs."""
    if state["threads"] != threads and config.threads is None:
        raise RunError(
            f"{run.name} was trained with {state['threads']} threads and would go on with {threads}, "
            f"which changes its numbers: give --set threads={state['threads']} to keep them, or "
            f"--set threads={threads} to go on all the same"
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


def replay_settings(run: RunDirectory, system: Rated, progress: Progress, after: int) -> None:
    """Apply what was set after the event `after`: by commands, and by flags given on resuming."""
    timeline = Timeline.of(run)
    changes: list[tuple[int, Mapping[str, Any]]] = [
        (event["seq"], event["new"])
        for event in events_after(run.events, after)
        if event["type"] == "command_applied" and event["command"] == "set"
    ]
    # A change by a flag bears the number of the event that followed it.
    flags = [(int(c["seq"]), {c["key"]: c["new"]}) for c in run.read().get("changes", []) if "seq" in c]
    changes += [change for change in flags if change[0] > after]
    for seq, values in sorted(changes, key=lambda change: change[0]):
        if not timeline.is_given_up(seq):
            apply_settings(system, progress, values)
