"""What is planned ahead, with "now" on it, and what a part of the run has come to."""

from __future__ import annotations

import math
from collections.abc import Sequence

from arc_core.run.declared import Declared, NumberGroup
from arc_tui.console.panels.drawing import (
    Drawing,
    brief,
    fitting,
    label_cells,
    lowered,
    named,
    unit_of,
    value_row,
)
from arc_tui.drawing.rows import Row, Run, cut, width
from arc_tui.runs.view import RunView
from arc_tui.ui.chart import ChartSeries

EPOCH = 6
"""Cells of an epoch in what is planned."""

LOOK_BACK = 1000


class Counters(Drawing):
    """A row for each line that the group asks for, else for each of its numbers."""

    LEAST = (0.0,)

    def wanted(self, group: NumberGroup, lines: int | None = None) -> int:
        """Have a row for each."""
        del lines
        return 1 if group.note else len(group.drawn or group.numbers)

    def rows(self, view: RunView, group: NumberGroup, cells: int, lines: int) -> list[Row]:
        """Draw them, or why there is nothing to draw."""
        if view.state.last_step is None:
            return [[(f"{lowered(group.shown)} waits for the first step", "muted")]]
        if group.note:
            return [[(group.note, "muted")]]
        names = _drawn(view.declared, group)
        label = label_cells((view.declared.numbers[name].shown for name in names), self.LABEL, cells)
        return fitting([value_row(view, name, label, LOOK_BACK, cells) for name in names], lines)

    def headline(self, view: RunView, group: NumberGroup) -> Row:
        """Write the first number."""
        names = [] if group.note else _drawn(view.declared, group)[:1]
        values = [view.latest(name) for name in names]
        return [(brief(value) + unit_of(group), "") for value in values if math.isfinite(value)]


class Schedules(Counters):
    """The first number by epoch where that is known ahead; others as they are now."""

    def wanted(self, group: NumberGroup, lines: int | None = None) -> int:
        """Have a row more for the sign under the present epoch."""
        return super().wanted(group, lines) + bool(group.ahead)

    def rows(self, view: RunView, group: NumberGroup, cells: int, lines: int) -> list[Row]:
        """Draw what is planned, and what is not known ahead."""
        if not group.ahead or not group.numbers:
            return super().rows(view, group, cells, lines)
        first, *others = group.numbers
        label = label_cells((number.shown for number in group.numbers), self.LABEL, cells)
        name, style = named(first.shown, max(label, self.LABEL + 1))
        label_of_plan = (name[:-1], style)  # an epoch begins with a space
        found = planned_rows(label_of_plan, group.ahead, view.state.epoch, view.facts.epochs, cells)
        if others and view.state.last_step is not None:
            names = [group.dotted(number.name) for number in others]
            found += [value_row(view, name, label, LOOK_BACK, cells) for name in names]
        return found

    def curves(self, declared: Declared, group: NumberGroup) -> tuple[ChartSeries, ...]:
        """Return what is not drawn by epoch."""
        by_epoch = [group.dotted(number.name) for number in group.numbers[:1] if group.ahead]
        return tuple(found for found in super().curves(declared, group) if found.name not in by_epoch)


def planned_rows(label: Run, ahead: Sequence[float], epoch: int, epochs: int | None, cells: int) -> list[Row]:
    """Draw a number by epoch, with a sign under the present one.

    Args:
        label: Its name, as the row begins with it.
        ahead: Its value in each epoch; the last one stays.
        epoch: The present epoch, 0-based.
        epochs: Epochs of the run; None where that is not known.
        cells: Width of a row.
    """
    begin = width([label])
    shown = max(min(epochs or len(ahead) + 1, max((cells - begin) // EPOCH, 1)), 1)
    first = max(0, min(epoch - shown // 2, (epochs or shown) - shown))
    row: Row = [label]
    for number in range(first, first + shown):
        value = ahead[min(number, len(ahead) - 1)]
        row.append((f" {_short(value):>{EPOCH - 1}}", "accent" if number == epoch else "muted"))
    place = min(max(epoch - first, 0), shown - 1)
    under: Row = [(" " * (begin + EPOCH * place), ""), ("  ▲ now", "accent")]
    return [cut(row, cells), cut(under, cells)]


def _short(value: float) -> str:
    text = f"{value:.3f}"
    return f"{value:.0e}" if 0 < abs(value) < 1e-3 or len(text) >= EPOCH else text


def _drawn(declared: Declared, group: NumberGroup) -> list[str]:
    """Return the dotted names of the numbers that have a line."""
    named_by_group = [name for name in group.drawn if name in declared.numbers]
    return named_by_group or [group.dotted(number.name) for number in group.numbers]
