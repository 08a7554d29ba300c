"""Panel 5: one line for each part that a run's recipe tells of, as for each of the seed's seven fixes."""

from __future__ import annotations

from arc_core.pipeline.declared import FIXES as SEVEN_FIXES
from arc_tui.console.panels.board import EVIDENCE
from arc_tui.console.panels.panel import RowsPanel
from arc_tui.drawing.rows import Row, cut, spread, wrap
from arc_tui.runs.evidence import evidence_of
from arc_tui.runs.fixes import SIGNS, Fix, Work
from arc_tui.runs.view import RunView
from arc_tui.ui.rows_view import RowsView

SHORT_NAMES = ("lm", "reward", "cells", "size", "memory", "prompt", "amp")


class EvidencePanel(RowsPanel):
    """What each part does and the number that shows it; where there is room, each with its reason."""

    DIGIT = EVIDENCE

    def draw(self, view: RunView, cells: int, lines: int) -> tuple[Row, list[Row]]:
        """Draw the evidence."""
        found = evidence_of(view)
        if not found:
            return [], [[("waits for the first evidence", "muted")]]
        return _headline(found), evidence_rows(found, cells, lines)


class EvidenceStrip(RowsView):
    """The evidence in one line, where its panel has no place."""

    DEFAULT_CSS = """
    EvidenceStrip { height: 1; background: $surface-background; color: $surface-text; }
    """

    def __init__(self) -> None:
        super().__init__(id="evidence-strip")

    def show_view(self, view: RunView) -> None:
        """Show the evidence as it is now."""
        seven = view.declared.judge == SEVEN_FIXES
        self.show([strip_row(evidence_of(view), self.size.width, seven=seven)])


def evidence_rows(found: tuple[Fix, ...], cells: int, lines: int) -> list[Row]:
    """Draw a line for each part, and its reason below it where there are lines enough.

    Args:
        found: The parts.
        cells: Width of a line.
        lines: How many lines there are.
    """
    told = [wrap(fix.reason, max(cells - 4, 1), "muted", most=3) if fix.reason else [] for fix in found]
    needed = len(found) + sum(map(len, told))
    gap = needed + len(found) - 1 <= lines
    digits = len(str(len(found)))
    rows: list[Row] = []
    for fix, reason in zip(found, told, strict=True):
        style = f"fix.{fix.work.value}"
        left: Row = [(f"{fix.number:{digits}} ", "key"), (f"{SIGNS[fix.work]} ", style), (fix.name, "")]
        evidence = cut([(f" {fix.evidence}", style)], max(2 * cells // 3, 1))
        rows.append(spread(left, evidence, cells))
        if needed <= lines:
            rows += [[("    ", ""), *row] for row in reason]
            if gap and fix.number < len(found):
                rows.append([])
    return rows


def strip_row(found: tuple[Fix, ...], cells: int, *, seven: bool) -> Row:
    """Draw all parts in one line: number, sign and a word each.

    Args:
        found: The parts.
        cells: Width of the line.
        seven: Whether they are the seed's seven fixes, which have words of their own.
    """
    row: Row = [(" fixes " if seven else " evidence ", "muted")]
    names = SHORT_NAMES if seven else [fix.name.partition(" ")[0] for fix in found]
    for fix, name in zip(found, names, strict=True):
        row += [(f" {fix.number}", "key"), (SIGNS[fix.work], f"fix.{fix.work.value}"), (f"{name} ", "")]
    return cut(row, cells)


def _headline(found: tuple[Fix, ...]) -> Row:
    failing = sum(fix.work is Work.FAILING for fix in found)
    if failing:
        return [(f"{SIGNS[Work.FAILING]} {failing} failing", "fix.failing")]
    working = sum(fix.work is Work.WORKING for fix in found)
    return [(f"{working} working", "fix.working" if working else "fix.idle")]
