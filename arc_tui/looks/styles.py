"""What things on the screen look like, by what they mean: `state.paused`, `mark.nan`, `grid.3`.

Widgets and charts name a meaning; the theme's colours and this table give the look. Without colour
(NO_COLOR) the same names keep their bold, dim, underlined and reversed looks, so that nothing is told by
colour alone.

| names | for |
|---|---|
| `text muted title accent border background panel key key.label` | the screen itself, keys in the footer |
| `selection cursor readout` | what is selected, the chart's cursor, the values under it |
| `good warning error` | messages, and whether something is as it should be |
| `state.starting` ... `state.finished` | a run's state, one for each `arc_tui.runs.state.Phase` |
| `banner.paused banner.warning banner.crashed` | lines across the whole screen |
| `fix.working fix.idle fix.failing` | the seven fixes |
| `loss efe`, `ema ema.efe`, `raw raw.efe` | the two curves of the loss chart: line, mean line, envelope |
| `series.0` ... `series.7` | any curves or bars beside each other; `style_of` tells that of a number |
| `positive negative bar.track` | signed bars and their ground |
| `axis tick grid_line` | a chart's frame |
| `mark.checkpoint mark.checkpoint_failed mark.validation mark.rate mark.resume mark.epoch mark.warning` | |
| `mark.nan mark.clipped` | numbers that were not finite, or not drawable on a log scale |
| `grid.0` ... `grid.9`, `grid.wrong grid.outside` | cells of a grid: digits on their colour |
| `half.0` ... `half.9` | the colours of cells as foreground, for half blocks and swatches |
| `pair.0.0` ... `pair.9.9` | two cells above each other in one: the upper's colour on the lower's |
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from dataclasses import dataclass
from typing import NamedTuple

from rich.style import Style

from arc_core.run.declared import Declared, GroupKind

PALETTE_COLOURS = 8
GRID_COLOURS = 10


@dataclass(frozen=True)
class Status:
    """Colours of states and messages; never the only sign of either."""

    running: str
    paused: str
    finished: str
    crashed: str
    good: str
    warning: str
    error: str
    muted: str


@dataclass(frozen=True)
class Surface:
    """Colours of the screen itself."""

    background: str
    panel: str
    border: str
    text: str
    accent: str


@dataclass(frozen=True)
class SeriesColours:
    """Colours of curves and bars; `palette` is for many of them beside each other."""

    loss: str
    efe: str
    raw: str
    raw_efe: str
    positive: str
    negative: str
    cursor: str
    palette: tuple[str, ...]


class _Look(NamedTuple):
    colour: str
    attributes: str = ""
    background: str = ""


_LOOKS: dict[str, _Look] = {
    "text": _Look("text"),
    "muted": _Look("muted", "dim"),
    "title": _Look("text", "bold"),
    "accent": _Look("accent", "bold"),
    "border": _Look("border"),
    "background": _Look("text", "", "background"),
    "panel": _Look("text", "", "panel"),
    "key": _Look("accent", "bold"),
    "key.label": _Look("text"),
    "selection": _Look("accent", "reverse"),
    "marked": _Look("cursor", "bold reverse"),
    "cursor": _Look("cursor", "bold"),
    "readout": _Look("cursor", "bold"),
    "good": _Look("good"),
    "warning": _Look("warning", "bold"),
    "error": _Look("error", "bold"),
    "state.starting": _Look("accent", "bold"),
    "state.running": _Look("running", "bold"),
    "state.pausing": _Look("paused", "bold"),
    "state.paused": _Look("paused", "bold reverse"),
    "state.saving": _Look("accent", "bold"),
    "state.stopped": _Look("muted", "bold"),
    "state.crashed": _Look("crashed", "bold reverse"),
    "state.finished": _Look("finished", "bold"),
    "banner.paused": _Look("paused", "bold reverse"),
    "banner.warning": _Look("warning", "bold reverse"),
    "banner.crashed": _Look("crashed", "bold reverse"),
    "fix.working": _Look("good", "bold"),
    "fix.idle": _Look("muted", "dim"),
    "fix.failing": _Look("error", "bold reverse"),
    "loss": _Look("loss"),
    "efe": _Look("efe"),
    "ema": _Look("loss", "bold"),
    "ema.efe": _Look("efe", "bold"),
    "raw": _Look("raw", "dim"),
    "raw.efe": _Look("raw_efe", "dim"),
    "positive": _Look("positive"),
    "negative": _Look("negative"),
    "bar.track": _Look("border", "dim"),
    "axis": _Look("border"),
    "tick": _Look("muted", "dim"),
    "grid_line": _Look("border", "dim"),
    "mark.checkpoint": _Look("good"),
    "mark.checkpoint_failed": _Look("error", "bold"),
    "mark.validation": _Look("finished"),
    "mark.rate": _Look("accent"),
    "mark.resume": _Look("paused"),
    "mark.epoch": _Look("muted", "dim"),
    "mark.warning": _Look("warning", "bold"),
    "mark.nan": _Look("error", "bold"),
    "mark.clipped": _Look("warning"),
    "grid.wrong": _Look("error", "bold reverse"),
    "grid.outside": _Look("muted", "dim"),
}

_TOTAL_LOOKS = {GroupKind.CONTRIBUTIONS: "loss", GroupKind.SIGNED: "accent"}
"""Of the headline of a group of parts."""


def styles(
    grid: tuple[str, ...], status: Status, surface: Surface, series: SeriesColours, *, colourless: bool
) -> dict[str, Style]:
    """Return every style by its name.

    Args:
        grid: Colours of the cells 0 to 9.
        status: Colours of states.
        surface: Colours of the screen.
        series: Colours of curves.
        colourless: Whether only bold, dim, underline and reverse may be used.
    """
    colours: dict[str, str | None] = {
        **_by_name(status),
        **_by_name(surface),
        **{name: colour for name, colour in _by_name(series).items() if name != "palette"},
        "": None,
    }
    found = {
        name: _style(colours[look.colour], look, colours, colourless=colourless)
        for name, look in _LOOKS.items()
    }
    for number, colour in enumerate(series.palette):
        found[f"series.{number}"] = Style(color=None if colourless else colour)
    for digit, colour in enumerate(grid):
        if colourless:
            found[f"grid.{digit}"] = found[f"half.{digit}"] = Style()
        else:
            found[f"grid.{digit}"] = Style(color=ink_on(colour), bgcolor=colour)
            found[f"half.{digit}"] = Style(color=colour)
    for upper, lower in itertools.product(range(GRID_COLOURS), repeat=2):
        pair = Style() if colourless else Style(color=grid[upper], bgcolor=grid[lower])
        found[f"pair.{upper}.{lower}"] = pair
    return found


def style_of(declared: Declared, dotted: str) -> str:
    """Return the name of the style of one of a run's numbers.

    Args:
        declared: What the run's steps carry.
        dotted: The number; one that is not declared has the style of text.
    """
    name, _, own = dotted.partition(".")
    group = declared.by_name.get(name)
    if group is None or dotted not in declared.numbers:
        return "text"
    if group.totals and own == group.totals[-1] and group.kind in _TOTAL_LOOKS:
        return _TOTAL_LOOKS[group.kind]
    if own in group.totals[-2:-1]:
        return "efe"
    place = [number.name for number in group.numbers].index(own)
    return f"series.{place % PALETTE_COLOURS}"


@functools.cache
def luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb` as WCAG 2 defines it, 0 for black to 1 for white."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours as WCAG 2 defines it, 1 for equal ones to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def ink_on(ground: str) -> str:
    """Return black or white, whichever is easier to read on this colour."""
    return max(("#000000", "#ffffff"), key=lambda ink: contrast(ink, ground))


def _by_name(part: Status | Surface | SeriesColours) -> dict[str, str]:
    return {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}


def _style(colour: str | None, look: _Look, colours: dict[str, str | None], *, colourless: bool) -> Style:
    words = look.attributes.split()
    if colourless:
        return Style(
            bold="bold" in words or None, dim="dim" in words or None, reverse="reverse" in words or None
        )
    # With colour, dim would be too faint, and what is reversed gets a ground of its own.
    ground = colours[look.background]
    if colour is not None and ground is None and "reverse" in words:
        colour, ground = ink_on(colour), colour
    return Style(color=colour, bgcolor=ground, bold="bold" in words or None)
