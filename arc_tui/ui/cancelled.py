"""How work in the background tells how far it is, and ends where the user calls it off; no Textual."""

from collections.abc import Callable


class Cancelled(Exception):
    """The user has called off what was being computed."""


Progress = Callable[[int, int], None]
"""Told how much is done and how much there is; raises `Cancelled` where no more is wanted."""


def untold(done: int, total: int) -> None:
    """Take no note of how far it is."""
    del done, total
