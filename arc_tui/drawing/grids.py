"""ARC grids in terminal cells: pure functions from a sample to rows of named styles.

A cell of a grid is drawn as large as there is room for: several terminal cells, one, or half of one.
What is wrong is marked by a sign, never by colour alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from arc_tui.drawing.rows import Row, beside, cut, sized, width
from arc_tui.runs.samples import UNKNOWN, Grid, Sample, cell_accuracy, size_of

GAP = 2
"""Cells between two grids."""

CAPTION_ROWS = 1
LONGEST_NAME = 20
"""Cells of a grid's name, so that it takes no room from the grids."""

LARGEST_SCALE = 4
WRONG = "×"
UPPER_WRONG, LOWER_WRONG = "ˣ", "ₓ"
"""The same in the upper or lower half of a terminal cell."""

MISSING = "·"
"""A cell of the target that the prediction does not reach."""

_PLAIN = str.maketrans({WRONG: "x", MISSING: ".", "✓": "ok", "✗": "x", "≠": "!=", "…": "~"})


@dataclass(frozen=True)
class GridPicture:
    """A grid to draw.

    Attributes:
        name: What it is.
        grid: The grid.
        target: The solution that it is held against; None for a grid that is not judged.
    """

    name: str
    grid: Grid
    target: Grid | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns that are drawn: what the prediction lacks of the target is drawn too."""
        rows, columns = size_of(self.grid)
        wanted = size_of(self.target) if self.target is not None else (0, 0)
        return max(rows, wanted[0]), max(columns, wanted[1])


@dataclass(frozen=True)
class CellSize:
    """How a cell of a grid is drawn.

    Attributes:
        columns: Terminal columns that it takes.
        rows: Terminal rows; 0 for half of one.
    """

    columns: int
    rows: int

    def area(self, picture: GridPicture) -> tuple[int, int]:
        """Return rows and columns that a picture takes with its caption."""
        rows, columns = picture.size
        tall = rows * self.rows if self.rows else -(-rows // 2)
        return tall + CAPTION_ROWS, max(columns * self.columns, width(caption(picture)))


HALF, SINGLE = CellSize(1, 0), CellSize(1, 1)
SCALED = tuple(CellSize(2 * scale, scale) for scale in range(LARGEST_SCALE, 0, -1))
"""Cells that look square, the largest first."""


@dataclass(frozen=True)
class Layout:
    """How several pictures are laid out.

    Attributes:
        cell: How their cells are drawn.
        pictures: Those that are shown.
        across: How many stand beside each other.
        rows: Terminal rows that they take.
        columns: Terminal columns.
    """

    cell: CellSize
    pictures: tuple[GridPicture, ...]
    across: int
    rows: int
    columns: int


def pictures_of(sample: Sample) -> tuple[GridPicture, ...]:
    """Return the grids of a sample in the order of the screen, judged ones with their target."""
    return tuple(
        GridPicture(sized(one.title, LONGEST_NAME).rstrip(), one.grid, sample.target if one.judged else None)
        for one in sample.grids
    )


def lay_out(
    pictures: Sequence[GridPicture], cells: int, lines: int, *, digits: bool, plain: bool = False
) -> Layout:
    """Choose the largest drawing that fits; where none does, one that can be scrolled.

    Args:
        pictures: The grids of a sample, any number.
        cells: Width.
        lines: Height.
        digits: Whether each cell must show its digit.
        plain: Whether half blocks must not be used.
    """
    everything, pair = tuple(pictures), _last_answer(pictures)
    whole = digits or plain
    sizes = cell_sizes(whole=whole)
    # All of them before fewer, and larger cells before more of them in one line.
    for shown in (everything, pair, pair[:1]):
        for size, across in itertools.product(sizes, _ways(len(shown))):
            found = arranged(shown, across, size)
            if found.columns <= cells and found.rows <= lines:
                return found
    shown = everything if whole else pair
    return arranged(shown, max(len(shown), 1), sizes[-1])


def _last_answer(pictures: Sequence[GridPicture]) -> tuple[GridPicture, ...]:
    """Return the last prediction and what it is held against; without one, the last two pictures."""
    answer = next((picture for picture in reversed(pictures) if picture.target is not None), None)
    if answer is None:
        return tuple(pictures[-2:])
    target = next((p for p in reversed(pictures) if p.target is None and p.grid is answer.target), None)
    return (answer,) if target is None else (answer, target)


def _ways(count: int) -> list[int]:
    """Return how many of so many pictures may stand beside each other, lines filled evenly."""
    return list(dict.fromkeys(-(-count // lines) for lines in range(1, count + 1))) or [1]


def cell_sizes(*, whole: bool) -> tuple[CellSize, ...]:
    """Return the ways to draw a cell, the largest first.

    Args:
        whole: Whether half blocks must not be used.
    """
    return (*SCALED, SINGLE if whole else HALF)


def arranged(pictures: Sequence[GridPicture], across: int, cell: CellSize) -> Layout:
    """Lay pictures out, so many beside each other, whether there is room for them or not."""
    areas = [[cell.area(picture) for picture in line] for line in _lines(pictures, across)]
    rows = sum(max(tall for tall, _ in line) for line in areas) + max(len(areas) - 1, 0)
    columns = max((sum(wide for _, wide in line) + GAP * (len(line) - 1) for line in areas), default=0)
    return Layout(cell, tuple(pictures), across, rows, columns)


def draw(layout: Layout, *, digits: bool, plain: bool = False) -> list[Row]:
    """Draw pictures as they were laid out.

    Args:
        layout: What `lay_out` has chosen.
        digits: Whether each cell shows its digit, where there is room for it.
        plain: Whether to keep to ASCII.
    """
    rows: list[Row] = []
    for line in _lines(layout.pictures, layout.across):
        blocks = [
            (picture_rows(picture, layout.cell, digits=digits), layout.cell.area(picture)[1])
            for picture in line
        ]
        rows += [*([[]] if rows else []), *beside(blocks, GAP)]
    return in_ascii(rows) if plain else rows


def in_ascii(rows: Sequence[Row]) -> list[Row]:
    """Return rows with letters in place of the signs that grids and their titles have."""
    return [[(text.translate(_PLAIN), style) for text, style in row] for row in rows]


def picture_rows(picture: GridPicture, cell: CellSize, *, digits: bool) -> list[Row]:
    """Draw one grid with its caption above it."""
    head = cut(caption(picture), cell.area(picture)[1])
    if cell.rows:
        return [head, *_large_rows(picture, cell, digits=digits)]
    return [head, *_half_rows(picture)]


def caption(picture: GridPicture) -> Row:
    """Write a grid's name and size, and how much of it is right."""
    rows, columns = size_of(picture.grid)
    row: Row = [(picture.name, "title"), (f" {rows}x{columns}", "muted")]
    if picture.target is None:
        return row
    share = cell_accuracy(picture.grid, picture.target)
    # Only what is right in every cell is told as 100%.
    found, style = (" 100% ✓", "good") if share == 1 else (f" {math.floor(100 * share)}%", "")
    if size_of(picture.grid) != size_of(picture.target):
        row.append((" ≠ size", "warning"))
    return [*row, (found, style)]


def _lines(pictures: Sequence[GridPicture], across: int) -> Iterator[Sequence[GridPicture]]:
    return (pictures[at : at + across] for at in range(0, len(pictures), across))


def _large_rows(picture: GridPicture, cell: CellSize, *, digits: bool) -> list[Row]:
    rows, columns = picture.size
    middle = (cell.rows - 1) // 2
    found: list[Row] = []
    for y in range(rows):
        values = [_value(picture, y, x) for x in range(columns)]
        wrong = [is_wrong(picture, y, x) for x in range(columns)]
        for line in range(cell.rows):
            marked = line == middle
            runs = (
                (_text(value, cell.columns, bad and marked, digits and marked), _style(value))
                for value, bad in zip(values, wrong, strict=True)
            )
            found.append(_merged(runs))
    return found


def _text(value: str | None, columns: int, wrong: bool, digits: bool) -> str:
    """Return what stands in a cell: its digit, and the sign that it is wrong behind it."""
    if value is None:
        return " " * columns
    if value == MISSING:
        return (MISSING * min(columns, 2)).center(columns)
    digit = value if digits or value == UNKNOWN else ""
    sign = WRONG if wrong else ""
    if columns == 1:
        return sign or digit or " "
    return (digit.rjust(1) + sign.rjust(1)).center(columns) if digit or sign else " " * columns


def _style(value: str | None) -> str:
    if value is None:
        return ""
    return f"grid.{value}" if value.isdecimal() else "grid.outside"


def _half_rows(picture: GridPicture) -> list[Row]:
    rows, columns = picture.size
    return [_merged(_half(picture, y, x) for x in range(columns)) for y in range(0, rows, 2)]


def _half(picture: GridPicture, y: int, x: int) -> tuple[str, str]:
    """Draw a cell and the one below it in one terminal cell.

    One that is wrong shows the sign on its own colour, and so hides the colour of the other.
    """
    upper, lower = _value(picture, y, x), _value(picture, y + 1, x)
    upper_wrong, lower_wrong = is_wrong(picture, y, x), is_wrong(picture, y + 1, x)
    if upper_wrong or lower_wrong:
        sign = WRONG if upper_wrong and lower_wrong else UPPER_WRONG if upper_wrong else LOWER_WRONG
        return sign, _style(upper if upper_wrong else lower)
    if _is_digit(upper) and _is_digit(lower):
        return "▀", f"pair.{upper}.{lower}"
    if _is_digit(upper):
        return "▀", f"half.{upper}"
    if _is_digit(lower):
        return "▄", f"half.{lower}"
    return (" ", "") if upper is None and lower is None else (MISSING, "grid.outside")


def _is_digit(value: str | None) -> bool:
    return value is not None and value.isdecimal()


def _value(picture: GridPicture, y: int, x: int) -> str | None:
    """Return a cell's digit, `MISSING` where only the target reaches, None where neither does."""
    if y < len(picture.grid) and x < len(picture.grid[y]):
        return picture.grid[y][x]
    target = picture.target or ()
    return MISSING if y < len(target) and x < len(target[y]) else None


def is_wrong(picture: GridPicture, y: int, x: int) -> bool:
    """Whether the prediction has a cell that the target has otherwise, or not at all."""
    value, target = _value(picture, y, x), picture.target
    if target is None or value is None or value == MISSING:
        return False
    wanted = target[y][x] if y < len(target) and x < len(target[y]) else None
    return value != wanted


def _merged(runs: Iterator[tuple[str, str]]) -> Row:
    """Put neighbours of one style together."""
    return [
        ("".join(text for text, _ in group), style)
        for style, group in itertools.groupby(runs, lambda run: run[1])
    ]
