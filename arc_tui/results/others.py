"""Answers that others have published as an evaluation: what is known of them beside the grids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from arc_core.data.answers import Answers
from arc_core.data.kaggle import Attempts
from arc_core.data.sizes import NO_RULE, size_guesses
from arc_core.data.tasks import Task
from arc_core.evaluation.folder import InputAnswer


@dataclass(frozen=True)
class Published:
    """Stands where an evaluation of ours says what was asked.

    Attributes:
        layout: Of the answers, such as `VARC`.
        dataset: What they are held against, as `--dataset` names it.
        split: Which split of it.
        tasks: Ids of the answered tasks that are in it.
    """

    layout: str
    dataset: str
    split: str
    tasks: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class PublishedAnswer:
    """Somebody's answers to a task, of which neither steps nor seconds are known.

    Attributes:
        inputs: For each test input the attempts, and their votes, NaN where none are told.
    """

    inputs: tuple[InputAnswer, ...]
    failure: str | None = None
    """Always None: what was not attempted is blank."""


def published_answer(task: Task, answers: Answers, attempts: Sequence[Attempts]) -> PublishedAnswer:
    """Join what is known of the answers to a task."""
    votes = answers.votes.get(task.id, ())
    inputs: list[InputAnswer] = []
    for index, (pair, made) in enumerate(zip(task.test, attempts, strict=True)):
        guesses = size_guesses(task.train, pair.input)
        shares = votes[index] if index < len(votes) else (math.nan, math.nan)
        inputs.append(InputAnswer(made, shares, made.first, guesses[0].rule if guesses else NO_RULE))
    return PublishedAnswer(tuple(inputs))
