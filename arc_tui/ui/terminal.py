"""The terminal: its size as far as anybody tells; title, bell and notifications, for when nobody looks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TextIO

from arc_core.base.text import printable
from arc_tui.ui.osc import (
    FAILED,
    NORMAL,
    PAUSED,
    notification,
    notification_form,
    progress,
    through_tmux,
    understands_progress,
)

if TYPE_CHECKING:  # every start of the command line comes by here
    from arc_tui.runs.state import Phase
    from arc_tui.ui.settings import Settings

SAVE_TITLE = "\x1b[22;0t"
RESTORE_TITLE = "\x1b[23;0t"

_PROGRESS = {"paused": PAUSED, "stopped": PAUSED, "crashed": FAILED, "finished": None}
"""How a progress looks in the states where training is not going on; None takes it away."""

LONGEST_SIDE = 65_535
"""The largest side that a terminal can have; COLUMNS and LINES beyond it are garbage."""


class Terminal:
    """Sets the title, rings the bell, notifies and shows the progress, as far as the user wants.

    Args:
        settings: What the user wants.
        write: Writes to the terminal.
        ring: Rings its bell.
        environment: The variables that say which terminal it is.
    """

    def __init__(
        self,
        settings: Settings,
        write: Callable[[str], None],
        ring: Callable[[], None],
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._settings = settings
        self._write = write
        self._ring = ring
        self._environment = environment
        self._title = self._progress = ""
        asked = settings.notification
        self._notifies = notification_form(environment) if asked == "auto" else asked
        auto = settings.progress == "auto"
        self._shows_progress = understands_progress(environment) if auto else settings.progress == "on"

    def open(self) -> None:
        """Keep the title there is, for `close`."""
        if self._settings.title:
            self._write(SAVE_TITLE)

    def close(self) -> None:
        """Give the terminal its own title back, and take the progress away."""
        if self._progress:
            self._write(through_tmux(progress(None), self._environment))
        if self._settings.title:
            self._write(RESTORE_TITLE)

    def show(self, name: str, phase: Phase, share: float | None) -> None:
        """Show a run in the title: its state, how far it is, and its name; how far it is as progress too.

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
        kind = _PROGRESS.get(phase.value, NORMAL) if share is not None else None
        shown = through_tmux(progress(kind, share or 0.0), self._environment)
        if self._shows_progress and shown != self._progress:
            self._progress = shown
            self._write(shown)

    def tell(self, name: str, what: str, *, wanted: bool) -> None:
        """Ring the bell and notify of something that the user may want to be told of.

        Args:
            name: The run.
            what: What has happened to it.
            wanted: Whether the user wants to be told of such.
        """
        if wanted and self._settings.bell:
            self._ring()
        if wanted and self._notifies not in (None, "off"):
            self._write(through_tmux(notification(self._notifies, name, what), self._environment))


def terminal_size() -> tuple[int, int]:
    """Return columns and lines of the terminal that is drawn on.

    The terminal itself is asked first: COLUMNS and LINES stay as they were when it is resized. They count
    for a side that the terminal gives as 0, and only as whole numbers from 1 on.

    Returns:
        0 for a side that nobody knows.
    """
    told = os.terminal_size((0, 0))
    for stream in (sys.__stderr__, sys.__stdout__, sys.__stdin__):
        size = _size_of(stream)
        if size is not None:
            told = size
            break
    return told.columns or _from_environment("COLUMNS"), told.lines or _from_environment("LINES")


def _size_of(stream: TextIO | None) -> os.terminal_size | None:
    try:
        return None if stream is None else os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):  # no terminal, or closed
        return None


def _from_environment(name: str) -> int:
    text = os.environ.get(name, "")
    value = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(LONGEST_SIDE)) else 0
    return value if value <= LONGEST_SIDE else 0


def forget_unusable_sizes() -> None:
    """Take COLUMNS and LINES away where they are no size, before a library trips on them."""
    for name in ("COLUMNS", "LINES"):
        if name in os.environ and not _from_environment(name):
            del os.environ[name]
