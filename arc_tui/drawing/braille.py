"""Dots of a picture as braille characters: four rows and two columns of dots to a cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DOT_ROWS, DOT_COLUMNS = 4, 2
"""Dots of one cell."""

BLANK = ord(" ")
_BRAILLE = 0x2800
_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint32)

Dots = NDArray[np.bool_]
Codes = NDArray[np.uint32]


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
