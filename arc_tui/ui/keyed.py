"""What the screens beside the main one have in common: keys from the table, and a line that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.screen import Screen, ScreenResultType
from textual.widgets import Input

from arc_tui.drawing.rows import Row, width
from arc_tui.ui.keys import ACTIONS, Action, Scope, by_key, shown
from arc_tui.ui.list import LazyList
from arc_tui.ui.rows_view import RowsView


class KeyLine(RowsView):
    """The keys of a screen at its foot; a click on one does what its key does.

    Args:
        scope: The screen's.
        keys: Keys of every action.
        read_only: Whether actions that steer a run are left out.
    """

    DEFAULT_CSS = """
    KeyLine { height: 1; background: $surface-background; color: $surface-text; }
    """

    def __init__(self, scope: Scope, keys: Mapping[str, Sequence[str]], *, read_only: bool) -> None:
        super().__init__()
        self._spans: list[tuple[int, int, str]] = []
        row: Row = []
        offered = [a for a in ACTIONS if a.scope is scope and keys[a.id] and not (read_only and a.steers)]
        parts = [(f"{shown(keys[a.id][:1])}", a.label, a.call) for a in offered]
        for name, label, call in [*parts, ("Esc", "back", "leave")]:
            first = width(row)
            row += [(f" {name}", "key"), (f" {label} ", "key.label")]
            self._spans.append((first, width(row), call))
        self.show([row])

    async def on_click(self, event: events.Click) -> None:
        """Do what the key under the mouse does."""
        for first, last, call in self._spans:
            if first <= event.x < last:
                await self.screen.run_action(call)
                return


class KeyedScreen(Screen[ScreenResultType]):
    """A screen whose keys are those of its scope in the table.

    Args:
        keys: Keys of every action.
        read_only: Whether nothing may be asked of a run.
    """

    DEFAULT_CSS = """
    KeyedScreen { layout: vertical; background: $surface-background; color: $surface-text; }
    KeyedScreen .title { height: 1; background: $surface-background; }
    KeyedScreen .details { height: auto; max-height: 50%; background: $surface-panel; padding: 0 1; }
    KeyedScreen Input { border: none; height: 1; padding: 0 1; background: $surface-panel; }
    """

    SCOPE: ClassVar[Scope]
    """Which actions of the table are this screen's."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back", show=False)]

    def __init__(self, keys: Mapping[str, Sequence[str]], *, read_only: bool = False) -> None:
        super().__init__()
        self.keys = keys
        self.read_only = read_only
        self._actions: dict[str, Action] = by_key(self.SCOPE, keys)

    def key_line(self) -> KeyLine:
        """Return the line of this screen's keys."""
        return KeyLine(self.SCOPE, self.keys, read_only=self.read_only)

    def on_key(self, event: events.Key) -> None:
        """Do what a key is for; while something is typed, keys are letters."""
        if isinstance(self.focused, Input):
            return
        action = self._actions.get(event.key)
        if action is not None:
            self.call_next(self.run_action, action.call)
        elif not (isinstance(self.focused, LazyList) and self.focused.press(event.key)):
            return
        event.stop()
        event.prevent_default()

    def may_steer(self) -> bool:
        """Whether something may be asked of a run; says so where it may not."""
        if self.read_only:
            self.tell("▲ Opened for reading only", "warning")
        return not self.read_only

    def tell(self, text: str, style: str = "muted") -> None:
        """Show a message.

        Raises:
            NotImplementedError: In a screen that does not say where.
        """
        raise NotImplementedError

    def action_leave(self) -> None:
        """Go back to the screen before."""
        self.dismiss(None)
