"""What stands on a run's board: which panels it has, and which groups each of them draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from arc_core.pipeline.declared import FIXES as SEVEN_FIXES
from arc_core.run.declared import Declared, GroupKind, NumberGroup
from arc_tui.console.panels.drawing import lowered
from arc_tui.console.panels.groups import rows_wanted
from arc_tui.console.panels.norms import PRECISION
from arc_tui.ui.actions import PANEL_NAMES

PARTS, SIGNED, GRIDS, PLANS, EVIDENCE, NORMS, MACHINE, LOG = PANEL_NAMES
"""The panels' digits."""

FRAME_LINES, LEAST_ROWS = 2, 3
CHART_LINES = 8
"""Lines for a chart below or beside which a panel of few rows is given more."""

MOST_NAMED = 3
"""Groups that a title names; of more it tells how many they are."""


@dataclass(frozen=True)
class Board:
    """The panels of a run.

    Attributes:
        titles: Of the panels that there are, by digit in rising order.
        groups: What each of them draws, where it draws groups.
        lines: How many a panel has use for, its frame included, where others can use more.
        validated: The panel that tells of validations; None for none.
    """

    titles: Mapping[int, str]
    groups: Mapping[int, tuple[NumberGroup, ...]] = field(
        default_factory=dict[int, "tuple[NumberGroup, ...]"]
    )
    lines: Mapping[int, int] = field(default_factory=dict[int, int])
    validated: int | None = None

    @property
    def digits(self) -> tuple[int, ...]:
        """The panels that there are."""
        return tuple(self.titles)


def board_of(declared: Declared, evidence: int = 0) -> Board:
    """Return the board of what a run declares.

    Args:
        declared: What the run's steps and samples carry.
        evidence: How many lines of evidence there are.
    """
    series = declared.of_kind(GroupKind.SERIES)
    parts = declared.of_kind(GroupKind.CONTRIBUTIONS) or series[:1]
    loose = tuple(group for group in series if group not in parts)
    signed = declared.of_kind(GroupKind.SIGNED) or loose
    plans = declared.of_kind(GroupKind.SCHEDULE, GroupKind.COUNTERS) + (() if loose is signed else loose)
    drawn = {PARTS: parts, SIGNED: signed, PLANS: plans, NORMS: declared.of_kind(GroupKind.NORMS)}
    groups = {digit: each for digit, each in drawn.items() if each}
    titles = {digit: joined([group.shown for group in each]) for digit, each in groups.items()}
    if not declared.groups and not declared.grids:  # nothing is declared yet
        titles[PARTS] = PANEL_NAMES[PARTS]
    if declared.grids:
        titles[GRIDS] = PANEL_NAMES[GRIDS]
    if declared.judge or evidence:
        titles[EVIDENCE] = PANEL_NAMES[EVIDENCE] if declared.judge == SEVEN_FIXES else "Evidence"
    titles |= {digit: PANEL_NAMES[digit] for digit in (MACHINE, LOG)}
    validated = next((digit for digit in (SIGNED, PARTS) if digit in groups), None)
    below = {SIGNED: 1, NORMS: int(PRECISION in declared.by_name)}
    rows = {digit: rows_wanted(each, below.get(digit, 0)) for digit, each in groups.items()}
    rows[EVIDENCE] = evidence
    charted = {SIGNED} if signed and signed[0].kind is GroupKind.SERIES else set[int]()
    for digit in charted | (groups.keys() & {PLANS}):
        rows[digit] += CHART_LINES
    lines = {digit: max(count, LEAST_ROWS) + FRAME_LINES for digit, count in rows.items()}
    return Board(dict(sorted(titles.items())), groups, lines, validated)


def joined(names: Sequence[str]) -> str:
    """Join the names of groups to a title."""
    named = list(names[:MOST_NAMED])
    if len(names) > MOST_NAMED:
        named[1:] = [f"{len(names) - 1} more"]
    first, *others = named
    return f"{', '.join([first, *map(lowered, others[:-1])])} and {lowered(others[-1])}" if others else first
