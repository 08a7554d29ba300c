"""Submissions held against the outputs, alone or beside each other, as lines of text and JSON."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from arc_core.base.errors import DataError
from arc_core.base.text import first_of, printable
from arc_core.data.answers import Answers
from arc_core.data.grids import Grid
from arc_core.data.kaggle import ATTEMPTS, Submission, known_outputs, read_solutions, with_known_outputs
from arc_core.data.scoring import Paired, Report, Share, score
from arc_core.data.task_folder import look_at
from arc_core.data.tasks import Split, Task, load_tasks
from arc_tui.drawing.text import aligned

MOST_LISTED = 20


@dataclass(frozen=True, eq=False)
class Truth:
    """What a submission is scored against.

    Attributes:
        outputs: Of every task's test inputs.
        tasks: The same tasks with their demonstrations; None where these are not known.
        hidden: Tasks that cannot be scored, as an output of them is not known.
        skipped: A sentence about each bad task that was left out.
    """

    outputs: dict[str, list[Grid]]
    tasks: tuple[Task, ...] | None = None
    hidden: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def of(self, answers: Submission) -> Submission:
        """Leave out the answers that there is nothing to hold against."""
        if self.skipped:
            return {task: found for task, found in answers.items() if task in self.outputs}
        return {task: found for task, found in answers.items() if task not in self.hidden}


def load_solutions(
    source: str, split: Split, challenges: Path | None, *, skip_bad_tasks: bool = False
) -> Truth:
    """Load what a submission is scored against.

    Args:
        source: Kaggle's solutions file, or a dataset as `--dataset` takes it.
        split: Of a dataset.
        challenges: The challenges of a solutions file; None looks beside it for a file with `challenges`
            in the place of `solutions`.
        skip_bad_tasks: Leave out the tasks that cannot be read.

    Raises:
        DataError: If anything about it is wrong; names file, task and cell.
    """
    path, mode = look_at(source)
    if not mode or stat.S_ISDIR(mode):
        if challenges is not None:
            raise DataError("--challenges goes with Kaggle's solutions file.")
        found = load_tasks(source, split, skip_bad_tasks=skip_bad_tasks)
        known, hidden = with_known_outputs(found.tasks)
        if not known:
            raise DataError(f"{found.name} holds no task whose test outputs are known: none can be scored.")
        return Truth(known_outputs(known), known, tuple(task.id for task in hidden), found.skipped)
    skipped: list[str] = []
    outputs = read_solutions(path, skipped if skip_bad_tasks else None)
    if challenges is None:
        beside = path.with_name(path.name.replace("solutions", "challenges"))
        challenges = beside if beside != path and stat.S_ISREG(look_at(beside)[1]) else None
    if challenges is None:
        return Truth(outputs, skipped=tuple(skipped))
    # The solutions stand already: what of them is bad is told once.
    shown = load_tasks(challenges, skip_bad_tasks=skip_bad_tasks)
    return Truth(outputs, shown.tasks, skipped=tuple(dict.fromkeys([*skipped, *shown.skipped])))


@dataclass(frozen=True, eq=False)
class Scored:
    """A submission with its scores.

    Attributes:
        name: What it is called, safe to print.
        answers: What it answers.
        report: The scores of what can be scored.
        not_scored: Tasks that it answers and whose outputs are not known.
    """

    name: str
    answers: Answers
    report: Report
    not_scored: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Everything, for `--json`."""
        told = {"layout": self.answers.layout, "unusable": list(self.answers.unusable)}
        return self.report.to_json() | told | {"not_scored": list(self.not_scored)}

    def notes(self) -> list[str]:
        """What the reader should know of the answers."""
        notes = [self.answers.told()] if self.answers.unusable else []
        if self.not_scored:
            notes.append(
                f"Not scored, as their outputs are not known: {len(self.not_scored)} tasks, "
                f"{first_of(self.not_scored)}"
            )
        return notes


def scored(name: str, answers: Answers, truth: Truth, *, partial: bool) -> Scored:
    """Score what can be scored of some answers.

    Raises:
        DataError: If tasks or test inputs are missing or unknown.
    """
    wanted = truth.of(answers.of_inputs({task: len(grids) for task, grids in truth.outputs.items()}))
    try:
        report = score(wanted, truth.outputs, truth.tasks, partial=partial)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    return Scored(name, answers, report, tuple(sorted(answers.submission.keys() - wanted.keys())))


def names_of(paths: Sequence[Path]) -> list[str]:
    """Name submissions by the ends of their paths, each as short as tells it from the others."""
    places = [(path.parent if path.name == "submission.json" else path).absolute().parts for path in paths]

    def end(parts: Sequence[str], count: int) -> str:
        return "/".join(parts[-count:]).removesuffix(".json")

    def is_clear(parts: Sequence[str], count: int) -> bool:
        return sum(end(other, count) == end(parts, count) for other in places) == 1

    counts = [next((n for n in range(1, len(parts)) if is_clear(parts, n)), 1) for parts in places]
    return [printable(end(parts, count), 60) for parts, count in zip(places, counts, strict=True)]


@dataclass(frozen=True, eq=False)
class Contender:
    """Scores that are set beside others.

    Attributes:
        name: Whose, safe to print.
        layout: Of the answers.
        report: The scores.
    """

    name: str
    layout: str
    report: Report


def beside_lines(contenders: Sequence[Contender]) -> list[str]:
    """Write several scores beside each other, and McNemar's test of each two."""
    head = (
        "SUBMISSION",
        "LAYOUT",
        "TEST INPUTS SOLVED",
        "TASKS SOLVED",
        "MEAN OVER TASKS",
        "FIRST",
        "CELLS",
        "BLANK",
    )
    rows = [
        (
            one.name,
            one.layout,
            _share(one.report.share("either")),
            _share(one.report.tasks()),
            f"{one.report.mean_over_tasks():.1%}",
            f"{one.report.mean_over_tasks('first'):.1%}",
            f"{one.report.mean('cells_best'):.1%}",
            f"{one.report.blank:,}",
        )
        for one in contenders
    ]
    pairs = [(a, b, Paired.of(a.report, b.report)) for a, b in combinations(contenders, 2)]
    paired = [
        (
            a.name,
            b.name,
            *map(str, (p.tasks, p.both, p.only_first, p.only_second, p.neither)),
            f"{p.p_value:.3g}",
        )
        for a, b, p in pairs
    ]
    more = f", not corrected for {len(pairs)} comparisons" if len(pairs) > 1 else ""
    return [
        *aligned([head, *rows], left=(0, 1, 2, 3)),
        "",
        *aligned([("A", "B", "TASKS", "BOTH", "A ALONE", "B ALONE", "NEITHER", "P"), *paired], left=(0, 1)),
        f"P is McNemar's exact test over the tasks, two-sided{more}. "
        "The mean over tasks is ARC Prize's; FIRST is that of the first attempt.",
    ]


def pairs_json(contenders: Sequence[Contender]) -> list[dict[str, Any]]:
    """Each two of several scores held against each other, for `--json`."""
    return [
        {"first": a.name, "second": b.name} | Paired.of(a.report, b.report).to_json()
        for a, b in combinations(contenders, 2)
    ]


def score_lines(report: Report) -> list[str]:
    """The figures of a report, each share with its 95% interval (Wilson)."""
    lines = [
        f"Test inputs solved   {_share(report.share('either'))}"
        f"   first attempt {_share(report.share('first'))}",
        f"Tasks solved         {_share(report.tasks())}   first attempt {_share(report.tasks('first'))}",
        f"Mean over tasks      {report.mean_over_tasks():.1%} (ARC Prize)"
        f"   first attempt {report.mean_over_tasks('first'):.1%}",
        f"Size right           {_share(report.share('size_either'))}"
        f"   first attempt {_share(report.share('size_first'))}",
        f"Cells right          {report.mean('cells_best'):.1%} of the better attempt,"
        f" {report.mean('cells_first'):.1%} of the first",
        *_blank_line(report),
        "Test inputs solved by the rule that gives the output's size:",
    ]
    lines += [f"  {rule:<18} {_share(report.share('either', rule))}" for rule in report.rules]
    solved = [task for task, right in report.by_task().items() if right]
    if solved:
        rest = f" and {len(solved) - MOST_LISTED} more" if len(solved) > MOST_LISTED else ""
        lines.append(f"Solved: {', '.join(printable(task) for task in solved[:MOST_LISTED])}{rest}")
    return lines


def _blank_line(report: Report) -> list[str]:
    count = report.blank
    if not count:
        return []
    of_all = f"{count:,} of {len(ATTEMPTS) * len(report.inputs):,}"
    return [f"Blank attempts       {of_all}; each counts as a wrong one"]


def _share(share: Share) -> str:
    low, high = share.interval
    return f"{share.count}/{share.total} = {share.value:.1%} ({low:.1%} to {high:.1%})"
