"""What the parts of a run do, as its recipe or the console judges them; no torch."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Work(enum.StrEnum):
    """What a part of a run is doing."""

    WORKING = "working"
    IDLE = "idle"
    FAILING = "failing"


@dataclass(frozen=True)
class Evidence:
    """Whether a part of the run does its work, and the number that shows it.

    Attributes:
        name: Of the part, in a few words.
        work: What it is doing.
        value: The number that shows it, short.
        reason: The same in a sentence.
    """

    name: str
    work: Work
    value: str
    reason: str
