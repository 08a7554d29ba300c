"""The line of keys at the bottom; a click on one does what its key does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual import events
from textual.message import Message

from arc_tui.drawing.rows import Row, width
from arc_tui.runs.state import Phase
from arc_tui.runs.view import RunView
from arc_tui.ui.keys import ACTIONS, Action, Scope, shown
from arc_tui.ui.rows_view import RowsView


class Footer(RowsView):
    """Shows as many keys as fit, the most wanted first."""

    DEFAULT_CSS = """
    Footer { height: 1; background: $surface-background; color: $surface-text; }
    """

    class Chosen(Message):
        """The user has clicked on an action."""

        def __init__(self, action: Action) -> None:
            super().__init__()
            self.action = action

    def __init__(self) -> None:
        super().__init__(id="footer")
        self._spans: list[tuple[int, int, Action]] = []

    def show_view(self, view: RunView, keys: Mapping[str, Sequence[str]], *, read_only: bool) -> None:
        """Show the keys that can be used now."""
        row, self._spans = footer_row(view, keys, self.size.width, read_only=read_only)
        self.show([row])

    def on_click(self, event: events.Click) -> None:
        """Choose the action under the mouse."""
        for first, last, action in self._spans:
            if first <= event.x < last:
                self.post_message(self.Chosen(action))
                return


def footer_row(
    view: RunView, keys: Mapping[str, Sequence[str]], cells: int, *, read_only: bool
) -> tuple[Row, list[tuple[int, int, Action]]]:
    """Draw the footer.

    Args:
        view: The run.
        keys: Keys of every action.
        cells: Its width.
        read_only: Whether actions that steer are left out.

    Returns:
        The row, and for each action in it its first column, the one after its last, and itself.
    """
    offered = [action for action in ACTIONS if keys[action.id] and _is_offered(action, view, read_only)]
    parts = {action.id: _part(action, view, keys) for action in offered}
    kept: set[str] = set()
    left = cells
    for action in sorted(offered, key=lambda a: a.footer or 0):
        if (need := width(parts[action.id])) <= left:
            kept.add(action.id)
            left -= need
    row: Row = []
    spans: list[tuple[int, int, Action]] = []
    for action in offered:
        if action.id in kept:
            first = width(row)
            row += parts[action.id]
            spans.append((first, width(row), action))
    return row, spans


def _is_offered(action: Action, view: RunView, read_only: bool) -> bool:
    if action.footer is None or action.scope not in (Scope.APP, Scope.MAIN):
        return False
    if not action.steers:
        return True
    if read_only or view.replay or view.phase is Phase.FINISHED:
        return False
    return action.id == "pause" or not view.state.ended


def _part(action: Action, view: RunView, keys: Mapping[str, Sequence[str]]) -> Row:
    label = action.label
    if action.id == "pause" and view.phase in (Phase.PAUSED, Phase.PAUSING):
        label = "go on"
    elif action.id == "pause" and view.state.ended:
        label = "start again"
    return [(f" {shown(keys[action.id][:1])}", "key"), (f" {label} ", "key.label")]
