"""Finds tensors: words in their names, fuzzily, and conditions on type, size and content.

attn weight        both words, in any place; letters may be left out: `lyr27`
type:bf16          of this type, by either of its names
size>10MB size<1kB
has:nan has:inf    where statistics have been taken
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from arc_core.base.errors import ConfigError
from arc_core.base.text import printable
from arc_tui.inspect.tensors.dtypes import ELEMENT_TYPES
from arc_tui.inspect.tensors.header_scan import TensorTable

_SIZE = re.compile(r"size([<>])([0-9]+(?:\.[0-9]+)?)(b|kb|mb|gb)?")
_UNITS = {"b": 1, "kb": 1000, "mb": 10**6, "gb": 10**9}
_LONGEST = 200
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TensorQuery:
    """What is looked for.

    Attributes:
        words: Parts of names, in lower case.
        types: Places in `ELEMENT_TYPES`; empty for any.
        over: Least bytes.
        under: Most bytes; None for any number.
        has: `nan` or `inf`, which must be known to be in the tensor.
    """

    words: tuple[str, ...] = ()
    types: frozenset[int] = frozenset()
    over: float = 0.0
    under: float | None = None
    has: frozenset[str] = field(default=frozenset())

    @property
    def is_empty(self) -> bool:
        """Whether everything matches."""
        return self == TensorQuery()


def parse_query(text: str) -> TensorQuery:
    """Read a query as it is typed.

    Raises:
        ConfigError: If a condition is none; one sentence says which are.
    """
    words: list[str] = []
    types: set[int] = set()
    has: set[str] = set()
    over, under = 0.0, None
    for token in text[:_LONGEST].lower().split():
        if token.startswith("type:"):
            types |= _types(token.removeprefix("type:"))
        elif token in ("has:nan", "has:inf"):
            has.add(token.removeprefix("has:"))
        elif found := _SIZE.fullmatch(token):
            limit = float(found[2]) * _UNITS[found[3] or "b"]
            over, under = (limit, under) if found[1] == ">" else (over, limit)
        elif re.match(r"(size[<>]|has:)", token):
            raise ConfigError(
                f"{printable(token, 40)} is no condition: there are type:bf16, size>10MB, size<1kB, "
                "has:nan and has:inf."
            )
        else:
            words.append(token)
    return TensorQuery(tuple(words), frozenset(types), over, under, frozenset(has))


def _types(wanted: str) -> set[int]:
    found = {
        place
        for place, element in enumerate(ELEMENT_TYPES)
        if wanted and (element.code.lower().startswith(wanted) or element.label.startswith(wanted))
    }
    if not found:
        raise ConfigError(f"There is no type {printable(wanted, 40)}; there are bf16, f32, i64 and others.")
    return found


class Finder:
    """Finds tensors of one table by queries.

    Args:
        table: The tensors.
        odd: Says of a tensor's place which of `nan` and `inf` are known to be in it.
    """

    def __init__(self, table: TensorTable, odd: Callable[[int], frozenset[str]] | None = None) -> None:
        self._table = table
        self._odd = odd
        self._lower: list[str] | None = None

    def find(self, query: TensorQuery) -> list[int]:
        """Return the places of what matches: in the table's order, or with words the best first."""
        table = self._table
        keep: Mask = table.bytes >= query.over
        if query.under is not None:
            keep &= table.bytes <= query.under
        if query.types:
            keep &= np.isin(table.types, list(query.types))
        places: Sequence[int] = np.flatnonzero(keep).tolist()
        if query.has:
            odd = self._odd
            places = [place for place in places if odd is not None and query.has <= odd(place)]
        return self._ranked(places, query.words) if query.words else list(places)

    def _ranked(self, places: Sequence[int], words: tuple[str, ...]) -> list[int]:
        if self._lower is None:
            self._lower = [name.lower() for name in self._table.names]
        lower = self._lower
        matchers = [_matcher(word) for word in words]
        scored: list[tuple[int, int, int]] = []
        for place in places:
            name, total = lower[place], 0
            for matcher in matchers:
                score = matcher(name)
                if score is None:
                    break
                total += score
            else:
                scored.append((total, len(name), place))
        scored.sort()
        return [place for _, _, place in scored]


def _matcher(word: str) -> Callable[[str], int | None]:
    """Return a judge of names: 0 for a whole part, 1 for a piece of the name, more for scattered letters."""
    scattered = re.compile("".join(f"[^{re.escape(c)}]*{re.escape(c)}" for c in word), re.DOTALL)

    def judge(name: str) -> int | None:
        at = name.find(word)
        if at >= 0:
            whole = (at == 0 or name[at - 1] == ".") and name[at + len(word) : at + len(word) + 1] in (
                "",
                ".",
            )
            return 0 if whole else 1
        found = scattered.search(name)
        return None if found is None else 2 + len(found[0]) - len(word)

    return judge
