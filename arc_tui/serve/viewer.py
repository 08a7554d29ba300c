"""One viewer: an app in a pseudo-terminal of its own, which ends without anything else ending."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import signal
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from arc_tui.runs.engine import Program
from arc_tui.serve.access import TOKEN
from arc_tui.serve.seat import READ, WRITE

PIECE_BYTES = 65_536
MOST_PENDING = 65_536
"""Bytes that wait for an app which takes no keys; later ones are lost, as in a terminal."""
LAST_WORD_SECONDS = 5.0
"""How long an app may take to leave before it is killed."""
LONGEST_SIDE = 1000

_OF_ANOTHER_TERMINAL = (
    *("COLUMNS", "LINES", "TMUX", "STY", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "LC_TERMINAL"),
    *("LC_TERMINAL_VERSION", "VTE_VERSION", "WT_SESSION", "ConEmuANSI"),
)


@dataclass(frozen=True)
class TerminalSize:
    """Columns and lines of a terminal, each 1 to `LONGEST_SIDE`."""

    columns: int
    lines: int


def size_in(content: object) -> TerminalSize | None:
    """Read what a page says of its size, `{"size": [columns, lines]}`; None if it is none."""
    match content:
        case {"size": [int(columns), int(lines)]} if all(
            1 <= side <= LONGEST_SIDE for side in (columns, lines)
        ):
            return TerminalSize(columns, lines)
        case _:
            return None


def environment(of: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what an app is told of its terminal, which is the page's, and not of the token."""
    kept = {name: value for name, value in of.items() if name not in (*_OF_ANOTHER_TERMINAL, TOKEN)}
    return kept | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}


class Viewer:
    """A command that somebody looks at."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        shown: asyncio.StreamReader,
        showing: asyncio.BaseTransport,
        typed: asyncio.WriteTransport,
        terminal: int,
    ) -> None:
        self._process = process
        self._shown, self._showing = shown, showing
        self._typed = typed
        self._terminal = terminal

    @classmethod
    async def start(cls, command: Sequence[str], size: TerminalSize, *, may_write: bool) -> Viewer:
        """Start a command in a new terminal.

        Args:
            command: Its command line, which begins with the path of a program.
            size: The terminal's size at first.
            may_write: Whether the system lets it write files.

        Raises:
            OSError: If there is no terminal or no process to be had.
        """
        terminal, seat = pty.openpty()
        try:
            _set_size(terminal, size)
            process = await asyncio.create_subprocess_exec(
                *Program.SEAT.command(WRITE if may_write else READ, *command),
                stdin=seat,
                stdout=seat,
                stderr=seat,
                env=environment(),
                start_new_session=True,
            )
        except BaseException:
            os.close(terminal)
            raise
        finally:
            os.close(seat)
        loop, shown = asyncio.get_running_loop(), asyncio.StreamReader(PIECE_BYTES)
        showing, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(shown), os.fdopen(terminal, "rb", 0)
        )
        typed, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(os.dup(terminal), "wb", 0))
        return cls(process, shown, showing, typed, terminal)

    @property
    def pid(self) -> int:
        """The command's process, which leads a session of its own."""
        return self._process.pid

    async def output(self) -> bytes:
        """Return what the command shows next; empty once it has ended."""
        try:
            return await self._shown.read(PIECE_BYTES)
        except OSError:  # how Linux tells that nobody holds the other side
            return b""

    def type(self, keys: bytes) -> None:
        """Hand keys to the command."""
        if self._typed.get_write_buffer_size() < MOST_PENDING:
            self._typed.write(keys)

    def resize(self, size: TerminalSize) -> None:
        """Give the terminal another size."""
        with contextlib.suppress(OSError):  # it has just been closed
            _set_size(self._terminal, size)

    async def close(self) -> None:
        """End the command and all that it runs in its terminal, by force if it does not leave.

        What it starts in a session of its own, training above all, goes on. Its output is to be read
        meanwhile, or it may wait for a reader for ever.
        """
        try:
            self._signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), LAST_WORD_SECONDS)
            except TimeoutError:
                self._signal(signal.SIGKILL)
                await self._process.wait()
        finally:
            self._typed.abort()
            self._showing.close()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


def _set_size(terminal: int, size: TerminalSize) -> None:
    termios.tcsetwinsize(terminal, (size.lines, size.columns))
