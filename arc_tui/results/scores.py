"""A scored submission as lines of text."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from arc_core.base.errors import DataError
from arc_core.base.text import printable
from arc_core.data.grids import Grid
from arc_core.data.kaggle import ATTEMPTS, Submission, known_outputs, read_solutions, with_known_outputs
from arc_core.data.scoring import Report, Share
from arc_core.data.task_folder import look_at
from arc_core.data.tasks import Split, Task, load_tasks

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


def score_lines(report: Report) -> list[str]:
    """The figures of a report, each share with its 95% interval (Wilson)."""
    lines = [
        f"Test inputs solved   {_share(report.share('either'))}"
        f"   first attempt {_share(report.share('first'))}",
        f"Tasks solved         {_share(report.tasks())}   first attempt {_share(report.tasks('first'))}",
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
