"""All keys of a browser."""

from __future__ import annotations

from arc_tui.drawing.rows import Row, beside, wrap
from arc_tui.ui.browser_keys import Sections
from arc_tui.ui.dialog import Dialog

TWO_COLUMNS = 100
KEY_CELLS = 8


class InspectHelp(Dialog[None]):
    """Lists every key by the screen that it is for.

    Args:
        sections: The keys.
    """

    DEFAULT_CSS = """
    InspectHelp > #box { width: 140; }
    """
    TITLE_TEXT = "Keys"

    def __init__(self, sections: Sections) -> None:
        super().__init__()
        self._sections = sections

    def rows(self, cells: int) -> list[Row]:
        """Write the keys, in two columns where they fit."""
        two = cells >= TWO_COLUMNS
        room = (cells - 3) // 2 if two else cells
        blocks: list[list[Row]] = []
        for title, keys in self._sections:
            block: list[Row] = [[(title, "accent")]]
            for key in keys:
                for number, row in enumerate(wrap(key.help, max(room - KEY_CELLS - 2, 10))):
                    block.append([(f"  {key.shown if number == 0 else '':<{KEY_CELLS}}", "key"), *row])
            blocks.append([*block, []])
        if not two:
            return [row for block in blocks for row in block]
        left: list[Row] = []
        right: list[Row] = []
        for block in blocks:
            shorter = left if len(left) <= len(right) else right
            shorter += block
        return beside([(left, room), (right, room)], gap=3)
