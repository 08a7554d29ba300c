"""Where each panel of a board stands on a screen of a given size.

Three columns from 160x46 on, two from 110x34 on, else one panel with a strip of the evidence below it.
Panels that a board lacks leave no hole: the others take their room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.geometry import Region

from arc_tui.console.panels.board import EVIDENCE, GRIDS, LOG, MACHINE, NORMS, PARTS, PLANS, SIGNED, Board

WIDE = (160, 40)
"""Least width and height of the panels' area for three columns: a screen of 160x46 has it even while a
banner takes its three lines, so that the panels keep their places."""

MEDIUM = (110, 34)
"""The same for two columns, on a screen of 120x40."""

EVIDENCE_WIDTH = 30
PARTS_WIDTH = 42
FOUR_GRIDS_WIDTH = 128
"""Four grids of 30 cells beside each other, and the panel's frame."""

SIDE = (PLANS, MACHINE, LOG)
"""Panels that share what places are left in two columns; their digits switch between them."""

SIDE_HEIGHT = 9
COLUMN_PLACES = 3
"""Panels below each other in one of two columns."""

LEAST_ABOVE = 12
"""Lines that the panel above the others of its column has, where that can be."""

LEAST_FOR_STRIP = 8


@dataclass(frozen=True)
class Places:
    """Panels by digit with where they stand; panels that are left out are not shown.

    Attributes:
        panels: Their regions.
        strip: Where the strip of the evidence stands; None where there is none, or its panel is shown.
    """

    panels: dict[int, Region]
    strip: Region | None = None


def arrange(
    board: Board, width: int, height: int, current: int, side: int = PLANS, *, enlarged: bool = False
) -> Places:
    """Return the places of the panels.

    Args:
        board: The panels that there are.
        width: Columns of the area that the panels share.
        height: Its rows.
        current: The panel that was chosen last; where there is room for one only, it is shown.
        side: Which of `SIDE` is shown where they share a place.
        enlarged: Whether the current panel has the whole area.
    """
    if width <= 0 or height <= 0:
        return Places({})
    if enlarged:
        return Places({current: Region(0, 0, width, height)})
    count = columns(width, height)
    if count == 3:
        return Places(_three_columns(board, width, height))
    if count == 2:
        return Places(_two_columns(board, width, height, side))
    if height < LEAST_FOR_STRIP or current == EVIDENCE or EVIDENCE not in board.digits:
        return Places({current: Region(0, 0, width, height)})
    return Places({current: Region(0, 0, width, height - 1)}, Region(0, height - 1, width, 1))


def columns(width: int, height: int) -> int:
    """Return how many columns of panels such an area has."""
    if width >= WIDE[0] and height >= WIDE[1]:
        return 3
    return 2 if width >= MEDIUM[0] and height >= MEDIUM[1] else 1


def _three_columns(board: Board, width: int, height: int) -> dict[int, Region]:
    """Parts, grids and evidence above; the others below, machine and log in one place where that is full."""
    above = _there(board, (PARTS, _middle(board), EVIDENCE))
    below = [[digit] for digit in _there(board, (SIGNED, PLANS, NORMS)) if digit not in above]
    below += [[MACHINE, LOG]] if len(below) > 2 else [[MACHINE], [LOG]]
    top = height - max(13, height // 3) if above else 0
    found: dict[int, Region] = {}
    left = 0
    for digit, cells in zip(above, _widths_above(above, width), strict=True):
        found[digit] = Region(left, 0, cells, top)
        left += cells
    for place, digits in enumerate(below):
        begin = place * (width // len(below))
        cells = width - begin if place == len(below) - 1 else width // len(below)
        low = height - top
        first = low if len(digits) == 1 else max(5, min(8, low - 7))
        for at, digit in enumerate(digits):
            y = top + (first if at else 0)
            found[digit] = Region(begin, y, cells, low - first if at else first)
    return found


def _widths_above(above: Sequence[int], width: int) -> list[int]:
    """Return the widths of the panels above: the grids grow first, then what adds up."""
    if len(above) < 2:
        return [width] * len(above)
    evidence = [EVIDENCE_WIDTH] * (EVIDENCE in above)
    rest = width - sum(evidence)
    if len(above) - len(evidence) < 2:
        return [rest, *evidence]
    second = rest - PARTS_WIDTH if GRIDS in above else rest // 2
    if GRIDS in above and second > FOUR_GRIDS_WIDTH:
        second = FOUR_GRIDS_WIDTH + (second - FOUR_GRIDS_WIDTH) // 2
    return [rest - second, second, *evidence]


def _two_columns(board: Board, width: int, height: int, side: int) -> dict[int, Region]:
    """Numbers at the left, the others at the right."""
    middle = _middle(board)
    right = _there(board, (middle, EVIDENCE))
    left = [digit for digit in _there(board, (PARTS, SIGNED, NORMS)) if digit not in right]
    if len(left) < COLUMN_PLACES:
        left += _there(board, (PLANS,))
    free = COLUMN_PLACES - len(right)
    sides = [digit for digit in _there(board, SIDE) if digit not in left]
    alone = sides if len(sides) <= free else sides[: free - 1]
    sharing = sides[len(alone) :]
    right += [*alone, *([side] if side in sharing else sharing[:1])]
    half = width // 2 if left else 0
    heights = dict.fromkeys(SIDE, SIDE_HEIGHT) | {EVIDENCE: board.lines.get(EVIDENCE, 0)}
    heights |= _heights(board, height, [digit for digit in (SIGNED, NORMS, PLANS) if digit in left])
    found = _below_each_other(left, heights, Region(0, 0, half, height))
    return found | _below_each_other(right, heights, Region(half, 0, width - half, height))


def _heights(board: Board, height: int, digits: Sequence[int]) -> dict[int, int]:
    """Return the lines that panels have use for, or a share of all, so that enough are left above them."""
    wanted = {digit: min(board.lines[digit], height // 2) for digit in digits}
    if sum(wanted.values()) <= height - LEAST_ABOVE:
        return wanted
    return {digit: min(board.lines[digit], height // 3) for digit in digits}


def _below_each_other(digits: Sequence[int], heights: dict[int, int], area: Region) -> dict[int, Region]:
    """Place panels below each other; the first one without a height of its own takes what is left."""
    last = digits[-1:] if EVIDENCE not in digits else [EVIDENCE]
    grows = [digit for digit in digits if digit not in heights] or last
    found: dict[int, Region] = {}
    y = area.y
    rest = area.height - sum(heights[digit] for digit in digits if digit != grows[0])
    for digit in digits:
        lines = rest if digit == grows[0] else heights[digit]
        found[digit] = Region(area.x, y, area.width, lines)
        y += lines
    return found


def _middle(board: Board) -> int:
    """Return the panel between parts and evidence: the grids, else what would stand below."""
    return GRIDS if GRIDS in board.digits else SIGNED


def _there(board: Board, digits: Sequence[int]) -> list[int]:
    return [digit for digit in digits if digit in board.digits]
