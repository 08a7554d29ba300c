"""Writes SVG: every text and attribute is escaped here, so that nothing from a run is ever markup.

The style sheet has a theme's colours in it; no variables, which few programs know.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

from arc_core.base.text import printable
from arc_tui.looks.styles import ink_on
from arc_tui.looks.themes import Theme

FONT = "system-ui,'Segoe UI','Helvetica Neue',Arial,'DejaVu Sans',sans-serif"

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


def style_sheet(theme: Theme) -> str:
    """Return the rules for everything that this package draws.

    Args:
        theme: Where the colours are from; `series.0` and the like become `.c-0`, cells `.g0` to `.g9`.
    """
    surface, status, series = theme.surface, theme.status, theme.series
    rules = [
        f".ground{{fill:{surface.panel}}}",
        f"text{{fill:{surface.text};font-family:{FONT};font-size:12px}}",
        f".tick,.note{{fill:{status.muted};font-size:11px}}",
        ".title{font-weight:600;font-size:13px}.sign{font-weight:600;font-size:11px}",
        f".frame{{stroke:{surface.border};fill:none}}",
        f".rule{{stroke:{surface.border};stroke-opacity:.45;stroke-width:.6;fill:none}}",
        f".zero{{stroke:{status.muted};stroke-width:.8;fill:none}}",
        ".curve{fill:none;stroke-width:1.6;stroke-linejoin:round;stroke-linecap:round}",
        ".band{stroke:none;fill-opacity:.28}",
        ".raw{fill:none;stroke-width:.7;stroke-opacity:.55;stroke-linecap:round}",
        ".dash-1{stroke-dasharray:6 3}.dash-2{stroke-dasharray:2 3}.dash-3{stroke-dasharray:8 3 2 3}",
        ".dash-4{stroke-dasharray:12 4}.dash-5{stroke-dasharray:4 2 1 2 1 2}.dash-6{stroke-dasharray:1 2}",
        ".dash-7{stroke-dasharray:14 3 3 3}",
        f".line-loss{{stroke:{series.loss}}}.fill-loss{{fill:{series.loss}}}",
        f".line-efe{{stroke:{series.efe}}}.fill-efe{{fill:{series.efe}}}",
        f".m-checkpoint{{fill:{status.good}}}.m-checkpoint_failed,.m-nan{{fill:{status.error}}}",
        f".m-validation{{fill:{status.finished}}}.m-rate{{fill:{surface.accent}}}",
        f".m-resume{{fill:{status.paused}}}.m-warning{{fill:{status.warning}}}",
        f".l-nan{{stroke:{status.error};stroke-width:.8;stroke-dasharray:2 3}}",
        f".wrong{{stroke:{status.error};stroke-width:1.6}}.wrong-under{{stroke:#ffffff;stroke-width:3}}",
        f".cells{{stroke:{surface.border};stroke-width:.5}}",
        f".positive{{fill:{series.positive}}}.negative{{fill:{series.negative}}}",
    ]
    for place, colour in enumerate(series.palette):
        rules.append(f".line-{place}{{stroke:{colour}}}.fill-{place}{{fill:{colour}}}")
    for digit, colour in enumerate(theme.grid):
        rules.append(f".g{digit}{{fill:{colour}}}text.d{digit}{{fill:{ink_on(colour)}}}")
    return "".join(rules)
