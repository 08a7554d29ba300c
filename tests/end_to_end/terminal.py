"""A terminal with a person at it: a command in a pseudo-terminal, what it shows, and keys pressed in it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import termios
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pexpect
import pyte
from command import ARC_TUI, PATIENCE_SECONDS, environment

COLUMNS, LINES = 120, 40
QUIET_SECONDS = 0.4
LEAVES_ALTERNATE_SCREEN = b"\x1b[?1049l"
SHOWS_CURSOR = b"\x1b[?25h"
STOPS_MOUSE = b"\x1b[?1003l"
LISTENS = b"\x1b[?2004h"
"""Of what an app sends when it begins, what comes last."""


class Terminal:
    """A pseudo-terminal with `arc-tui` in it.

    Args:
        folder: Where the command runs.
        words: The command's arguments.
        size: Columns and lines; 0 as where nobody has told the terminal its size.
        no_color: The variable NO_COLOR; empty leaves it out.
        variables: Others of the environment.
        command: What is run; the command of this environment by default.
    """

    def __init__(
        self,
        folder: Path,
        *words: str,
        size: tuple[int, int] = (COLUMNS, LINES),
        no_color: str = "",
        variables: Mapping[str, str] | None = None,
        command: Path = ARC_TUI,
    ) -> None:
        settings = environment(folder) | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        settings = {
            name: value for name, value in settings.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")
        }
        settings |= variables or {}
        if no_color:
            settings["NO_COLOR"] = no_color
        columns, lines = size
        self.screen = pyte.Screen(columns or COLUMNS, lines or LINES)
        self._stream = pyte.ByteStream(self.screen)
        self.output = b""
        """Everything that was written so far."""
        self.process = pexpect.spawn(
            str(command),
            list(words),
            cwd=str(folder),
            env=settings,
            dimensions=(lines, columns),
            timeout=None,
        )
        self._modes = self._modes_after = termios.tcgetattr(self.process.child_fd)[3]

    def look(self, seconds: float = 0.05) -> str:
        """Take in what was written and return what stands on the screen."""
        with contextlib.suppress(pexpect.TIMEOUT, pexpect.EOF):
            while True:
                block = self.process.read_nonblocking(65_536, seconds)
                self.output += block
                self._stream.feed(_known(block))
                seconds = 0
        return "\n".join(self.screen.display)

    def until(self, pattern: str) -> str:
        """Wait until something stands on the screen; return all of it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            shown = self.look()
            if re.search(pattern, shown):
                return shown
        raise AssertionError(f"{pattern} never appears:\n{self.look()}")

    def until_gone(self, pattern: str) -> str:
        """Wait until something no longer stands on the screen; return all of it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            shown = self.look()
            if not re.search(pattern, shown):
                return shown
        raise AssertionError(f"{pattern} stays:\n{self.look()}")

    def until_it_listens(self) -> None:
        """Wait until an app has begun, whether or not it draws."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while LISTENS not in self.output:
            assert time.monotonic() < deadline, self.output
            self.look()

    def settle(self) -> None:
        """Take in what is written until nothing has come for a moment, as of a run that has ended."""
        while True:
            before = len(self.output)
            self.look(QUIET_SECONDS)
            if len(self.output) == before:
                return

    def press(self, keys: str) -> None:
        """Press keys; after Escape, settle before the next, or it is taken for a key with Alt."""
        self.process.send(keys)

    def resize(self, columns: int, lines: int) -> None:
        """Change the size of the terminal."""
        self.screen.resize(lines or LINES, columns or COLUMNS)
        self.process.setwinsize(lines, columns)

    def kill(self, number: int) -> None:
        """Send a signal to the console."""
        os.kill(self.process.pid, number)

    def ended(self) -> int:
        """Wait for the command to end; return its exit code, or minus the signal that ended it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.process.isalive() and time.monotonic() < deadline:
            self.look()
        self.look()
        assert not self.process.isalive()
        self._modes_after = termios.tcgetattr(self.process.child_fd)[3]
        self.process.close()
        code = self.process.exitstatus
        return code if code is not None else -self.process.signalstatus

    def is_sane(self) -> bool:
        """Whether the terminal was left as it was: its own screen, cursor and typing, and no mouse."""
        last = {
            sign: self.output.rfind(sign) for sign in (LEAVES_ALTERNATE_SCREEN, SHOWS_CURSOR, STOPS_MOUSE)
        }
        on = (b"\x1b[?1049h", b"\x1b[?25l", b"\x1b[?1003h")
        restored = all(last[off] > self.output.rfind(begin) for off, begin in zip(last, on, strict=True))
        return restored and self._modes_after == self._modes

    def end(self) -> None:
        """Close it, whatever still runs in it."""
        if self.process.isalive():
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.close(force=True)


def _known(block: bytes) -> bytes:
    """Leave out what pyte would print instead of ignoring: private modes of the keyboard, and queries."""
    return re.sub(rb"\x1b\[[<>=?][0-9;]*[a-zA-Z]|\x1b\[[0-9;]*t|\x1b\[[0-9;?]*\$p", b"", block)


@contextlib.contextmanager
def terminal(
    folder: Path,
    *words: str,
    size: tuple[int, int] = (COLUMNS, LINES),
    no_color: str = "",
    variables: Mapping[str, str] | None = None,
) -> Iterator[Terminal]:
    """Open a terminal with `arc-tui` in it, and close it in the end."""
    opened = Terminal(folder, *words, size=size, no_color=no_color, variables=variables)
    try:
        yield opened
    finally:
        opened.end()
