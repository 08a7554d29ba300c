"""What the drawings of all kinds of groups have in common."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

from rich.cells import cell_len

from arc_core.run.declared import Declared, GroupKind, NumberGroup
from arc_tui.drawing.bars import recent_line
from arc_tui.drawing.rows import Row, Run, cut, padded, width
from arc_tui.looks.styles import style_of
from arc_tui.runs.view import RunView
from arc_tui.ui.chart import ChartSeries

MOST_CURVES = 4
WIDEST_CURVE, WIDEST_UNIT = 14, 8
FIGURE, WIDEST_HISTORY = 7, 60
LONGEST_BRIEF = 10

_FORMS = (".4f", ".2f", ".0f", ".1e", ".0e")
_MEAN_LINES = {"loss": ("ema", "raw"), "accent": ("ema", "raw"), "efe": ("ema.efe", "raw.efe")}
"""Mean line and envelope of those numbers that a chart draws with their raw values."""


class Drawing:
    """How a group of one kind is drawn: rows, a headline, and curves over time."""

    LEAST: tuple[float, ...] = ()
    """Values that are on the chart's axis in any case."""

    SCALES = False
    """Whether the chart can be logarithmic."""

    LABEL = 11
    """Cells of the names at the left, a space among them, where none is longer."""

    def wanted(self, group: NumberGroup, lines: int | None = None) -> int:
        """Return how many rows it has use for.

        Args:
            group: The group.
            lines: Height of a panel that shows a chart too; None where there is no lack of it.
        """
        del lines
        return len(group.numbers)

    def rows(self, view: RunView, group: NumberGroup, cells: int, lines: int) -> list[Row]:
        """Draw a group's numbers.

        Args:
            view: The run.
            group: The group.
            cells: Width of a row.
            lines: Rows that there is room for; more may be returned.

        Raises:
            NotImplementedError: In a drawing that does not say.
        """
        raise NotImplementedError

    def headline(self, view: RunView, group: NumberGroup) -> Row:
        """Write what stands in the frame beside the title.

        Raises:
            NotImplementedError: In a drawing that does not say.
        """
        raise NotImplementedError

    def curves(self, declared: Declared, group: NumberGroup) -> tuple[ChartSeries, ...]:
        """Return what the chart shows: what the group names, else its last total, or its first numbers."""
        chosen = [name for name in group.charted if name in declared.numbers]
        if not chosen:
            first = [number.name for number in group.numbers[:MOST_CURVES]]
            chosen = [group.dotted(name) for name in group.totals[-1:] or first]
        return tuple(curve(declared, name) for name in chosen)


def curve(declared: Declared, dotted: str) -> ChartSeries:
    """Return the curve of a number; those that tell most have their raw values behind the mean line."""
    group, style = group_of(declared, dotted), style_of(declared, dotted)
    line, raw = _MEAN_LINES.get(style, (style, ""))
    shown = declared.numbers[dotted].shown
    if raw:
        shown = lowered(group.shown) if shown == "total" else shown.removesuffix(" total")
    smooth = group.kind not in (GroupKind.SCHEDULE, GroupKind.COUNTERS)
    return ChartSeries(dotted, _cut(shown, WIDEST_CURVE), line, raw, smooth)


def headline_curve(declared: Declared, dotted: str) -> ChartSeries:
    """Return the curve of a number that is drawn alone: with its raw values behind the mean line."""
    return dataclasses.replace(curve(declared, dotted), line="ema", raw="raw")


def group_of(declared: Declared, dotted: str) -> NumberGroup:
    """Return the group of a number."""
    return declared.by_name[dotted.partition(".")[0]]


def value_row(view: RunView, dotted: str, label: int, look_back: int, cells: int) -> Row:
    """Draw a number: its name in `label` cells, its value, and its history over `look_back` steps."""
    number, style = view.declared.numbers[dotted], style_of(view.declared, dotted)
    value, unit = view.latest(dotted), unit_of(group_of(view.declared, dotted))
    shown = figure(value, FIGURE, whole=number.whole)
    row: Row = [named(number.shown, label), (shown, "" if math.isfinite(value) else "mark.nan")]
    row.append((unit, "muted"))
    if number.whole and number.most is not None:
        return cut([*row, (f" of {number.most:,.0f}", "")], cells)
    spark = max(0, min(cells - label - FIGURE - 1 - cell_len(unit), WIDEST_HISTORY))
    return cut([*row, (" ", ""), (recent_line(view.history, dotted, look_back, spark), style)], cells)


def fitting(rows: list[Row], lines: int) -> list[Row]:
    """Return rows, or as many as there are lines for and how many more there would be."""
    if len(rows) <= lines or lines < 1:
        return rows
    hidden = len(rows) - lines + 1
    return [*rows[: lines - 1], [(f"… and {hidden:,} more", "muted")]]


def figure(value: float, cells: int, *, whole: bool = False) -> str:
    """Write a number flush right in so many cells, as exactly as they hold; small ones by powers of ten."""
    forms = (",.0f", *_FORMS[3:]) if whole else _FORMS
    if not whole and 0 < abs(value) < 1e-3:
        forms = _FORMS[3:]
    texts = [f"{value:{form}}" for form in forms]
    return next((text for text in texts if len(text) <= cells), texts[-1]).rjust(cells)


def brief(value: float, form: str = ".3f") -> str:
    """Write a number in this form, or by its power of ten where that would be zeros alone, or too long."""
    text = f"{value:{form}}"
    zeros = math.isfinite(value) and value != 0 and float(text) == 0
    return f"{value:.1e}" if zeros or len(text) > LONGEST_BRIEF else text


def unit_of(group: NumberGroup) -> str:
    """Return what stands behind a group's values; empty where they have no unit."""
    return f" {_cut(group.unit, WIDEST_UNIT)}" if group.unit else ""


def label_cells(names: Iterable[str], least: int, cells: int) -> int:
    """Return how many cells names are given at the left of rows: `least` or more, up to a third of them."""
    return min(max([least, *(cell_len(name) + 1 for name in names)]), max(least, cells // 3))


def named(text: str, cells: int, style: str = "") -> Run:
    """Return a name in so many cells, one of them a space; a longer one is cut."""
    return padded(_cut(text, cells - 1), cells), style


def lowered(name: str) -> str:
    """Return a name as it stands within a sentence; one of capitals stays as it is."""
    return name[:1].lower() + name[1:] if name[1:2].islower() else name


def _cut(text: str, cells: int) -> str:
    row = cut([(text, "")], max(cells, 1))
    return row[0][0] if width(row) else ""
