"""All keys, by what they are for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from arc_tui.drawing.rows import Row, beside, wrap
from arc_tui.ui.dialog import Dialog
from arc_tui.ui.keys import ACTIONS, Action, shown

TWO_COLUMNS = 100
KEYS_WIDTH = 24


class HelpScreen(Dialog[None]):
    """The table of keys as it is now, the user's own included.

    Args:
        keys: Keys of every action.
    """

    DEFAULT_CSS = """
    HelpScreen > #box { width: 140; }
    """
    TITLE_TEXT = "Keys"
    HINT = "↑ ↓ scroll · Esc closes · every action is in the palette too"

    def __init__(self, keys: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self._keys = keys

    def rows(self, cells: int) -> list[Row]:
        """Write the keys, in two columns where they fit."""
        return help_rows(self._keys, cells)


def help_rows(keys: Mapping[str, Sequence[str]], cells: int) -> list[Row]:
    """Draw the table of keys.

    Args:
        keys: Keys of every action.
        cells: Width of the table.
    """
    two = cells >= TWO_COLUMNS
    room = (cells - 3) // 2 if two else cells
    groups: dict[str, list[Action]] = {}
    for action in ACTIONS:
        groups.setdefault(action.group, []).append(action)
    blocks = [_block(group, actions, keys, room) for group, actions in groups.items()]
    if not two:
        return [row for block in blocks for row in block]
    left: list[Row] = []
    right: list[Row] = []
    for block in blocks:
        shorter = left if len(left) <= len(right) else right
        shorter += block
    return beside([(left, room), (right, room)], gap=3)


def _block(group: str, actions: list[Action], keys: Mapping[str, Sequence[str]], cells: int) -> list[Row]:
    rows: list[Row] = [[(group, "accent")]]
    for action in actions:
        told = wrap(action.help, max(cells - KEYS_WIDTH - 2, 10))
        for number, row in enumerate(told):
            name = shown(keys[action.id]) or "no key"
            rows.append([(f"  {name if number == 0 else '':<{KEYS_WIDTH}}", "key"), *row])
    return [*rows, []]
