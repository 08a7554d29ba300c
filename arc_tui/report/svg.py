"""Writes SVG: every text and attribute is escaped here, so that nothing from a run is ever markup."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

from arc_core.base.text import printable

Markup = str
"""SVG or HTML that has been written by these functions, and may be put into a page as it is."""


def text_of(value: object) -> Markup:
    """Return a text as markup shows it: escaped, with control characters spelled out."""
    return escape(printable(str(value)))


def element(name: str, *inside: Markup, **attributes: object) -> Markup:
    """Write an element.

    Args:
        name: Its tag.
        inside: Markup that it holds; texts go through `text_of` first.
        attributes: Values by name: a trailing underscore is left out (`class_`), others become hyphens, None
            leaves the attribute out, and numbers are written with two decimals at most.
    """
    words = [name]
    for key, value in attributes.items():
        if value is not None:
            shown = shorten(value) if isinstance(value, float) else printable(str(value))
            words.append(f"{key.rstrip('_').replace('_', '-')}={quoteattr(shown)}")
    content = "".join(inside)
    opening = " ".join(words)
    return f"<{opening}>{content}</{name}>" if content or name not in _EMPTY else f"<{opening}/>"


def label(x: float, y: float, value: object, **attributes: object) -> Markup:
    """Write a text with the left end of its base line at a point, unless `text_anchor` says otherwise."""
    return element("text", text_of(value), x=x, y=y, **attributes)


def path(points: Iterable[tuple[float, float] | None], **attributes: object) -> Markup:
    """Write a line through points; None is a gap. A point between two gaps becomes a dot."""
    parts: list[str] = []
    pen_down = False
    for point in points:
        if point is None:
            pen_down = False
            continue
        parts.append(f"{'L' if pen_down else 'M'}{shorten(point[0])} {shorten(point[1])}")
        if not pen_down:
            parts.append("h0")
        pen_down = True
    return element("path", d="".join(parts), **attributes) if parts else ""


def shorten(value: float) -> str:
    """Write a coordinate with two decimals at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


_EMPTY = frozenset({"path", "rect", "line", "circle", "polygon", "polyline", "use", "br", "hr", "meta"})
