"""The commands of the command line that solve, evaluate and score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, cast

import typer

from arc_core.dataset_files import Split
from arc_core.errors import ConfigError
from arc_core.kaggle import read_submission
from arc_core.scoring import score
from arc_tui.score_report import load_solutions, score_lines

SPLITS = ("training", "evaluation")


def score_submission(
    submission: Annotated[Path, typer.Argument(metavar="SUBMISSION", help="A submission.json.")],
    solutions: Annotated[
        str,
        typer.Argument(metavar="SOLUTIONS", help="Kaggle's solutions file, or a dataset: arcagi1, arcagi2."),
    ],
    split: Annotated[
        str, typer.Option("--split", metavar="|".join(SPLITS), help="Split of a dataset.")
    ] = "evaluation",
    challenges: Annotated[
        Path | None,
        typer.Option("--challenges", metavar="FILE", help="The challenges that the solutions belong to."),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Score the submission's tasks alone, though others are missing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score a submission as ARC Prize does: two attempts a test input, every cell right."""
    answers = read_submission(submission)
    targets, tasks = load_solutions(solutions, checked_split(split), challenges)
    report = score(answers, targets, tasks, partial=partial)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
        return
    for line in score_lines(report):
        typer.echo(line)


def checked_split(name: str) -> Split:
    """Return the name of a split.

    Raises:
        ConfigError: If there is none of that name.
    """
    if name not in SPLITS:
        raise ConfigError(f'--split is "{name}", but must be training or evaluation.')
    return cast(Split, name)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("score")(score_submission)
