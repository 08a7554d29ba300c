"""What the browser shows beside its list: the chosen module, tensor or damaged part."""

from __future__ import annotations

from arc_core.base.text import printable
from arc_tui.drawing.rows import Row, wrap
from arc_tui.inspect.browsed import Browsed
from arc_tui.inspect.browser_rows import Line, bytes_bar
from arc_tui.inspect.tensor_rows import head_rows, histogram_rows, statistics_rows
from arc_tui.inspect.tensors.parts import Part
from arc_tui.inspect.tensors.source import Checkpoint, metadata_of
from arc_tui.inspect.tensors.tree import Node, Tree
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
