"""`arc-tui score`: holds submissions against what the outputs are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from arc_core.base.paths import expanded
from arc_core.base.text import printable
from arc_tui.commands.options import AsJson, SkipBadTasks, SplitName
from arc_tui.commands.output import echo, echo_json

if TYPE_CHECKING:
    from arc_core.data.tasks import Split


def score(
    submissions: Annotated[
        list[Path],
        typer.Argument(
            metavar="SUBMISSION",
            parser=expanded,
            help="A submission.json, a folder of arc-agi-benchmarking (ID.json) or VARC "
            "(ID_predictions.json), or an evaluation; several are set beside each other.",
        ),
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
    """Score submissions as ARC Prize does. It takes two attempts a test input, every cell right."""
    # Here, so that completion need not wait for numpy.
    from arc_core.data.answers import read_answers
    from arc_tui.results.scores import (
        Contender,
        beside_lines,
        load_solutions,
        names_of,
        pairs_json,
        score_lines,
        scored,
    )

    read = [read_answers(path) for path in submissions]
    truth = load_solutions(solutions, cast("Split", split), challenges, skip_bad_tasks=skip_bad_tasks)
    found = [
        scored(name, answers, truth, partial=partial)
        for name, answers in zip(names_of(submissions), read, strict=True)
    ]
    beside = [Contender(one.name, one.answers.layout, one.report) for one in found]
    if len(found) == 1:
        facts, lines = found[0].to_json(), [*score_lines(found[0].report), *found[0].notes()]
    else:
        told = [{"name": one.name} | one.to_json() for one in found]
        facts = {"submissions": told, "pairs": pairs_json(beside)}
        lines = [*beside_lines(beside), *(f"{one.name}: {note}" for one in found for note in one.notes())]
    if as_json:
        echo_json(facts | {"skipped": list(truth.skipped)})
        return
    for line in (*(f"Skipped: {reason}" for reason in truth.skipped), *lines):
        echo(printable(line))
