"""Phases 1 and 3a of a process: its device and data, and its models, fresh or from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch

from arc_core.checkpoint import LANGUAGE_MODEL, ModelPersistence
from arc_core.checkpoint_index import checkpoint_id, newest_intact, read_state
from arc_core.config import TrainConfig
from arc_core.control import apply_settings
from arc_core.data import ARCDataset, Example, load_tasks
from arc_core.diagnostics import Finding
from arc_core.errors import CheckpointError, DataError, PreflightError, RunError
from arc_core.evaluate import choose_inputs
from arc_core.events import EventWriter, read_events
from arc_core.language_model import Dtype, LanguageModel, TrainMode
from arc_core.progress import Progress
from arc_core.rundir import RunDirectory
from arc_core.system import ArcSystem

MOST_LISTED = 10

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


def color_shares(dataset: ARCDataset) -> torch.Tensor:
    """Share of each colour in the demonstrations' outputs, [10]: where the anchor Ĉ starts."""
    counts = torch.zeros(10)
    for task in dataset.tasks.tasks:
        for pair in task.train:
            if pair.output is not None:
                counts += torch.bincount(torch.tensor(pair.output).flatten().long(), minlength=10)
    return counts / counts.sum()


def start_or_resume(
    run: RunDirectory,
    config: TrainConfig,
    dataset: ARCDataset,
    device: torch.device,
    threads: int,
    total_steps: int,
    events: EventWriter,
    warn: Warn,
) -> tuple[ArcSystem, Progress, float]:
    """Build the models, fresh or from the newest checkpoint that verifies.

    Returns:
        The models, how far the run is, and the seconds that it has been trained.

    Raises:
        CheckpointError: If there are checkpoints and none can be used.
        RunError: If the run was trained with another number of threads and nothing was said of it.
    """
    torch.manual_seed(config.seed)
    path, rejected = newest_intact(run.checkpoints)
    for bad, problems in rejected:
        warn(
            Finding(
                "checkpoint_rejected",
                f"{bad.name} is not used: {'; '.join(problems)}.",
                "An older checkpoint is taken instead.",
            )
        )
    if path is not None:
        return _resume(path, run, config, device, threads, total_steps, events)
    if rejected:
        raise CheckpointError(
            f"No checkpoint of {run.name} is intact: all {len(rejected)} were rejected, "
            f"{rejected[0][0].name} because {rejected[0][1][0]}"
        )
    trained_before = any(event["type"] in ("run_started", "resumed") for event in read_events(run.events))
    system = ArcSystem(config, device, total_steps)
    system.efe_loss.set_anchor(color_shares(dataset))
    progress = Progress(config.checkpoint_every)
    _replay_settings(run, system, progress, since=0.0)
    if trained_before:
        events.emit("resumed", step=0, checkpoint=None, supersedes=0)
    else:
        events.emit("run_started", step=0)
    return system, progress, 0.0


def _resume(
    path: Path,
    run: RunDirectory,
    config: TrainConfig,
    device: torch.device,
    threads: int,
    total_steps: int,
    events: EventWriter,
) -> tuple[ArcSystem, Progress, float]:
    state = read_state(path)
    if state.get("threads") != threads and config.threads is None:
        raise RunError(
            f"{run.name} was trained with {state.get('threads')} threads and would go on with {threads}, "
            f"which changes its numbers: give --set threads={state.get('threads')} to keep them, or "
            f"--set threads={threads} to go on all the same"
        )
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
    try:
        system.restore_state(state["system"])
        elapsed, saved_at = float(state["elapsed_seconds"]), float(state["saved_at"])
        last_seq = int(state["last_seq"])
    except KeyError as error:
        raise CheckpointError(f"{path.name}: state.json lacks {error.args[0]}") from None
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path.name}: state.json is damaged: {error}") from None
    _replay_settings(run, system, progress, since=saved_at)
    events.emit("resumed", step=progress.step, checkpoint=checkpoint_id(path), supersedes=last_seq)
    return system, progress, elapsed


def _replay_settings(run: RunDirectory, system: ArcSystem, progress: Progress, since: float) -> None:
    """Apply what was set after the checkpoint: by commands, and by flags given on resuming."""
    changes: list[tuple[float, dict[str, Any]]] = [
        (event["time"], event["new"])
        for event in read_events(run.events)
        if event["type"] == "command_applied" and event["command"] == "set"
    ]
    changes += [(change["time"], {change["key"]: change["new"]}) for change in run.read().get("changes", [])]
    for at, values in sorted(changes, key=lambda change: change[0]):
        if at > since:
            apply_settings(system, progress, values)
