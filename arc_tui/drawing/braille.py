"""Cells to draw into, one drawing over another: characters, or dots, four rows and two columns to a cell."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from arc_tui.drawing.rows import Row

DOT_ROWS, DOT_COLUMNS = 4, 2
"""Dots of one cell."""

BLANK = ord(" ")
_BRAILLE = 0x2800
_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint32)

Dots = NDArray[np.bool_]
Codes = NDArray[np.uint32]
_DOT, _PLAIN_DOT = ord("·"), ord(".")
_GROUND = frozenset({BLANK, _DOT, _PLAIN_DOT})
"""What a cell may hold before anything is drawn into it."""


def braille(dots: Dots) -> Codes:
    """Return the characters that show dots.

    Args:
        dots: [4 * rows, 2 * cells], the first row at the top.

    Returns:
        [rows, cells] code points; a space where there is no dot.
    """
    bits = _pattern(dots)
    return np.where(bits > 0, bits + _BRAILLE, BLANK).astype(np.uint32)


def in_ascii(dots: Dots, line: str) -> Codes:
    """Return plain characters in place of braille: the height within the cell, roughly.

    Args:
        dots: As for `braille`.
        line: Four characters for a line in the cell's upper to lower quarter, and one for more than that.
    """
    rows, cells = dots.shape[0] // DOT_ROWS, dots.shape[1] // DOT_COLUMNS
    filled = dots.reshape(rows, DOT_ROWS, cells, DOT_COLUMNS).any(axis=3)
    count = filled.sum(axis=1)
    signs = np.array([ord(sign) for sign in line], dtype=np.uint32)
    found = signs[np.where(count > 2, DOT_ROWS, filled.argmax(axis=1))]
    return np.where(count > 0, found, BLANK).astype(np.uint32)


def spans(top: NDArray[np.float64], bottom: NDArray[np.float64], rows: int) -> Dots:
    """Return dots from one row to another in each column.

    Args:
        top: [columns] row of the uppermost dot, counted from 0 at the top; NaN leaves the column empty.
        bottom: [columns] row of the lowermost dot.
        rows: Rows of dots.
    """
    at = np.arange(rows)[:, np.newaxis]
    with np.errstate(invalid="ignore"):
        return (at >= np.rint(top)) & (at <= np.rint(bottom))


def line(heights: NDArray[np.float64], rows: int) -> Dots:
    """Return the dots of a line through one row in each column, without holes where it is steep.

    Args:
        heights: [columns] row of the line, counted from 0 at the top; NaN interrupts it.
        rows: Rows of dots.
    """
    middle = (heights[1:] + heights[:-1]) / 2
    before, after = np.append(np.nan, middle), np.append(middle, np.nan)
    top = np.fmin(heights, np.fmin(before, after))
    bottom = np.fmax(heights, np.fmax(before, after))
    missing = np.isnan(heights)
    top[missing] = bottom[missing] = np.nan
    return spans(top, bottom, rows)


def text_of(codes: Codes) -> str:
    """Return a row of code points as text."""
    return codes.astype("<u4").tobytes().decode("utf-32-le")


def _pattern(dots: Dots) -> Codes:
    rows, cells = dots.shape[0] // DOT_ROWS, dots.shape[1] // DOT_COLUMNS
    blocks = dots.reshape(rows, DOT_ROWS, cells, DOT_COLUMNS)
    return np.einsum("rycx,yx->rc", blocks.astype(np.uint32), _BITS)


class Canvas:
    """Cells with a character and the name of a style each.

    Args:
        lines: Rows of cells.
        cells: Cells of a row.
    """

    def __init__(self, lines: int, cells: int) -> None:
        self.lines, self.cells = lines, cells
        self._codes = np.full((lines, cells), BLANK, np.uint32)
        self._styles = np.zeros((lines, cells), np.uint8)
        self._names = [""]

    @property
    def dot_rows(self) -> int:
        """Rows of dots."""
        return self.lines * DOT_ROWS

    def paint(self, codes: Codes, style: str) -> None:
        """Put characters over what is there, except where they are blank."""
        where = codes != BLANK
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
            text = text_of(codes)
            cuts = [0, *(np.flatnonzero(np.diff(styles)) + 1).tolist(), len(text)]
            found.append(
                [(text[begin:end], self._names[styles[begin]]) for begin, end in itertools.pairwise(cuts)]
            )
        return found

    def _style(self, name: str) -> int:
        if name not in self._names:
            self._names.append(name)
        return self._names.index(name)
