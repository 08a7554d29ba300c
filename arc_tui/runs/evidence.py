"""What parts of a run do, as the console judges it by the run's numbers or as the run itself tells it."""

from __future__ import annotations

from collections.abc import Mapping

from arc_core.base.text import printable
from arc_core.pipeline.declared import FIXES
from arc_core.run.evidence import Work
from arc_tui.runs.fixes import Fix, assess
from arc_tui.runs.view import RunView

MOST_LINES = 12
LONGEST_NAME, LONGEST_VALUE, LONGEST_REASON = 40, 20, 300


def evidence_of(view: RunView) -> tuple[Fix, ...]:
    """Return what each part of a run does; empty for a run that tells nothing of it, or not yet."""
    if view.declared.judge == FIXES:
        return assess(view)
    told = view.state.last_evidence
    lines = told.lines[:MOST_LINES] if told is not None else []
    return tuple(_fix(number, line) for number, line in enumerate(lines, 1))


def _fix(number: int, line: object) -> Fix:
    """Read a line; of a damaged one what is left, and a part of which nothing is known is idle."""
    told = line if isinstance(line, Mapping) else {}
    work, value = told.get("work"), told.get("value")
    return Fix(
        number,
        _text(told.get("name"), LONGEST_NAME) or "-",
        next((known for known in Work if known == work), Work.IDLE),
        f"{value:.4g}" if isinstance(value, float) else _text(value, LONGEST_VALUE) or "-",
        _text(told.get("reason"), LONGEST_REASON),
    )


def _text(value: object, longest: int) -> str:
    return "" if value is None else printable(str(value), longest)
