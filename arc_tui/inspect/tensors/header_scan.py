"""Scans the JSON of a safetensors header entry by entry, so that what is kept is what is truly listed."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import NamedTuple, NoReturn, cast

import numpy as np
import numpy.typing as npt

from arc_core.base.text import printable
from arc_tui.inspect.tensors.dtypes import ELEMENT_TYPES, INDEX, ElementType, bytes_of

LONGEST_ENTRY = 4096
"""Characters of one tensor's entry without its name; a shape of 64 sides takes a quarter of that."""
MOST_SIDES = 64
METADATA = "__metadata__"

Shape = tuple[int, ...]
Int64s = npt.NDArray[np.int64]

_SPACE = r"[ \t\r\n]*+"
_STRING = r'"([^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+)"'
_NAME = re.compile(rf"{_SPACE}{_STRING}{_SPACE}:{_SPACE}")
_OFFSET = r"(0|[1-9][0-9]{0,17})"
_USUAL = re.compile(
    rf"{_SPACE}{_STRING}{_SPACE}:{_SPACE}"
    rf'\{{{_SPACE}"dtype"{_SPACE}:{_SPACE}"(\w{{1,32}})"{_SPACE},'
    rf'{_SPACE}"shape"{_SPACE}:{_SPACE}\[([0-9, \t\r\n]{{0,2000}})\]{_SPACE},'
    rf'{_SPACE}"data_offsets"{_SPACE}:{_SPACE}\[{_SPACE}{_OFFSET}{_SPACE},{_SPACE}{_OFFSET}{_SPACE}\]'
    rf"{_SPACE}\}}{_SPACE}([,}}])"
)
"""A tensor's name and entry as every writer known to us writes it, up to what stands behind it; any other
order of its keys takes the slower way."""
_METADATA_ITEM = re.compile(rf"{_SPACE}{_STRING}{_SPACE}:{_SPACE}{_STRING}{_SPACE}([,}}])")
_NEXT = re.compile(rf"{_SPACE}([,}}])")
_END = re.compile(rf"{_SPACE}\Z")
_SIDE = re.compile(r"0|[1-9][0-9]{0,17}")
_KEYS = {"dtype", "shape", "data_offsets"}


class DamagedHeader(Exception):
    """Why a header cannot be read: a phrase that follows the file's name."""


@dataclass(frozen=True, eq=False)
class TensorTable:
    """Tensors as columns, in the order of their header.

    Attributes:
        names: As written; anything may stand in them, so they are shown by `printable`.
        types: [N] places in `ELEMENT_TYPES`.
        shapes: Equal shapes share one tuple.
        parameters: [N] elements.
        begins: [N] first byte in the file; as a header is scanned, in its data.
        ends: [N] the byte after the last, likewise.
    """

    names: list[str]
    types: npt.NDArray[np.uint8]
    shapes: list[Shape]
    parameters: Int64s
    begins: Int64s
    ends: Int64s

    def __len__(self) -> int:
        return len(self.names)

    @functools.cached_property
    def bytes(self) -> Int64s:
        """[N] bytes of each."""
        return self.ends - self.begins

    def element(self, index: int) -> ElementType:
        """Return the element type of a tensor."""
        return ELEMENT_TYPES[self.types[index]]


def scan_header(text: str) -> tuple[TensorTable, dict[str, str]]:
    """Scan a header.

    Returns:
        Its tensors, and its free text.

    Raises:
        DamagedHeader: If it is not what the format allows.
    """
    return _Scanner(text).scan()


class _Layout(NamedTuple):
    """What type and shape of a tensor say: place in `ELEMENT_TYPES`, shape, elements, bytes."""

    kind: int
    shape: Shape
    elements: int
    bytes: int


class _Scanner:
    """Scans a header's text once, from front to back.

    Args:
        text: The header.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._names: list[str] = []
        self._layouts: list[_Layout] = []
        self._offsets: list[int] = []
        self._known: dict[tuple[str, str], _Layout] = {}
        self._metadata: dict[str, str] | None = None

    def scan(self) -> tuple[TensorTable, dict[str, str]]:
        """Return what is listed."""
        text, position = self._text, re.compile(_SPACE).match(self._text)
        assert position is not None
        self._at = position.end()
        if text[self._at : self._at + 1] != "{":
            raise DamagedHeader("is no safetensors file, or damaged: its header is not a JSON object.")
        self._at += 1
        closed = self._close_if_empty()
        while not closed:
            closed = self._usual_entries() or self._other_entry()
        if not _END.match(text, self._at):
            raise DamagedHeader("is damaged: its header goes on after its JSON has ended.")
        names, layouts = self._names, self._layouts
        if len(set(names)) != len(names):
            raise DamagedHeader(f'is damaged: the tensor "{_twice(names)}" is listed twice.')
        offsets = np.array(self._offsets, np.int64).reshape(-1, 2)
        table = TensorTable(
            names,
            np.array([layout.kind for layout in layouts], np.uint8),
            [layout.shape for layout in layouts],
            np.array([layout.elements for layout in layouts], np.int64),
            offsets[:, 0],
            offsets[:, 1],
        )
        return table, self._metadata or {}

    def _usual_entries(self) -> bool:
        """Take entries as long as they are as usual; returns whether the header has ended."""
        text, at, known, match = self._text, self._at, self._known, _USUAL.match
        add_name, add_layout, add_offsets = self._names.append, self._layouts.append, self._offsets.extend
        closed = False
        while not closed and (found := match(text, at)) is not None:
            name, code, sides, begin, end, behind = found.groups()
            if "\\" in name or name == METADATA:
                break
            layout = known.get((code, sides))
            if layout is None:
                layout = known[code, sides] = _layout(name, code, sides)
            first, last = int(begin), int(end)
            if last - first != layout.bytes:
                _refuse_size(name, code, layout, last - first)
            add_name(name)
            add_layout(layout)
            add_offsets((first, last))
            at, closed = found.end(), behind == "}"
        self._at = at
        return closed

    def _other_entry(self) -> bool:
        """Take metadata, or a tensor whose entry is not as usual; returns whether the header has ended."""
        name = self._name()
        if name == METADATA:
            self._read_metadata()
        else:
            code, sides, first, last = self._entry(name)
            layout = _layout(name, code, sides)
            if last - first != layout.bytes:
                _refuse_size(name, code, layout, last - first)
            self._names.append(name)
            self._layouts.append(layout)
            self._offsets += (first, last)
        found = _NEXT.match(self._text, self._at)
        if found is None:
            self._fail()
        self._at = found.end()
        return found[1] == "}"

    def _close_if_empty(self) -> bool:
        found = _NEXT.match(self._text, self._at)
        if found is None or found[1] != "}":
            return False
        self._at = found.end()
        return True

    def _name(self) -> str:
        found = _NAME.match(self._text, self._at)
        if found is None:
            self._fail()
        self._at = found.end()
        return self._unescaped(found[1])

    def _unescaped(self, written: str) -> str:
        if "\\" not in written:
            return written
        try:
            return cast(str, json.loads(f'"{written}"'))
        except ValueError:
            self._fail()

    def _read_metadata(self) -> None:
        if self._metadata is not None:
            raise DamagedHeader(f'is damaged: "{METADATA}" is listed twice.')
        self._metadata = {}
        if self._text[self._at : self._at + 1] != "{":
            raise DamagedHeader("is damaged: its metadata is not an object of texts.")
        self._at += 1
        closed = self._close_if_empty()
        while not closed:
            found = _METADATA_ITEM.match(self._text, self._at)
            if found is None:
                raise DamagedHeader("is damaged: its metadata is not an object of texts.")
            self._metadata[self._unescaped(found[1])] = self._unescaped(found[2])
            self._at, closed = found.end(), found[3] == "}"

    def _entry(self, name: str) -> tuple[str, str, int, int]:
        """Read an entry by JSON's rules: type, sides, first and last offset in the data."""
        window = self._text[self._at : self._at + LONGEST_ENTRY]
        try:
            content, length = json.JSONDecoder(object_pairs_hook=_unique).raw_decode(window)
        except (ValueError, RecursionError):
            self._fail()
        match content:
            case {"dtype": str(code), "shape": list(sides), "data_offsets": [begin, end]} if (
                content.keys() == _KEYS and all(type(side) is int for side in sides)
            ):
                if type(begin) is int and type(end) is int and 0 <= begin < 10**18 and 0 <= end < 10**18:
                    self._at += length
                    return code, ",".join(map(str, sides)), begin, end
            case _:
                pass
        raise DamagedHeader(
            f'is damaged: the entry of the tensor "{shown(name)}" is not a dtype, a shape and two offsets.'
        )

    def _fail(self) -> NoReturn:
        raise DamagedHeader(f"is damaged: its header is not JSON at character {self._at}.")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _layout(name: str, code: str, sides: str) -> _Layout:
    kind = INDEX.get(code)
    if kind is None:
        raise DamagedHeader(f'cannot be read: the tensor "{shown(name)}" has the unknown type {shown(code)}.')
    shape, count = _shape(name, sides)
    needed = bytes_of(ELEMENT_TYPES[kind], count)
    if needed is None:
        raise DamagedHeader(
            f'is damaged: the tensor "{shown(name)}" has elements that fill no whole number of bytes.'
        )
    return _Layout(kind, shape, count, needed)


def _refuse_size(name: str, code: str, layout: _Layout, there: int) -> NoReturn:
    needed = f"{code} of shape {sides(layout.shape)} needs {layout.bytes}"
    raise DamagedHeader(f'is damaged: the tensor "{shown(name)}" has {there} bytes, but {needed}.')


def _shape(name: str, written: str) -> tuple[Shape, int]:
    """Read the sides of a shape and multiply them; Python's integers do not overflow."""
    parts = [part.strip() for part in written.split(",")] if written.strip() else []
    if len(parts) > MOST_SIDES or not all(map(_SIDE.fullmatch, parts)):
        raise DamagedHeader(f'is damaged: the tensor "{shown(name)}" has a shape that is none.')
    shape = tuple(map(int, parts))
    count = 1
    for side in shape:
        count *= side
    if count >= 1 << 62:
        raise DamagedHeader(f'is damaged: the tensor "{shown(name)}" would have {count} elements.')
    return shape, count


def _twice(names: list[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return shown(name)
        seen.add(name)
    raise AssertionError("no name is there twice")


def sides(shape: Shape) -> str:
    """Write a shape, `[2, 3]`."""
    return "[" + ", ".join(map(str, shape[:8])) + (", ..." if len(shape) > 8 else "") + "]"


def shown(name: str) -> str:
    """Return a name for a sentence."""
    return printable(name, 80)
