"""One number for each component, as gradient norms before clipping, with what stands beside it."""

from __future__ import annotations

import math

from arc_core.run.declared import NumberGroup
from arc_tui.console.panels.drawing import Drawing, fitting, label_cells, named
from arc_tui.drawing.bars import recent_line
from arc_tui.drawing.rows import Row, Run, cut
from arc_tui.looks.styles import style_of
from arc_tui.runs.view import RunView

NORM, CLIP, BESIDE = 8, 6, 9
LOOK_BACK = 400
OFTEN_CLIPPED = 0.9
"""A component that is clipped in more of the steps than this is marked."""

PRECISION = "amp"
"""The group that tells of mixed precision, in a line below the norms."""


class Norms(Drawing):
    """A row for each component: norm, history, clip share, and its number in the group beside."""

    SCALES = True
    LABEL = 9

    def wanted(self, group: NumberGroup, lines: int | None = None) -> int:
        """Have a head above the components."""
        del lines
        return len(group.numbers) + 1

    def rows(self, view: RunView, group: NumberGroup, cells: int, lines: int) -> list[Row]:
        """Draw them; the head is left out where there is no room for it."""
        label = label_cells((number.shown for number in group.numbers), self.LABEL, cells)
        clipped, beside = "clip_norm" in view.facts.config, view.declared.by_name.get(group.beside)
        more = CLIP * clipped + BESIDE * (beside is not None)
        spark = max(0, min(cells - label - NORM - 2 - more, 40))
        rows: list[Row] = []
        if lines >= self.wanted(group) + 1:
            blank = " " * (spark + 1 if spark else 0)
            heads = " clip " if clipped else ""
            if beside is not None:
                heads += named(beside.name.split("_")[-1], BESIDE)[0].strip().rjust(BESIDE)
            rows.append(cut([(" " * label + "    norm " + blank + heads, "muted")], cells))
        for number in group.numbers:
            dotted = group.dotted(number.name)
            row: Row = [named(number.shown, label), _norm(view.latest(dotted))]
            if spark:
                history = recent_line(view.history, dotted, LOOK_BACK, spark)
                row += [(history, style_of(view.declared, dotted)), (" ", "")]
            if clipped:
                row.append((_clip_share(view, dotted), "muted"))
            if beside is not None and any(number.name == other.name for other in beside.numbers):
                row.append((f" {view.latest(beside.dotted(number.name)):{BESIDE - 1}.1e}", ""))
            rows.append(cut(row, cells))
        return fitting(rows, lines)

    def headline(self, view: RunView, group: NumberGroup) -> Row:
        """Write what the norms are clipped at."""
        del group
        clip = view.facts.clip_norm
        return [(f"clip at {clip:g}", "muted")] if math.isfinite(clip) else []


def _norm(value: float) -> Run:
    """Write a norm; one that is not finite, or exactly 0, stands out."""
    style = "mark.nan" if not math.isfinite(value) else "fix.failing" if value == 0 else ""
    text = f"{value:8.1e}"
    return f"{text if len(text) == NORM else f'{value:{NORM}.0e}'} ", style


def _clip_share(view: RunView, dotted: str) -> str:
    clip = view.facts.clip_norm
    share = view.history.clip_share(dotted, clip) if math.isfinite(clip) else math.nan
    shown = f"{share:5.0%}" if math.isfinite(share) else "    -"
    return shown + ("!" if share > OFTEN_CLIPPED else " ")


def precision_row(view: RunView, label: int = Norms.LABEL) -> Row:
    """Draw the scale of mixed precision, and how many steps it has skipped; its name has `label` cells."""
    scale, skipped = view.latest(f"{PRECISION}.scale"), view.count(f"{PRECISION}.skipped_steps")
    row: Row = [(PRECISION.ljust(label), ""), (f"scale {scale:g}", "")]
    told = f"  {skipped:,} step{'' if skipped == 1 else 's'} skipped"
    return [*row, (told, "warning" if skipped else "muted")]
