"""What `arc-tui eval` does: what is asked becomes an evaluation's folder, followed to its scores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from arc_core.base.errors import CheckpointError, ConfigError, RunError
from arc_core.base.paths import exists, expanded, is_file
from arc_core.base.text import first_of, printable
from arc_core.data.finding import full_ids
from arc_core.data.kaggle import with_known_outputs
from arc_core.data.seen import SeenTasks, choose_tasks, held_out, refuse_seen
from arc_core.data.tasks import Split, Task, load_tasks
from arc_core.evaluation.folder import WHOLE, Assignment, EvalFolder, TaskAnswer, find_eval
from arc_core.evaluation.outcome import asked_tasks, conclude
from arc_core.evaluation.pipeline_start import find_run_checkpoint, identity_of, newest_usable, settle
from arc_core.evaluation.supervising import Command, FolderDesk, Workers, follow, leave_out, solving_process
from arc_core.run.checkpoint_index import checkpoint_id
from arc_core.run.directory import RunDirectory, check_name, open_run, trusted_run
from arc_core.run.presets import PIPELINE, SOLVER
from arc_core.solver.weights_file import DEFAULT, NONE, find_weights, fit_config, read_notes, sha256_of
from arc_tui.commands.options import RUNS_DIR
from arc_tui.commands.output import OutputLost, echo, echo_error, path_told
from arc_tui.hub.names import on_hub
from arc_tui.results.scores import score_lines
from arc_tui.runs.evaluating import hand_out, interruptible
from arc_tui.runs.exporting import weights_of
from arc_tui.runs.fields import duration


@dataclass(frozen=True)
class Asked:
    """What stood on the command line."""

    dataset: str
    split: Split
    seconds_per_task: float | None
    steps_per_task: int | None
    seed: int
    device: str
    weights: str
    settings: dict[str, str]
    tasks: Sequence[str] | None = None
    limit: int | None = None
    held_out: bool = False
    allow_seen: bool = False
    name: str | None = None
    system: str = SOLVER
    preset: str | None = None
    runs_dir: Path = RUNS_DIR
    skip_bad_tasks: bool = False
    groups: tuple[str, ...] = ()


def chosen_tasks(asked: Asked) -> tuple[Task, ...]:
    """The tasks to evaluate, with what is known of their outputs; tells of bad ones that are left out.

    Raises:
        DataError: If the data is bad, or a listed task is not there.
    """
    found = load_tasks(asked.dataset, asked.split, skip_bad_tasks=asked.skip_bad_tasks, groups=asked.groups)
    if found.skipped:
        echo(printable(found.told_skipped()))
    tasks = held_out(found.tasks) if asked.held_out else found.tasks
    return choose_tasks(tasks, asked.limit, None if asked.tasks is None else full_ids(asked.tasks, tasks))


def assign(asked: Asked, tasks: Sequence[Task]) -> Assignment:
    """Settle what is asked.

    Raises:
        ConfigError: If a setting is refused.
        CheckpointError: If the weights cannot be used.
        DataError: If they have seen one of the tasks and that is not allowed.
    """
    starts = {SOLVER: _solver_start, PIPELINE: _pipeline_start}
    start = starts[asked.system](asked)
    seen = [] if start.seen is None else refuse_seen(start.seen, tasks, allowed=asked.allow_seen)
    # Nothing is measured and nothing trained for a budget of nothing.
    steps = 0 if asked.steps_per_task is None and not asked.seconds_per_task else asked.steps_per_task
    return Assignment(
        dataset=asked.dataset,
        split=asked.split,
        tasks=tuple(task.id for task in tasks),
        seconds_per_task=None if steps is not None else asked.seconds_per_task,
        steps_per_task=steps,
        seed=asked.seed,
        device=asked.device.partition(":")[0],  # which of the GPUs does not matter to the answers
        settings=start.settings,
        weights=None if start.path is None else str(start.path),
        weights_sha256=start.digest,
        seen=tuple(seen),
        system=asked.system,
    )


@dataclass(frozen=True)
class _Start:
    """What an evaluation starts from."""

    settings: dict[str, Any]
    path: Path | None = None
    digest: str | None = None
    seen: SeenTasks | None = None
    """What it was trained on; None for random weights."""


def _solver_start(asked: Asked) -> _Start:
    if asked.preset is not None:
        raise ConfigError("--preset goes with --system pipeline.")
    path = _weights_of_run(asked) or _weights_on_hub(asked) or find_weights(asked.weights)
    notes = None if path is None else read_notes(path)
    settings = dict(fit_config(notes, asked.settings, text=True).to_dict())
    if path is None or notes is None:
        return _Start(settings)
    return _Start(settings, path, sha256_of(path), notes.seen)


def _weights_of_run(asked: Asked) -> Path | None:
    """The weights of the run that is named; None where no run is named.

    Raises:
        RunError: If the run has trained no agent that solves tasks, or several runs begin so.
        CheckpointError: If the run has no checkpoint that verifies.
    """
    place = expanded(asked.weights)
    if asked.weights in (DEFAULT, NONE) or is_file(place):
        return None
    run = trusted_run(place) if is_file(place / "run.json") else _run_of(asked)
    if run is None:
        return None
    return weights_of(run, checkpoint_id(newest_usable(run)))


def _weights_on_hub(asked: Asked) -> Path | None:
    """The weights that a name stands for on a hub, brought here; None where it can only be a path.

    Raises:
        HubError: If the hub does not have them or cannot be reached.
        MissingPackageError: If huggingface_hub is not installed.
    """
    name = on_hub(asked.weights, asked.runs_dir)
    if name is None:
        return None
    from arc_tui.hub.weights import fetch_weights  # here, as other weights need none of it

    return fetch_weights(name)


def _run_of(asked: Asked) -> RunDirectory | None:
    """The run of a name; None for what is a file's name and no run's."""
    try:
        return open_run(asked.runs_dir, asked.weights)
    except RunError as error:
        if "/" in asked.weights or asked.weights.endswith(".safetensors"):
            return None
        shown = printable(asked.weights)
        raise RunError(f"There are no weights {shown}, neither a file nor a run to take: {error}") from None


def _pipeline_start(asked: Asked) -> _Start:
    if asked.weights == DEFAULT:
        raise CheckpointError(
            "No run of the pipeline comes with the package: name a run of your own, or use --weights none."
        )
    start = None if asked.weights == NONE else find_run_checkpoint(asked.weights, asked.runs_dir)
    settings = dict(settle(start, asked.preset, asked.settings, text=True))
    if start is None:
        return _Start(settings)
    return _Start(settings, start.path, identity_of(start.path), start.seen)


def begin(asked: Asked, evals_dir: Path) -> tuple[EvalFolder, tuple[Task, ...]]:
    """Make an evaluation's folder, or find the one of the same name that asks the same.

    Args:
        asked: What stood on the command line.
        evals_dir: The folder of evaluations.

    Raises:
        ArcError: If anything about it is refused; nothing is left behind then.
    """
    tasks = chosen_tasks(asked)
    assignment = assign(asked, tasks)
    name = asked.name or time.strftime("eval_%Y%m%d_%H%M%S")
    check_name(name)
    folder = EvalFolder((evals_dir / name).absolute())
    if exists(folder.path):
        if _as_now(folder.assignment()) != assignment:
            raise ConfigError(
                f"The evaluation {name} asks something else: choose another --name, or go on with it by "
                f"--resume {name}."
            )
    else:
        hand_out(folder, assignment, tasks)
    return folder, tasks


def _as_now(known: Assignment) -> Assignment:
    """What an evaluation asks, in the settings that this version has.

    Raises:
        ConfigError: If it asks for something that is not there any more.
    """
    if known.system != SOLVER:
        return known
    return replace(known, settings=dict(fit_config(None, known.settings).to_dict()))


def reopen(name: str, evals_dir: Path, device: str | None = None) -> tuple[EvalFolder, tuple[Task, ...]]:
    """Find an evaluation that was begun, and its tasks.

    Args:
        name: As `find_eval` takes it.
        evals_dir: The folder of evaluations.
        device: Where to go on with it; None is where it was.

    Raises:
        RunError: If there is none of that name, or several begin so.
        ConfigError: If it computes on the other kind of device.
        DataError: If its tasks are not there any more.
    """
    folder = find_eval(name, evals_dir)
    assignment = folder.assignment()
    known = assignment.device
    if device is not None and device.partition(":")[0] != known:
        raise ConfigError(
            f"The evaluation {printable(folder.path.name)} was begun on {known} and goes on there: answers "
            f"of {device} would be others."
        )
    return folder, asked_tasks(assignment)


def tell_prepared(folder: EvalFolder) -> None:
    """Say that an evaluation is begun, and how several machines solve it."""
    name, count = printable(folder.path.name), len(folder.assignment().tasks)
    echo(f"Evaluation {name}: {count} tasks, in {path_told(folder.path)}")
    echo(f"To solve it: torchrun --nproc-per-node 2 -m arc_core.evaluation {printable(str(folder.path))}")


def run(
    folder: EvalFolder,
    tasks: Sequence[Task],
    devices: Sequence[str],
    command: Command = solving_process,
    *,
    total_minutes: float | None = None,
) -> int:
    """Run an evaluation to its scores, or until it is told to stop.

    Args:
        folder: The evaluation.
        tasks: Its tasks with what is known of their outputs.
        devices: `cpu` or `cuda:N` for each solving process.
        command: Gives the command line of a solving process.
        total_minutes: After so many no more is solved, and what is left is scored as it stands.

    Returns:
        The exit code.

    Raises:
        RunError: If another process runs it, or a solving process refused its input or never became ready.
    """
    assignment = folder.assignment()
    progress = _Progress(len(tasks))
    again = printable(f"arc-tui eval --resume {folder.path.name}")
    with folder.claim(WHOLE) as held:
        if not held:
            raise RunError(f"Another process runs the evaluation {printable(folder.path.name)}.")
        folder.forget_failures(assignment.tasks)
        left = len(folder.pending(assignment.tasks))
        name, place = printable(folder.path.name), path_told(folder.path)
        try:
            echo(f"Evaluation {name}: {len(tasks)} tasks, {left} to do, in {place}")
            if left:
                desk = FolderDesk(folder)
                with interruptible(), Workers(folder, devices[:left], desk, command) as at_work:
                    seconds = None if total_minutes is None else 60 * total_minutes
                    follow(folder, at_work, progress.done, seconds=seconds)
                if total_minutes is not None:
                    leave_out(folder, f"not reached in {total_minutes:g} minutes (--total-minutes)")
        except KeyboardInterrupt:
            echo(f"Stopped; what is done is kept. To go on: {again}")
            return 130
        except OutputLost:
            echo_error(f"The evaluation is stopped; what is done is kept. To go on: {again}")
            raise
        report = conclude(folder, tasks)
    echo(f"Submission: {path_told(folder.submission)}")
    if failures := folder.failures(assignment.tasks):
        echo(f"Failed, to be tried again by --resume: {len(failures)} tasks, {first_of(failures)}")
    if report is None:
        echo("The outputs are not known here, so it is not scored.")
        return 0
    for line in score_lines(report):
        echo(line)
    if hidden := [task.id for task in with_known_outputs(tasks)[1]]:
        echo(f"Not scored, as their outputs are not known: {len(hidden)} tasks, {first_of(hidden)}")
    echo(f"Learned from the evaluated tasks: {assignment.transductive}.")
    if assignment.seen:
        echo(f"Seen in training: {first_of(assignment.seen)}; all are named in the results.")
    echo(f"Everything: {path_told(folder.results)}")
    return 0


class _Progress:
    """A line for every task that is done, with the time that is left."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._began = time.monotonic()
        self._here = 0

    def done(self, answer: TaskAnswer, left: int) -> None:
        """Show a task."""
        elapsed = time.monotonic() - self._began
        earlier = elapsed < 1.0  # found done before any process could have done it
        self._here += not earlier
        eta = elapsed / self._here * left if self._here else float("nan")
        confidence = " ".join(f"{x.confidence[0]:.0%}" for x in answer.inputs)
        told = (
            f"failed: {printable(answer.failure, 300)}"
            if answer.failure
            else (
                f"{answer.seconds:6.1f} s  {answer.steps:5d} steps"
                f"  fits {answer.fit}/{answer.demonstrations}  confidence {confidence}"
            )
        )
        echo(
            f"[{self._total - left:4d}/{self._total}] {printable(answer.task, 40)}  {told}"
            + ("  (done before)" if earlier else f"  eta {duration(eta)}")
        )
