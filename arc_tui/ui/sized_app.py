"""The base of every app on the terminal: one that draws nothing while the terminal has no size.

A pseudo-terminal that nobody has given a size (docker exec, kubectl exec, a serial line) says that it has
0 rows and 0 columns. Textual and rich take different sizes for that one, and so Textual lays everything
out again for ever and hears no key. Here 0 is 0: nothing is drawn, keys are obeyed, and the first real
size brings the app up.
"""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from textual import events
from textual.app import App, ReturnType
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.screen import Screen

from arc_tui.ui.screen import KeyedApp
from arc_tui.ui.terminal_size import terminal_size


class SizedDriver(LinuxDriver):
    """Textual's driver, with one size for all who ask."""

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        if self._size is None:
            self._size = terminal_size()  # what the app goes by until the first resize

    def _get_terminal_size(self) -> tuple[int, int]:
        return terminal_size()


class SizedApp(KeyedApp[ReturnType]):
    """An app that waits, drawing nothing, while the terminal has no rows or no columns."""

    _undrawn = False
    """Whether something changed while there was no size."""

    def get_driver_class(self) -> type[Driver]:
        """Return the driver that knows a terminal without a size."""
        return SizedDriver

    def on_resize(self, event: events.Resize) -> None:
        """Draw all of the screen: what changed while there was no size has not been drawn."""
        if event.size and self._undrawn:
            self._undrawn = False
            for screen in self.screen_stack:
                screen.refresh()

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        # Textual's own way to the terminal. Without a size its screens keep the layout that they had.
        if self.size:
            super()._display(screen, renderable)
        else:
            self._undrawn = True
