"""What the apps beside the console have in common: looks, signals, screenshots, and how they fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ReturnType
from textual.binding import BindingType

from arc_core.base.errors import ArcError
from arc_core.base.text import printable
from arc_tui.looks.current import Looks
from arc_tui.looks.themes import DEFAULT_THEME, Theme
from arc_tui.ui.crash_report import write_report
from arc_tui.ui.keys import Keymap, keymap
from arc_tui.ui.screen import SideScreen
from arc_tui.ui.signals import Signals
from arc_tui.ui.sized_app import SizedApp

FAILED = 1


class ToolApp(SizedApp[ReturnType], inherit_bindings=False):
    """An app whose screens are `SideScreen`s.

    Args:
        theme: Name of the theme.
        keys: The user's own keys by action id; other actions keep theirs.

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

    def __init__(self, theme: str = DEFAULT_THEME, keys: Keymap | None = None) -> None:
        self.keys = keymap(keys or {})
        self._looks = Looks(theme)
        super().__init__()
        self._looks.show(self)  # pyright: ignore[reportArgumentType]
        self.signal: int | None = None
        self.report: Path | None = None
        self.failed = False
        self._signals = Signals(self._end_by_signal)

    def on_mount(self) -> None:
        """Answer signals."""
        if not self.is_headless:
            self._signals.answer()

    def on_unmount(self) -> None:
        """Leave signals to whoever comes next."""
        self._signals.ignore()

    def _handle_exception(self, error: Exception) -> None:
        # Textual's own hook: a report in a file, so that no value of what is shown reaches the terminal.
        self.failed = True
        self.report = write_report(error, f"{self.size.width}x{self.size.height}, {self.WHAT}")
        super()._handle_exception(error)
        self._exit_renderables.clear()

    def _end_by_signal(self, number: int) -> None:
        self.signal = number
        self.exit()

    @property
    def looks(self) -> Theme:
        """The theme on the screen."""
        return self._looks.theme

    def tell(self, text: str, style: str = "muted") -> None:
        """Show a message on the screen that is on top."""
        if isinstance(self.screen, SideScreen):
            self.screen.tell(text, style)

    def action_leave(self) -> None:
        """Leave the app."""
        self.exit()

    def action_theme(self) -> None:
        """Take the next theme."""
        try:
            self.tell(f"Theme {self._looks.next(self)}", "accent")  # pyright: ignore[reportArgumentType]
        except ArcError as error:
            self.tell(f"▲ {error}", "warning")

    def action_screenshot(self, filename: str | None = None, path: str | None = None) -> None:
        """Save the screen as an SVG file in the folder where the app was opened."""
        name = filename or time.strftime(f"{self.PICTURE}_%Y%m%d_%H%M%S.svg")
        try:
            saved = self.save_screenshot(name, path or str(Path.cwd()))
        except OSError as error:
            self.tell(f"✗ Cannot save the screenshot: {error.strerror}", "error")
            return
        self.tell(f"✓ Saved {Path(saved).name}", "good")


def ended(app: ToolApp[Any], show_error: Callable[[str], None]) -> int:
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
