"""One panel as a file for a paper: SVG, or PNG drawn from it."""

from __future__ import annotations

import importlib
from typing import Any, cast

from arc_core.base.errors import RunError
from arc_tui.looks.themes import Theme
from arc_tui.report.look import style_sheet
from arc_tui.report.panels import Picture
from arc_tui.report.svg import element, text_of

PNG_SCALE = 2
"""Pixels for each unit of the drawing: enough for a column of print."""


def svg_file(drawing: Picture, theme: Theme, title: str) -> str:
    """Write a drawing as an SVG file of its own, in one theme's colours."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        + element(
            "svg",
            element("title", text_of(title)),
            element("style", style_sheet(theme)),
            drawing.content,
            xmlns="http://www.w3.org/2000/svg",
            width=drawing.width,
            height=drawing.height,
            viewBox=f"0 0 {drawing.width:g} {drawing.height:g}",
        )
        + "\n"
    )


def png_file(drawing: Picture, theme: Theme, title: str) -> bytes:
    """Draw the same as PNG.

    Raises:
        RunError: If the package that draws it is not installed.
    """
    try:
        library = cast(Any, importlib.import_module("resvg_py"))
    except ImportError:
        raise RunError(
            "A PNG is drawn by the package resvg-py: pip install 'arc-tui[png]', or write --svg."
        ) from None
    return bytes(library.svg_to_bytes(svg_string=svg_file(drawing, theme, title), zoom=PNG_SCALE))
