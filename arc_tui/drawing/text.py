"""Texts that every view writes alike: columns, a time of day, grids as coloured digits, and rows for rich."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from arc_tui.drawing.rows import Row, beside, padded
from arc_tui.drawing.signs import shown
from arc_tui.looks.themes import Theme

GAP = 3
"""Cells between two grids."""


def aligned(rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)) -> list[str]:
    """Write rows as columns.

    Args:
        rows: Texts, as many in each row.
        left: Columns that are set to the left; the others hold numbers and are set to the right.
    """
    if not rows:
        return []
    texts = [tuple(map(shown, row)) for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*texts, strict=True)]
    return [
        "  ".join(
            padded(cell, width, left=number in left)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in texts
    ]


def when(seconds: float) -> str:
    """Write a time of day as this machine's clock has it."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "at an impossible time"


def grids_beside(blocks: Sequence[tuple[str, Sequence[str]]]) -> list[Row]:
    """Set grids of digits beside each other, two columns a cell, the digit in the second.

    Args:
        blocks: Each a title and a grid's rows; no rows show as a question mark.
    """
    drawn: list[tuple[list[Row], int]] = []
    for title, rows in blocks:
        cells: list[Row] = [[(f" {digit}", f"grid.{digit}") for digit in row] for row in rows]
        wide = max(len(title), 2 * max(map(len, rows), default=1))
        drawn.append(([[(title, "title")], *(cells or [[(" ?", "muted")]])], wide))
    return beside(drawn, GAP)


def text_of(row: Row, theme: Theme) -> Text:
    """Return a row as rich prints it, in the colours of a theme."""
    text = Text()
    last = len(row) - 1
    for place, (part, style) in enumerate(row):
        shown = part.rstrip() if place == last and not style else part
        text.append(shown, theme.style(style) if style else None)
    return text
