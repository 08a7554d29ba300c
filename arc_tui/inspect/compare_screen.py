"""Two checkpoints side by side: what was added, removed and reshaped, and how much every tensor changed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.message import Message

from arc_core.base.text import printable
from arc_tui.drawing.rows import Row, fill, padded
from arc_tui.inspect.browser_rows import tail
from arc_tui.inspect.tensors.compare import Change, changes, differences
from arc_tui.inspect.tensors.source import Checkpoint
from arc_tui.inspect.tensors.tree import natural
from arc_tui.inspect.text import unlike
from arc_tui.ui.actions import Scope
from arc_tui.ui.jobs import Job
from arc_tui.ui.list import LazyList
from arc_tui.ui.rows_view import RowsView
from arc_tui.ui.screen import JobScreen

NO_WEIGHTS = ("optimizer.", "memory.", "rng.")
"""Parts of our checkpoints whose tensors are no weights, or mostly none."""
BATCH = 16
"""Changes that are handed over together."""


@dataclass(frozen=True)
class _Column:
    name: str
    cells: int
    text: Callable[[Change], str]
    key: Callable[[Change], tuple[object, ...]]
    least: int = 0


def _size(value: float) -> float:
    return value if not math.isnan(value) else -1.0


COLUMNS: tuple[_Column, ...] = (
    _Column(
        "RELATIVE", 11, lambda c: f"{c.relative:.2e}", lambda c: (-c.unequal_nonfinite, -_size(c.relative))
    ),
    _Column(
        "COSINE",
        10,
        lambda c: "-" if math.isnan(c.cosine) else f"{c.cosine:.5f}",
        lambda c: (_size(c.cosine),),
    ),
    _Column("LARGEST", 11, lambda c: f"{c.largest:.2e}", lambda c: (-c.largest,), 70),
    _Column("NORM", 11, lambda c: f"{c.before:.4g}", lambda c: (-c.before,), 100),
    _Column("NORM AFTER", 12, lambda c: f"{c.after:.4g}", lambda c: (-c.after,), 100),
    _Column("NAN/INF", 9, lambda c: f"{c.unequal_nonfinite:,}", lambda c: (-c.unequal_nonfinite,), 80),
    _Column("TENSOR", 0, lambda c: c.name, lambda c: (natural(c.name),)),
)


class CompareCheckpoints(JobScreen[None]):
    """Compares two checkpoints.

    Args:
        before: The first.
        after: The second.
    """

    SCOPE = Scope.CHANGES
    AUTO_FOCUS: ClassVar[str | None] = "LazyList"
    DEFAULT_CSS = """
    CompareCheckpoints #summary {
        height: auto; max-height: 30%; background: $surface-background; padding: 0 1;
    }
    """

    class Compared(Message):
        """Some tensors have been compared."""

        def __init__(self, found: list[Change]) -> None:
            super().__init__()
            self.found = found

    def __init__(self, before: Checkpoint, after: Checkpoint) -> None:
        super().__init__()
        self.before = before
        self.after = after
        self.differences = differences(before, after)
        self._changes: list[Change] = []
        self._shown: list[Change] = []
        self._weights_only = False
        self._sorted_by, self._reversed = 0, False

    def compose(self) -> ComposeResult:
        """Make the parts."""
        yield RowsView(classes="title")
        yield RowsView(id="summary")
        yield LazyList(empty="nothing to compare")
        yield RowsView(classes="told")
        yield self.key_line()

    def on_mount(self) -> None:
        """Begin to compare."""

        def work(job: Job) -> None:
            found: list[Change] = []
            names = self.differences.common
            for change in changes(self.before, self.after, names, progress=job.progress):
                found.append(change)
                if len(found) >= BATCH:
                    self.post_message(self.Compared(found))
                    found = []
            self.post_message(self.Compared(found))

        self.compute(f"comparing {len(self.differences.common):,} tensors; Esc calls it off", work)

    @on(Compared)
    def take_changes(self, message: Compared) -> None:
        """Sort in what has been compared."""
        self._changes += message.found
        self._sort()

    def job_done(self, job: Job) -> None:
        """Say that everything has been compared."""
        if not job.cancelled():
            self.tell(f"✓ Compared {len(self._changes):,} tensors", "good")

    def redraw(self) -> None:
        """Draw everything."""
        self.head(
            [(self.before.title, "title"), ("  →  ", "accent"), (self.after.title, "title")],
            [(f"{len(self._changes):,} of {len(self.differences.common):,} compared", "muted")],
        )
        view = self.query_one("#summary", RowsView)
        rows = self._summary_rows()
        view.show(rows)
        self.query_one(LazyList).show(
            len(self._shown),
            lambda index, cells: self._row(self._shown[index], cells),
            heading=self._heading,
        )

    def _summary_rows(self) -> list[Row]:
        found = self.differences
        same = sum(change.is_none for change in self._changes)
        rows: list[Row] = [
            [
                (f"+ {len(found.added):,} added  ", "good" if found.added else "muted"),
                (f"- {len(found.removed):,} removed  ", "error" if found.removed else "muted"),
                (f"~ {len(found.reshaped):,} reshaped  ", "warning" if found.reshaped else "muted"),
                (f"= {same:,} the same  ", "muted"),
                (f"≠ {len(self._changes) - same:,} changed", "text"),
            ]
        ]
        return [*rows, *([line] for line in unlike(found, 200))]

    def _heading(self, cells: int) -> Row:
        row: Row = []
        for place, column in enumerate(COLUMNS):
            if cells >= column.least:
                here = place == self._sorted_by
                name = f"{column.name}{'▲' if self._reversed else '▼'}" if here else column.name
                row += _cell(name, column, cells, "accent" if here else "muted")
        return row

    def _row(self, change: Change, cells: int) -> Row:
        quiet = change.is_none
        row: Row = []
        for column in COLUMNS:
            if cells >= column.least:
                style = (
                    "muted"
                    if quiet
                    else "error"
                    if column.name == "NAN/INF" and change.unequal_nonfinite
                    else "text"
                )
                row += _cell(printable(column.text(change), 300), column, cells, style)
        if change.retyped:
            row.append((f"{change.retyped[0]} is now {change.retyped[1]}", "warning"))
        return row

    def _sort(self) -> None:
        shown = [c for c in self._changes if not (self._weights_only and c.name.startswith(NO_WEIGHTS))]
        self._shown = sorted(shown, key=COLUMNS[self._sorted_by].key, reverse=self._reversed)
        self.redraw()

    def copied(self) -> str | None:
        """Return the name of the chosen tensor."""
        at = self.query_one(LazyList).cursor
        return None if at is None else self._shown[at].name

    def action_sort(self) -> None:
        """Sort by the next column."""
        self._sorted_by = (self._sorted_by + 1) % len(COLUMNS)
        self._sort()

    def action_weights(self) -> None:
        """Leave out what is no weight, or show it again."""
        self._weights_only = not self._weights_only
        self._sort()

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self._reversed = not self._reversed
        self._sort()


def _cell(text: str, column: _Column, cells: int, style: str) -> Row:
    if not column.cells:
        taken = sum(other.cells for other in COLUMNS if cells >= other.least)
        room = max(cells - taken - 1, 12)
        return fill([(f" {tail(text, room - 1)}", style)], room)
    return [*fill([(padded(text, column.cells - 1, left=False), style)], column.cells - 1), (" ", "")]
