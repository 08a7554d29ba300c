"""What became of every task of the recorded evaluations, and how two systems compare over several lists.

    python -m benchmarks.evaluations add docs/evaluations.csv SYSTEM LIST evals/NAME
    python -m benchmarks.evaluations compare docs/evaluations.csv SECONDS SYSTEM OTHER

`add` takes the tasks of a finished evaluation from its results.json, in place of what stood there of the same
system, list and seconds. `compare` joins the lists that both systems were evaluated on at a budget: Wilson's
intervals, and McNemar's exact test over all their tasks.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from arc_core.data.scoring import mcnemar, wilson_interval


@dataclass(frozen=True)
class Outcome:
    """One task under one system."""

    system: str
    tasks: str
    """Name of the list that the task is of."""
    asked: float
    """Seconds of the processor a task that were asked for."""
    task: str
    solved: int
    """1 where every test input was, by one of two attempts."""
    fit: int
    """Demonstrations that came right after the adaptation."""
    demonstrations: int
    steps: int
    seconds: float
    """Of the processor, used."""

    @property
    def evaluation(self) -> tuple[str, str, float]:
        """What it is one task of."""
        return self.system, self.tasks, self.asked


def read_outcomes(path: Path) -> list[Outcome]:
    """The outcomes of a file; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            Outcome(
                system=row["system"],
                tasks=row["tasks"],
                asked=float(row["asked"]),
                task=row["task"],
                solved=int(row["solved"]),
                fit=int(row["fit"]),
                demonstrations=int(row["demonstrations"]),
                steps=int(row["steps"]),
                seconds=float(row["seconds"]),
            )
            for row in csv.DictReader(file)
        ]


def write_outcomes(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write outcomes as lines, in order of their evaluation and task."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(Outcome)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(o) for o in sorted(outcomes, key=lambda o: (*o.evaluation, o.task)))


def outcomes_of(folder: Path, system: str, tasks: str) -> list[Outcome]:
    """The outcomes of a finished evaluation."""
    results = json.loads((folder / "results.json").read_text())
    asked = float(results["protocol"]["seconds_per_task"])
    return [
        Outcome(
            system=system,
            tasks=tasks,
            asked=asked,
            task=task,
            solved=int(of["solved"]),
            fit=of["fit"][0],
            demonstrations=of["fit"][1],
            steps=of["steps"],
            seconds=round(of["seconds"], 1),
        )
        for task, of in results["tasks"].items()
    ]


def compare(outcomes: Sequence[Outcome], asked: float, first: str, second: str) -> list[str]:
    """Lines that say how two systems did on the tasks that both were given at a budget.

    Raises:
        ValueError: If they share no task.
    """
    solved = {
        system: {(o.tasks, o.task): o.solved for o in outcomes if o.system == system and o.asked == asked}
        for system in (first, second)
    }
    shared = solved[first].keys() & solved[second].keys()
    if not shared:
        raise ValueError(f"{first} and {second} share no task at {asked:g} s.")
    lines = [f"{asked:g} s a task; {', '.join(sorted({name for name, _ in shared}))}: {len(shared)} tasks"]
    for system in (first, second):
        count = sum(solved[system][key] for key in shared)
        low, high = wilson_interval(count, len(shared))
        lines.append(f"{system}: {count} solved, {count / len(shared):.1%} ({low:.1%} to {high:.1%})")
    alone = [
        sum(solved[mine][key] > solved[other][key] for key in shared)
        for mine, other in ((first, second), (second, first))
    ]
    lines.append(
        f"{first} alone {alone[0]}, {second} alone {alone[1]}, McNemar's exact p = {mcnemar(*alone):.2g}"
    )
    return lines


def main() -> None:
    """Add an evaluation to the file, or compare two systems."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    orders = parser.add_subparsers(dest="order", required=True)
    adding = orders.add_parser("add")
    adding.add_argument("file", type=Path)
    adding.add_argument("system")
    adding.add_argument("tasks")
    adding.add_argument("folder", type=Path)
    comparing = orders.add_parser("compare")
    comparing.add_argument("file", type=Path)
    comparing.add_argument("seconds", type=float)
    comparing.add_argument("systems", nargs=2)
    given = parser.parse_args()
    known = read_outcomes(given.file)
    if given.order == "add":
        new = outcomes_of(given.folder, given.system, given.tasks)
        replaced = {outcome.evaluation for outcome in new}
        write_outcomes(given.file, [*(o for o in known if o.evaluation not in replaced), *new])
    else:
        print("\n".join(compare(known, given.seconds, *given.systems)))


if __name__ == "__main__":
    main()
