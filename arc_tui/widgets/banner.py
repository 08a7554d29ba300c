"""Lines across the whole screen that stay until what they tell of has passed or was seen."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from arc_core.text import printable
from arc_tui.keys import shown
from arc_tui.rows import Row, cut, fill, wrap
from arc_tui.run_state import Phase, Warned
from arc_tui.view import View
from arc_tui.widgets.rows_view import RowsView

MOST_LINES = 3


class Banner(RowsView):
    """Takes no line while there is nothing to tell."""

    DEFAULT_CSS = """
    Banner { height: auto; background: $surface-background; }
    """

    def __init__(self) -> None:
        super().__init__(id="banner")

    def show_view(
        self, view: View, unseen: Sequence[Warned], keys: Mapping[str, Sequence[str]], cells: int
    ) -> bool:
        """Show what is to be told now.

        Args:
            view: The run.
            unseen: Warnings that the user has not seen yet, oldest first.
            keys: Keys of every action.
            cells: Width of the screen.

        Returns:
            Whether it now takes another number of lines.
        """
        rows = banner_rows(view, unseen, keys, cells)
        changed = len(rows) != len(self.rows)
        self.show(rows)
        if changed:
            self.refresh(layout=True)
        return changed


def banner_rows(
    view: View, unseen: Sequence[Warned], keys: Mapping[str, Sequence[str]], cells: int
) -> list[Row]:
    """Draw the banner; see `Banner.show_view`."""
    rows: list[Row] = []
    if view.phase is Phase.PAUSED:
        rows.append([(_paused(view, keys), "banner.paused")])
    elif view.phase is Phase.PAUSING:
        rows.append([("  ◐ PAUSING: training stands still after this step", "banner.paused")])
    if view.phase is Phase.CRASHED:
        told = (
            f"  ✗ CRASHED: the training process has ended unexpectedly; {_key(keys, 'pause')} starts it again"
        )
        rows.append([(told, "banner.crashed")])
    rows += _warnings(unseen, keys, cells, MOST_LINES - len(rows))
    return [[(cell[0], row[0][1]) for cell in fill(cut(row, cells), cells)] for row in rows]


def _paused(view: View, keys: Mapping[str, Sequence[str]]) -> str:
    since = time.strftime("%H:%M:%S", time.localtime(view.state.updated)) if view.state.updated else ""
    return f"  ‖ PAUSED at step {view.state.step:,} since {since}: {_key(keys, 'pause')} goes on"


def _warnings(
    unseen: Sequence[Warned], keys: Mapping[str, Sequence[str]], cells: int, most: int
) -> list[Row]:
    """Write the newest unseen warning in full, and how many others there are."""
    if not unseen or most <= 0:
        return []
    newest = unseen[-1]
    others = f" (and {len(unseen) - 1:,} more)" if len(unseen) > 1 else ""
    seen = f"{_key(keys, 'seen')} marks it as seen"
    text = f"▲ {newest.message} {newest.advice}{others} · {seen}"
    rows = wrap(printable(text), max(cells - 3, 1), "banner.warning", most=min(most, 2))
    return [[("  " + row[0][0], row[0][1])] for row in rows]


def _key(keys: Mapping[str, Sequence[str]], identity: str) -> str:
    return shown(keys.get(identity, ())[:1]) or identity
