"""What the browser shows beside its list: the chosen module, tensor or damaged part."""

from __future__ import annotations

from arc_core.text import printable
from arc_tui.headless_lines import size
from arc_tui.inspect.browsed import Browsed
from arc_tui.inspect.browser_rows import Line, bytes_bar
from arc_tui.inspect.tensor_rows import head_rows, histogram_rows, statistics_rows
from arc_tui.inspect.tree import Node, Tree
from arc_tui.rows import Row, wrap

HISTOGRAM_LINES = 8


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
    if line.part is not None:
        return [[(printable(line.part.label, 200), "title")], *wrap(line.part.problem or "", cells, "error")]
    return [] if line.node is None else _module_rows(tree, line.node, cells)


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
