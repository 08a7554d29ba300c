"""All keys, by what they are for."""

from __future__ import annotations

from collections.abc import Collection

from arc_tui.drawing.rows import Row, beside, wrap
from arc_tui.ui.actions import ACTIONS, Scope
from arc_tui.ui.dialog import Dialog
from arc_tui.ui.keys import Keymap, shown

TWO_COLUMNS = 100
WIDEST_KEYS = 11
"""Cells for the keys of an action; further ones stand below."""


class HelpScreen(Dialog[None]):
    """The table of an app's keys as it is now, the user's own included.

    Args:
        keys: Keys of every action.
        places: Where keys are heard in the app.
    """

    DEFAULT_CSS = """
    HelpScreen > #box { width: 140; }
    """
    TITLE_TEXT = "Keys"
    HINT = "↑ ↓ scroll · Esc closes"

    def __init__(self, keys: Keymap, places: Collection[Scope]) -> None:
        super().__init__()
        self._keys = keys
        self._places = places
        if Scope.CONSOLE in places:
            self.HINT += " · every action is in the palette too"

    def rows(self, cells: int) -> list[Row]:
        """Write the keys, in two columns where they fit."""
        two = cells >= TWO_COLUMNS
        room = (cells - 3) // 2 if two else cells
        here = [action for action in ACTIONS if not set(self._places).isdisjoint(action.places)]
        names = {action.id: shown(self._keys[action.id]) or "no key" for action in here}
        wide = min(max(map(len, names.values())), WIDEST_KEYS)
        groups: dict[str, list[Row]] = {}
        for action in here:
            block = groups.setdefault(action.group, [[(action.group, "accent")]])
            told = wrap(names[action.id], wide, "key"), wrap(action.help, room - wide - 4)
            block += ([("  ", ""), *row] for row in beside([(told[0], wide), (told[1], room - wide - 4)]))
        blocks = [[*block, []] for block in groups.values()]
        if not two:
            return [row for block in blocks for row in block]
        left: list[Row] = []
        right: list[Row] = []
        for block in blocks:
            shorter = left if len(left) <= len(right) else right
            shorter += block
        return beside([(left, room), (right, room)], gap=3)
