"""The browser's tree and table as rows, and the bar of where the bytes are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from arc_core.base.text import printable
from arc_tui.drawing.rows import Row, cut, fill, padded, width
from arc_tui.inspect.browsed import Browsed
from arc_tui.inspect.tensors.binning import Statistics
from arc_tui.inspect.tensors.header import Part
from arc_tui.inspect.tensors.header_scan import METADATA, Shape, sides
from arc_tui.inspect.tensors.source import Checkpoint
from arc_tui.inspect.tensors.tree import Node, Tree, natural
from arc_tui.inspect.text import bar
from arc_tui.looks.styles import PALETTE_COLOURS
from arc_tui.runs.fields import size

WIDE = 70
"""Cells from which a line of the tree has all its columns."""
LONGEST_LABEL = 400


@dataclass(frozen=True, eq=False)
class Line:
    """A line of the tree.

    Attributes:
        level: Modules around it.
        node: What it shows; None for another line.
        part: The part that is damaged or not read; None for another line.
        files: Files whose headers have metadata, where the line stands for it; 0 for another line.
    """

    level: int
    node: Node | None = None
    part: Part | None = None
    files: int = 0


class Outline:
    """The lines of a tree as they are unfolded.

    Args:
        tree: The tree.
        others: Parts without tensors, damaged or not read, to show in their place at the top.
        with_metadata: Files whose headers have metadata, which gets a line at the end; 0 for none.
    """

    def __init__(self, tree: Tree, others: Sequence[Part] = (), with_metadata: int = 0) -> None:
        self._tree = tree
        self._open: set[int] = set()
        tops = [Line(0, node) for node in tree.children(tree.root)]
        tops += [Line(0, part=part) for part in others]
        self.lines = sorted(tops, key=lambda line: natural(_label(line)))
        if with_metadata:
            self.lines.append(Line(0, files=with_metadata))
        if len(tops) == 1 and not (tops[0].node and tops[0].node.layers):
            self.unfold(0)

    def unfold_to_fit(self, lines: int, *, levels: int = 1) -> None:
        """Open modules from the top down, the largest of a level first, while all fits into so many lines.

        Args:
            lines: Lines that there is room for.
            levels: How deep to look.
        """
        for level in range(levels):
            closed = [one for one in self.lines if one.level == level and one.node is not None]
            for line in sorted(closed, key=lambda one: -one.node.bytes if one.node is not None else 0):
                if len(self.lines) >= lines:
                    return
                at = self.lines.index(line)
                if line.node is not None and len(line.node.layers) > lines:
                    continue
                if self.unfold(at) and len(self.lines) > lines:
                    self.fold(at)

    def is_open(self, line: Line) -> bool:
        """Whether what is below a line is shown."""
        return id(line) in self._open

    def unfold(self, index: int) -> bool:
        """Show what is below a line; returns whether there was something to show."""
        line = self.lines[index]
        if line.node is None or line.node.is_tensor or self.is_open(line):
            return False
        self._open.add(id(line))
        below = [Line(line.level + 1, node) for node in self._tree.children(line.node)]
        self.lines[index + 1 : index + 1] = below
        return True

    def fold(self, index: int) -> bool:
        """Hide what is below a line; returns whether something was shown."""
        line = self.lines[index]
        if not self.is_open(line):
            return False
        end = index + 1
        while end < len(self.lines) and self.lines[end].level > line.level:
            self._open.discard(id(self.lines[end]))
            end += 1
        del self.lines[index + 1 : end]
        self._open.discard(id(line))
        return True

    def around(self, index: int) -> int:
        """Return the index of the module around a line; its own at the top."""
        level = self.lines[index].level
        while level and index and self.lines[index].level >= level:
            index -= 1
        return index

    def places(self, line: Line) -> list[int]:
        """Return the places of all tensors below a line."""
        return [] if line.node is None else self._tree.places_below(line.node)


def _label(line: Line) -> str:
    if line.node is not None:
        return line.node.label
    return line.part.label if line.part is not None else ""


def tree_row(line: Line, cells: int, total: int, checkpoint: Checkpoint, *, is_open: bool) -> Row:
    """Draw a line of the tree.

    Args:
        line: The line.
        cells: Width.
        total: Bytes of everything, for the bar.
        checkpoint: Where the tensors are.
        is_open: Whether what is below is shown.
    """
    indent = " " + "  " * line.level
    if line.files:
        return cut([(f"{indent}◇ {METADATA}", "title"), (f"  of {_files(line.files)}", "muted")], cells)
    if line.part is not None:
        sign, style = ("✗", "error") if line.part.problem is not None else ("○", "muted")
        state = [(f"  {line.part.state}", style)]
        label: Row = [(f"{indent}{sign} {printable(line.part.label, LONGEST_LABEL)}", style)]
        return [*cut(label, max(cells - width(state), 8)), *state]
    node = line.node
    assert node is not None
    name = printable(node.label, LONGEST_LABEL)
    if node.place is not None:
        table = checkpoint.table
        kind = f" {table.element(node.place).label} {sides(table.shapes[node.place])}"
        left: Row = [(f"{indent}· {name}", "text"), (kind, "muted")]
        counts = ""
    else:
        left = [(f"{indent}{'▾' if is_open else '▸'} ", "accent"), (name, "title")]
        counts = f"{node.tensors:,}"
    right: Row = [(size(node.bytes).rjust(10), "text")]
    if cells >= WIDE:
        right = [
            (counts.rjust(7), "muted"),
            (f"{node.parameters:,}".rjust(15), "muted"),
            *right,
            (f" {bar(node.bytes / max(total, 1), 8):<9}", "series.0"),
        ]
    room = max(cells - sum(len(text) for text, _ in right), 8)
    return [*fill(left, room), *right]


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def tree_heading(cells: int) -> Row:
    """Name the columns of the tree."""
    wide = cells >= WIDE
    right = f"{'TENSORS':>7}{'PARAMETERS':>15}{'BYTES':>10}{'':10}" if wide else f"{'BYTES':>10}"
    return [*fill([(" MODULE", "muted")], max(cells - len(right), 8)), (right, "muted")]


Text = Callable[[Browsed, int], str]
Key = Callable[[Browsed, int], Any]


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        name: Its heading.
        cells: Width; 0 takes what the others leave.
        text: What stands in it for a tensor.
        key: What tensors are sorted by, ascending.
        least: Width of the table from which it is shown.
    """

    name: str
    cells: int
    text: Text
    key: Key
    least: int = 0


def _by_shape(browsed: Browsed, place: int) -> tuple[int, Shape]:
    shape = browsed.table.shapes[place]
    return len(shape), shape


def _known(value: Callable[[Statistics], float | None], form: str) -> tuple[Text, Key]:
    """Return how a number of the statistics is shown, and what sorts by it: what is not known comes first."""

    def text(browsed: Browsed, place: int) -> str:
        if (found := browsed.statistics.get(place)) is None:
            return ""
        return "-" if (number := value(found)) is None else format(number, form)

    def key(browsed: Browsed, place: int) -> float:
        found = browsed.statistics.get(place)
        number = None if found is None else value(found)
        return -math.inf if number is None else number

    return text, key


COLUMNS: tuple[Column, ...] = (
    Column(
        "TENSOR",
        0,
        lambda b, p: printable(b.table.names[p], LONGEST_LABEL),
        lambda b, p: natural(b.table.names[p]),
    ),
    Column("TYPE", 14, lambda b, p: b.table.element(p).label, lambda b, p: int(b.table.types[p])),
    Column("SHAPE", 18, lambda b, p: sides(b.table.shapes[p]), _by_shape, 60),
    Column(
        "PARAMETERS",
        -15,
        lambda b, p: f"{b.table.parameters[p]:,}",
        lambda b, p: int(b.table.parameters[p]),
        90,
    ),
    Column("BYTES", -10, lambda b, p: size(int(b.table.bytes[p])), lambda b, p: int(b.table.bytes[p])),
    Column("MEAN", -11, *_known(lambda s: s.values and s.values.mean, ".4g"), 115),
    Column("STD", -11, *_known(lambda s: s.values and s.values.std, ".4g"), 115),
    Column("NAN/INF", -9, *_known(lambda s: s.nans + s.infinities, ","), 75),
)


def table_row(browsed: Browsed, place: int, cells: int) -> Row:
    """Draw a line of the table."""
    row: Row = []
    for column, wide in _widths(cells):
        text = column.text(browsed, place)
        odd = column.name == "NAN/INF" and text not in ("", "0")
        style = "error" if odd else "text" if column.name in ("TENSOR", "BYTES") else "muted"
        row += _cell(text, column, wide, style)
    return row


def table_heading(cells: int, sorted_by: int, *, descending: bool) -> Row:
    """Name the columns of the table, and say by which it is sorted."""
    row: Row = []
    for column, wide in _widths(cells):
        here = COLUMNS.index(column) == sorted_by
        name = f"{column.name}{'▼' if descending else '▲'}" if here else column.name
        row += _cell(name, column, wide, "accent" if here else "muted")
    return row


def tail(name: str, cells: int) -> str:
    """Return what fits of a name: its end, which tells tensors apart."""
    if cell_len(name) <= cells:
        return name
    room = max(cells - 1, 0)
    end = name[len(name) - min(room, len(name)) :]
    while cell_len(end) > room:  # letters of two cells
        end = end[1:]
    return f"…{end}"


def _widths(cells: int) -> list[tuple[Column, int]]:
    shown = [column for column in COLUMNS if cells >= column.least]
    rest = max(cells - sum(abs(column.cells) for column in shown) - 1, 12)
    return [(column, abs(column.cells) or rest) for column in shown]


def _cell(text: str, column: Column, wide: int, style: str) -> Row:
    shown = padded(text, wide - 1, left=False) if column.cells < 0 else text
    if not column.cells:
        shown = f" {tail(text, wide - 2)}"
    return [*fill([(shown, style)], wide - 1), (" ", "")]


def bytes_bar(nodes: Sequence[Node], cells: int, most: int = 8) -> list[Row]:
    """Draw where the bytes are: one bar cut into the largest nodes, and below it what each piece is.

    Args:
        nodes: What the bytes are in.
        cells: Width.
        most: Nodes that are told by name; the rest is one piece.
    """
    total = sum(node.bytes for node in nodes)
    if not total or cells < 10:
        return []
    largest = sorted(nodes, key=lambda node: -node.bytes)
    pieces = [(printable(node.label, 60), node.bytes) for node in largest[:most]]
    if rest := sum(node.bytes for node in largest[most:]):
        pieces.append((f"{len(largest) - most} others", rest))
    row: Row = []
    begin, seen = 0, 0
    for number, (label, weight) in enumerate(pieces):
        seen += weight
        end = round(seen / total * cells)
        wide = end - begin
        if wide > 0:
            sign = chr(ord("a") + number)
            text = f"{sign}:{label}" if wide > cell_len(label) + 2 else sign
            # Pieces are told apart by their letters, by a gap between them, and by colour.
            body = text + "─" * (wide - 1 - cell_len(text)) if wide > 1 else text[:1]
            row += [(body, f"series.{number % PALETTE_COLOURS}"), *([(" ", "")] if wide > 1 else [])]
        begin = end
    rows = [row]
    for number, (label, weight) in enumerate(pieces):
        share = weight / total
        rows.append(
            [
                (f"{chr(ord('a') + number)} ", f"series.{number % PALETTE_COLOURS}"),
                *fill([(label, "text")], max(min(cells - 32, 40), 8)),
                (f"{size(weight):>10} {share:6.1%} ", "muted"),
                (bar(share, 12), f"series.{number % PALETTE_COLOURS}"),
            ]
        )
    return rows
