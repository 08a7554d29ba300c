"""How numbers of bytes and seconds are written."""

from __future__ import annotations

import math


def size(count: float) -> str:
    """Write a number of bytes in the unit that fits."""
    if not math.isfinite(count):
        return "size unknown"
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """Write a time span as h:mm:ss; `-:--:--` when it is not known."""
    if not math.isfinite(seconds):
        return "-:--:--"
    total = max(0, round(seconds))
    return f"{total // 3600}:{total // 60 % 60:02d}:{total % 60:02d}"
