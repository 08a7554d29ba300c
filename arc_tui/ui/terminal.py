"""The terminal's title and bell: what a console tells when nobody looks at it."""

from __future__ import annotations

from collections.abc import Callable

from arc_core.base.text import printable
from arc_tui.runs.state import Phase
from arc_tui.ui.settings import Settings

SAVE_TITLE = "\x1b[22;0t"
RESTORE_TITLE = "\x1b[23;0t"


class Terminal:
    """Sets the title and rings the bell, as far as the user wants.

    Args:
        settings: What the user wants.
        write: Writes to the terminal.
        ring: Rings its bell.
    """

    def __init__(self, settings: Settings, write: Callable[[str], None], ring: Callable[[], None]) -> None:
        self._settings = settings
        self._write = write
        self._ring = ring
        self._title = ""

    def open(self) -> None:
        """Keep the title there is, for `close`."""
        if self._settings.title:
            self._write(SAVE_TITLE)

    def close(self) -> None:
        """Give the terminal its own title back."""
        if self._settings.title:
            self._write(RESTORE_TITLE)

    def show(self, name: str, phase: Phase, share: float | None) -> None:
        """Show a run in the title: its state, how far it is, and its name.

        Args:
            name: The run.
            phase: What it is doing.
            share: How much of it is done, 0 to 1; None where that is not known.
        """
        done = f" {share:.0%}" if share is not None else ""
        title = f"{phase.value}{done} {printable(name, 60)}"
        if self._settings.title and title != self._title:
            self._title = title
            self._write(f"\x1b]0;{title}\x07")

    def tell(self, *, wanted: bool) -> None:
        """Ring the bell for something that the user may want to be told of."""
        if wanted and self._settings.bell:
            self._ring()
