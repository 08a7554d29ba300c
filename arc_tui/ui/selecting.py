"""Screens on which the mouse selects text, in widgets of rows too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual import events
from textual.errors import NoWidget
from textual.geometry import Offset
from textual.screen import Screen, ScreenResultType
from textual.widget import Widget

from arc_tui.ui.actions import Action
from arc_tui.ui.keys import BY_ID
from arc_tui.ui.rows_view import Lines


class SelectingScreen(Screen[ScreenResultType]):
    """A screen that knows which character of a row is under the mouse."""

    def get_widget_and_offset_at(self, x: int, y: int) -> tuple[Widget | None, Offset | None]:
        """Return the widget in a cell, and the place of what it shows there.

        Args:
            x: Column of the screen.
            y: Line of the screen.
        """
        try:
            widget, _ = self.get_widget_at(x, y)
        except NoWidget:
            return None, None
        if not isinstance(widget, Lines):
            return super().get_widget_and_offset_at(x, y)
        left, top, width, height = widget.content_region
        return widget, widget.place_under(min(max(x - left, 0), width - 1), min(max(y - top, 0), height - 1))


def heard(actions: Mapping[str, Action], event: events.Key, screen: Screen[Any]) -> Action | None:
    """Return what a key is for; Ctrl+C copies while the mouse has selected something, as it does elsewhere.

    Args:
        actions: What the screen hears, by key.
        event: The key.
        screen: Where it was pressed.
    """
    copies = event.key == "ctrl+c" and screen.selections
    return BY_ID["copy"] if copies else actions.get(event.key)
