"""Lines across the whole screen that stay until what they tell of has passed or was seen."""

from __future__ import annotations

import time
from collections.abc import Sequence

from textual.geometry import Size

from arc_core.base.text import printable
from arc_tui.drawing.rows import Row, fill, spread, width, wrap
from arc_tui.runs.state import Phase, Warned
from arc_tui.runs.view import RunView
from arc_tui.ui.keys import Keymap, shown
from arc_tui.ui.rows_view import RowsView

MOST_LINES = 3
TALL, LOW = 20, 8
"""Heights of a screen from which the banner may take all its lines, and from which it may take one."""


class Banner(RowsView):
    """Takes no line while there is nothing to tell."""

    DEFAULT_CSS = """
    Banner { height: auto; background: $surface-background; }
    """

    def __init__(self) -> None:
        super().__init__(id="banner")

    def show_view(self, view: RunView, unseen: Sequence[Warned], keys: Keymap, screen: Size) -> bool:
        """Show what is to be told now.

        Args:
            view: The run.
            unseen: Warnings that the user has not seen yet, oldest first.
            keys: Keys of every action.
            screen: Size of the screen.

        Returns:
            Whether it now takes another number of lines.
        """
        most = MOST_LINES if screen.height >= TALL else 1 if screen.height >= LOW else 0
        rows = banner_rows(view, unseen, keys, screen.width, most)
        before = len(self.rows)
        self.show(rows)
        return len(rows) != before


def banner_rows(
    view: RunView,
    unseen: Sequence[Warned],
    keys: Keymap,
    cells: int,
    most: int = MOST_LINES,
) -> list[Row]:
    """Draw the banner; see `Banner.show_view`.

    Args:
        view: The run.
        unseen: Warnings that the user has not seen yet, oldest first.
        keys: Keys of every action.
        cells: Width of the screen.
        most: Lines at most.
    """
    rows: list[Row] = []
    if view.gone:
        told = "  ✗ GONE: the run's folder was deleted or moved; what was read before stays on the screen"
        rows.append([(told, "banner.crashed")])
    elif view.phase is Phase.PAUSED:
        rows.append([(_paused(view, keys), "banner.paused")])
    elif view.phase is Phase.PAUSING:
        rows.append([("  ◐ PAUSING: training stands still after this step", "banner.paused")])
    elif view.phase is Phase.CRASHED:
        again = f"{_key(keys, 'pause')} starts it again"
        told = f"  ✗ CRASHED: the training process has ended unexpectedly; {again}"
        rows.append([(told, "banner.crashed")])
    rows += _warnings(unseen, keys, cells, most - len(rows))
    return [[(text, row[0][1]) for text, _ in fill(row, cells)] for row in rows[:most]]


def _paused(view: RunView, keys: Keymap) -> str:
    at = view.state.paused_at
    since = f" since {time.strftime('%H:%M:%S', time.localtime(at))}" if at is not None else ""
    return f"  ‖ PAUSED at step {view.state.step:,}{since}: {_key(keys, 'pause')} goes on"


def _warnings(unseen: Sequence[Warned], keys: Keymap, cells: int, most: int) -> list[Row]:
    """Write the newest unseen warning with its advice, and how many others there are."""
    if not unseen or most <= 0:
        return []
    newest = unseen[-1]
    others = f"{len(unseen) - 1:,} more, " if len(unseen) > 1 else ""
    hint = f"  {others}{_key(keys, 'seen')} seen "
    rows = wrap(printable(f"▲ {newest.message} {newest.advice}"), max(cells - 3, 1), most=min(most, 2))
    if width(rows[-1]) + len(hint) > cells - 3 and len(rows) < min(most, 2):
        rows.append([])
    rows = [[("  ", "banner.warning"), *row] for row in rows]
    rows[-1] = spread(rows[-1], [(hint, "")], cells)
    return [[("".join(text for text, _ in row), "banner.warning")] for row in rows]


def _key(keys: Keymap, identity: str) -> str:
    return shown(keys.get(identity, ())[:1]) or identity
