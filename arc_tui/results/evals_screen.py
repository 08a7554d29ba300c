"""The evaluations of a folder, to choose one from or two to compare."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.message import Message

from arc_core.base.paths import full_path
from arc_core.base.text import printable
from arc_tui.drawing.rows import Row
from arc_tui.results.evaluations import list_evals
from arc_tui.results.rows import eval_heading, eval_row
from arc_tui.ui.actions import Scope
from arc_tui.ui.list import LazyList
from arc_tui.ui.osc import linked
from arc_tui.ui.rows_view import RowsView
from arc_tui.ui.screen import SideScreen

LOOK_SECONDS = 2.0
"""How often the folder is looked at."""


class EvalsScreen(SideScreen[None]):
    """Lists evaluations.

    Args:
        evals_dir: The folder.
    """

    SCOPE = Scope.EVALS
    AUTO_FOCUS: ClassVar[str | None] = "LazyList"

    class Wanted(Message):
        """The user wants to browse an evaluation, or to compare two.

        Attributes:
            paths: Their folders.
        """

        def __init__(self, paths: list[Path]) -> None:
            super().__init__()
            self.paths = paths

    def __init__(self, evals_dir: Path) -> None:
        super().__init__()
        self._evals_dir = evals_dir
        self._evals = list_evals(evals_dir)
        self._marked: list[Path] = []

    def compose(self) -> ComposeResult:
        """Make the parts."""
        yield RowsView(classes="title")
        yield LazyList(empty="no evaluation here; arc-tui eval makes one")
        yield RowsView(classes="told")
        yield self.key_line()

    def on_mount(self) -> None:
        """Show what there is, and follow what comes."""
        self.set_interval(LOOK_SECONDS, self.look_again)
        self.redraw()

    def look_again(self) -> None:
        """Show what has changed in the folder."""
        found = list_evals(self._evals_dir)
        if found != self._evals:
            at = self.query_one(LazyList).cursor
            before = None if at is None else self._evals[at].path
            self._evals = found
            self.redraw(next((n for n, one in enumerate(found) if one.path == before), None))

    def redraw(self, cursor: int | None = None) -> None:
        """Draw the list."""
        place = (f"  {printable(str(self._evals_dir), 200)}", linked("muted", self._evals_dir))
        self.head([("Evaluations", "title"), place], [(f"{len(self._evals):,}", "text")])
        self.query_one(LazyList).show(len(self._evals), self._row, heading=eval_heading, cursor=cursor)

    def _row(self, index: int, cells: int) -> Row:
        one = self._evals[index]
        return eval_row(one, cells, marked=one.path in self._marked)

    @property
    def chosen(self) -> Path | None:
        """The chosen evaluation; None while there is none."""
        at = self.query_one(LazyList).cursor
        return None if at is None else self._evals[at].path

    def copied(self) -> str | None:
        """Return the command that goes on with the chosen evaluation."""
        if (chosen := self.chosen) is None:
            return None
        at_home = full_path(self._evals_dir) == full_path("evals")
        place = [] if at_home else ["--evals-dir", str(self._evals_dir)]
        return shlex.join(["arc-tui", "eval", "--resume", chosen.name, *place])

    @on(LazyList.Opened)
    def row_opened(self) -> None:
        """Do what Enter does."""
        self.action_open()

    def action_open(self) -> None:
        """Browse the chosen evaluation."""
        if (chosen := self.chosen) is not None:
            self.post_message(self.Wanted([chosen]))

    def action_mark(self) -> None:
        """Mark the chosen evaluation, or take the mark off; the last two marks count."""
        chosen = self.chosen
        if chosen is None:
            return
        kept = [path for path in self._marked if path != chosen]
        self._marked = kept if chosen in self._marked else [*kept, chosen][-2:]
        self.query_one(LazyList).refresh()

    def action_compare(self) -> None:
        """Compare the two marked evaluations, or the chosen one with the marked one."""
        chosen = self.chosen
        wanted = list(self._marked)
        if len(wanted) == 1 and chosen is not None and chosen not in wanted:
            wanted.append(chosen)
        if len(wanted) == 2:
            self.post_message(self.Wanted(wanted))
        else:
            self.tell("▲ Mark an evaluation by Space first, then choose another", "warning")
