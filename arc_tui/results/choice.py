"""Which tasks of an evaluation are shown, and in which order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from arc_core.base.errors import ConfigError
from arc_core.base.text import printable
from arc_tui.results.evaluations import TaskResult
from arc_tui.results.pair import PairedTask

Shown = TypeVar("Shown", TaskResult, PairedTask)

SORTS: dict[str, Callable[[TaskResult], float] | None] = {
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


def chosen_tasks(tasks: Iterable[Shown], chosen: Chosen) -> list[Shown]:
    """Choose and sort tasks of one evaluation, or of two; what has no number stays last either way."""
    found = sorted((one for one in tasks if _is_wanted(one, chosen)), key=lambda one: one.id)
    number = SORTS[chosen.order]
    if number is None:
        return found[::-1] if chosen.reverse else found
    numbers = {one.id: number(one.first if isinstance(one, PairedTask) else one) for one in found}
    known = [one for one in found if not math.isnan(numbers[one.id])]
    known.sort(key=lambda one: numbers[one.id], reverse=not chosen.reverse)
    return [*known, *(one for one in found if math.isnan(numbers[one.id]))]


def _is_wanted(found: TaskResult | PairedTask, chosen: Chosen) -> bool:
    if isinstance(found, PairedTask):
        became, rules = found.outcome, (*found.first.size_rules, *found.second.size_rules)
    else:
        became, rules = found.state, found.size_rules
    return (
        chosen.only in (EVERYTHING, became)
        and (chosen.size == EVERYTHING or chosen.size in rules)
        and chosen.words.lower() in found.id.lower()
    )


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
