"""A task before your eyes: its pairs as grids, the loss, how well each pair fits, and the votes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Container
from textual.message import Message

from arc_core.data.tasks import Task
from arc_tui.drawing.point_chart import chart_rows
from arc_tui.solve.rows import Shown, alternatives, fit_rows, header_rows, headline, loss_points, pair_names
from arc_tui.solve.state import SolveState
from arc_tui.ui.actions import Scope
from arc_tui.ui.framed import Framed
from arc_tui.ui.grid import GroupsView
from arc_tui.ui.rows_view import RowsView, looks
from arc_tui.ui.screen import SideScreen

WIDE, TALL = 110, 30
"""From so many cells and lines on all panels are shown."""
VERY_WIDE = 160
"""From so many cells on loss and votes stand beside the grids instead of below them."""


class SolvePart(Framed):
    """A panel of the screen, which draws it once its size is known."""

    class Laid(Message):
        """The panel has another size, or is shown again."""

    def on_resize(self) -> None:
        """Ask to be drawn."""
        self.post_message(self.Laid())


class LossPart(SolvePart):
    """The loss by step."""

    DIGIT = 1
    TITLE = "Loss"

    def show(self, shown: Shown, *, log: bool) -> None:
        """Draw the loss up to now."""
        cells, lines = self.room
        look = shown.look
        points = loss_points(shown.state)
        first = points[0][0] if points else 1
        rows = chart_rows(
            "loss",
            points,
            (first, max(look.steps if look is not None else 2, first + 1)),
            "loss",
            cells,
            lines,
            cursor=None if look is None or shown.cursor is None else look.step,
            plain=looks(self).ascii,
            empty="waits for the first step",
            log=log,
        )
        self.show_headline([("log" if log else "linear", "muted")])
        self.query_one(RowsView).show(rows)


class FitPart(SolvePart):
    """How well each pair fits, and the votes."""

    DIGIT = 2
    TITLE = "Fit and votes"

    def show(self, shown: Shown) -> None:
        """Draw fit and votes."""
        cells, lines = self.room
        self.query_one(RowsView).show(fit_rows(shown, cells)[: max(lines, 0)])


class GridsPart(SolvePart):
    """The pairs as grids."""

    DIGIT = 3
    TITLE = "Grids"
    DEFAULT_CSS = """
    GridsPart GroupsView { background: $surface-panel; }
    """

    def compose(self) -> ComposeResult:
        """Make the body."""
        with Container(classes="body"):
            yield GroupsView(empty="waits for the first prediction")

    def take_focus(self) -> None:
        """Focus the grids, which can be scrolled."""
        self.query_one(GroupsView).focus()

    def show(self, shown: Shown, picked: int | None, *, digits: bool) -> None:
        """Draw the pairs that are wanted."""
        self.show_headline(headline(shown, picked))
        what = picked, shown.result is None
        self.query_one(GroupsView).show_groups(alternatives(shown, picked), what=what, digits=digits)


class SolveScreen(SideScreen[None]):
    """Shows a task while it is solved, and its answers.

    Args:
        task: The task.
        place: Where it is from, safe to print.
    """

    SCOPE = Scope.SOLVE
    AUTO_FOCUS: ClassVar[str | None] = "GroupsView"
    DEFAULT_CSS = """
    SolveScreen .title { height: 2; }
    SolveScreen #parts { height: 1fr; layout: grid; grid-size: 1 1; }
    SolveScreen.-wide #parts { grid-size: 2 2; grid-rows: 1fr 13; grid-columns: 1fr 1fr; }
    SolveScreen.-wide GridsPart { column-span: 2; }
    SolveScreen.-very-wide #parts { grid-size: 2 2; grid-rows: 1fr 1fr; grid-columns: 1fr 62; }
    SolveScreen.-very-wide GridsPart { row-span: 2; column-span: 1; }
    """

    def __init__(self, task: Task, place: str) -> None:
        super().__init__()
        self._asked = task
        self._place = place
        self.state = SolveState()
        self.cursor: int | None = None
        """Index of the look that is shown; None for the newest."""
        self.picked: int | None = None
        """Index of the pair that is shown alone; None for all."""
        self._panel = GridsPart.DIGIT
        self._enlarged = self._digits = False
        self._log = True

    def compose(self) -> ComposeResult:
        """Make the parts."""
        yield RowsView(classes="title")
        with Container(id="parts"):
            yield GridsPart()
            yield LossPart()
            yield FitPart()
        yield RowsView(classes="told")
        yield self.key_line()

    def on_mount(self) -> None:
        """Draw once the sizes are known."""
        self._arrange()

    def on_resize(self) -> None:
        """Lay out for the new size."""
        self._arrange()

    def _arrange(self) -> None:
        """Show the panels that there is room for."""
        roomy = self.size.width >= WIDE and self.size.height >= TALL and not self._enlarged
        self.set_class(roomy and self.size.width < VERY_WIDE, "-wide")
        self.set_class(roomy and self.size.width >= VERY_WIDE, "-very-wide")
        for part in self.query(SolvePart):
            part.display = roomy or self._panel == part.DIGIT
        self.call_after_refresh(self.redraw)

    def show_state(self, state: SolveState) -> None:
        """Show what is known now."""
        if state is not self.state:
            self.state = state
            self.redraw()

    @on(SolvePart.Laid)
    def redraw(self) -> None:
        """Draw everything that is shown."""
        shown = Shown(self._asked, self.state, self.cursor)
        self.query_one(".title", RowsView).show(header_rows(shown, self._place, self.size.width))
        if (grids := self.query_one(GridsPart)).display:
            grids.show(shown, self.picked, digits=self._digits)
        if (loss := self.query_one(LossPart)).display:
            loss.show(shown, log=self._log)
        if (fit := self.query_one(FitPart)).display:
            fit.show(shown)

    def copied(self) -> str | None:
        """Return the grids that are shown, as JSON."""
        return self.query_one(GroupsView).copied()

    # Actions

    def action_panel(self, digit: int) -> None:
        """Show a panel where not all are shown, and focus it."""
        self._panel, self._enlarged = digit, self._enlarged and digit == GridsPart.DIGIT
        self._arrange()
        part = next(part for part in self.query(SolvePart) if digit == part.DIGIT)
        part.take_focus()

    def action_pick(self, by: int) -> None:
        """Show one pair alone, the next one, and after the last one all again."""
        choices: Sequence[int | None] = [None, *range(len(pair_names(self._asked)))]
        self.picked = choices[(choices.index(self.picked) + by) % len(choices)]
        self.redraw()

    def action_look(self, by: int) -> None:
        """Show what was predicted earlier, or later; beyond the newest it follows again."""
        count = len(self.state.looks)
        if not count:
            return
        newest = count if self.state.answer is not None else count - 1
        at = (newest if self.cursor is None else self.cursor) + by
        self.cursor = None if at >= newest else max(at, 0)
        self.redraw()

    def action_first(self) -> None:
        """Show the first prediction."""
        if self.state.looks:
            self.cursor = 0
            self.redraw()

    def action_live(self) -> None:
        """Follow the newest prediction again."""
        self.cursor = None
        self.redraw()

    def action_enlarge(self) -> None:
        """Let the grids fill the screen, or shrink them."""
        self._panel, self._enlarged = GridsPart.DIGIT, not self._enlarged
        self._arrange()

    def action_digits(self) -> None:
        """Write the digit into each cell, or leave it out."""
        self._digits = not self._digits
        self.redraw()

    def action_scale(self) -> None:
        """Draw the loss on a logarithmic scale, or a linear one."""
        self._log = not self._log
        self.redraw()

    def leave(self) -> None:
        """Shrink what is enlarged, show all pairs, and follow live again; the app is left by another key."""
        if self._enlarged:
            self.action_enlarge()
        self.picked = self.cursor = None
        self.redraw()
