"""What a loop logs, as the groups of a step event: declared beforehand, or as the names come."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from arc_core.base.errors import ConfigError, DataError, TrackError
from arc_core.base.text import first_of, printable
from arc_core.data.grids import rows_of
from arc_core.run.declared import Declared, GridForm, GroupKind, NumberGroup
from arc_core.run.event_forms import VALIDATION
from arc_core.training.telemetry import Validation

Grids = Mapping[str, Any] | Callable[[], Mapping[str, Any]]
"""Grids of a sample by name: arrays, tensors or lists of rows; or what gives them when they are shown."""

LOSS, METRICS, NORMS, RATES = "loss", "metrics", "grad_norm", "learning_rate"
LOOSE = {"grad_norm": NORMS, "lr": RATES, "learning_rate": RATES}
"""Groups of loose numbers with these names, which are of the whole model there."""

MODEL = "model"
TOTALS = ("total", LOSS)
UNJUDGED = ("input", "target")
TARGET = "target"
_COUNTS = {name for name, kind in VALIDATION.items() if kind is int}
_KNOWN = VALIDATION.keys() - {"step", "split", "numbers"}


def number_of(value: object, name: str) -> float | int:
    """Return a number as JSON holds it; a tensor is read here and now.

    Raises:
        TrackError: If it is no single number; names it.
    """
    if type(value) is float or type(value) is int:
        return value
    read = getattr(value, "item", None)
    if callable(read) and getattr(value, "size", None) is not None:
        shape = tuple(cast("Iterable[int]", getattr(value, "shape", ())))
        if any(side != 1 for side in shape):
            sides = " by ".join(map(str, shape))
            raise TrackError(f"{printable(name)} is {sides} numbers, but must be one: take its mean, say.")
        value = read()
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    raise TrackError(f"{printable(name)} is {printable(repr(value), 60)}, but must be a number.")


class Carried:
    """What steps and samples carry, and how what is logged becomes that.

    Args:
        declared: What is known of it already.
        open_ended: Whether names that are new extend it; they are refused otherwise.
    """

    def __init__(self, declared: Declared, *, open_ended: bool) -> None:
        self.declared = declared
        self._open_ended = open_ended
        self._places: dict[str, tuple[str, str]] = {}

    def groups(self, logged: Mapping[str, object]) -> dict[str, dict[str, float | int | str]]:
        """Sort what is logged into the groups of a step, which the declaration then holds.

        Args:
            logged: Loose numbers, and groups of numbers, by name.

        Raises:
            TrackError: If something is no number, or not declared; names it.
        """
        found: dict[str, dict[str, float | int | str]] = {}
        for name, value in logged.items():
            if isinstance(value, Mapping):
                group = cast("Mapping[str, object]", value)
                texts = self.declared.by_name[name].texts if name in self.declared.by_name else ()
                found.setdefault(name, {}).update(
                    {
                        part: content
                        if part in texts and isinstance(content, str)
                        else number_of(content, f"{name}.{part}")
                        for part, content in group.items()
                    }
                )
            else:
                home, part = self._place(name, logged)
                found.setdefault(home, {})[part] = number_of(value, name)
        if refusal := self.declared.refusal(found):
            if not self._open_ended:
                raise TrackError(f"This log cannot be told: {refusal}.")
            self._declare(groups=_extended(self.declared.groups, found))
        return found

    def rows(self, grids: Grids) -> dict[str, list[str]]:
        """Return the grids of a sample as rows of digits; the declaration then holds their names.

        Raises:
            TrackError: If one is no grid of colours 0 to 9 with sides of 1 to 30, names it and the cell; or
                if it is not declared.
        """
        given = grids() if callable(grids) else grids
        try:
            rows = {name: rows_of(grid, f"the grid {printable(str(name))}") for name, grid in given.items()}
        except DataError as error:
            raise TrackError(f"A sample cannot be shown: {error}") from None
        known = {grid.name for grid in self.declared.grids}
        if new := [name for name in rows if name not in known]:
            if not self._open_ended:
                there = first_of(sorted(known)) or "none"
                raise TrackError(f"The grid {printable(str(new[0]), 60)} is not declared; declared: {there}.")
            forms = (*self.declared.grids, *(GridForm(name, judged=name not in UNJUDGED) for name in new))
            self._declare(grids=forms, target=self.declared.target or (TARGET if TARGET in rows else ""))
        return rows

    def _declare(self, **changed: Any) -> None:
        try:
            self.declared = dataclasses.replace(self.declared, **changed)
        except ConfigError as error:
            raise TrackError(f"This log cannot be told: {error}") from None

    def _place(self, name: str, logged: Mapping[str, object]) -> tuple[str, str]:
        """Return the group of a loose number, and its name there."""
        place = self._places.get(name)
        if place is None:
            homes = [group.name for group in self.declared.groups if name in _names(group)]
            place = (homes[0], name) if len(homes) == 1 else self._by_rule(name, logged)
            self._places[name] = place
        return place

    def _by_rule(self, name: str, logged: Mapping[str, object]) -> tuple[str, str]:
        if not self._open_ended:
            raise TrackError(
                f"{printable(name, 60)} is declared in no group, or in several: log it as "
                f"GROUP={{{name!r}: ...}}; declared: {first_of(sorted(self.declared.by_name)) or 'none'}."
            )
        if name in LOOSE:
            return LOOSE[name], MODEL
        known = self.declared.by_name.get(LOSS)
        added_up = known is not None and known.kind is GroupKind.CONTRIBUTIONS
        of_loss = LOSS in name and not added_up and not isinstance(logged.get(LOSS), Mapping)
        return (LOSS if of_loss else METRICS), name


def _names(group: NumberGroup) -> list[str]:
    return [number.name for number in group.numbers]


def _extended(
    groups: tuple[NumberGroup, ...], told: Mapping[str, Mapping[str, float | int | str]]
) -> tuple[NumberGroup, ...]:
    """Return the groups with all the numbers that are told."""
    known = {group.name: group for group in groups}
    for name, numbers in told.items():
        group = known.get(name)
        if group is None:
            known[name] = _new_group(name, tuple(numbers))
        elif new := [number for number in numbers if number not in _names(group)]:
            made = NumberGroup.of(name, group.kind, *new)
            known[name] = dataclasses.replace(group, numbers=(*group.numbers, *made.numbers))
    return tuple(known.values())


def _new_group(name: str, numbers: tuple[str, ...]) -> NumberGroup:
    total = next((number for number in numbers if number in TOTALS), None)
    if LOSS in name and total is not None and len(numbers) > 2:
        parts = [number for number in numbers if number != total]
        return NumberGroup.of(name, GroupKind.CONTRIBUTIONS, *parts, total, totals=(total,))
    kinds = {NORMS: GroupKind.NORMS, RATES: GroupKind.SCHEDULE, "lr": GroupKind.SCHEDULE}
    return NumberGroup.of(name, kinds.get(name, GroupKind.SERIES), *numbers)


def validation_of(numbers: Mapping[str, object]) -> Validation:
    """Sort what a validation found into what every run may measure, and what is this one's.

    Raises:
        TrackError: If something is no number, or no whole one where it is a count; names it.
    """
    known: dict[str, Any] = {}
    others: dict[str, float] = {}
    for name, value in numbers.items():
        number = number_of(value, name)
        if name in _COUNTS:
            if number != number // 1:
                raise TrackError(f"{name} is {number}, but it counts: it must be a whole number.")
            number = int(number)
        (known if name in _KNOWN else others)[name] = number
    return Validation(**known, numbers=others)
