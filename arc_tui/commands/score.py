"""`arc-tui score`: holds a submission against what the outputs are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from arc_core.base.paths import expanded
from arc_core.base.text import first_of, printable
from arc_tui.commands.options import AsJson, SkipBadTasks, SplitName
from arc_tui.commands.output import echo, echo_json

if TYPE_CHECKING:
    from arc_core.data.tasks import Split


def score(
    submission: Annotated[
        Path, typer.Argument(metavar="SUBMISSION", parser=expanded, help="A submission.json.")
    ],
    solutions: Annotated[
        str,
        typer.Argument(metavar="SOLUTIONS", help="Kaggle's solutions file, or a dataset: arcagi1, arcagi2."),
    ],
    split: SplitName = "evaluation",
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
    as_json: AsJson = False,
) -> None:
    """Score a submission as ARC Prize does. It takes two attempts a test input, every cell right."""
    # Here, so that completion need not wait for numpy.
    from arc_core.data.kaggle import read_submission
    from arc_core.data.scoring import score as scores_of
    from arc_tui.results.scores import load_solutions, score_lines

    answers = read_submission(submission)
    truth = load_solutions(solutions, cast("Split", split), challenges, skip_bad_tasks=skip_bad_tasks)
    scored = truth.of(answers)
    report = scores_of(scored, truth.outputs, truth.tasks, partial=partial)
    not_scored = sorted(answers.keys() - scored.keys())
    if as_json:
        more = {"not_scored": not_scored, "skipped": list(truth.skipped)}
        echo_json(report.to_json() | more)
        return
    for line in (*(f"Skipped: {printable(reason)}" for reason in truth.skipped), *score_lines(report)):
        echo(line)
    if not_scored:
        echo(f"Not scored, as their outputs are not known: {len(not_scored)} tasks, {first_of(not_scored)}")
