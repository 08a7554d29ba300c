"""Grids of colours: what a valid one is, and the maps that turn one into another. NumPy only.

A grid is an int8 array [H, W] with sides 1..30 and colours 0..9; row 0 is the top row.
"""

import reprlib
from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from arc_core.base.errors import DataError, GridSizeError

MAX_SIDE = 30
NUM_COLORS = 10
_COLORS = bytes(range(NUM_COLORS))

Grid = npt.NDArray[np.int8]
"""Colours 0..9 as int8 [H, W]."""

DIHEDRAL_NAMES = (
    "identity",
    "rotate a quarter turn left",
    "rotate a half turn",
    "rotate a quarter turn right",
    "mirror left-right",
    "transpose",
    "mirror top-bottom",
    "transpose along the other diagonal",
)
"""What `dihedral(grid, k)` does, by k."""


def printable(text: str) -> str:
    """`text` as it is, or escaped where it would break a one-line message (file names, task names)."""
    return text if text.isprintable() else ascii(text)


def parse_grid(rows: object, where: str) -> Grid:
    """Check one grid as JSON gives it and pack it.

    Args:
        rows: A list of H lists of W whole numbers 0..9.
        where: What the grid is, for the message: file, task, pair and side.

    Returns:
        The grid, int8 [H, W], read-only: tasks are shared by all examples made from them.

    Raises:
        GridSizeError: If a side is outside 1..30.
        DataError: If `rows` is no list of lists, is ragged, or holds anything but whole numbers 0..9.
            The sentence names the first such cell by zero-based row and column.
    """
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise DataError(f"{where} is not a grid: it must be a list of rows, each a list of colours 0 to 9.")
    height, width = len(rows), len(rows[0]) if rows else 0
    for number, row in enumerate(rows):
        if len(row) != width:
            raise DataError(
                f"{where} is ragged: row {number} (zero-based) has {len(row)} cells where row 0 has {width}."
            )
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise GridSizeError(
            f"{where} is {height}x{width} (rows x columns), but both sides must be 1 to {MAX_SIDE}."
        )
    try:
        # bool is an int to Python, so compare exact types
        packed = b"".join(map(bytes, rows)) if set(map(type, chain.from_iterable(rows))) == {int} else None
    except ValueError:  # a number outside 0..255
        packed = None
    if packed is None or packed.translate(None, _COLORS):
        raise DataError(_bad_cell(rows, where))
    return np.frombuffer(packed, dtype=np.int8).reshape(height, width)  # over bytes: read-only


def _bad_cell(rows: list[list[object]], where: str) -> str:
    """The sentence about the first cell that is no colour."""
    row, column, value = next(
        (r, c, value)
        for r, cells in enumerate(rows)
        for c, value in enumerate(cells)
        if type(value) is not int or not 0 <= value < NUM_COLORS
    )
    return (
        f"{where} holds {_json_like(value)} in row {row}, column {column} (zero-based), "
        f"but a cell must be a whole number 0 to {NUM_COLORS - 1}."
    )


def _json_like(value: object) -> str:
    """`value` as the user wrote it in the JSON file, shortened."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return ascii(value) if isinstance(value, float) else reprlib.repr(value)


def freeze(grid: Grid) -> Grid:
    """Mark `grid` read-only and return it."""
    grid.flags.writeable = False
    return grid


_SYMMETRIES: tuple[Callable[[Grid], Grid], ...] = (
    lambda grid: grid,
    lambda grid: grid.T[::-1],
    lambda grid: grid[::-1, ::-1],
    lambda grid: grid[::-1].T,
    lambda grid: grid[:, ::-1],
    lambda grid: grid.T,
    lambda grid: grid[::-1],
    lambda grid: grid[::-1, ::-1].T,
)


def dihedral_view(grid: Grid, k: int) -> Grid:
    """`dihedral` without the copy: a view, its memory not in row order. For comparing, not for keeping.

    Args:
        grid: [H, W].
        k: 0..7, see `DIHEDRAL_NAMES`.

    Returns:
        A view, [H, W] for even k, [W, H] for odd k.

    Raises:
        ValueError: If k is outside 0..7.
    """
    if not 0 <= k < 8:
        raise ValueError(f"dihedral map {k} is outside 0..7")
    return _SYMMETRIES[k](grid)


def dihedral(grid: Grid, k: int) -> Grid:
    """One of the eight symmetries of the square.

    0 to 3 are k quarter turns counter-clockwise; 4 to 7 are the same turns after a left-right mirror.

    Args:
        grid: [H, W].
        k: 0..7, see `DIHEDRAL_NAMES`.

    Returns:
        A new array in row order, [H, W] for even k, [W, H] for odd k.

    Raises:
        ValueError: If k is outside 0..7.
    """
    return np.array(dihedral_view(grid, k), order="C")


def inverse_dihedral(grid: Grid, k: int) -> Grid:
    """Undo `dihedral(_, k)`: `inverse_dihedral(dihedral(grid, k), k)` equals `grid`.

    Args:
        grid: [H, W], a grid that map k has been applied to.
        k: 0..7.

    Returns:
        A new array, [H, W] for even k, [W, H] for odd k.

    Raises:
        ValueError: If k is outside 0..7.
    """
    # a reflection undoes itself; turns are undone by the turns that are left of four
    return dihedral(grid, -k % 4 if 0 <= k < 4 else k)


def permute_colors(grid: Grid, permutation: Sequence[int] | npt.NDArray[np.integer]) -> Grid:
    """Rename the colours.

    Args:
        grid: [H, W].
        permutation: [10], the new colour of each old one.

    Returns:
        A new array [H, W].

    Raises:
        ValueError: If `permutation` is no permutation of 0..9.
    """
    table = np.asarray(permutation, dtype=np.int8)
    if sorted(table.tolist()) != list(range(NUM_COLORS)):
        raise ValueError(f"not a permutation of the colours 0..9: {table.tolist()}")
    return table[grid]


def to_rows(grid: Grid) -> list[str]:
    """The grid as one string of digits a row, the form that events carry."""
    return ["".join(map(str, row)) for row in grid.tolist()]


def rows_of(grid: object, where: str) -> list[str]:
    """Check an array, a tensor or a list of rows, and write it as `to_rows` does.

    Raises:
        DataError: If it is no grid of colours 0 to 9 with sides from 1 to 30; names it and the cell.
    """
    if hasattr(grid, "detach"):  # a tensor, which this module does not know
        grid = grid.detach().cpu()  # pyright: ignore[reportAttributeAccessIssue,reportUnknownMemberType]
    if hasattr(grid, "tolist"):
        grid = grid.tolist()  # pyright: ignore[reportAttributeAccessIssue,reportUnknownMemberType]
    return to_rows(parse_grid(grid, where))


def from_rows(rows: Sequence[str], where: str = "the grid") -> Grid:
    """Read a grid back from `to_rows`.

    Args:
        rows: H strings of W digits.
        where: What the grid is, for the message.

    Returns:
        The grid, int8 [H, W], read-only.

    Raises:
        GridSizeError: If a side is outside 1..30.
        DataError: If the rows are ragged or hold anything but the digits 0 to 9.
    """
    # other scripts have digits of their own that int() reads, so ask for ASCII
    return parse_grid(
        [[int(cell) if cell.isascii() and cell.isdigit() else cell for cell in row] for row in rows], where
    )
