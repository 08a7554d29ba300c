"""What the steps and samples of a run carry, declared once: groups of named numbers, and named grids.

The training process writes its declaration into run.json before its first event; whoever reads the run
learns from it what there is, what it is called, and how it is read. A step may leave out what it declares,
and never carries more.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self, cast

from arc_core.base.errors import ConfigError
from arc_core.base.text import first_of, printable

MOST_NUMBERS, MOST_GRIDS = 256, 8
"""What a run may declare: a console keeps every number of every step in memory."""

RESERVED = frozenset({
    *("type", "seq", "time", "step", "epoch", "batch", "pairs", "pairs_per_second", "elapsed_seconds"),
    *("nonfinite", "rule", "task", "pair", "seconds"),
})  # fmt: skip
"""Fields of steps, epochs and samples, which no group and no grid may be called by."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_/+-]{0,59}")
_FORM = re.compile(r"[+,]?(\.\d)?[efg%]?")


class GroupKind(enum.StrEnum):
    """How the numbers of a group are read; each kind has one panel that draws it."""

    CONTRIBUTIONS = "contributions"
    """Parts that add up to the first of the group's totals."""
    SIGNED = "signed"
    """Parts above or below zero, each with a weight, that add up to the first of the group's totals."""
    SERIES = "series"
    """Numbers over time, each for itself."""
    SCHEDULE = "schedule"
    """What is planned ahead, like a weight or a learning rate."""
    NORMS = "norms"
    """One for each component, like the norms of gradients."""
    COUNTERS = "counters"
    """What a part of the run has come to, like the entries of a memory."""


@dataclass(frozen=True)
class Number:
    """One number of a group.

    Attributes:
        name: Its key in the event.
        title: What it is called on a screen; its name where this is empty.
        weight: Of a signed part in the total.
        whole: Whether it is a count.
        most: What it can come to; None where nothing bounds it.
    """

    name: str
    title: str = ""
    weight: float = 1.0
    whole: bool = False
    most: float | None = None

    @property
    def shown(self) -> str:
        """What it is called on a screen."""
        return self.title or self.name.replace("_", " ")


@dataclass(frozen=True)
class NumberGroup:
    """Numbers that are told together: an object of this name in every step that has them.

    Attributes:
        name: Its key in the event.
        kind: How it is read.
        numbers: All of it, the totals included, in the order of the screen.
        title: What its panel is called; its name where this is empty.
        unit: Of its numbers; empty for none.
        totals: Names of the numbers that are no parts: what the parts add up to, and what is made of that.
            The last one is the group's headline.
        ahead: Of a schedule: its value in each epoch from the first on; the last one stays.
        beside: A group whose numbers of the same names are shown beside these, like the rates beside the
            norms; it has no panel then.
        drawn: Dotted names of what its panel has a line for, where that is not just its own numbers.
        charted: Dotted names of what its panel draws over time; the headline, or the first four, where empty.
        quiet: Whether no panel draws it for itself.
        averaged: Whether an epoch tells its means.
        note: Why its numbers mean nothing in this run, shown in their place; empty where they do.
        texts: Names of what it has beside numbers, like the number type of mixed precision.
    """

    name: str
    kind: GroupKind
    numbers: tuple[Number, ...]
    title: str = ""
    unit: str = ""
    totals: tuple[str, ...] = ()
    ahead: tuple[float, ...] = ()
    beside: str = ""
    drawn: tuple[str, ...] = ()
    charted: tuple[str, ...] = ()
    quiet: bool = False
    averaged: bool = True
    note: str = ""
    texts: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, kind: GroupKind, *numbers: str | Number, **more: Any) -> Self:
        """Make a group of numbers that may be given by their names alone."""
        made = tuple(Number(number) if isinstance(number, str) else number for number in numbers)
        return cls(name, kind, made, **more)

    @property
    def shown(self) -> str:
        """What its panel is called."""
        return self.title or self.name.replace("_", " ").capitalize()

    @property
    def parts(self) -> tuple[Number, ...]:
        """Its numbers without the totals."""
        return tuple(number for number in self.numbers if number.name not in self.totals)

    def dotted(self, name: str) -> str:
        """Return the dotted name of one of its numbers."""
        return f"{self.name}.{name}"


@dataclass(frozen=True)
class GridForm:
    """One grid of a sample.

    Attributes:
        name: Its key in the event.
        title: What it is called on a screen; its name where this is empty.
        judged: Whether it is a prediction, whose wrong cells are marked.
    """

    name: str
    title: str = ""
    judged: bool = False

    @property
    def shown(self) -> str:
        """What it is called on a screen."""
        return self.title or self.name.replace("_", " ")


@dataclass(frozen=True)
class ShownNumber:
    """A number as a line of text tells it.

    Attributes:
        label: What stands before it.
        number: Its dotted name.
        form: How it is written: `.3f`, `+.4f`, `.2e`, `.1%`, `,` and the like.
    """

    label: str
    number: str
    form: str = ".4f"

    def __post_init__(self) -> None:
        """Refuse a form that would write more than a number."""
        if not _FORM.fullmatch(self.form):
            raise ConfigError(f"{printable(self.form, 40)!r} is no form of a number, as .3f and +.2e are.")


@dataclass(frozen=True)
class Declared:
    """What a run's steps and samples carry.

    Attributes:
        groups: Of numbers, in the order of the screen.
        grids: Of a sample, in the order of the screen.
        target: The grid that predictions are held against; empty where there is none.
        claims: What the header says of the run, by what it is, like `lm` and `device`.
        judge: Whose evidence the console judges by itself: `fixes` for the seed's seven; empty where the run
            tells its evidence by events, or has none.
        step_line: What the line of a step tells; the headlines where it is empty.
        epoch_lines: What the summary of an epoch tells; the headlines where it is empty.
        epoch_line: What the line of an epoch in a console's log tells; likewise.
        metrics: Dotted names of what is shown beside a checkpoint, by label.
    """

    groups: tuple[NumberGroup, ...] = ()
    grids: tuple[GridForm, ...] = ()
    target: str = ""
    claims: Mapping[str, str] = field(default_factory=dict[str, str])
    judge: str = ""
    step_line: tuple[ShownNumber, ...] = ()
    epoch_lines: tuple[ShownNumber, ...] = ()
    epoch_line: tuple[ShownNumber, ...] = ()
    metrics: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            ConfigError: If a name is none, is taken, or refers to nothing; names it.
        """
        _refuse_names("group", [group.name for group in self.groups])
        _refuse_names("grid", [grid.name for grid in self.grids])
        for group in self.groups:
            _refuse_names(f"number of the group {group.name}", [number.name for number in group.numbers], ())
            for total in group.totals:
                if all(total != number.name for number in group.numbers):
                    raise ConfigError(
                        f"The group {group.name} has no number for its total {printable(total, 60)}."
                    )
        if len(self.names) > MOST_NUMBERS:
            raise ConfigError(f"{len(self.names)} numbers are declared; a run may have {MOST_NUMBERS}.")
        if len(self.grids) > MOST_GRIDS:
            raise ConfigError(f"{len(self.grids)} grids are declared; a sample may have {MOST_GRIDS}.")
        if self.target and self.target not in [grid.name for grid in self.grids]:
            raise ConfigError(f"The target {printable(self.target, 60)} is none of the grids declared.")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Dotted names of all numbers."""
        return tuple(group.dotted(number.name) for group in self.groups for number in group.numbers)

    @cached_property
    def by_name(self) -> Mapping[str, NumberGroup]:
        """The groups by name."""
        return {group.name: group for group in self.groups}

    @cached_property
    def numbers(self) -> Mapping[str, Number]:
        """The numbers by dotted name."""
        return {group.dotted(number.name): number for group in self.groups for number in group.numbers}

    @cached_property
    def headlines(self) -> tuple[str, ...]:
        """Dotted names of the numbers that tell most: last totals of groups of parts, then series."""
        parts = (GroupKind.CONTRIBUTIONS, GroupKind.SIGNED)
        added_up = [group for group in self.groups if group.kind in parts and group.totals]
        tops = [group.dotted(group.totals[-1]) for group in added_up]
        loose = [
            group.dotted(number.name)
            for group in self.groups
            if not group.quiet and group not in added_up and group.kind in (GroupKind.SERIES, *parts)
            for number in group.numbers
        ]
        return (*tops, *loose)

    @cached_property
    def _keys(self) -> Mapping[str, frozenset[str]]:
        return {
            group.name: frozenset((*(n.name for n in group.numbers), *group.texts)) for group in self.groups
        }

    def of_kind(self, *kinds: GroupKind) -> tuple[NumberGroup, ...]:
        """Return the groups of these kinds that a panel draws for themselves."""
        beside = {group.beside for group in self.groups}
        return tuple(
            group
            for group in self.groups
            if group.kind in kinds and not group.quiet and group.name not in beside
        )

    def refusal(self, numbers: Mapping[str, object]) -> str | None:
        """Say what of a step's numbers is not declared; None if all of them are.

        Args:
            numbers: By group, each an object of numbers by name.
        """
        keys = self._keys
        for name, group in numbers.items():
            known = keys.get(name)
            if known is None:
                there = first_of(sorted(keys)) or "none"
                return f"it tells the group {printable(name, 60)}, which is not declared; declared: {there}"
            if not isinstance(group, Mapping):
                return f"its group {name} is no object of named numbers"
            if not known >= group.keys():  # pyright: ignore[reportUnknownMemberType]
                foreign = printable(
                    str(min(map(str, cast("Mapping[str, object]", group).keys() - known))), 60
                )
                return (
                    f"it tells {name}.{foreign}, which is not declared; {name} has {first_of(sorted(known))}"
                )
        return None


def trained_groups(components: Iterable[str]) -> tuple[NumberGroup, NumberGroup, NumberGroup]:
    """Return what optimizers tell: gradient norms before clipping, learning rates, mixed precision.

    Args:
        components: Names of the parameter groups that are clipped each for itself.
    """
    names = tuple(components)
    return (
        NumberGroup.of("grad_norm", GroupKind.NORMS, *names, title="Gradients", beside="learning_rate"),
        NumberGroup.of("learning_rate", GroupKind.SCHEDULE, *names, title="Learning rates"),
        NumberGroup(
            "amp",
            GroupKind.COUNTERS,
            (Number("scale"), Number("skipped_steps", whole=True)),
            "Mixed precision",
            quiet=True,
            averaged=False,
            texts=("dtype",),
        ),
    )


def _refuse_names(what: str, names: list[str], reserved: Iterable[str] = RESERVED) -> None:
    for place, name in enumerate(names):
        shown = printable(str(name), 60)
        if not _NAME.fullmatch(name):
            raise ConfigError(f"A {what} is called {shown!r}: a name is of letters, digits and _ / + -.")
        if name in reserved:
            raise ConfigError(f"No {what} may be called {shown}: every event has a field of that name.")
        if name in names[:place]:
            raise ConfigError(f"Two of a kind are declared as {what}: {shown}.")
