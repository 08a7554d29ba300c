"""`arc-tui eval`: solves the tasks of a split; `arc_tui.commands.evaluation` does the work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from arc_core.base.errors import ConfigError, DataError
from arc_core.base.extras import require
from arc_core.base.options import settings_of
from arc_core.base.paths import expanded, is_file, name_or_full_path
from arc_core.base.text import printable
from arc_core.data.task_folder import parts_of
from arc_core.run.config import TrainConfig
from arc_core.run.presets import PIPELINE, SOLVER
from arc_tui.commands.options import (
    EVALS_DIR,
    RUNS_DIR,
    SECONDS_PER_TASK,
    Device,
    EvalsDir,
    Groups,
    RunsDir,
    Seed,
    SkipBadTasks,
    SolverSettings,
    SplitName,
    assigned,
    one_of,
)

if TYPE_CHECKING:
    from arc_core.data.tasks import Split


def evaluate(
    dataset: Annotated[
        str, typer.Option("--dataset", metavar="TEXT", help="As `train` takes it.")
    ] = "arcagi1",
    split: SplitName = "evaluation",
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="The first so many tasks by id.")
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option("--tasks", metavar="ID,ID|FILE", help="These tasks alone; a file has one id a line."),
    ] = None,
    held_out: Annotated[
        bool,
        typer.Option(
            "--held-out", help="The 100 training tasks of arcagi1 that no default weights have seen."
        ),
    ] = False,
    seconds_per_task: Annotated[
        float,
        typer.Option(
            "--seconds-per-task", metavar="S", min=0.0, help="Budget in seconds of the processor; 0 for none."
        ),
    ] = SECONDS_PER_TASK,
    steps_per_task: Annotated[
        int | None,
        typer.Option("--steps-per-task", metavar="N", min=0, help="Training steps, instead of seconds."),
    ] = None,
    total_minutes: Annotated[
        float | None,
        typer.Option(
            "--total-minutes",
            metavar="M",
            min=0.0,
            help="Score after so many minutes, whatever is left unsolved then.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", metavar="N", min=1, max=1024, help="Processes; one a core, or a GPU."),
    ] = None,
    workers_per_gpu: Annotated[
        int | None, typer.Option("--workers-per-gpu", metavar="N", min=1, max=64, help="On each GPU; one.")
    ] = None,
    seed: Seed = 0,
    system: Annotated[
        str, one_of("--system", (SOLVER, PIPELINE), "The solver, or the seed's pipeline.")
    ] = SOLVER,
    preset: Annotated[
        str | None,
        typer.Option("--preset", metavar="tiny|seed", help="Of the pipeline, with random weights."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="default|none|FILE|RUN|USER/REPO",
            help="What to start from: the package's, random, a file, what a run has learned, or the hub's.",
        ),
    ] = None,
    device: Device = None,
    assignments: SolverSettings = None,
    allow_seen: Annotated[
        bool, typer.Option("--allow-seen", help="Score tasks that the weights were trained on; says so then.")
    ] = False,
    groups: Groups = None,
    skip_bad_tasks: SkipBadTasks = False,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Of the evaluation.")] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="NAME|latest", help="Go on with an evaluation.")
    ] = None,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Begin it alone, for several machines to solve it by torchrun.")
    ] = False,
    evals_dir: EvalsDir = EVALS_DIR,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Solve the tasks of a split and score the submission.

    Each is solved by training on its demonstrations.
    """
    # Here, so that completion need not wait for numpy.
    from arc_core.solver.weights_file import NONE, default_weights
    from arc_tui.commands.evaluation import Asked, begin, reopen, run, tell_prepared
    from arc_tui.runs.evaluating import CPU, choose_devices

    if prepare and total_minutes is not None:
        raise ConfigError("--total-minutes does not go with --prepare: torchrun solves all tasks.")
    if not prepare:  # which other machines may solve
        require("Evaluating", "train")
    begun = None if resume is None else reopen(resume, evals_dir, device)
    place = device or (CPU if begun is None else begun[0].assignment().device)
    devices = [] if prepare else choose_devices(place, workers, workers_per_gpu)
    if begun is None:
        asked = Asked(
            dataset=name_or_full_path(dataset, settings_of(TrainConfig)["dataset"].names),
            split="training" if held_out else cast("Split", split),
            limit=limit,
            tasks=None if tasks is None else task_list(tasks),
            held_out=held_out,
            seconds_per_task=seconds_per_task,
            steps_per_task=steps_per_task,
            seed=seed,
            device=place,
            weights=weights or (default_weights() if system == SOLVER else NONE),
            settings=assigned(assignments),
            allow_seen=allow_seen,
            name=name,
            system=system,
            preset=preset,
            runs_dir=runs_dir,
            skip_bad_tasks=skip_bad_tasks,
            groups=parts_of(groups),
        )
        begun = begin(asked, evals_dir)
    folder, known = begun
    if prepare:
        tell_prepared(folder)
        return
    raise typer.Exit(run(folder, known, devices, total_minutes=total_minutes))


def task_list(given: str) -> list[str]:
    """Read a list of task ids.

    Args:
        given: Ids with commas between them; in the place of an id the name of a file may stand, whose lines
            are ids. An id that has a comma itself can only be listed in a file.

    Raises:
        DataError: If a file cannot be read, or nothing is listed.
    """
    found: list[str] = []
    # The whole first: a file's name may have a comma.
    for part in [given] if is_file(expanded(given)) else given.split(","):
        path = expanded(part.strip())
        found += _listed(path) if is_file(path) else [part.strip()]
    found = [name for name in found if name]
    if not found:
        raise DataError("The list of tasks is empty.")
    return found


def _listed(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError):
        raise DataError(f"{printable(str(path))} cannot be read as a list of tasks.") from None
    return [line.strip() for line in lines]
