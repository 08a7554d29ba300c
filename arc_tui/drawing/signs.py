"""Our own signs: that of each state of a run, and what stands in where an encoding lacks one."""

from __future__ import annotations

import codecs
import sys
from typing import TextIO

from arc_tui.runs.state import Phase

PHASE_SIGNS = {
    Phase.STARTING: "◌",
    Phase.RUNNING: "●",
    Phase.PAUSING: "◐",
    Phase.PAUSED: "‖",
    Phase.SAVING: "▼",
    Phase.STOPPED: "■",
    Phase.CRASHED: "✗",
    Phase.FINISHED: "◆",
}
"""The sign beside each state, as colour is never alone."""

_PLAIN = str.maketrans(
    "━·×ˣₓ–—‖•…›←↑→↓↕↻∞≠░▒▓■▲▸▼▾◆◇○◌●◐✓✗°±δλσ▏▎▍▌▋▊▉▁▂▃▄▅▆▇█▀",
    "=.xxx--|*~><^>v|@8!.x##^>vv*oo.*ovxo+dls||||###_.,-~=+##",
)
"""What our own signs become, one for one."""


def shown(text: str, stream: TextIO | None = None) -> str:
    """Return text as a stream (standard output) will show it, to be measured and padded."""
    encoding = getattr(stream or sys.stdout, "encoding", None) or "utf-8"
    codecs.register_error("arc-signs", stand_in)
    return text.encode(encoding, "arc-signs").decode(encoding)


def stand_in(error: UnicodeError) -> tuple[str, int]:
    """Write signs that an encoding does not have: ours as ASCII of the same width, others spelled out."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    return "".join(map(_ascii, found)), error.end


def _ascii(sign: str) -> str:
    plain = sign.translate(_PLAIN)
    if not plain.isascii():
        if "\u2500" <= sign <= "\u257f":
            plain = "-" if sign in "─━┄┅┈┉╌╍╴╶╸╺╼╾" else "|" if sign in "│┃┆┇┊┋╎╏╵╷╹╻╽╿" else "+"
        elif "\u2800" <= sign <= "\u28ff":
            plain = " " if sign == "\u2800" else ":"
    return plain.encode("ascii", "backslashreplace").decode("ascii")
