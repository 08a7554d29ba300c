"""Panel 3: a training pair as it was seen and solved, with its task and the rule sentence."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical

from arc_tui.console.panels.board import GRIDS
from arc_tui.console.panels.panel import Panel
from arc_tui.drawing.rows import Row, wrap
from arc_tui.runs.samples import Sample
from arc_tui.runs.view import RunView
from arc_tui.ui.grid import GridView
from arc_tui.ui.rows_view import RowsView

LEAST_FOR_RULE = 8
"""Lines below which the rule sentence is left out."""

MOST_RULE = 3


class GridsPanel(Panel):
    """What a sample shows: its input, predictions and target, as the run declares them."""

    DEFAULT_CSS = """
    GridsPanel GridView { background: $surface-panel; }
    GridsPanel .rule { height: 0; background: $surface-panel; }
    """

    DIGIT = GRIDS

    def __init__(self) -> None:
        super().__init__()
        self.grid_digits = False
        """Whether each cell shows its digit."""

    def compose(self) -> ComposeResult:
        """Make the grids and the rule below them."""
        with Vertical(classes="body"):
            yield GridView()
            yield RowsView(classes="rule")

    def take_focus(self) -> None:
        """Focus the grids, which can be scrolled."""
        self.query_one(GridView).focus()

    def copied(self) -> str | None:
        """Return the grids as JSON."""
        return self.query_one(GridView).copied()

    def show_view(self, view: RunView) -> None:
        """Show the sample at the cursor, or the newest one."""
        cells, lines = self.room
        if cells < 1 or lines < 1:
            return
        live = view.cursor is None
        sample = view.history.last_sample if view.cursor is None else view.history.sample_at(view.cursor)
        rule = rule_rows(sample, cells) if lines >= LEAST_FOR_RULE else []
        below = self.query_one(".rule", RowsView)
        height = below.styles.height
        if height is None or height.cells != len(rule):
            below.styles.height = len(rule)
        below.show(rule)
        self.query_one(GridView).show_sample(sample, digits=self.grid_digits)
        self.show_headline(told(sample, live=live) if sample is not None else [])


def told(sample: Sample, *, live: bool) -> Row:
    """Write which pair it is, of which step, and whether newer ones will follow."""
    row: Row = [(f"{sample.task} pair {sample.pair} ", "")] if sample.task else []
    row += [(f"step {sample.step:,} ", "muted")]
    return [*row, ("● live", "state.running") if live else ("‖ past", "state.pausing")]


def rule_rows(sample: Sample | None, cells: int) -> list[Row]:
    """Write the sentence that the language model was given."""
    if sample is None or not sample.rule:
        return []
    return wrap(f"rule: {sample.rule}", cells, "muted", most=MOST_RULE)
