"""Names that a user gives by their start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from arc_core.base.errors import ArcError
from arc_core.base.text import printable

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
