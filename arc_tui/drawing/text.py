"""Texts that every view writes alike: columns, and a time of day."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.cells import cell_len

from arc_tui.drawing.rows import padded
from arc_tui.drawing.signs import shown


def aligned(rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)) -> list[str]:
    """Write rows as columns.

    Args:
        rows: Texts, as many in each row.
        left: Columns that are set to the left; the others hold numbers and are set to the right.
    """
    if not rows:
        return []
    texts = [tuple(map(shown, row)) for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*texts, strict=True)]
    return [
        "  ".join(
            padded(cell, width, left=number in left)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in texts
    ]


def when(seconds: float) -> str:
    """Write a time of day as this machine's clock has it."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "at an impossible time"
