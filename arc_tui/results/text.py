"""Evaluations as lines of text that are safe to print."""

from __future__ import annotations

import math
from collections.abc import Sequence

from arc_core.base.errors import RunError
from arc_core.base.text import printable
from arc_core.evaluation.folder import Assignment, TaskAnswer
from arc_tui.drawing.groups import scrolled_rows
from arc_tui.drawing.rows import Row
from arc_tui.drawing.text import aligned, when
from arc_tui.results.evaluations import EvalResults, EvalSummary, State, TaskResult
from arc_tui.results.groups import demonstration_groups, input_groups
from arc_tui.results.others import Published
from arc_tui.results.pair import PairedTask, PairOutcome, ResultsPair
from arc_tui.results.scores import Contender, beside_lines, score_lines

LONGEST_ID = 60


def eval_lines(evals: Sequence[EvalSummary], where: str) -> list[str]:
    """Write the evaluations of a folder, one a line.

    Args:
        evals: The evaluations.
        where: The folder.
    """
    if not evals:
        return [f"There is no evaluation in {printable(where)}."]
    rows = [("EVALUATION", "DATASET", "DONE", "SOLVED", "BEGUN"), *map(_eval_row, evals)]
    return aligned(rows, left=(0, 1, 4))


def _eval_row(one: EvalSummary) -> tuple[str, ...]:
    name = printable(one.path.name, LONGEST_ID)
    if one.problem is not None:
        return name, printable(one.problem, 200), "-", "-", when(one.begun)
    solved = "-" if one.solved is None else str(one.solved)
    return name, one.dataset, f"{one.done}/{one.tasks}", solved, when(one.begun)


def results_lines(results: EvalResults, shown: Sequence[TaskResult]) -> list[str]:
    """Write an evaluation: what was asked, its scores, and the tasks that are to be shown."""
    lines = [
        f"Evaluation {results.name}: {asked(results.assignment)}",
        f"{progress(results)}.",
        *results.notes,
    ]
    if not results.finished:
        lines.append(f"To go on: arc-tui eval --resume {results.name}")
    lines += scored_lines(results)
    head = ("TASK", "RESULT", "INPUTS", "SIZE", "CELLS", "VOTES", "FITS", "STEPS", "SECONDS")
    lines += ["", *aligned([head, *map(_task_row, shown)], left=(0, 1, 3))]
    lines += [f"{printable(found.id, LONGEST_ID)}: {found.failure}" for found in shown if found.failure]
    if len(shown) != len(results.tasks):
        lines.append(f"{len(shown):,} of {len(results.tasks):,} tasks")
    return [printable(line) for line in lines]


def asked(assignment: Assignment | Published) -> str:
    """Write what was asked of an evaluation, or whose answers these are."""
    of = f"{len(assignment.tasks)} tasks of {printable(assignment.dataset, 100)} {assignment.split}"
    if isinstance(assignment, Published):
        return f"{of}, answers in the layout of {assignment.layout}"
    seconds = assignment.seconds_per_task
    budget = f"{assignment.steps_per_task} steps" if seconds is None else f"{seconds:g} s"
    return (
        f"{of}, {budget} a task on {assignment.device}, seed {assignment.seed}, "
        f"{'random' if assignment.weights is None else 'pretrained'} start"
    )


def progress(results: EvalResults) -> str:
    """Write how far an evaluation is."""
    parts = [f"{results.done} of {len(results.tasks)} tasks done"]
    parts += [
        f"{results.count(state)} {state.value}"
        for state in (State.SOLVED, State.FAILED, State.UNKNOWN, State.DAMAGED)
        if results.count(state)
    ]
    return ", ".join(parts)


def scored_lines(results: EvalResults) -> list[str]:
    """Write the scores of the tasks that are done, and what was learned from them."""
    report, asked_for = results.report, results.assignment
    learned: list[str] = []
    if isinstance(asked_for, Assignment):
        learned.append(f"Learned from the evaluated tasks: {asked_for.transductive}.")
    return learned if report is None else [*learned, *score_lines(report)]


def _task_row(found: TaskResult) -> tuple[str, ...]:
    name, effort = printable(found.id, LONGEST_ID), found.effort
    if found.answer is None:
        return (name, found.state.value, f"-/{len(found.task.test)}", *("-" * 6))
    return (
        name,
        found.state.value,
        solved_inputs(found),
        rules(found),
        share(found.cells),
        votes(found.confidence),
        *(
            "---"
            if effort is None
            else (f"{effort.fit}/{effort.demonstrations}", f"{effort.steps:,}", f"{effort.seconds:.1f}")
        ),
    )


def solved_inputs(found: TaskResult) -> str:
    """Write how many of a task's test inputs are solved, `1/2`."""
    known = None not in found.solved_by and found.answer is not None
    return f"{sum(map(bool, found.solved_by)) if known else '-'}/{len(found.task.test)}"


def rules(found: TaskResult) -> str:
    """Write the rules that give a task's output sizes; `-` while they are not known."""
    return "+".join(printable(rule, 20) for rule in dict.fromkeys(found.size_rules)) or "-"


def share(value: float) -> str:
    """Write the share of right cells, only all of them as 100%, as captions do; `-` for what is not known."""
    return "-" if math.isnan(value) else f"{math.floor(100 * value)}%"


def votes(value: float) -> str:
    """Write a share of the votes; `-` for what is not known."""
    return "-" if math.isnan(value) else f"{value:.0%}"


def task_result_rows(found: TaskResult, cells: int) -> list[Row]:
    """Draw a task's answers: its test inputs with both attempts and the output, and its demonstrations.

    Args:
        found: The task.
        cells: Width.
    """
    groups = [*input_groups(found), *demonstration_groups(found)]
    head: Row = [(printable(found.id, LONGEST_ID), "title"), (f"  {found.state.value}", "")]
    if found.answer is not None:
        head.append((f", {told(found)}", "muted"))
    return [head, [], *scrolled_rows(groups, cells, digits=True)]


def told(found: TaskResult) -> str:
    """Write what is known of a task's answers beside the grids; empty without answers."""
    answer = found.answer
    if answer is None:
        return ""
    if answer.failure is not None:
        return printable(answer.failure, 300)
    if not isinstance(answer, TaskAnswer):
        return f"size rule {rules(found)}"
    return (
        f"size rule {rules(found)}, fits {answer.fit} of {answer.demonstrations} demonstrations, "
        f"{answer.steps:,} steps in {answer.seconds:.1f} s"
    )


def pair_lines(pair: ResultsPair, shown: Sequence[PairedTask]) -> list[str]:
    """Write two evaluations: what was asked otherwise, who solved what, and the tasks to be shown."""
    names = pair.first.name, pair.second.name
    lines = [
        f"{name}: {asked(one.assignment)}" for name, one in zip(names, (pair.first, pair.second), strict=True)
    ]
    lines += [f"{one.name}: {note}" for one in (pair.first, pair.second) for note in one.notes]
    if different := pair.differences():
        lines.append(f"Asked otherwise: {', '.join(different)}")
    lines += ["", *counted_lines(pair), ""]
    rows = [
        (printable(found.id, LONGEST_ID), *states(found), rules(found.first), *cells_of(found))
        for found in shown
    ]
    lines += aligned(
        [("TASK", *(name.upper() for name in names), "SIZE", "CELLS", "CELLS"), *rows], left=(0, 1, 2, 3)
    )
    if len(shown) != len(pair.tasks):
        lines.append(f"{len(shown):,} of {len(pair.tasks):,} tasks")
    return [printable(line) for line in lines]


def several_lines(several: Sequence[EvalResults]) -> list[str]:
    """Write three evaluations and more: each one's scores, and McNemar's test of each two."""
    lines = [f"{one.name}: {asked(one.assignment)}" for one in several]
    lines += [f"{one.name}: {note}" for one in several for note in one.notes]
    return [printable(line) for line in (*lines, "", *beside_lines(contenders(several)))]


def contenders(several: Sequence[EvalResults]) -> list[Contender]:
    """Return the scores to set beside each other.

    Raises:
        RunError: If one cannot be scored.
    """
    found: list[Contender] = []
    for one in several:
        if one.report is None:
            raise RunError(f"{one.name} has no task that can be scored.")
        layout = one.assignment.layout if isinstance(one.assignment, Published) else "arc-tui"
        found.append(Contender(one.name, layout, one.report))
    return found


def counted_lines(pair: ResultsPair) -> list[str]:
    """Write how many tasks each of the two has solved, and what McNemar's test says."""
    first, second = pair.count(PairOutcome.FIRST), pair.count(PairOutcome.SECOND)
    lines = [
        f"Solved by both {pair.count(PairOutcome.BOTH)}, by {pair.first.name} alone {first}, "
        f"by {pair.second.name} alone {second}, by neither {pair.count(PairOutcome.NEITHER)}",
        f"McNemar's exact test, two-sided: p = {pair.p_value:.3g}",
    ]
    if still := pair.count(PairOutcome.OPEN):
        lines.append(f"{still} tasks are not scored in both")
    return lines


def states(found: PairedTask) -> tuple[str, str]:
    """Write what became of a task in both."""
    return found.first.state.value, found.second.state.value


def cells_of(found: PairedTask) -> tuple[str, str]:
    """Write the share of right cells in both."""
    return share(found.first.cells), share(found.second.cells)
