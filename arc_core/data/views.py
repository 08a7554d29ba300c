"""Views of a task: symmetries of the square and namings of the colours, and the way back. NumPy only.

A rule that holds for a task holds for each of its views; a prediction made under one is mapped back
before it is compared with others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from arc_core.data.grids import NUM_COLORS, Grid, dihedral, freeze, inverse_dihedral
from arc_core.data.tasks import Pair, Task

_COLOR_STREAM = 11


@dataclass(frozen=True)
class View:
    """A symmetry and a naming of the colours."""

    symmetry: int
    """0..7, see `arc_core.data.grids.DIHEDRAL_NAMES`."""
    color_map: int
    """Number of the naming among those of the task; 0 is the task's own."""
    colors: tuple[int, ...]
    """The new colour of each old one; black stays black."""

    def apply(self, grid: Grid) -> Grid:
        """The grid under this view, read-only."""
        return freeze(np.asarray(self.colors, dtype=np.int8)[dihedral(grid, self.symmetry)])

    def undo(self, grid: Grid) -> Grid:
        """The grid that `apply` makes into this one."""
        return inverse_dihedral(np.argsort(self.colors).astype(np.int8)[grid], self.symmetry)

    def undo_probabilities(self, shares: np.ndarray) -> np.ndarray:
        """The same for the probabilities of colours, [h, w, 10]."""
        back = -self.symmetry % 4 if self.symmetry < 4 else self.symmetry
        # The maps move the first two axes and leave any others where they are, transposition aside.
        planes = [dihedral(cast(Grid, shares[..., color]), back) for color in self.colors]
        return np.stack(planes, axis=-1)

    @property
    def turned(self) -> bool:
        """Whether height and width change places."""
        return self.symmetry % 2 == 1

    def of(self, task: Task) -> Task:
        """The task under this view."""
        train, test = (
            tuple(
                Pair(self.apply(pair.input), None if pair.output is None else self.apply(pair.output))
                for pair in part
            )
            for part in (task.train, task.test)
        )
        return replace(task, train=train, test=test)


def make_views(color_maps: int, seed: Sequence[int], *, symmetries: bool = True) -> list[View]:
    """The views of a task; the first is the task as it is.

    Args:
        color_maps: Namings of the colours; the first is the task's own.
        seed: Numbers at least 0 that decide the others.
        symmetries: Whether all eight symmetries are taken, or none.

    Returns:
        Every naming under every symmetry.
    """
    rng = np.random.default_rng([_COLOR_STREAM, *seed])
    namings = [tuple(range(NUM_COLORS))]
    while len(namings) < color_maps:
        namings.append((0, *(1 + rng.permutation(NUM_COLORS - 1)).tolist()))
    return [
        View(symmetry, number, colors)
        for number, colors in enumerate(namings)
        for symmetry in (range(8) if symmetries else (0,))
    ]
