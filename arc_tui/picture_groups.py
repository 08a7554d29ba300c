"""Grids that belong together under a title, such as a task's pairs, laid out for the room there is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from arc_tui.grids_view import GAP, CellSize, Layout, Picture, arranged, cell_sizes, draw
from arc_tui.rows import Row, Run, beside, cut, width

GROUP_GAP = 4
"""Cells between two groups."""


@dataclass(frozen=True)
class Group:
    """Pictures under a title.

    Attributes:
        title: What they are.
        pictures: The grids; none leaves the title alone.
    """

    title: tuple[Run, ...]
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class _Block:
    group: Group
    layout: Layout
    columns: int

    @property
    def lines(self) -> int:
        return 1 + self.layout.rows


def group_rows(
    alternatives: Sequence[Sequence[Group]],
    cells: int,
    lines: int,
    *,
    digits: bool = False,
    plain: bool = False,
) -> list[Row]:
    """Draw groups as large as there is room for.

    Args:
        alternatives: What may be shown, what is wanted most first; the first that fits at any size is taken.
        cells: Width.
        lines: Height.
        digits: Whether each cell must show its digit.
        plain: Whether to keep to ASCII and whole cells.

    Returns:
        The rows. Where no alternative fits, those of the first one, which are to be scrolled, with the largest
        cells that show its first group whole.
    """
    sizes = cell_sizes(whole=digits or plain)
    for groups in alternatives:
        for size in sizes:
            placed = list(_lines(groups, size, cells))
            if _fits(placed, cells, lines):
                return _drawn(placed, digits=digits, plain=plain)
    first = alternatives[0] if alternatives else ()
    begins = (size for size in sizes if _fits(list(_lines(first[:1], size, cells)), cells, lines))
    return _drawn(list(_lines(first, next(begins, sizes[-1]), cells)), digits=digits, plain=plain)


def scrolled_rows(
    groups: Sequence[Group], cells: int, *, digits: bool = False, plain: bool = False
) -> list[Row]:
    """Draw groups for a place of any height, with square cells where these are not too wide.

    Args:
        groups: What is shown.
        cells: Width.
        digits: Whether each cell must show its digit.
        plain: Whether to keep to ASCII and whole cells.
    """
    square, smallest = cell_sizes(whole=digits or plain)[-2:]
    placed = list(_lines(groups, square, cells))
    if any(block.columns > cells for line in placed for block in line):
        placed = list(_lines(groups, smallest, cells))
    return _drawn(placed, digits=digits, plain=plain)


def _lines(groups: Sequence[Group], size: CellSize, cells: int) -> Iterator[list[_Block]]:
    """Put groups beside each other as far as they fit."""
    line: list[_Block] = []
    taken = 0
    for group in groups:
        block = _block(group, size, cells)
        if line and taken + GROUP_GAP + block.columns > cells:
            yield line
            line, taken = [], 0
        taken += block.columns + (GROUP_GAP if line else 0)
        line.append(block)
    if line:
        yield line


def _block(group: Group, size: CellSize, cells: int) -> _Block:
    """Lay out one group: as many of its pictures beside each other as fit."""
    across, taken = 0, 0
    for picture in group.pictures:
        taken += size.area(picture)[1] + (GAP if across else 0)
        if across and taken > cells:
            break
        across += 1
    layout = arranged(group.pictures, max(across, 1), size)
    return _Block(group, layout, max(layout.columns, min(width(group.title), cells)))


def _fits(placed: Sequence[Sequence[_Block]], cells: int, lines: int) -> bool:
    rows = sum(max(block.lines for block in line) for line in placed) + max(len(placed) - 1, 0)
    return rows <= lines and all(block.columns <= cells for line in placed for block in line)


def _drawn(placed: Sequence[Sequence[_Block]], *, digits: bool, plain: bool) -> list[Row]:
    rows: list[Row] = []
    for line in placed:
        blocks = [
            (
                [cut(block.group.title, block.columns), *draw(block.layout, digits=digits, plain=plain)],
                block.columns,
            )
            for block in line
        ]
        rows += [*([[]] if rows else []), *beside(blocks, GROUP_GAP)]
    return rows
