"""Grids as text: coloured cells with their digits where colours are shown, else digits alone."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from arc_tui.drawing.rows import Row
from arc_tui.drawing.rows import beside as rows_beside
from arc_tui.looks.themes import Theme

GAP = 3


def grid_rows(rows: Sequence[str]) -> list[Row]:
    """Return a grid of digits, two columns a cell, the digit in the second."""
    return [[(f" {digit}", f"grid.{digit}") for digit in row] for row in rows]


def beside(blocks: Sequence[tuple[str, Sequence[str]]]) -> list[Row]:
    """Set grids beside each other.

    Args:
        blocks: Each a title and a grid's rows; no rows show as a question mark.
    """
    drawn = [
        ([[(title, "title")], *(grid_rows(rows) or [[(" ?", "muted")]])], _width(title, rows))
        for title, rows in blocks
    ]
    return rows_beside(drawn, GAP)


def _width(title: str, rows: Sequence[str]) -> int:
    return max(len(title), 2 * max(map(len, rows), default=1))


def text_of(row: Row, theme: Theme) -> Text:
    """Return a row as rich prints it, in the colours of a theme."""
    text = Text()
    last = len(row) - 1
    for place, (part, style) in enumerate(row):
        shown = part.rstrip() if place == last and not style else part
        text.append(shown, theme.style(style) if style else None)
    return text
