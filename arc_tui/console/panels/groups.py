"""The groups of a panel below each other, each drawn as its kind is, and what stands below them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from arc_core.run.declared import GroupKind, NumberGroup
from arc_tui.console.panels.contributions import Contributions
from arc_tui.console.panels.drawing import Drawing
from arc_tui.console.panels.norms import Norms
from arc_tui.console.panels.plans import Counters, Schedules
from arc_tui.console.panels.series import Series
from arc_tui.console.panels.signed import Signed
from arc_tui.drawing.rows import Row, cut
from arc_tui.runs.view import RunView

DRAWINGS: Mapping[GroupKind, Drawing] = {
    GroupKind.CONTRIBUTIONS: Contributions(),
    GroupKind.SIGNED: Signed(),
    GroupKind.SERIES: Series(),
    GroupKind.SCHEDULE: Schedules(),
    GroupKind.NORMS: Norms(),
    GroupKind.COUNTERS: Counters(),
}


def drawing_of(group: NumberGroup) -> Drawing:
    """Return how a group is drawn."""
    return DRAWINGS[group.kind]


def rows_wanted(groups: Sequence[NumberGroup], below: int, lines: int | None = None) -> int:
    """Return how many rows groups have use for.

    Args:
        groups: The groups of a panel.
        below: Rows below them.
        lines: Height of the panel where it shows a chart too; None where there is no lack of it.
    """
    each = [drawing_of(group).wanted(group, lines) for group in groups]
    return sum(each) + max(len(groups) - 1, 0) + sum(map(len, _heads(groups))) + below


def group_rows(
    view: RunView, groups: Sequence[NumberGroup], cells: int, lines: int, *, below: Sequence[Row] = ()
) -> list[Row]:
    """Draw the groups of a panel.

    Args:
        view: The run.
        groups: The groups.
        cells: Width of a row.
        lines: Rows that there is room for.
        below: What stands below them once there is a step.
    """
    if view.state.last_step is None and not any(group.ahead for group in groups):
        return [[("waits for the first step", "muted")]]
    if not groups:
        return [[("this run tells no numbers", "muted")]]
    blocks: list[list[Row]] = []
    left = lines if len(groups) == 1 else lines - len(below)
    for group, head in zip(groups, _heads(groups), strict=True):
        if left <= len(head):
            break
        rows = drawing_of(group).rows(view, group, cells, left - len(head))
        found = [*(cut(row, cells) for row in head), *rows]
        blocks.append(found if len(groups) == 1 else found[:left])
        left -= len(found)
    apart = lines >= sum(map(len, blocks)) + len(below) + sum(_long(block) for block in blocks[1:])
    rows = [row for block in blocks for row in ([[], *block] if apart and _long(block) else block)]
    rows = rows[1:] if rows and not rows[0] else rows
    hidden = len(groups) - len(blocks)
    if hidden:
        rows[-1:] = [[(f"… and {hidden:,} more group{'' if hidden == 1 else 's'}", "muted")]]
    return [*rows, *(cut(row, cells) for row in below)]


def _heads(groups: Sequence[NumberGroup]) -> list[list[Row]]:
    """Return what stands above each group: its title, where another one is drawn in the same way."""
    kinds = [group.kind for group in groups]
    return [[[(group.shown, "title")]] if kinds.count(group.kind) > 1 else [] for group in groups]


def _long(block: Sequence[Row]) -> bool:
    """Whether a block has more than a line, so that it stands apart."""
    return len(block) > 1
