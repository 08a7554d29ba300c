"""The commands of the command line that solve, evaluate and score.

What reads grids needs numpy, which the other commands are quicker without: it is imported when it is used.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from arc_core.base.errors import ConfigError, DataError
from arc_core.base.options import canonical
from arc_core.base.paths import expanded, is_file, name_or_full_path
from arc_core.base.text import printable
from arc_core.run.config import BUILT_IN, PIPELINE, SOLVER
from arc_core.run.directory import LATEST, open_run
from arc_tui.commands.completion import checkpoint_ids, run_names, solver_settings, task_ids, theme_names
from arc_tui.commands.output import echo, echo_error, relay
from arc_tui.commands.runs import RUNS_DIR, RunsDir, SkipBadTasks

if TYPE_CHECKING:
    from arc_core.data.tasks import Split

SPLITS = ("training", "evaluation")
DEVICES = ("cpu", "cuda")
SYSTEMS = (SOLVER, PIPELINE)
SECONDS_PER_TASK = 45.0
EVALS_DIR = Path("evals")

WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights", metavar="default|none|FILE", help="What to start from: the package's, or random."
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        autocompletion=solver_settings,
        help="A setting of the solver; may be repeated.",
    ),
]


def score_submission(
    submission: Annotated[
        Path, typer.Argument(metavar="SUBMISSION", parser=expanded, help="A submission.json.")
    ],
    solutions: Annotated[
        str,
        typer.Argument(metavar="SOLUTIONS", help="Kaggle's solutions file, or a dataset: arcagi1, arcagi2."),
    ],
    split: Annotated[
        str, typer.Option("--split", metavar="|".join(SPLITS), help="Split of a dataset.")
    ] = "evaluation",
    challenges: Annotated[
        Path | None,
        typer.Option(
            "--challenges",
            metavar="FILE",
            parser=expanded,
            help="The challenges that the solutions belong to.",
        ),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Score the submission's tasks alone, though others are missing.")
    ] = False,
    skip_bad_tasks: SkipBadTasks = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score a submission as ARC Prize does. It takes two attempts a test input, every cell right."""
    from arc_core.base.text import first_of
    from arc_core.data.kaggle import read_submission
    from arc_core.data.scoring import score
    from arc_tui.results.scores import load_solutions, score_lines

    answers = read_submission(submission)
    truth = load_solutions(
        solutions,
        cast("Split", one_of("--split", split, SPLITS)),
        challenges,
        skip_bad_tasks=skip_bad_tasks,
    )
    scored = truth.of(answers)
    report = score(scored, truth.outputs, truth.tasks, partial=partial)
    not_scored = sorted(answers.keys() - scored.keys())
    if as_json:
        more = {"not_scored": not_scored, "skipped": list(truth.skipped)}
        echo(json.dumps(report.to_json() | more, indent=2))
        return
    for line in (*(f"Skipped: {printable(reason)}" for reason in truth.skipped), *score_lines(report)):
        echo(line)
    if not_scored:
        echo(f"Not scored, as their outputs are not known: {len(not_scored)} tasks, {first_of(not_scored)}")


def evaluate(
    dataset: Annotated[
        str, typer.Option("--dataset", metavar="TEXT", help="As `train` takes it.")
    ] = "arcagi1",
    split: Annotated[
        str, typer.Option("--split", metavar="|".join(SPLITS), help="Its split.")
    ] = "evaluation",
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
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", min=1, max=1024, help="Processes; one a core.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="Seed.")] = 0,
    system: Annotated[
        str,
        typer.Option("--system", metavar="|".join(SYSTEMS), help="The solver, or the seed's pipeline."),
    ] = SOLVER,
    preset: Annotated[
        str | None,
        typer.Option("--preset", metavar="tiny|seed", help="Of the pipeline, with random weights."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="default|none|FILE|RUN",
            help="What to start from: the package's, random, a file; of the pipeline a run or checkpoint.",
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="cpu|cuda", help="Where to compute.")] = "cpu",
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            autocompletion=solver_settings,
            help="A setting of what solves; may be repeated.",
        ),
    ] = None,
    allow_seen: Annotated[
        bool, typer.Option("--allow-seen", help="Score tasks that the weights were trained on; says so then.")
    ] = False,
    skip_bad_tasks: SkipBadTasks = False,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Of the evaluation.")] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="NAME|latest", help="Go on with an evaluation.")
    ] = None,
    evals_dir: Annotated[
        Path,
        typer.Option(
            "--evals-dir", metavar="FOLDER", parser=expanded, help="The folder that holds the evaluations."
        ),
    ] = EVALS_DIR,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Solve the tasks of a split and score the submission.

    Each is solved by training on its demonstrations.
    """
    from arc_core.solver.weights_file import NONE, default_weights
    from arc_tui.commands import eval as eval_command

    if resume is not None:
        folder, known = eval_command.reopen(resume, evals_dir)
    else:
        asked = eval_command.Asked(
            dataset=name_or_full_path(dataset, BUILT_IN),
            split="training" if held_out else cast("Split", one_of("--split", split, SPLITS)),
            limit=limit,
            tasks=None if tasks is None else task_list(tasks),
            held_out=held_out,
            seconds_per_task=seconds_per_task,
            steps_per_task=steps_per_task,
            seed=seed,
            device=one_of("--device", device, DEVICES),
            weights=weights or (default_weights() if system == SOLVER else NONE),
            settings=settings_given(assignments),
            allow_seen=allow_seen,
            name=name,
            system=one_of("--system", system, SYSTEMS),
            preset=preset,
            runs_dir=runs_dir,
            skip_bad_tasks=skip_bad_tasks,
        )
        folder, known = eval_command.begin(asked, evals_dir, echo)
    raise typer.Exit(eval_command.run(folder, known, workers, echo))


def solve(
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK", autocompletion=task_ids, help="A task's id, the start of it, or its file."
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", metavar="TEXT", help="Where to look; arcagi1, then arcagi2."),
    ] = None,
    skip_bad_tasks: SkipBadTasks = False,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="S", min=0.1, help="Budget in seconds of the processor.")
    ] = SECONDS_PER_TASK,
    steps: Annotated[
        int | None, typer.Option("--steps", metavar="N", min=0, help="Training steps, instead of seconds.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="Seed.")] = 0,
    weights: WeightsOption = None,
    device: Annotated[str, typer.Option("--device", metavar="cpu|cuda", help="Where to compute.")] = "cpu",
    assignments: SetOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in a terminal too.")] = False,
    theme: Annotated[
        str | None,
        typer.Option("--theme", metavar="NAME", autocompletion=theme_names, help="Theme of the screen."),
    ] = None,
) -> None:
    """Solve one task by training on its demonstrations.

    Shows two answers with their confidence.
    """
    from arc_core.data.finding import find_task
    from arc_core.solver.weights_file import default_weights
    from arc_tui.commands import eval as eval_command
    from arc_tui.commands import solve as solve_command

    found = find_task(task, dataset, skip_bad_tasks=skip_bad_tasks, show=_show_error)
    asked = eval_command.Asked(
        dataset=found.dataset,
        split=found.split,
        limit=None,
        tasks=[found.task.id],
        held_out=False,
        seconds_per_task=seconds,
        steps_per_task=steps,
        seed=seed,
        device=one_of("--device", device, DEVICES),
        weights=weights or default_weights(),
        settings=settings_given(assignments),
        allow_seen=True,  # nothing is scored
        name=None,
    )
    code = solve_command.solve(asked, found, as_json=as_json, show_error=echo_error, theme=theme)
    raise typer.Exit(code)


def export_weights(
    target: Annotated[
        Path, typer.Argument(metavar="FILE", parser=expanded, help="The weights file to write.")
    ],
    run: Annotated[
        str,
        typer.Option(
            "--run",
            metavar="RUN",
            autocompletion=run_names,
            help="A pretraining run; the newest if left out.",
        ),
    ] = LATEST,
    checkpoint: Annotated[
        int | None,
        typer.Option(
            "--checkpoint",
            metavar="ID",
            min=0,
            autocompletion=checkpoint_ids,
            help="Of which checkpoint; the newest.",
        ),
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Write what a run has learned as weights for solve and eval."""
    found = open_run(Path(runs_dir), run)
    number = [] if checkpoint is None else [str(checkpoint)]
    raise typer.Exit(relay("arc_core.pretraining.export", str(found.path), str(target), *number))


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


def settings_given(assignments: list[str] | None) -> dict[str, str]:
    """Read what stood behind `--set`.

    Raises:
        ConfigError: If one is no KEY=VALUE, or a key is given twice.
    """
    found: dict[str, str] = {}
    for pair in assignments or []:
        key, separator, value = pair.partition("=")
        if not separator:
            raise ConfigError(f"--set takes key=value, not {printable(pair)}.")
        if found.setdefault(canonical(key.strip()), value.strip()) != value.strip():
            raise ConfigError(f"{printable(key)} is given twice on the command line.")
    return found


def one_of(flag: str, name: str, allowed: Collection[str]) -> str:
    """Return what a flag was given.

    Raises:
        ConfigError: If it is none of what is allowed.
    """
    if name not in allowed:
        raise ConfigError(f'{flag} is "{printable(name, 40)}", but must be {" or ".join(allowed)}.')
    return name


def _show_error(line: str) -> None:
    echo(line, err=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("score")(score_submission)
    app.command("eval")(evaluate)
    app.command("solve")(solve)
    app.command("export-weights")(export_weights)
