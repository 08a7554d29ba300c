"""Text from a run, made safe to print; names that a user gives by their start; how processes end."""

from __future__ import annotations

import signal
import unicodedata
from collections.abc import Iterable, Sequence

from arc_core.base.errors import ArcError

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that move the cursor, reverse the reading order, or show nothing."""


def is_printable(text: str) -> bool:
    """Whether `text` holds no control, format (bidirectional) or surrogate character."""
    if text.isascii():
        return text.isprintable()
    return not any(unicodedata.category(c) in _HIDDEN for c in text)


def printable(text: str, limit: int | None = None) -> str:
    r"""Return `text` with every character that a terminal would obey written as an escape.

    Args:
        text: Anything that came from a file, a task, a tensor or a library.
        limit: Longest result in characters; a longer one is cut and ends in "...".

    Returns:
        The same text with control, bidirectional, surrogate and line-separating characters
        spelled as `\x1b`, `\u202e` and the like.
    """
    if not is_printable(text):
        text = "".join(_escaped(c) if unicodedata.category(c) in _HIDDEN else c for c in text)
    if limit is not None and len(text) > limit:
        return text[: max(limit - 3, 0)] + "..."
    return text


def first_line(error: BaseException) -> str:
    """Say what a library complained about in at most 200 characters of one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith(":"):  # what follows says what is wrong
        lines[0] = f"{lines[0]} {lines[1]}"
    return (lines[0][:200] if lines else type(error).__name__).rstrip(".")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


MOST_NAMED = 5


def full_name(start: str, names: Iterable[str], what: str, error: type[ArcError]) -> str | None:
    """Return the one name that is meant.

    Args:
        start: The name or the start of it; nothing is the start of none.
        names: To choose from.
        what: What they name, in the plural.
        error: Raised if several begin so.

    Returns:
        The name; None if none begins so.
    """
    known = set(names)
    if start in known:
        return start
    found = sorted(name for name in known if start and name.startswith(start))
    if len(found) > 1:
        raise error(f"{printable(start, 60)} is the start of {len(found)} {what}: {first_of(found)}.")
    return found[0] if found else None


def first_of(names: Sequence[str]) -> str:
    """The first few names, and how many more there are, to be shown."""
    rest = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(printable(name, 80) for name in names[:MOST_NAMED]) + rest


def cause(returncode: int) -> str:
    """Say how a process ended: `with exit code 1`, `killed by SIGKILL, perhaps for want of memory`."""
    if returncode >= 0:
        return f"with exit code {returncode}"
    known = {int(number): number.name for number in signal.Signals}
    name = known.get(-returncode, str(-returncode))
    return f"killed by {name}" + (", perhaps for want of memory" if -returncode == signal.SIGKILL else "")
