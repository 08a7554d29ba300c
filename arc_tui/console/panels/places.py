"""Where the panels stand on a screen of a given size: pure arithmetic.

Three columns from 160x46 on, two from 110x34 on, else one panel with a strip of the fixes below it.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.geometry import Region

LOSS, REWARD, GRIDS, CURRICULUM, FIXES, GRADIENTS, MACHINE, LOG = range(1, 9)

WIDE = (160, 40)
"""Least width and height of the panels' area for three columns: a screen of 160x46 has it even while a
banner takes its three lines, so that the panels keep their places."""

MEDIUM = (110, 34)
"""The same for two columns, on a screen of 120x40."""

FIXES_WIDTH = 30
LOSS_WIDTH = 42
FOUR_GRIDS_WIDTH = 128
"""Four grids of 30 cells beside each other, and the panel's frame."""

SIDE = (CURRICULUM, MACHINE, LOG)
"""Panels that share a place where there are two columns; their digits switch between them."""


@dataclass(frozen=True)
class Places:
    """Panels by digit with where they stand; panels that are left out are not shown.

    Attributes:
        panels: Their regions.
        strip: Where the strip of the fixes stands; None where the fixes have their panel.
    """

    panels: dict[int, Region]
    strip: Region | None = None


def arrange(
    width: int, height: int, current: int, side: int = CURRICULUM, *, enlarged: bool = False
) -> Places:
    """Return the places of the panels.

    Args:
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
    if width >= WIDE[0] and height >= WIDE[1]:
        return Places(_three_columns(width, height))
    if width >= MEDIUM[0] and height >= MEDIUM[1]:
        return Places(_two_columns(width, height, side))
    if height < 8 or current == FIXES:
        return Places({current: Region(0, 0, width, height)})
    return Places({current: Region(0, 0, width, height - 1)}, Region(0, height - 1, width, 1))


def columns(width: int, height: int) -> int:
    """Return how many columns of panels such an area has."""
    if width >= WIDE[0] and height >= WIDE[1]:
        return 3
    return 2 if width >= MEDIUM[0] and height >= MEDIUM[1] else 1


def _three_columns(width: int, height: int) -> dict[int, Region]:
    """Loss, grids and fixes above; the other five below. The grids grow first."""
    top = height - max(13, height // 3)
    grids = width - LOSS_WIDTH - FIXES_WIDTH
    if grids > FOUR_GRIDS_WIDTH:
        grids = FOUR_GRIDS_WIDTH + (grids - FOUR_GRIDS_WIDTH) // 2
    loss = width - grids - FIXES_WIDTH
    fixes = width - FIXES_WIDTH
    below = height - top
    quarter = width // 4
    machine = max(5, min(8, below - 7))
    last = Region(3 * quarter, top, width - 3 * quarter, below)
    return {
        LOSS: Region(0, 0, loss, top),
        GRIDS: Region(loss, 0, grids, top),
        FIXES: Region(fixes, 0, FIXES_WIDTH, top),
        REWARD: Region(0, top, quarter, below),
        CURRICULUM: Region(quarter, top, quarter, below),
        GRADIENTS: Region(2 * quarter, top, quarter, below),
        MACHINE: Region(last.x, top, last.width, machine),
        LOG: Region(last.x, top + machine, last.width, below - machine),
    }


def _two_columns(width: int, height: int, side: int) -> dict[int, Region]:
    half = width // 2
    right = width - half
    reward, gradients, fixes, low = 8, 9, 9, 9
    loss = height - reward - gradients
    grids = height - fixes - low
    return {
        LOSS: Region(0, 0, half, loss),
        REWARD: Region(0, loss, half, reward),
        GRADIENTS: Region(0, loss + reward, half, gradients),
        GRIDS: Region(half, 0, right, grids),
        FIXES: Region(half, grids, right, fixes),
        side: Region(half, grids + fixes, right, low),
    }
