"""ARC grids as coloured text: each cell its digit on its colour, so that nothing is told by colour alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from rich.style import Style
from rich.text import Text

from arc_core.grids import Grid

GAP = "  "
CELL_WIDTH = 2


@dataclass(frozen=True, eq=False)
class Picture:
    """A grid with a caption."""

    caption: str
    grid: Grid
    target: Grid | None = None
    """What it should be; cells that differ are marked by a cross. None marks nothing."""

    @property
    def width(self) -> int:
        """Columns of text that it takes."""
        return max(CELL_WIDTH * self.grid.shape[1], len(self.caption))


def picture_lines(picture: Picture, colours: Sequence[str]) -> list[Text]:
    """The caption and a line for each row, all of the picture's width.

    Args:
        picture: What to draw.
        colours: Of the cells 0 to 9, each `#rrggbb`.
    """
    lines = [Text(picture.caption.ljust(picture.width))]
    for row, cells in enumerate(cast("list[list[int]]", picture.grid.tolist())):
        line = Text()
        for column, cell in enumerate(cells):
            mark = "×" if _differs(picture, row, column) else " "
            line.append(f"{mark}{cell}", Style(color=_contrasting(colours[cell]), bgcolor=colours[cell]))
        line.append(" " * (picture.width - CELL_WIDTH * len(cells)))
        lines.append(line)
    return lines


def rows_of_pictures(pictures: Sequence[Picture], colours: Sequence[str], width: int) -> list[Text]:
    """Pictures beside each other, as many in a row as fit into `width` columns; a blank line between rows."""
    lines: list[Text] = []
    waiting: list[Picture] = []
    taken = 0
    for picture in pictures:
        if waiting and taken + len(GAP) + picture.width > width:
            lines += [*_beside(waiting, colours), Text()]
            waiting, taken = [], 0
        taken += picture.width + (len(GAP) if waiting else 0)
        waiting.append(picture)
    return lines + (_beside(waiting, colours) if waiting else [])


def _beside(pictures: Sequence[Picture], colours: Sequence[str]) -> list[Text]:
    blocks = [picture_lines(picture, colours) for picture in pictures]
    lines = []
    for number in range(max(map(len, blocks))):
        line = Text(no_wrap=True)
        for place, (block, picture) in enumerate(zip(blocks, pictures, strict=True)):
            line.append(GAP if place else "")
            line.append_text(block[number] if number < len(block) else Text(" " * picture.width))
        lines.append(line)
    return lines


def _differs(picture: Picture, row: int, column: int) -> bool:
    target = picture.target
    if target is None:
        return False
    inside = row < target.shape[0] and column < target.shape[1]
    return not inside or target[row, column] != picture.grid[row, column]


def _contrasting(colour: str) -> str:
    """Black or white, whichever is read more easily on a colour."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else "#ffffff"
