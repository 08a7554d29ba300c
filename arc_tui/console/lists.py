"""Rows of the lists of runs and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from arc_core.base.text import printable
from arc_core.run.declared import Declared
from arc_core.run.event_forms import StepEvent
from arc_tui.console.panels.drawing import group_of, lowered
from arc_tui.drawing.rows import Row, Run, fill, padded, wrap
from arc_tui.drawing.signs import PHASE_SIGNS
from arc_tui.runs.checkpoints import SavedState, Standing
from arc_tui.runs.fields import size
from arc_tui.runs.listing import best_text
from arc_tui.runs.state import RunState

SIGNS = {Standing.SAVED: "◆", Standing.PRUNED: "·", Standing.FAILED: "◇", Standing.DAMAGED: "✗"}
"""The sign beside each checkpoint, as colour is never alone."""

_STYLES = {
    Standing.SAVED: "mark.checkpoint",
    Standing.PRUNED: "muted",
    Standing.FAILED: "mark.checkpoint_failed",
    Standing.DAMAGED: "error",
}
_CHECKPOINT_WIDTHS = (3, 7, -9, 18, -10, 17, 0)

MOST_HEADLINES = 4

LEAST_REST = 8
"""Cells that the column which takes the rest has at least."""


def columns(texts: Sequence[Run], widths: Sequence[int], cells: int) -> Row:
    """Lay texts out in columns.

    Args:
        texts: What stands in each, with its style.
        widths: Cells of each column, one of them a gap at its right; negative where the text is flush
            right, 0 for the column that takes what the others leave.
        cells: Width of the row.
    """
    rest = max(cells - sum(map(abs, widths)), LEAST_REST)
    row: Row = []
    for (text, style), given in zip(texts, widths, strict=True):
        wide = abs(given) or rest
        shown = padded(text, wide - 2, left=False) if given < 0 else text
        row += [*fill([(shown, style)], wide - 1), (" ", "")]
    return row


def moment(seconds: float) -> str:
    """Write a time of the clock here, to the second; empty where it is not known."""
    return time.strftime("%d %b %H:%M:%S", time.localtime(seconds)) if 0 <= seconds < 1e11 else ""


def checkpoint_heading(cells: int) -> Row:
    """Write the heads of the list of checkpoints."""
    heads = ("", "ID", "STEP", "NEXT", "SIZE", "SAVED", "WHAT")
    return columns([(head, "muted") for head in heads], _CHECKPOINT_WIDTHS, cells)


def checkpoint_row(saved: SavedState, best: int | None, cells: int) -> Row:
    """Write a checkpoint as a row of the list.

    Args:
        saved: The checkpoint.
        best: Id of the best one; None where that is not known.
        cells: Width of the row.
    """
    style = _STYLES[saved.standing]
    is_best = saved.id is not None and saved.id == best
    pruned = ", pruned since" if saved.standing is Standing.PRUNED else ""
    what = "best so far" if is_best else printable(saved.text, 200) + pruned
    texts = [
        (f" {SIGNS[saved.standing]}", style),
        (f"{saved.id:05d}" if saved.id is not None else "", "text"),
        (f"{saved.step:,}" if saved.standing is not Standing.DAMAGED else "", "text"),
        (f"epoch {saved.epoch} at {saved.batch}" if saved.epoch is not None else "", "muted"),
        (size(saved.bytes) if saved.bytes is not None else "", "muted"),
        (moment(saved.time), "muted"),
        (what, "good" if is_best else style),
    ]
    return columns(texts, _CHECKPOINT_WIDTHS, cells)


def description(state: RunState, declared: Declared, cells: int) -> list[Row]:
    """Write what the end of a run's log tells of it.

    Args:
        state: The run.
        declared: What its steps carry.
        cells: Width of the rows.
    """
    saved = state.last_checkpoint
    checkpoint = f"{saved.id:05d} of step {saved.step:,}" if saved is not None else "none"
    reason = f", {printable(state.reason, 120)}" if state.reason else ""
    rows: list[Row] = [
        [
            (f"{PHASE_SIGNS[state.phase]} {state.phase.value}", f"state.{state.phase.value}"),
            (f"{reason}  epoch {state.epoch}, step {state.step:,}", "text"),
        ],
        _headlines(state.last_step, declared),
        [("best validation ", "muted"), (best_text(state.best_validation), "text")],
        [("last checkpoint ", "muted"), (checkpoint, "text")],
        [("settings ", "muted"), (", ".join(f"{k} {v}" for k, v in state.settings.items()), "text")],
    ]
    for warning in state.warnings[-1:]:
        rows += wrap(f"▲ {warning.message}", cells, "warning", most=2)
    return [[(printable(text), style) for text, style in row] for row in rows if row]


def _headlines(step: StepEvent | None, declared: Declared) -> Row:
    """Write the numbers that tell most, totals by the name of their group."""
    row: Row = []
    for dotted in declared.headlines[:MOST_HEADLINES]:
        group, name = group_of(declared, dotted), dotted.partition(".")[2]
        shown = lowered(group.shown) if name in group.totals else declared.numbers[dotted].shown
        row += [(f"{'   ' if row else ''}{shown} ", "muted"), (_figure(step, dotted), "text")]
    return row


def _figure(step: StepEvent | None, name: str) -> str:
    value = step.number(name) if step is not None else math.nan
    return f"{value:.4f}" if math.isfinite(value) else "-"
