"""Grids as text: coloured cells with their digits where colours are shown, else digits alone."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style
from rich.text import Text

from arc_tui.themes import Theme

GAP = 3
_DARK_TEXT, _LIGHT_TEXT = "#000000", "#ffffff"


def cell_style(theme: Theme, colour: int) -> Style:
    """Return a cell's colours: the theme's behind, and what is best read on it in front."""
    behind = theme.grid[colour]
    red, green, blue = (int(behind[at : at + 2], 16) for at in (1, 3, 5))
    dark = 0.299 * red + 0.587 * green + 0.114 * blue > 140
    return Style(color=_DARK_TEXT if dark else _LIGHT_TEXT, bgcolor=behind)


def grid_lines(rows: Sequence[str], theme: Theme) -> list[Text]:
    """Return a grid of digits as lines, two columns a cell, the digit in the second."""
    lines: list[Text] = []
    for row in rows:
        line = Text()
        for digit in row:
            line.append(f" {digit}", cell_style(theme, int(digit)))
        lines.append(line)
    return lines


def beside(blocks: Sequence[tuple[str, Sequence[str]]], theme: Theme) -> list[Text]:
    """Set grids beside each other.

    Args:
        blocks: Each a title and a grid's rows; no rows show as a question mark.
        theme: Of the cells' colours.

    Returns:
        Lines; the first has the titles.
    """
    drawn = [(title, grid_lines(rows, theme) or [Text(" ?")]) for title, rows in blocks]
    height = max(len(lines) for _, lines in drawn)
    widths = [max(len(title), *(line.cell_len for line in lines)) for title, lines in drawn]
    result: list[Text] = [
        Text((" " * GAP).join(title.ljust(width) for (title, _), width in zip(drawn, widths, strict=True)))
    ]
    for number in range(height):
        line = Text()
        for (_, lines), width in zip(drawn, widths, strict=True):
            cell = lines[number] if number < len(lines) else Text()
            line.append_text(cell)
            line.append(" " * (width - cell.cell_len + GAP))
        line.rstrip()
        result.append(line)
    return result
