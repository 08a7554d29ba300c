"""Evaluations as JSON writes them: dicts, lists, texts and numbers; what is not known is null."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from arc_core.data.grids import Grid, to_rows
from arc_core.data.scoring import cell_accuracy
from arc_core.evaluation.folder import InputAnswer
from arc_tui.results.evaluations import EvalResults, EvalSummary, State, TaskResult, both
from arc_tui.results.others import Published
from arc_tui.results.pair import PairedTask, PairOutcome, ResultsPair
from arc_tui.results.scores import pairs_json
from arc_tui.results.text import contenders

Facts = dict[str, Any]
ASKED = (
    *("dataset", "split", "seconds_per_task", "steps_per_task"),
    *("seed", "device", "weights", "transductive"),
)
"""What is told of an assignment."""


def eval_facts(one: EvalSummary) -> Facts:
    """Return an evaluation at a glance."""
    facts = vars(one)
    return {"name": one.path.name, **{name: facts[name] for name in facts if name != "path"}}


def results_facts(results: EvalResults, shown: Sequence[TaskResult]) -> Facts:
    """Return an evaluation: what was asked, its scores, and the tasks that are to be shown."""
    return {
        **_asked(results),
        "scores": None if results.report is None else results.report.to_json(),
        "shown": len(shown),
        "list": [task_facts(found) for found in shown],
    }


def _asked(results: EvalResults) -> Facts:
    assignment = results.assignment
    return {
        "name": results.folder.path.name,
        "path": str(results.folder.path),
        "layout": assignment.layout if isinstance(assignment, Published) else None,
        **{name: getattr(assignment, name, None) for name in ASKED},
        "seen": [] if isinstance(assignment, Published) else list(assignment.seen),
        "tasks": len(results.tasks),
        "done": results.done,
        "states": {state.value: results.count(state) for state in State},
        "notes": list(results.notes),
    }


def task_facts(found: TaskResult) -> Facts:
    """Return what became of a task."""
    answer, effort = found.answer, found.effort
    return {
        "task": found.id,
        "state": found.state.value,
        "solved_by": list(found.solved_by),
        "size_rules": list(found.size_rules),
        "confidence": [] if answer is None else [list(map(_number, x.confidence)) for x in answer.inputs],
        "cells": _number(found.cells),
        "fit": None if effort is None else [effort.fit, effort.demonstrations],
        "steps": None if effort is None else effort.steps,
        "seconds": None if effort is None else _number(effort.seconds),
        "problem": found.failure,
    }


def task_result_facts(found: TaskResult) -> Facts:
    """Return a task with all its grids."""
    inputs = [None] * len(found.task.test) if found.answer is None else found.answer.inputs
    return {
        **task_facts(found),
        "train": [{"input": to_rows(pair.input), "output": _rows(pair.output)} for pair in found.task.train],
        "test": [
            {
                "input": to_rows(pair.input),
                "output": _rows(pair.output),
                "attempts": _attempts(answer, pair.output),
            }
            for pair, answer in zip(found.task.test, inputs, strict=True)
        ],
    }


def _attempts(answer: InputAnswer | None, truth: Grid | None) -> list[Facts]:
    return [
        {
            "grid": to_rows(grid),
            "confidence": _number(votes),
            "cells": None if truth is None else cell_accuracy(grid, truth),
        }
        for grid, votes in (() if answer is None else zip(both(answer), answer.confidence, strict=True))
    ]


def pair_facts(pair: ResultsPair, shown: Sequence[PairedTask]) -> Facts:
    """Return two evaluations held against each other."""
    return {
        "first": _asked(pair.first),
        "second": _asked(pair.second),
        "different": pair.differences(),
        "tasks": len(pair.tasks),
        "outcomes": {outcome.value: pair.count(outcome) for outcome in PairOutcome},
        "mcnemar_p": pair.p_value,
        "shown": len(shown),
        "list": [
            {
                "task": found.id,
                "outcome": found.outcome.value,
                "states": [found.first.state.value, found.second.state.value],
                "cells": [_number(found.first.cells), _number(found.second.cells)],
            }
            for found in shown
        ],
    }


def several_facts(several: Sequence[EvalResults]) -> Facts:
    """Return three evaluations and more, each with its scores, and each two held against each other."""
    beside = contenders(several)
    return {
        "evaluations": [
            _asked(one) | {"scores": scored.report.to_json()}
            for one, scored in zip(several, beside, strict=True)
        ],
        "pairs": pairs_json(beside),
    }


def _rows(grid: Grid | None) -> list[str] | None:
    return None if grid is None else to_rows(grid)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
