"""The grids of a sample as drawings: input, prediction before and after refinement, target."""

from __future__ import annotations

from collections.abc import Sequence

from arc_tui.drawing.grids import GridPicture, is_wrong
from arc_tui.report.svg import Markup, element, label, text_of
from arc_tui.runs.samples import UNKNOWN, cell_accuracy, size_of

CELL = 14.0
"""Side of a cell where there is room."""

_GAP, _TOP = 26.0, 24.0
_FOOT = 8.0
_LEAST_WIDTH = 118.0
"""Of a grid with its caption above it."""


def draw(grids: Sequence[GridPicture], width: float, *, digits: bool = False) -> tuple[Markup, float]:
    """Draw grids beside each other, with crosses on the cells that differ from what they are held against.

    Those that the width has no place for follow below.

    Args:
        grids: What to draw, from left to right.
        width: Width that they share; cells are made smaller where they would not fit.
        digits: Whether each cell shows its digit.

    Returns:
        The drawing, and its height.
    """
    most = int((width + _GAP) // (_LEAST_WIDTH + _GAP))
    if len(grids) > most:
        above, top = draw(grids[:most], width, digits=digits)
        below, rest = draw(grids[most:], width, digits=digits)
        return above + element("g", below, transform=f"translate(0 {top:.2f})"), top + rest
    sides = [size_of(one.grid)[1] for one in grids]
    cell = CELL
    while (
        cell > 2 and sum(max(_LEAST_WIDTH, side * cell) for side in sides) + _GAP * (len(sides) - 1) > width
    ):
        cell -= 1
    x, parts, tallest = 0.0, [], 0.0
    for one, side in zip(grids, sides, strict=True):
        parts.append(label(x, 14, _caption(one), class_="tick"))
        parts.append(element("g", _cells(one, cell, digits=digits), transform=f"translate({x:.2f} {_TOP})"))
        x += max(_LEAST_WIDTH, side * cell) + _GAP
        tallest = max(tallest, len(one.grid) * cell)
    return "".join(parts), _TOP + tallest + _FOOT


def _caption(one: GridPicture) -> str:
    rows, columns = size_of(one.grid)
    share = "" if one.target is None else f", {cell_accuracy(one.grid, one.target):.0%}"
    return f"{one.name} {rows}x{columns}{share}"


def _cells(one: GridPicture, cell: float, *, digits: bool) -> Markup:
    parts: list[Markup] = []
    crosses: list[str] = []
    for y, row in enumerate(one.grid):
        for x, digit in enumerate(row):
            known = "-unknown" if digit == UNKNOWN else digit
            parts.append(
                element("rect", class_=f"g{known} cells", x=x * cell, y=y * cell, width=cell, height=cell)
            )
            if digits and cell >= 8:
                middle = {"text_anchor": "middle", "style": f"font-size:{cell * 0.65:.1f}px"}
                at = (x * cell + cell / 2, y * cell + cell * 0.73)
                parts.append(label(*at, digit, class_=f"d{known}", **middle))
            if is_wrong(one, y, x):
                left, top, size = x * cell + cell * 0.28, y * cell + cell * 0.28, cell * 0.44
                crosses.append(
                    f"M{left:.1f} {top:.1f}l{size:.1f} {size:.1f}m0 -{size:.1f}l-{size:.1f} {size:.1f}"
                )
    if crosses:
        d = "".join(crosses)
        parts.append(element("path", class_="wrong-under", fill="none", d=d))
        parts.append(
            element("path", element("title", text_of("wrong cells")), class_="wrong", fill="none", d=d)
        )
    return "".join(parts)
