"""What the browser shows beside its list and above a tensor's map: a module, a tensor, or a damaged part."""

from __future__ import annotations

from collections.abc import Sequence

from arc_core.base.text import printable
from arc_tui.drawing.rows import Row, wrap
from arc_tui.inspect.browsed import Browsed
from arc_tui.inspect.browser_rows import Line, bytes_bar
from arc_tui.inspect.facts import position
from arc_tui.inspect.tensors.binning import QUANTILES, Statistics
from arc_tui.inspect.tensors.header import Part
from arc_tui.inspect.tensors.header_scan import Shape, sides
from arc_tui.inspect.tensors.moments import Update
from arc_tui.inspect.tensors.source import Checkpoint, metadata_of
from arc_tui.inspect.tensors.tree import Node, Tree
from arc_tui.inspect.text import eighths, figure
from arc_tui.runs.fields import size

HISTOGRAM_LINES = 8
LONGEST_VALUE = 20_000
"""Characters of a value of metadata; training tools put whole tables there."""


def detail_rows(
    browsed: Browsed,
    tree: Tree,
    line: Line | None,
    place: int | None,
    cells: int,
    lines: int,
    *,
    powers: bool,
) -> list[Row]:
    """Draw what is chosen.

    Args:
        browsed: The checkpoint.
        tree: What is shown of it.
        line: The chosen line of the tree; None where there is none.
        place: The chosen tensor; None where something else is chosen.
        cells: Width.
        lines: Height.
        powers: Whether the histogram is by powers of two.
    """
    if place is not None:
        return _tensor_rows(browsed, place, cells, lines, powers=powers)
    if line is None:
        return []
    if line.files:
        return metadata_rows(browsed.checkpoint, cells)
    if line.part is not None:
        return part_rows(line.part, cells)
    return [] if line.node is None else _module_rows(tree, line.node, cells)


def part_rows(part: Part, cells: int) -> list[Row]:
    """Draw why a file has no tensors here, in so many cells."""
    style = "error" if part.problem is not None else "text"
    return [
        *wrap(printable(part.label, 200), cells, "title"),
        *wrap(printable(part.problem or part.unread or "", 2000), cells, style),
    ]


def metadata_rows(checkpoint: Checkpoint, cells: int) -> list[Row]:
    """Draw the free text of the files' headers in so many cells; what several files have comes once."""
    rows: list[Row] = []
    for labels, metadata in metadata_of(checkpoint):
        more = f" and {len(labels) - 1:,} more" if len(labels) > 1 else ""
        rows += [*([[]] if rows else []), *wrap(f"{printable(labels[0], 200)}{more}", cells, "title")]
        for key, value in metadata.items():
            shown = f"{printable(key, 200)}: {printable(value, LONGEST_VALUE)}"
            rows += wrap(shown, cells, "text")
    return rows


def _module_rows(tree: Tree, node: Node, cells: int) -> list[Row]:
    name = node.label if node.layers else node.prefix.rstrip(".")
    rows: list[Row] = [
        *wrap(printable(name, 400), cells, "title", 2),
        [(f"{node.tensors:,} tensors, {node.parameters:,} parameters, {size(node.bytes)}", "text")],
    ]
    if node.layers:
        rows.append([(f"{len(node.layers):,} layers that are alike; in each of them", "muted")])
        node = node.layers[0]
    return [*rows, [], *bytes_bar(tree.children(node), cells)]


def _tensor_rows(browsed: Browsed, place: int, cells: int, lines: int, *, powers: bool) -> list[Row]:
    table = browsed.checkpoint.table
    rows = head_rows(browsed.checkpoint, place, cells)
    found = browsed.statistics.get(place)
    if found is None:
        unread = table.element(place).kind == "unread"
        told = "values of this type are not read" if unread else "Enter shows its values"
        return [*rows, [], [(told, "muted")]]
    rows += statistics_rows(found, table.shapes[place], cells)
    room = min(lines - len(rows) - 1, HISTOGRAM_LINES)
    return [*rows, [], *histogram_rows(found, min(cells, 64), room, powers=powers)]


def head_rows(checkpoint: Checkpoint, place: int, cells: int) -> list[Row]:
    """Write a tensor's name, type, shape and file."""
    table = checkpoint.table
    name = printable(table.names[place], 1000)
    return [
        *wrap(name, cells, "title", most=2),
        [
            (table.element(place).label, "accent"),
            (f" {sides(table.shapes[place])}  ", "text"),
            (f"{int(table.parameters[place]):,} elements, {size(int(table.bytes[place]))}", "text"),
        ],
        [(printable(checkpoint.owner(place).label, 200), "muted")],
    ]


def statistics_rows(found: Statistics, shape: Shape, cells: int) -> list[Row]:
    """Write a tensor's statistics."""
    rows: list[Row] = [
        [
            *_pair("zeros", f"{found.zeros:,}"),
            *_pair("NaN", f"{found.nans:,}", "error" if found.nans else "good"),
            *_pair("infinite", f"{found.infinities:,}", "error" if found.infinities else "good"),
        ]
    ]
    for what, places in (("NaN", found.first_nans), ("infinite", found.first_infinities)):
        if places:
            at = " ".join(str(list(position(place, shape))) for place in places)
            rows.append([(f"first {what} at {at}", "error")])
    values = found.values
    if values is None:
        return [*rows, [("there is no finite value", "muted")]]
    rows.append([*_pair("mean", figure(values.mean)), *_pair("std", figure(values.std))])
    rows.append([*_pair("min", figure(values.minimum)), *_pair("max", figure(values.maximum))])
    quantiles = [f"{q:.0%} {figure(v)}" for q, v in zip(QUANTILES, values.quantiles, strict=True)]
    return [*rows, *_together(quantiles, cells)]


def _together(texts: Sequence[str], cells: int) -> list[Row]:
    """Write texts one after the other, none broken over two rows."""
    rows: list[Row] = []
    line = ""
    for text in texts:
        longer = f"{line}   {text}" if line else text
        if line and len(longer) > cells:
            rows.append([(line, "text")])
            longer = text
        line = longer
    return [*rows, [(line, "text")]]


def update_rows(update: Update | None) -> list[Row]:
    """Write how far the optimizer's moments would move a parameter; nothing where it has none."""
    if update is None:
        return []
    return [
        [
            *_pair("update to weight", f"{update.ratio:.2e}", "accent"),
            *_pair("rate", f"{update.learning_rate:g}"),
            *_pair("steps", f"{update.step:.0f}"),
        ]
    ]


def histogram_rows(found: Statistics, cells: int, lines: int, *, powers: bool) -> list[Row]:
    """Draw how a tensor's values are spread.

    Args:
        found: Its statistics.
        cells: Width.
        lines: Height, the line of edges included; at least 2.
        powers: Whether by powers of two of the absolute value; else by the value.
    """
    values = found.values
    if values is None or lines < 2 or cells < 8:
        return []
    if powers:
        counts = values.magnitudes.counts
        if not counts:
            return [[("only zeros", "muted")]]
        edges = f"2^{values.magnitudes.lowest}", f"2^{values.magnitudes.lowest + len(counts)}"
    else:
        counts = values.histogram.counts
        edges = figure(values.histogram.low), figure(values.histogram.high)
    columns = _stretched(counts, cells)
    most = max(columns)
    bars = lines - 1
    rows: list[Row] = []
    for line in range(bars, 0, -1):
        text = "".join(eighths(count, most, bars, line) for count in columns)
        rows.append([(text, "series.0")])
    gap = " " * max(cells - len(edges[0]) - len(edges[1]), 1)
    return [*rows, [(edges[0] + gap + edges[1], "tick")]]


def _stretched(counts: Sequence[int], cells: int) -> list[float]:
    """Spread bins over columns, each bin over as many as it can have; bins that share one are added up."""
    if len(counts) > cells:
        return [
            float(
                sum(
                    counts[
                        len(counts) * c // cells : max(
                            len(counts) * (c + 1) // cells, len(counts) * c // cells + 1
                        )
                    ]
                )
            )
            for c in range(cells)
        ]
    return [float(counts[len(counts) * c // cells]) for c in range(cells)]


def _pair(name: str, value: str, style: str = "text") -> Row:
    return [(f"{name} ", "muted"), (f"{value}   ", style)]
