"""Rows of styled text, as every panel is drawn: pure data until a theme gives the styles their colours.

A row is a list of runs, each a text and the name of a style (`arc_tui.looks.themes.Theme.style`); the empty
name is the panel's own text. Widths are terminal cells, not characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size

Run = tuple[str, str]
"""A text and the name of its style."""

Row = list[Run]
"""One line, from left to right."""


def width(row: Sequence[Run]) -> int:
    """Return how many cells a row takes."""
    return sum(cell_len(text) for text, _ in row)


def padded(text: str, cells: int, *, left: bool = True) -> str:
    """Return a text with spaces up to so many cells, behind it or before it; a wider one stays as it is."""
    spaces = " " * (cells - cell_len(text))
    return text + spaces if left else spaces + text


def sized(text: str, cells: int, *, left: bool = True) -> str:
    """Return a text of exactly so many cells, cut at its end or padded with spaces."""
    return padded(set_cell_size(text, min(cell_len(text), cells)), cells, left=left)


def cut(row: Sequence[Run], cells: int) -> Row:
    """Return what of a row fits into so many cells; a text that is cut ends in an ellipsis."""
    if width(row) <= cells:
        return list(row)
    kept: Row = []
    left = cells
    for text, style in row:
        size = cell_len(text)
        if size < left:
            kept.append((text, style))
            left -= size
            continue
        if left > 0:
            kept.append((set_cell_size(text, left - 1) + "…", style))
        break
    return kept


def fill(row: Sequence[Run], cells: int) -> Row:
    """Return a row of exactly so many cells, cut or filled with spaces."""
    short = cut(row, cells)
    missing = cells - width(short)
    return [*short, (" " * missing, "")] if missing > 0 else short


def spread(left: Sequence[Run], right: Sequence[Run], cells: int) -> Row:
    """Put one row at the left edge and one at the right; where both do not fit, the left one is cut."""
    room = cells - width(right)
    if room <= 0:
        return cut(right, cells)
    return [*fill(cut(left, room), room), *right]


def beside(columns: Iterable[tuple[Sequence[Sequence[Run]], int]], gap: int = 2) -> list[Row]:
    """Put blocks of rows beside each other.

    Args:
        columns: Each block with its width in cells.
        gap: Cells between two of them.

    Returns:
        As many rows as the longest block has.
    """
    blocks = list(columns)
    height = max((len(rows) for rows, _ in blocks), default=0)
    result: list[Row] = []
    for index in range(height):
        row: Row = []
        for number, (rows, cells) in enumerate(blocks):
            if number:
                row.append((" " * gap, ""))
            row += fill(rows[index] if index < len(rows) else [], cells)
        result.append(row)
    return result


def wrap(text: str, cells: int, style: str = "", most: int | None = None) -> list[Row]:
    """Break a text into rows at its spaces; a word longer than a row is broken too.

    Args:
        text: The text, already printable.
        cells: Width of a row, at least 1.
        style: Style of all of it.
        most: Most rows; the last one ends in an ellipsis where more would follow. None for any number.
    """
    rows: list[str] = []
    line = ""
    for word in text.split():
        joined = f"{line} {word}" if line else word
        if cell_len(joined) <= cells:
            line = joined
            continue
        if line:
            rows.append(line)
        while cell_len(word) > cells:
            head = set_cell_size(word, cells).rstrip() or word[:1]
            rows.append(head)
            word = word[len(head) :]
        line = word
    rows.append(line)
    if most is not None and len(rows) > most:
        rows = rows[:most]
        rows[-1] = set_cell_size(rows[-1], min(cell_len(rows[-1]), max(cells - 1, 0))) + "…"
    return [[(row, style)] for row in rows]


def plain(row: Sequence[Run]) -> str:
    """Return the text of a row without its styles."""
    return "".join(text for text, _ in row)


def place_at(row: Sequence[Run], x: int) -> int:
    """Return which character of a row's text stands in cell `x`, 0-based; its length beyond the end."""
    text, taken = plain(row), 0
    for place, character in enumerate(text):
        taken += cell_len(character)
        if taken > x:
            return place
    return len(text)


def marked(row: Sequence[Run], first: int, last: int) -> Row:
    """Return a row with some of its characters shown as selected.

    Args:
        row: The row.
        first: The first of them.
        last: The one after the last; below 0 for all that follow.
    """
    found: Row = []
    at = 0
    for text, style in row:
        begin = max(first - at, 0)
        end = len(text) if last < 0 else min(max(last - at, begin), len(text))
        parts = ((text[:begin], style), (text[begin:end], "marked"), (text[max(begin, end) :], style))
        found += [part for part in parts if part[0]]
        at += len(text)
    return found
