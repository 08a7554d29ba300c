"""Cells to draw characters into, one drawing over another, until they are read as rows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from arc_tui.drawing import braille
from arc_tui.drawing.rows import Row

_DOT, _PLAIN_DOT = ord("·"), ord(".")
_GROUND = frozenset({braille.BLANK, _DOT, _PLAIN_DOT})
"""What a cell may hold before anything is drawn into it."""


class Canvas:
    """Cells with a character and the name of a style each.

    Args:
        lines: Rows of cells.
        cells: Cells of a row.
    """

    def __init__(self, lines: int, cells: int) -> None:
        self.lines, self.cells = lines, cells
        self._codes = np.full((lines, cells), braille.BLANK, np.uint32)
        self._styles = np.zeros((lines, cells), np.uint8)
        self._names = [""]

    @property
    def dot_rows(self) -> int:
        """Rows of dots."""
        return self.lines * braille.DOT_ROWS

    def paint(self, codes: braille.Codes, style: str) -> None:
        """Put characters over what is there, except where they are blank."""
        where = codes != braille.BLANK
        self._codes[where] = codes[where]
        self._styles[where] = self._style(style)

    def put(self, line: int, cell: int, text: str, style: str) -> None:
        """Write a short text."""
        for offset, character in enumerate(text):
            if 0 <= cell + offset < self.cells:
                self._codes[line, cell + offset] = ord(character)
                self._styles[line, cell + offset] = self._style(style)

    def put_at(self, line: int, cells: Sequence[int], character: str, style: str) -> None:
        """Write one character into several cells of a line."""
        self._codes[line, cells] = ord(character)
        self._styles[line, cells] = self._style(style)

    def is_free(self, line: int, first: int, last: int) -> bool:
        """Whether cells exist and nothing but the ground is in them."""
        if first < 0 or last >= self.cells:
            return False
        return _GROUND.issuperset(self._codes[line, first : last + 1].tolist())

    def column(self, cell: int, character: str, style: str) -> None:
        """Draw a line from top to bottom in place of what is there."""
        self._codes[:, cell] = ord(character)
        self._styles[:, cell] = self._style(style)

    def dotted(self, line: int, *, plain: bool) -> None:
        """Draw a faint line from left to right."""
        self._codes[line, ::2] = _PLAIN_DOT if plain else _DOT
        self._styles[line, :] = self._style("grid_line")

    def rows(self) -> list[Row]:
        """Return what was drawn, as runs of one style."""
        found: list[Row] = []
        for codes, styles in zip(self._codes, self._styles, strict=True):
            text = braille.text_of(codes)
            cuts = [0, *(np.flatnonzero(np.diff(styles)) + 1).tolist(), len(text)]
            found.append(
                [(text[begin:end], self._names[styles[begin]]) for begin, end in itertools.pairwise(cuts)]
            )
        return found

    def _style(self, name: str) -> int:
        if name not in self._names:
            self._names.append(name)
        return self._names.index(name)
