"""Which tasks of an evaluation are shown, and in which order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from arc_core.errors import ConfigError
from arc_core.text import printable
from arc_tui.inspect.results import TaskResult
from arc_tui.inspect.results_pair import PairedTask

Key = Callable[[TaskResult], float]


class Listed(Protocol):
    """What can be listed: a task with its id."""

    @property
    def id(self) -> str:
        """The task's id."""
        ...


T = TypeVar("T", bound=Listed)

SORTS: dict[str, Key | None] = {
    "id": None,
    "confidence": lambda found: found.confidence,
    "cells": lambda found: found.cells,
}
"""Orders by their names: by id rising, by numbers falling; what has no number comes last."""

EVERYTHING = "all"


def ordered(
    tasks: Iterable[T], order: str, number: Callable[[T], float], *, reverse: bool = False
) -> list[T]:
    """Sort tasks.

    Args:
        tasks: In any order.
        order: One of `SORTS`.
        number: Gives what they are sorted by, where that is a number.
        reverse: Whether to turn the order round; what has no number stays last.
    """
    by_id = sorted(tasks, key=lambda found: found.id)
    if SORTS[order] is None:
        return by_id[::-1] if reverse else by_id
    known = [found for found in by_id if not math.isnan(number(found))]
    known.sort(key=number, reverse=not reverse)
    return [*known, *(found for found in by_id if math.isnan(number(found)))]


def chosen_results(
    tasks: Iterable[TaskResult],
    *,
    only: str = EVERYTHING,
    size: str = EVERYTHING,
    words: str = "",
    order: str = "id",
    reverse: bool = False,
) -> list[TaskResult]:
    """Choose and sort tasks of one evaluation.

    Args:
        tasks: To choose from.
        only: What became of them, a `State`; or `all`.
        size: Rule that gives the size of one of their outputs; or `all`.
        words: Occurs in the id.
        order: One of `SORTS`.
        reverse: Whether to turn the order round.
    """
    found = [
        one
        for one in tasks
        if only in (EVERYTHING, one.state)
        and (size == EVERYTHING or size in one.size_rules)
        and words.lower() in one.id.lower()
    ]
    return ordered(found, order, SORTS[order] or (lambda one: math.nan), reverse=reverse)


def chosen_pairs(
    tasks: Iterable[PairedTask],
    *,
    only: str = EVERYTHING,
    size: str = EVERYTHING,
    words: str = "",
    order: str = "id",
    reverse: bool = False,
) -> list[PairedTask]:
    """Choose and sort tasks of two evaluations; as `chosen_results`, numbers are those of the first."""
    found = [
        one
        for one in tasks
        if only in (EVERYTHING, one.outcome)
        and (size == EVERYTHING or size in one.first.size_rules or size in one.second.size_rules)
        and words.lower() in one.id.lower()
    ]
    key = SORTS[order] or (lambda one: math.nan)
    return ordered(found, order, lambda one: key(one.first), reverse=reverse)


def size_rules(tasks: Iterable[TaskResult]) -> list[str]:
    """Return the rules that occur."""
    return sorted({rule for found in tasks for rule in found.size_rules})


def checked(option: str, value: str, allowed: Sequence[str]) -> str:
    """Return a value that an option may have.

    Raises:
        ConfigError: If it may not.
    """
    if value not in allowed:
        raise ConfigError(f'{option} is "{printable(value, 40)}", but must be one of {", ".join(allowed)}.')
    return value
