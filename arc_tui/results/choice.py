"""Which tasks of an evaluation are shown, and in which order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from arc_core.base.errors import ConfigError
from arc_core.base.text import printable
from arc_tui.results.evaluations import TaskResult
from arc_tui.results.pair import PairedTask

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


@dataclass(frozen=True)
class Chosen:
    """Which tasks are shown, and in which order.

    Attributes:
        only: What became of them, a `State` or, of two evaluations, an `Outcome`; or `all`.
        size: Rule that gives the size of one of their outputs; or `all`.
        words: Occurs in the id.
        order: One of `SORTS`; of two evaluations, by the numbers of the first.
        reverse: Whether to turn the order round.
    """

    only: str = EVERYTHING
    size: str = EVERYTHING
    words: str = ""
    order: str = "id"
    reverse: bool = False

    @property
    def narrowed(self) -> bool:
        """Whether anything may be left out."""
        return (self.only, self.size, self.words) != (EVERYTHING, EVERYTHING, "")


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


def chosen_results(tasks: Iterable[TaskResult], chosen: Chosen) -> list[TaskResult]:
    """Choose and sort tasks of one evaluation."""
    found = [
        one
        for one in tasks
        if chosen.only in (EVERYTHING, one.state) and _is_wanted(one.id, one.size_rules, chosen)
    ]
    return ordered(found, chosen.order, SORTS[chosen.order] or _nothing, reverse=chosen.reverse)


def chosen_pairs(tasks: Iterable[PairedTask], chosen: Chosen) -> list[PairedTask]:
    """Choose and sort tasks of two evaluations."""
    found = [
        one
        for one in tasks
        if chosen.only in (EVERYTHING, one.outcome)
        and _is_wanted(one.id, (*one.first.size_rules, *one.second.size_rules), chosen)
    ]
    key = SORTS[chosen.order] or _nothing
    return ordered(found, chosen.order, lambda one: key(one.first), reverse=chosen.reverse)


def _is_wanted(name: str, rules: Sequence[str], chosen: Chosen) -> bool:
    return (chosen.size == EVERYTHING or chosen.size in rules) and chosen.words.lower() in name.lower()


def _nothing(found: TaskResult) -> float:
    del found
    return math.nan


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
