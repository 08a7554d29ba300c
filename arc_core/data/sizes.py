"""Works out the size of an output from the demonstrations and the query input. NumPy only.

A rule is a way to compute the output's size from the input. It counts only where it gives the right size
for every demonstration; those that do answer for the query, in a fixed order. No function here is given
the query's output.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from arc_core.data.grids import MAX_SIDE, NUM_COLORS, Grid
from arc_core.data.tasks import Pair

Size = tuple[int, int]
"""Rows and columns, each 1..30."""

RULES = ("same", "ratio", "constant", "box", "affine")
"""The families of rules in the order in which they answer."""

NO_RULE = "none"
"""Stands for a family where no rule fits the demonstrations."""


Corner = tuple[int, int]
"""First row and column of a rectangle of a grid."""


@dataclass(frozen=True)
class Placement:
    """Where a rule puts an output."""

    size: Size
    """Of the output; may be outside the limits of a grid."""
    corner: Corner = (0, 0)
    """The input's cell that the output's first cell stands for; may lie outside the input."""

    def under(self, symmetry: int, input_size: Size) -> "Placement":
        """The same place after a symmetry of the square, see `arc_core.data.grids.dihedral`.

        Args:
            symmetry: 0..7.
            input_size: Rows and columns of the input before it.
        """
        (top, left), (height, width) = self.corner, self.size
        rows, columns = input_size
        if symmetry in (2, 3, 6, 7):
            top = rows - top - height
        if symmetry in (1, 2, 4, 7):
            left = columns - left - width
        if symmetry % 2:
            return Placement((width, height), (left, top))
        return Placement((height, width), (top, left))


@dataclass(frozen=True)
class SizeRule:
    """A rule that gives the right size for every demonstration."""

    family: str
    """One of `RULES`."""
    place: Callable[[Grid], Placement | None]
    """From an input to its output's placement; None where the rule says nothing."""


@dataclass(frozen=True)
class SizeGuess:
    """What a rule says."""

    rule: str
    """The family, one of `RULES`."""
    size: Size
    """Of the query's output, each side 1..30."""
    by: SizeRule
    """The rule itself, to place the demonstrations' outputs as it places the query's."""


def fitting_rules(demonstrations: Sequence[Pair]) -> list[SizeRule]:
    """The rules that give the right size for every demonstration, the most trusted first.

    Args:
        demonstrations: May be empty: no rule is said to fit then.

    Raises:
        ValueError: If a demonstration has no output.
    """
    shown: list[tuple[Grid, Size]] = []
    for pair in demonstrations:
        if pair.output is None:
            raise ValueError("a demonstration has no output")
        shown.append((pair.input, _size(pair.output)))
    if not shown:
        return []

    def fits(rule: SizeRule) -> bool:
        placements = ((rule.place(grid), size) for grid, size in shown)
        return all(placed is not None and placed.size == size for placed, size in placements)

    return [rule for rule in _rules(shown) if fits(rule)]


def size_guesses(demonstrations: Sequence[Pair], query: Grid) -> list[SizeGuess]:
    """Every size that a rule gives for a query, the most trusted first.

    Args:
        demonstrations: May be empty.
        query: The input to be answered, [H, W].

    Returns:
        Different sizes, each with the first rule that gives it; empty where no rule fits.

    Raises:
        ValueError: If a demonstration has no output.
    """
    found: dict[Size, SizeRule] = {}
    for rule in fitting_rules(demonstrations):
        placed = rule.place(query)
        if placed is not None and all(1 <= side <= MAX_SIDE for side in placed.size):
            found.setdefault(placed.size, rule)
    return [SizeGuess(rule.family, size, rule) for size, rule in found.items()]


_Shown = Sequence[tuple[Grid, Size]]


def _rules(shown: _Shown) -> Iterator[SizeRule]:
    """Rules that may fit, those with numbers of their own made from the demonstrations."""
    first, size = shown[0]
    yield SizeRule("same", lambda grid: Placement(_size(grid)))
    yield SizeRule("ratio", partial(_scaled, before=_size(first), after=size))
    yield SizeRule("constant", lambda grid: Placement(size))
    for choose in (*_BOXES, *(partial(_color_box, color=color) for color in range(1, NUM_COLORS))):
        for margin in (0, 1):
            yield SizeRule("box", partial(_boxed, choose=choose, margin=margin))
    for turned in (False, True):
        lines = [_line(shown, axis, axis ^ turned) for axis in (0, 1)]
        if None not in lines:
            yield SizeRule("affine", partial(_on_lines, lines=[x for x in lines if x], turned=turned))


def _size(grid: Grid) -> Size:
    return grid.shape[0], grid.shape[1]


def _scaled(grid: Grid, before: Size, after: Size) -> Placement | None:
    """Each side times, or divided by, the whole number that it is in the first demonstration."""
    sides = []
    for side, old, new in zip(grid.shape, before, after, strict=True):
        if new % old == 0:
            sides.append(side * (new // old))
        elif old % new == 0 and side % (old // new) == 0:
            sides.append(side // (old // new))
        else:
            return None
    return Placement((sides[0], sides[1]))


_Line = tuple[int, int, int]
"""The numbers a, b and c of: side = (a * input side + b) / c."""


def _line(shown: _Shown, axis: int, of: int) -> _Line | None:
    """The line through the (input side, output side) of all demonstrations, or None.

    Args:
        shown: Demonstrations.
        axis: Of the output.
        of: Axis of the input.
    """
    points = sorted({(grid.shape[of], size[axis]) for grid, size in shown})
    (x, y), (last_x, last_y) = points[0], points[-1]
    if x == last_x:
        return (0, y, 1) if len(points) == 1 else None
    rise, run = last_y - y, last_x - x
    return rise, y * run - rise * x, run


def _on_lines(grid: Grid, lines: Sequence[_Line], turned: bool) -> Placement | None:
    sides = []
    for axis, (a, b, c) in enumerate(lines):
        side, rest = divmod(a * grid.shape[axis ^ turned] + b, c)
        if rest:
            return None
        sides.append(side)
    return Placement((sides[0], sides[1]))


_Box = tuple[int, int, int, int]
"""First row and column, rows and columns of a rectangle of a grid."""


def _boxed(grid: Grid, choose: Callable[[Grid], _Box | None], margin: int) -> Placement | None:
    """A box of the input, or what a frame of so many cells leaves of it."""
    box = choose(grid)
    if box is None:
        return None
    row, column, rows, columns = box
    return Placement((rows - 2 * margin, columns - 2 * margin), (row + margin, column + margin))


def _extent(mask: np.ndarray) -> _Box | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def _color_box(grid: Grid, color: int) -> _Box | None:
    return _extent(grid == color)


def _not_black(grid: Grid) -> _Box | None:
    return _extent(grid != 0)


def _not_commonest(grid: Grid) -> _Box | None:
    return _extent(grid != np.bincount(grid.ravel()).argmax())


def _rarest_color(grid: Grid) -> _Box | None:
    counts = np.bincount(grid.ravel(), minlength=NUM_COLORS)
    counts[0] = 0
    here = np.flatnonzero(counts)
    return _extent(grid == here[counts[here].argmin()]) if len(here) else None


def _commonest_color(grid: Grid) -> _Box | None:
    counts = np.bincount(grid.ravel(), minlength=NUM_COLORS)
    counts[0] = 0
    return _extent(grid == counts.argmax()) if counts.any() else None


def objects(grid: Grid) -> list[np.ndarray]:
    """Connected parts of the cells that are not black, corners touching, of any colours.

    Args:
        grid: [H, W].

    Returns:
        A bool mask [H, W] for each, in the order of their first cell.
    """
    left = {(int(row), int(column)) for row, column in np.argwhere(grid != 0)}
    found = []
    while left:
        waiting = [min(left)]
        left.discard(waiting[0])
        mask = np.zeros(grid.shape, dtype=bool)
        while waiting:
            row, column = waiting.pop()
            mask[row, column] = True
            for near in [(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)]:
                if near in left:
                    left.discard(near)
                    waiting.append(near)
        found.append(mask)
    return found


def _object_by(grid: Grid, most: Callable[[Grid, np.ndarray], int]) -> _Box | None:
    """Box of the object that has the most of something, where only one has."""
    masks = objects(grid)
    scores = [most(grid, mask) for mask in masks]
    if not scores or scores.count(max(scores)) > 1:
        return None
    return _extent(masks[scores.index(max(scores))])


def _odd_one_out(grid: Grid) -> _Box | None:
    """Box of the object whose colours no other object has, where only one is such."""
    masks = objects(grid)
    kinds = [frozenset(grid[mask].tolist()) for mask in masks]
    counts = Counter(kinds)
    alone = [mask for mask, kind in zip(masks, kinds, strict=True) if counts[kind] == 1]
    return _extent(alone[0]) if len(alone) == 1 and len(masks) > 2 else None


def _cells(grid: Grid, mask: np.ndarray) -> int:
    return int(mask.sum())


def _colors(grid: Grid, mask: np.ndarray) -> int:
    return len(set(grid[mask].tolist()))


_BOXES: tuple[Callable[[Grid], _Box | None], ...] = (
    _not_black,
    _not_commonest,
    partial(_object_by, most=_cells),
    partial(_object_by, most=lambda grid, mask: -_cells(grid, mask)),
    partial(_object_by, most=_colors),
    _odd_one_out,
    _rarest_color,
    _commonest_color,
)
