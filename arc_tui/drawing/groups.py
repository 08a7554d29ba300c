"""Grids that belong together under a title, such as a task's pairs, laid out for the room there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from arc_tui.drawing.grids import CellSize, GridPicture, Layout, arranged, cell_sizes, draw, in_ascii
from arc_tui.drawing.rows import Row, Run, beside, cut, width

GROUP_GAP = 4
"""Cells between two groups."""


@dataclass(frozen=True)
class Group:
    """Pictures under a title.

    Attributes:
        title: What they are.
        pictures: The grids; none leaves the title alone.
        rank: Groups of one rank have cells of one size; those of a lower rank are never drawn smaller than
            those of a higher one.
    """

    title: tuple[Run, ...]
    pictures: tuple[GridPicture, ...] = ()
    rank: int = 0


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
            Where none fits, the last is scrolled.
        cells: Width.
        lines: Height.
        digits: Whether each cell must show its digit.
        plain: Whether to keep to ASCII and whole cells.

    Returns:
        The rows; more than `lines` where they are to be scrolled.
    """
    sizes = cell_sizes(whole=digits or plain)
    for groups in alternatives:
        for size in sizes:
            placed = _placed(groups, {}, size, cells)
            if _fits(placed, cells, lines):
                return _drawn(_enlarged(groups, size, sizes, cells, lines), digits=digits, plain=plain)
    last = alternatives[-1] if alternatives else ()
    return _drawn(_placed(last, {}, sizes[-1], cells), digits=digits, plain=plain)


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
    placed = _placed(groups, {}, square, cells)
    if any(block.columns > cells for line in placed for block in line):
        placed = _placed(groups, {}, smallest, cells)
    return _drawn(placed, digits=digits, plain=plain)


def _enlarged(
    groups: Sequence[Group], size: CellSize, sizes: Sequence[CellSize], cells: int, lines: int
) -> list[list[_Block]]:
    """Give what room is left to the lower ranks, the lowest first.

    Args:
        groups: They fit.
        size: With all cells of this size.
        sizes: All sizes, the largest first.
        cells: Width.
        lines: Height.
    """
    larger = sizes[: sizes.index(size)]
    found: dict[int, CellSize] = {}
    for rank in sorted({group.rank for group in groups})[:-1]:
        for bigger in larger:
            if _fits(_placed(groups, {**found, rank: bigger}, size, cells), cells, lines):
                found[rank] = bigger
                break
    return _placed(groups, found, size, cells)


def _placed(
    groups: Sequence[Group], by_rank: Mapping[int, CellSize], size: CellSize, cells: int
) -> list[list[_Block]]:
    """Put groups beside each other as far as they fit.

    Args:
        groups: The groups.
        by_rank: Sizes of the cells of some ranks.
        size: Of the others.
        cells: Width.
    """
    lines: list[list[_Block]] = []
    taken = cells
    for group in groups:
        block = _block(group, by_rank.get(group.rank, size), cells)
        if taken + GROUP_GAP + block.columns > cells:
            lines.append([])
            taken = -GROUP_GAP
        taken += GROUP_GAP + block.columns
        lines[-1].append(block)
    return lines


def _block(group: Group, size: CellSize, cells: int) -> _Block:
    """Lay out one group: as many of its pictures beside each other as fit."""
    ways = (arranged(group.pictures, across, size) for across in range(len(group.pictures), 1, -1))
    one = arranged(group.pictures, 1, size)
    layout = next((layout for layout in ways if layout.columns <= cells), one)
    return _Block(group, layout, max(layout.columns, min(width(group.title), cells)))


def _fits(placed: Sequence[Sequence[_Block]], cells: int, lines: int) -> bool:
    rows = sum(max(block.lines for block in line) for line in placed) + max(len(placed) - 1, 0)
    return rows <= lines and all(block.columns <= cells for line in placed for block in line)


def _drawn(placed: Sequence[Sequence[_Block]], *, digits: bool, plain: bool) -> list[Row]:
    rows: list[Row] = []
    for line in placed:
        blocks = [
            ([cut(block.group.title, block.columns), *draw(block.layout, digits=digits)], block.columns)
            for block in line
        ]
        rows += [*([[]] if rows else []), *beside(blocks, GROUP_GAP)]
    return in_ascii(rows) if plain else rows
