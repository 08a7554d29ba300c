"""The row that tells of the validation: the last one beside its baseline and the best one."""

from __future__ import annotations

import math

from arc_core.base.loose import mapping, number
from arc_core.base.text import printable
from arc_core.run.event_forms import ValidationEvent
from arc_tui.console.panels.drawing import brief, named
from arc_tui.drawing.rows import Row
from arc_tui.runs.fields import duration
from arc_tui.runs.state import ValidationResult
from arc_tui.runs.view import RunView

LABEL = 14
MOST_OTHERS = 3
"""Numbers of a recipe's own that are told."""


def validation_row(view: RunView) -> Row:
    """Write what the last validation has found, or when the first will come; empty where none is known of."""
    last, best = view.state.last_validation, view.state.best_validation
    label = named("validation", LABEL)
    if last is not None and best is not None:
        return [label, *_found(last, best)]
    if view.facts.config.get("validate_on") == "none":
        return [label, ("none is made (validate_on)", "muted")]
    if "validate_on" not in view.facts.config:
        return []
    if view.state.ended:
        return [label, ("none was made", "muted")]
    left = f", in about {duration(view.epoch_seconds)}" if math.isfinite(view.epoch_seconds) else ""
    return [label, (f"the first one follows epoch {view.state.epoch + 1}{left}", "muted")]


def _found(last: ValidationEvent, best: ValidationResult) -> Row:
    row: Row = []
    cells, copied = last.cell_accuracy, last.number("copy_cell_accuracy")
    if math.isfinite(cells):
        row.append((f"{cells:.1%}", "positive" if cells > copied else ""))
    if math.isfinite(copied):
        row.append((f" (copy {copied:.1%})", "muted"))
    score = last.number("score")
    ranked = math.isfinite(score)
    if last.has("exact"):
        told = "" if ranked else f", best {best.exact:,}"
        row.append((f"{_gap(row)}{last.exact:,}/{last.inputs:,} exact{told}", ""))
    if ranked:
        row.append((f"{_gap(row)}score {brief(score)}, best {brief(best.score)}", ""))
    others = mapping(last.fields, "numbers") or {}
    for name, value in list(others.items())[:MOST_OTHERS]:
        told = brief(number({"value": value}, "value"))
        row.append((f"{_gap(row)}{printable(name, 20)} {told}", "muted"))
    return row


def _gap(row: Row) -> str:
    return "  " if row else ""
