"""The modules that tensor names spell, as a tree whose nodes are made when they are opened.

Names are sorted once; a module is then a stretch of them, found by bisection, and its counts and bytes are
differences of running sums. Layers that are alike, `layers.0` to `layers.27`, become one node `0..27`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from arc_tui.inspect.tensors.header_scan import TensorTable

_DIGITS = re.compile(r"([0-9]{1,18})")


@dataclass(frozen=True, eq=False)
class Node:
    """A module, a range of layers that are alike, or a tensor.

    Attributes:
        label: What is shown, such as `layers.0..27`; as written, so it is shown by `printable`.
        prefix: What all names below begin with, its dot included; of a tensor its name; of a range that of
            its first layer.
        tensors: Tensors below, itself included.
        parameters: Their elements.
        bytes: Their bytes.
        place: Place in the table, of a tensor; None of a module.
        layers: The layers of a range; empty otherwise.
        start: Its stretch of the sorted names: the first...
        end: ...and the one after the last.
    """

    label: str
    prefix: str
    tensors: int
    parameters: int
    bytes: int
    place: int | None
    layers: tuple[Node, ...]
    start: int
    end: int

    @property
    def is_tensor(self) -> bool:
        """Whether it is a tensor."""
        return self.place is not None


class Tree:
    """The tree of a table's names.

    Args:
        table: The tensors.
        places: Those that are shown; None shows all.
    """

    def __init__(self, table: TensorTable, places: Sequence[int] | None = None) -> None:
        self._table = table
        names = table.names
        shown = range(len(names)) if places is None else places
        self._places = sorted(shown, key=names.__getitem__)
        self._names = [names[place] for place in self._places]
        self._bytes = np.concatenate([[0], np.cumsum(table.bytes[self._places])]).tolist()
        self._parameters = np.concatenate([[0], np.cumsum(table.parameters[self._places])]).tolist()
        self.root = self._node("", "", 0, len(self._names), None)

    def children(self, node: Node) -> list[Node]:
        """Return what is directly below a node, in the order people count in.

        A module that holds nothing but one other, or one tensor, is drawn together with it.
        """
        if node.is_tensor:
            return []
        below = node.layers or self._ranges(self._direct(node))
        return [self._joined(child) for child in below]

    def places_below(self, node: Node) -> list[int]:
        """Return the places of all tensors below a node, its own included, in the order of their names."""
        if node.layers:
            return [place for layer in node.layers for place in self.places_below(layer)]
        return self._places[node.start : node.end]

    def places_in_order(self) -> list[int]:
        """Return the places of all tensors in the order in which an open tree shows them."""
        parts = [name.split(".") for name in self._names]
        known = sorted({part for path in parts for part in path}, key=natural)
        rank = {part: number for number, part in enumerate(known)}
        keys = [[rank[part] for part in path] for path in parts]
        return [self._places[at] for at in sorted(range(len(keys)), key=keys.__getitem__)]

    def _node(self, label: str, prefix: str, start: int, end: int, place: int | None) -> Node:
        parameters = self._parameters[end] - self._parameters[start]
        size = self._bytes[end] - self._bytes[start]
        return Node(label, prefix, end - start, parameters, size, place, (), start, end)

    def _direct(self, node: Node) -> list[Node]:
        found: list[Node] = []
        at = node.start
        while at < node.end:
            found.append(self._first(node, at))
            at = found[-1].end
        return sorted(found, key=lambda child: natural(child.label))

    def _first(self, node: Node, at: int) -> Node:
        """Return the child of a module that begins at a place of the sorted names."""
        name = self._names[at]
        label, dot, _ = name[len(node.prefix) :].partition(".")
        if not dot:
            return self._node(label, name, at, at + 1, self._places[at])
        end = bisect_left(self._names, f"{node.prefix}{label}/", at, node.end)  # "/" comes after "."
        return self._node(label, f"{node.prefix}{label}.", at, end, None)

    def _joined(self, node: Node) -> Node:
        """Draw a chain without branches as one, down to a range of layers or a tensor at its end."""
        label = node.label
        while not node.is_tensor and not node.layers:
            first = self._first(node, node.start)
            if first.end != node.end:  # it has branches, unless they are layers that are alike
                layers = self._ranges(self._direct(node)) if first.label.isdecimal() else []
                if len(layers) != 1:
                    break
                first = layers[0]
            node = first
            label = f"{label}.{node.label}"
        return replace(node, label=label)

    def _ranges(self, nodes: list[Node]) -> list[Node]:
        """Join neighbouring numbered modules that have the same tensors inside."""
        groups: list[list[Node]] = []
        for node in nodes:
            if groups and self._follows(groups[-1][-1], node):
                groups[-1].append(node)
            else:
                groups.append([node])
        return [group[0] if len(group) == 1 else self._range(group) for group in groups]

    def _range(self, layers: list[Node]) -> Node:
        return Node(
            f"{layers[0].label}..{layers[-1].label}",
            layers[0].prefix,
            sum(layer.tensors for layer in layers),
            sum(layer.parameters for layer in layers),
            sum(layer.bytes for layer in layers),
            None,
            tuple(layers),
            layers[0].start,
            layers[-1].end,
        )

    def _follows(self, one: Node, other: Node) -> bool:
        if not (one.label.isdecimal() and other.label.isdecimal()) or one.is_tensor or other.is_tensor:
            return False
        if len(one.label) > 9 or len(other.label) > 9 or int(other.label) != int(one.label) + 1:
            return False
        return (one.tensors, one.bytes) == (other.tensors, other.bytes) and self._alike(one, other)

    def _alike(self, one: Node, other: Node) -> bool:
        here, there = len(one.prefix), len(other.prefix)
        table = self._table
        for a, b in zip(range(one.start, one.end), range(other.start, other.end), strict=True):
            left, right = self._places[a], self._places[b]
            if (
                self._names[a][here:] != self._names[b][there:]
                or table.types[left] != table.types[right]
                or table.shapes[left] != table.shapes[right]
            ):
                return False
        return True


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts `layer 2` before `layer 10`."""
    parts = _DIGITS.split(text)
    return tuple(
        (0, int(part), "") if number % 2 else (1, 0, part) for number, part in enumerate(parts) if part
    )
