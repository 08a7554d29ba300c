"""How large the terminal is, as far as anybody tells."""

from __future__ import annotations

import os
import sys
from typing import TextIO

LONGEST_SIDE = 65_535
"""The largest side that a terminal can have; COLUMNS and LINES beyond it are garbage."""


def terminal_size() -> tuple[int, int]:
    """Return columns and lines of the terminal that is drawn on.

    The terminal itself is asked first: COLUMNS and LINES stay as they were when it is resized. They count
    for a side that the terminal gives as 0, and only as whole numbers from 1 on.

    Returns:
        0 for a side that nobody knows.
    """
    told = os.terminal_size((0, 0))
    for stream in (sys.__stderr__, sys.__stdout__, sys.__stdin__):
        size = _size_of(stream)
        if size is not None:
            told = size
            break
    return told.columns or _from_environment("COLUMNS"), told.lines or _from_environment("LINES")


def _size_of(stream: TextIO | None) -> os.terminal_size | None:
    try:
        return None if stream is None else os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):  # no terminal, or closed
        return None


def _from_environment(name: str) -> int:
    text = os.environ.get(name, "")
    value = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(LONGEST_SIDE)) else 0
    return value if value <= LONGEST_SIDE else 0


def forget_unusable_sizes() -> None:
    """Take COLUMNS and LINES away where they are no size, before a library trips on them."""
    for name in ("COLUMNS", "LINES"):
        if name in os.environ and not _from_environment(name):
            del os.environ[name]
