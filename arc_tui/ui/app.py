"""What all apps share: a terminal of any size, looks, signals, screenshots, and how they fail.

A pseudo-terminal that nobody has given a size (docker exec, kubectl exec, a serial line) says that it has
0 rows and 0 columns. Textual and rich take different sizes for that one, and so Textual lays everything
out again for ever and hears no key. Here 0 is 0: nothing is drawn, keys are obeyed, and the first real
size brings the app up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from rich.console import RenderableType
from textual import events
from textual.app import App, ReturnType
from textual.binding import BindingType
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.screen import Screen

from arc_core.base.errors import ArcError
from arc_core.base.text import printable
from arc_tui.looks.current import Looks
from arc_tui.looks.themes import DEFAULT_THEME, Theme
from arc_tui.ui.actions import Scope
from arc_tui.ui.crash_report import write_report
from arc_tui.ui.help import HelpScreen
from arc_tui.ui.keys import Keymap, by_key, keymap
from arc_tui.ui.osc import linked
from arc_tui.ui.screen import READ_ONLY, KeyedScreen, SideScreen, perform
from arc_tui.ui.selecting import heard
from arc_tui.ui.signals import Signals
from arc_tui.ui.terminal import terminal_size

FAILED = 1
THEME_TOLD_SECONDS = 3.0
LONGEST_TOLD = 60
"""Characters that are shown of what was copied."""


class SizedDriver(LinuxDriver):
    """Textual's driver, with one size for all who ask."""

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        if self._size is None:
            self._size = terminal_size()  # what the app goes by until the first resize

    def _get_terminal_size(self) -> tuple[int, int]:
        return terminal_size()


class BaseApp(App[ReturnType], inherit_bindings=False):
    """An app that waits, drawing nothing, while the terminal has no rows or no columns.

    Args:
        theme: Name of the theme.
        keys: The user's own keys by action id; other actions keep theirs.
        read_only: Whether it neither asks anything of a run nor writes a file.

    Attributes:
        signal: The signal that ended it; None if the user left it.
        failed: Whether it failed.
        report: Where the report of that lies; None where none could be written.

    Raises:
        ConfigError: If there is no such theme, its file is refused, or the keys clash.
    """

    CSS_PATH = None
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = []

    WHAT = "an app"
    """What it is, for a report of its failure."""
    PICTURE = "screen"
    """What the names of its screenshots begin with."""
    PLACES: ClassVar[tuple[Scope, ...]]
    """Where keys are heard in it, as `arc_tui.ui.actions` lists it for each app."""
    keys: Keymap
    """The keys of every action, the user's own included."""

    def __init__(
        self, theme: str = DEFAULT_THEME, keys: Keymap | None = None, *, read_only: bool = False
    ) -> None:
        self.read_only = read_only
        self.keys = keymap(keys or {})
        self._looks = Looks(theme)
        # Textual's own way without colour still sends greys, unless colours are left to the terminal.
        super().__init__(ansi_color=True if self._looks.theme.colourless else None)
        self._looks.show(self)
        self.signal: int | None = None
        self.report: Path | None = None
        self.failed = False
        self._signals = Signals(self._end_by_signal)
        self._undrawn = False
        """Whether something changed while there was no size."""

    # The terminal

    def get_driver_class(self) -> type[Driver]:
        """Return the driver that knows a terminal without a size."""
        return SizedDriver

    def on_mount(self) -> None:
        """Answer signals."""
        if not self.is_headless:
            self._signals.answer()

    def on_unmount(self) -> None:
        """Leave signals to whoever comes next."""
        self._signals.ignore()

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

    # The end

    def _handle_exception(self, error: Exception) -> None:
        # Textual's own hook for what nobody caught. It would print a traceback with the values of all
        # variables; a report in a file serves better, and nothing of what is shown reaches the terminal.
        self.failed = True
        self.report = write_report(error, f"{self.size.width}x{self.size.height}, {self.screen_name}")
        super()._handle_exception(error)
        self._exit_renderables.clear()

    @property
    def screen_name(self) -> str:
        """What is shown, for a report."""
        return type(self.screen_stack[-1]).__name__ if self.screen_stack else "no screen"

    def _end_by_signal(self, number: int) -> None:
        self.signal = number
        self.exit()

    # What every app can do

    @property
    def looks(self) -> Theme:
        """The theme on the screen."""
        return self._looks.theme

    def tell(self, text: str, style: str = "muted", seconds: float | None = None) -> None:
        """Show a message on the screen that is on top.

        Args:
            text: The message.
            style: Its style.
            seconds: How long it is shown where the screen has a place for messages that pass; None stays.
        """
        del seconds
        if isinstance(self.screen, SideScreen):
            self.screen.tell(text, style)

    def on_key(self, event: events.Key) -> None:
        """Do what a key with Ctrl is for in dialogs too; on all other screens `KeyedScreen` does it."""
        action = heard(by_key(self.PLACES[0], self.keys), event, self.screen)
        if action is not None and action.of_app and event.key.startswith("ctrl+"):
            event.stop()
            event.prevent_default()
            self.call_next(perform, action, self.screen)

    def action_help(self) -> None:
        """Show all keys."""
        self.push_screen(HelpScreen(self.keys, self.PLACES))

    def action_leave(self) -> None:
        """Leave the app."""
        self.exit()

    def action_theme(self) -> None:
        """Take the next theme."""
        try:
            self.tell(f"Theme {self._looks.next(self)}", "accent", THEME_TOLD_SECONDS)
        except ArcError as error:
            self.tell(f"▲ {error}", "warning")

    def action_copy(self) -> None:
        """Send the terminal what the mouse has selected, else what is under the cursor, for its clipboard."""
        screen = self.screen
        text = screen.get_selected_text() or (screen.copied() if isinstance(screen, KeyedScreen) else None)
        screen.clear_selection()
        tell = screen.tell if isinstance(screen, SideScreen) else self.tell
        if not text:
            tell("Nothing here to copy")
            return
        text = "\n".join(map(printable, text.split("\n")))
        self.copy_to_clipboard(text)
        first, *others = text.split("\n")
        more = f" and {len(others)} more lines" if others else ""
        tell(f"✓ Copied {printable(first.strip(), LONGEST_TOLD)}{more}", "good")

    def action_screenshot(self, filename: str | None = None, path: str | None = None) -> None:
        """Save the screen as an SVG file in the folder where the app was opened."""
        if self.read_only:
            self.tell(READ_ONLY, "warning")
            return
        name = filename or time.strftime(f"{self.PICTURE}_%Y%m%d_%H%M%S.svg")
        try:
            saved = self.save_screenshot(name, path or str(Path.cwd()))
        except OSError as error:
            self.tell(f"✗ Cannot save the screenshot: {error.strerror}", "error")
            return
        self.tell(f"✓ Saved {Path(saved).name}", linked("good", Path(saved)))


def ended(app: BaseApp[Any], show_error: Callable[[str], None]) -> int:
    """Tell how an app has ended.

    Args:
        app: It is not running any more.
        show_error: Shows a line on standard error.

    Returns:
        The exit code: 0, 1 if it failed, 128 and the signal's number if one ended it.
    """
    if app.failed:
        where = f"; the report is {printable(str(app.report))}" if app.report is not None else ""
        show_error(f"Error: {app.WHAT[0].upper()}{app.WHAT[1:]} has failed{where}.")
        return FAILED
    return 0 if app.signal is None else 128 + app.signal
