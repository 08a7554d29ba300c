"""Panel 5: one line for each of the seven fixes, with what it is doing and the number that shows it."""

from __future__ import annotations

from arc_core.run.evidence import Work
from arc_tui.console.panels.panel import RowsPanel
from arc_tui.drawing.rows import Row, cut, spread, wrap
from arc_tui.runs.fixes import SIGNS, Fix, assess
from arc_tui.runs.view import RunView
from arc_tui.ui.rows_view import RowsView

SHORT_NAMES = ("lm", "reward", "cells", "size", "memory", "prompt", "amp")


class FixesPanel(RowsPanel):
    """The seven fixes; where there is room, each with its reason."""

    DIGIT = 5

    def draw(self, view: RunView, cells: int, lines: int) -> tuple[Row, list[Row]]:
        """Draw the fixes."""
        found = assess(view)
        return _headline(found), fix_rows(found, cells, lines)


class FixesStrip(RowsView):
    """The fixes in one line, where their panel has no place."""

    DEFAULT_CSS = """
    FixesStrip { height: 1; background: $surface-background; color: $surface-text; }
    """

    def __init__(self) -> None:
        super().__init__(id="fixes-strip")

    def show_view(self, view: RunView) -> None:
        """Show the fixes as they are now."""
        self.show([strip_row(assess(view), self.size.width)])


def fix_rows(fixes: tuple[Fix, ...], cells: int, lines: int) -> list[Row]:
    """Draw a line for each fix, and its reason below it where there are lines enough.

    Args:
        fixes: The seven.
        cells: Width of a line.
        lines: How many lines there are.
    """
    told = [wrap(fix.reason, max(cells - 4, 1), "muted", most=3) for fix in fixes]
    needed = len(fixes) + sum(map(len, told))
    gap = needed + len(fixes) - 1 <= lines
    rows: list[Row] = []
    for fix, reason in zip(fixes, told, strict=True):
        style = f"fix.{fix.work.value}"
        left: Row = [(f"{fix.number} ", "key"), (f"{SIGNS[fix.work]} ", style), (fix.name, "")]
        rows.append(spread(left, [(f" {fix.evidence}", style)], cells))
        if needed <= lines:
            rows += [[("    ", ""), *row] for row in reason]
            if gap and fix.number < len(fixes):
                rows.append([])
    return rows


def strip_row(fixes: tuple[Fix, ...], cells: int) -> Row:
    """Draw all fixes in one line: number, sign and a word each."""
    row: Row = [(" fixes ", "muted")]
    for fix, name in zip(fixes, SHORT_NAMES, strict=True):
        row += [(f" {fix.number}", "key"), (SIGNS[fix.work], f"fix.{fix.work.value}"), (f"{name} ", "")]
    return cut(row, cells)


def _headline(fixes: tuple[Fix, ...]) -> Row:
    failing = sum(fix.work is Work.FAILING for fix in fixes)
    if failing:
        return [(f"{SIGNS[Work.FAILING]} {failing} failing", "fix.failing")]
    working = sum(fix.work is Work.WORKING for fix in fixes)
    return [(f"{working} working", "fix.working" if working else "fix.idle")]
