"""The standard streams as every command writes to them: closed ones, full ones, and ones of few signs.

Standard output may be closed, its disk may fill, its reader may go away: the first write that fails raises
`OutputLost`, and `cli.main` turns that into a sentence and an exit code. A sign that a stream's encoding does
not have becomes an ASCII one of the same width.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import math
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from arc_core.base.text import printable

if TYPE_CHECKING:
    from arc_tui.drawing.rows import Row

LOST = 1
READER_GONE = 141
"""Exit code of what SIGPIPE has ended, as a shell gives it."""


class OutputLost(OSError):
    """Standard output cannot be written."""


class _Output(io.FileIO):
    """Standard output's descriptor, which notes how writing to it failed."""

    lost: OutputLost | None = None

    def write(self, data: Any, /) -> int:
        try:
            while (written := super().write(data)) is None:  # another program made it non-blocking
                select.select([], [self], [])
        except OSError as error:
            self.lost = OutputLost(error.errno, error.strerror)
            raise self.lost from None
        return written


def open_streams() -> None:
    """Make the standard streams such that writing to them is safe, whatever they were opened on."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # Held, so that no file of ours is opened in its place; reading finds the end, and writing fails
            # as on a closed descriptor. Errors that nobody can be told go nowhere.
            os.open(os.devnull, os.O_WRONLY if descriptor == 2 else os.O_RDONLY)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    codecs.register_error("arc-signs", _stand_in)
    if isinstance(sys.stdout, io.TextIOWrapper) and _descriptor(sys.stdout) == 1:
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Output(1, "w", closefd=False)),
            encoding=sys.stdout.encoding,
            line_buffering=sys.stdout.line_buffering,
            write_through=sys.stdout.write_through,
        )
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="arc-signs")


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    from arc_tui.drawing.signs import stand_in  # here, as most output needs none

    return stand_in(error)


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Write text to standard output at once, or to standard error.

    Args:
        text: The text.
        err: Whether it goes to standard error; where that cannot be written, nobody is told.
        nl: Whether a line ends after it.

    Raises:
        OutputLost: If standard output cannot be written.
    """
    stream = sys.stderr if err else sys.stdout
    try:
        stream.write(text + "\n" if nl else text)
        stream.flush()
    except OSError:
        if not err:
            raise
        abandon(stream)


def path_told(path: Path) -> str:
    """Write a path for standard output: as a link on a terminal that takes them."""
    text = printable(str(path))
    if not sys.stdout.isatty():
        return text
    from arc_tui.ui.osc import link, takes_links  # here, as pipes need none

    return link(text, path) if takes_links(os.environ) else text


def echo_error(line: str) -> None:
    """Write a line to standard error."""
    echo(line, err=True)


def echo_json(content: object, *, indented: bool = True) -> None:
    """Write JSON in which no control character stands unescaped; a number that is not finite is null."""
    import json  # here, as the word also names the flags that ask for it

    form: dict[str, Any] = {"indent": 2} if indented else {"separators": (",", ":")}
    echo(json.dumps(_plain(content), allow_nan=False, **form).replace("\x7f", "\\u007f"))


def echo_facts(json: bool, facts: Callable[[], object], lines: Callable[[], Iterable[str]]) -> None:
    """Write what is known as JSON, or else as lines."""
    if json:
        echo_json(facts())
    else:
        echo("\n".join(lines()))


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in cast("list[object]", value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_rows(rows: Iterable[Row]) -> None:
    """Write styled rows in the user's theme, in colour where standard output has it."""
    from rich.console import Console  # here, as most commands print plain text

    from arc_tui.drawing.text import text_of
    from arc_tui.looks.themes import colourless, load_theme

    theme = load_theme().without_colour() if colourless() else load_theme()
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    for row in rows:
        console.print(text_of(row, theme), soft_wrap=True)


def abandon(stream: TextIO) -> None:
    """Send nowhere what is still written to a stream; whoever does so tells that it cannot be written."""
    if (raw := _raw(stream)) is not None:
        raw.lost = None
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def is_lost() -> bool:
    """Whether writing to standard output has failed, and nobody has told of it."""
    raw = _raw(sys.stdout)
    return raw is not None and raw.lost is not None


def settle(code: int) -> int:
    """Write what is left, and return the exit code: the given one, unless output was lost meanwhile.

    A reader that went away is no error, and nothing is said of it.
    """
    with contextlib.suppress(OutputLost):
        sys.stdout.flush()
    raw = _raw(sys.stdout)
    lost = None if raw is None else raw.lost
    if lost is None:
        return code
    abandon(sys.stdout)
    if lost.errno == errno.EPIPE:
        return READER_GONE if code == 0 else code
    echo_error(f"Error: {cannot_write(lost)}.")
    return code or LOST


def cannot_write(lost: OSError) -> str:
    """Say why standard output cannot be written, without a full stop."""
    if lost.errno == errno.EBADF:
        return "Standard output is closed"
    if lost.errno == errno.EPIPE:
        return "Nobody reads standard output any more"
    return f"Standard output cannot be written: {lost.strerror}"


def relay(command: Sequence[str]) -> int:
    """Run a process and write what it writes; returns its exit code.

    Raises:
        OutputLost: If standard output cannot be written; the process has ended then.
    """
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", errors="replace") as process:
        assert process.stdout is not None
        for line in process.stdout:
            echo(line, nl=False)
    return process.returncode if process.returncode >= 0 else 1


def _raw(stream: TextIO) -> _Output | None:
    raw: object = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, _Output) else None


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None


def has_terminal() -> bool:
    """Whether there is a terminal to type into and to draw on; Textual draws on standard error."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return all(stream.isatty() for stream in streams) and os.environ.get("TERM", "dumb") != "dumb"
