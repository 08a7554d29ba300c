"""Finds the rule behind demonstrations where it is a simple one, and says it (seed, step 2).

Tried in turn: the eight symmetries, upscaling, tiling, shrinking, cropping; each as it is, then with a
renaming of the colours (cropping to any other place than the background's edge only as it is). Where none
fits all demonstrations, the sentence says what changes. This runs for every training example, so grids are
compared as bytes: for grids this small, calls cost more than cells.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import numpy as np

from arc_core.data.grids import DIHEDRAL_NAMES, NUM_COLORS, Grid, dihedral_view

Transform = Callable[[Grid], Grid]
Recoloring = dict[int, int]
"""Old colour -> new colour, for the colours that occur."""

_MAX_LISTED = 4  # colours or renamings that a sentence lists before it only counts them


class Demonstration:
    """A demonstration and what is known about it, each fact worked out when first asked for.

    Args:
        input: [H, W].
        output: [H', W'].
    """

    def __init__(self, input: Grid, output: Grid):  # noqa: A002 - the field's own names
        self.input = input
        self.output = output
        self.same_size = input.shape == output.shape
        self.input_colors = frozenset(input.tobytes())
        self.output_colors = frozenset(output.tobytes())

    @cached_property
    def changed(self) -> int:
        """Cells that change; 0 if input and output differ in size."""
        return int(np.count_nonzero(self.input != self.output)) if self.same_size else 0

    @cached_property
    def crops(self) -> bool:
        """Whether the output is a part of the input, or all of it."""
        return self.output_colors <= self.input_colors and is_subgrid(self.output, self.input)


def is_subgrid(part: Grid, whole: Grid) -> bool:
    """Whether `part` occurs in `whole` as a rectangle of it.

    Args:
        part: [h, w].
        whole: [H, W].

    Returns:
        True also where they are equal.
    """
    height, width = part.shape
    spare = whole.shape[0] - height
    if spare < 0 or whole.shape[1] < width:
        return False
    wanted = [row.tobytes() for row in part]
    rows = [row.tobytes() for row in whole]
    # look for the row of most colours first: it occurs in the fewest places
    anchor = max(range(height), key=lambda i: len(set(wanted[i])))
    for top in range(spare + 1):
        left = rows[top + anchor].find(wanted[anchor])
        while left >= 0:
            if all(rows[top + i].startswith(wanted[i], left) for i in range(height)):
                return True
            left = rows[top + anchor].find(wanted[anchor], left + 1)
    return False


def describe_rule(demonstrations: Sequence[Demonstration], query: Grid) -> str:
    """What the demonstrations have in common, for the language model to read and a person to check.

    Args:
        demonstrations: May be empty.
        query: The query input, [H, W].

    Returns:
        One line of ASCII, under 160 characters, such as
        `mirror left-right, recolour 2 to 1; output same size; query 7x7`. Sizes are rows x columns. A map
        is named only if it explains every cell of every demonstration.
    """
    query_size = "query {}x{}".format(*query.shape)
    if not demonstrations:
        return f"no demonstrations; {query_size}"
    return "; ".join(
        [find_map(demonstrations) or _changes(demonstrations), _size_relation(demonstrations), query_size]
    )


def find_map(demonstrations: Sequence[Demonstration]) -> str | None:
    """The simple map that explains every cell of every demonstration.

    Args:
        demonstrations: At least one.

    Returns:
        Its name, with the renaming of colours if there is one; None if there is no such map. A map that
        renames no colour goes before one that does, and earlier symmetries before later ones.
    """
    recolored = None
    for name, transform in _candidates(demonstrations):
        recoloring = _fit(transform, demonstrations)
        if recoloring is None:
            continue
        moved = {old: new for old, new in recoloring.items() if old != new}
        if not moved:
            return name
        if recolored is None:
            renaming = _recoloring_text(moved)
            recolored = renaming if name == _COPY else f"{name}, {renaming}"
    if recolored is None and all(one.crops for one in demonstrations):
        single = all(one.output.size == 1 for one in demonstrations)
        return "pick one colour of the input" if single else "crop a part of the input"
    return recolored


_COPY = "copy the input"
_SYMMETRIES: list[tuple[str, Transform]] = [
    (_COPY if k == 0 else DIHEDRAL_NAMES[k], lambda grid, k=k: dihedral_view(grid, k)) for k in range(8)
]


def _candidates(demonstrations: Sequence[Demonstration]) -> Iterable[tuple[str, Transform]]:
    """The maps whose output sizes fit the first demonstration: what fits all, fits it."""
    height, width = demonstrations[0].input.shape
    new_height, new_width = demonstrations[0].output.shape
    same, turned = (height, width) == (new_height, new_width), (height, width) == (new_width, new_height)
    for k, candidate in enumerate(_SYMMETRIES):
        if turned if k % 2 else same:
            yield candidate
    if not same and new_height % height == 0 and new_width % width == 0:
        down, across = new_height // height, new_width // width
        yield f"upscale {down}x{across}", lambda grid: grid.repeat(down, axis=0).repeat(across, axis=1)
        yield f"tile {down}x{across}", lambda grid: np.tile(grid, (down, across))
    if not same and height % new_height == 0 and width % new_width == 0:
        block_height, block_width = height // new_height, width // new_width
        yield f"shrink {block_height}x{block_width}", lambda grid: _shrink(grid, block_height, block_width)
    if new_height <= height and new_width <= width:
        yield "crop to what is not background", _crop_background


def _shrink(grid: Grid, block_height: int, block_width: int) -> Grid:
    """One cell a block; the grid as it is, and so of no fitting size, if a block has two colours."""
    small = grid[::block_height, ::block_width]
    uniform = np.array_equal(small.repeat(block_height, axis=0).repeat(block_width, axis=1), grid)
    return small if uniform else grid


def _crop_background(grid: Grid) -> Grid:
    rows, columns = np.flatnonzero(grid.any(axis=1)), np.flatnonzero(grid.any(axis=0))
    return grid[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) else grid


def _fit(transform: Transform, demonstrations: Sequence[Demonstration]) -> Recoloring | None:
    """The renaming of colours with which `transform` explains all demonstrations, or None."""
    recoloring: Recoloring = {}
    for one in demonstrations:
        mapped = transform(one.input)
        if mapped.shape != one.output.shape:
            return None
        # each cell as one number of two digits, old colour and new one
        for code in set((mapped * NUM_COLORS + one.output).tobytes()):
            old, new = divmod(code, NUM_COLORS)
            if recoloring.setdefault(old, new) != new:
                return None
    return recoloring


def _recoloring_text(moved: Recoloring) -> str:
    if len(moved) > _MAX_LISTED:
        return f"recolour {len(moved)} colours"
    return "recolour " + ", ".join(f"{old} to {new}" for old, new in sorted(moved.items()))


def _changes(demonstrations: Sequence[Demonstration]) -> str:
    """What changes, where no simple map was found."""
    parts = []
    for verb, sets in (
        ("adds", [one.output_colors - one.input_colors for one in demonstrations]),
        ("removes", [one.input_colors - one.output_colors for one in demonstrations]),
    ):
        common = sorted(frozenset.intersection(*sets))
        if 0 < len(common) <= _MAX_LISTED:
            parts.append(f"{verb} colour {' '.join(map(str, common))}")
        elif any(sets):
            parts.append(f"{verb} colours")
    if all(one.same_size for one in demonstrations):
        share = sum(one.changed for one in demonstrations) / sum(one.output.size for one in demonstrations)
        parts.append(f"changes {max(share, 0.01):.0%} of the cells")
        if all(_background_kept(one) for one in demonstrations):
            if any(0 in one.input_colors for one in demonstrations):
                parts.append("background kept")
        elif all(_only_background_changes(one) for one in demonstrations):
            parts.append("only background changes")
    return ", ".join(parts) or "keeps the colours"


def _background_kept(one: Demonstration) -> bool:
    return not one.output[one.input == 0].any()


def _only_background_changes(one: Demonstration) -> bool:
    return not one.input[one.input != one.output].any()


def _size_relation(demonstrations: Sequence[Demonstration]) -> str:
    before = [one.input.shape for one in demonstrations]
    after = [one.output.shape for one in demonstrations]
    if before == after:
        return "output same size"
    ratios = {(b[0] / a[0], b[1] / a[1]) for a, b in zip(before, after, strict=True)}
    if len(set(after)) == 1:
        size = "{}x{}".format(*after[0])
        if len(set(before)) > 1:
            return f"output always {size}"
        return f"output {size} from {{}}x{{}}".format(*before[0])  # one demonstration, or all alike
    if len(ratios) == 1:
        down, across = ratios.pop()
        return f"output {down:.3g}x{across:.3g} times the input"
    if all(a == b[::-1] for a, b in zip(before, after, strict=True)):
        return "output sides swapped"
    smaller = [b[0] <= a[0] and b[1] <= a[1] for a, b in zip(before, after, strict=True)]
    larger = [b[0] >= a[0] and b[1] >= a[1] for a, b in zip(before, after, strict=True)]
    return "output smaller" if all(smaller) else "output larger" if all(larger) else "output size varies"
