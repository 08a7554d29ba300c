"""A scored submission as lines of text."""

from __future__ import annotations

from pathlib import Path

from arc_core.dataset_files import Split, Task, load_tasks
from arc_core.errors import DataError
from arc_core.grids import Grid
from arc_core.kaggle import known_outputs, read_solutions
from arc_core.paths import expanded, is_file
from arc_core.scoring import Report, Share
from arc_core.text import printable

MOST_LISTED = 20


def load_solutions(
    source: str, split: Split, challenges: Path | None
) -> tuple[dict[str, list[Grid]], tuple[Task, ...] | None]:
    """Load what a submission is scored against.

    Args:
        source: Kaggle's solutions file, or a dataset as `--dataset` takes it.
        split: Of a dataset.
        challenges: The challenges of a solutions file; None looks beside it for a file with `challenges`
            in the place of `solutions`.

    Returns:
        The outputs of every task, and the tasks where they are known.

    Raises:
        DataError: If anything about it is wrong; names file, task and cell.
    """
    path = expanded(source)
    if not is_file(path):
        if challenges is not None:
            raise DataError("--challenges goes with Kaggle's solutions file.")
        tasks = load_tasks(source, split).tasks
        return known_outputs(tasks), tasks
    solutions = read_solutions(path)
    if challenges is None:
        beside = path.with_name(path.name.replace("solutions", "challenges"))
        challenges = beside if beside != path and is_file(beside) else None
    return solutions, None if challenges is None else load_tasks(challenges).tasks


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
        "Test inputs solved by the rule that gives the output's size:",
    ]
    lines += [f"  {rule:<18} {_share(report.share('either', rule))}" for rule in report.rules]
    solved = [task for task, right in report.by_task().items() if right]
    if solved:
        rest = f" and {len(solved) - MOST_LISTED} more" if len(solved) > MOST_LISTED else ""
        lines.append(f"Solved: {', '.join(printable(task) for task in solved[:MOST_LISTED])}{rest}")
    return lines


def _share(share: Share) -> str:
    low, high = share.interval
    return f"{share.count}/{share.total} = {share.value:.1%} ({low:.1%} to {high:.1%})"
