"""The runs of a folder: look through them, attach to one, go on with one, compare several."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.message import Message
from textual.widgets import Input

from arc_core.base.errors import ArcError, RunError
from arc_core.base.text import printable
from arc_core.run.declared import Declared
from arc_core.run.directory import open_run
from arc_core.run.recipes import declaration_of
from arc_tui.console.compare import CompareRuns
from arc_tui.console.dialogs import confirm_start
from arc_tui.console.lists import columns, description
from arc_tui.drawing.rows import Row, fill, padded, wrap
from arc_tui.drawing.signs import PHASE_SIGNS
from arc_tui.runs.fields import size
from arc_tui.runs.listing import CLOSED, RunLister, age, best_text, read_run
from arc_tui.runs.listing import Row as ListedRun
from arc_tui.runs.starting import command_line
from arc_tui.runs.state import Phase, RunState
from arc_tui.ui.actions import Scope
from arc_tui.ui.list import LazyList
from arc_tui.ui.osc import linked
from arc_tui.ui.rows_view import RowsView
from arc_tui.ui.screen import SideScreen

RELOAD_SECONDS = 3.0
LEAST_COMPARED = 2

DETAIL_LINES = 8
_NARROW = 100
"""Cells below which the best validation is told in fewer words."""

_HEADS = ("", "NAME", "STATE", "STEP", "BEST VALIDATION", "SIZE", "AGE")


class Wanted(enum.Enum):
    """What the user wants of a run."""

    ATTACH = "attach"
    GO_ON = "go on"


@dataclass(frozen=True)
class RunChoice:
    """What was chosen on the screen.

    Attributes:
        wanted: What is to be done.
        name: With which run.
    """

    wanted: Wanted
    name: str


class RunsScreen(SideScreen[RunChoice]):
    """Lists runs; ends with what was chosen, or None.

    Args:
        runs_dir: The folder of runs.
        current: Name of the run that the console shows.
        read_only: Whether nothing may be asked of a run.
    """

    SCOPE = Scope.RUNS
    AUTO_FOCUS: ClassVar[str | None] = "LazyList"

    class Listed(Message):
        """The folder has been read."""

        def __init__(self, runs: list[ListedRun]) -> None:
            super().__init__()
            self.runs = runs

    class Unlisted(Message):
        """The folder cannot be read."""

        def __init__(self, problem: str) -> None:
            super().__init__()
            self.problem = problem

    class Described(Message):
        """What the end of a run's log tells of it has been read."""

        def __init__(
            self, name: str, state: RunState | None, declared: Declared, problem: str | None
        ) -> None:
            super().__init__()
            self.name = name
            self.state = state
            self.declared = declared
            self.problem = problem

    def __init__(self, runs_dir: str, current: str, *, read_only: bool = False) -> None:
        super().__init__(read_only=read_only)
        self._runs_dir = runs_dir
        self._current = current
        self._lister = RunLister(Path(runs_dir))
        self._runs: list[ListedRun] = []
        self._shown: list[ListedRun] = []
        self._marked: list[str] = []
        self._word = ""
        self._state: RunState | None = None
        self._declared = Declared()
        self.described: str | None = None
        """Name of the run whose details are shown; None while they are being read."""

    def compose(self) -> ComposeResult:
        """Make the parts."""
        yield RowsView(classes="title")
        yield LazyList(empty="reading the folder")
        yield Input(placeholder="part of a name", id="filter")
        yield RowsView(classes="details")
        yield self.key_line()

    def on_mount(self) -> None:
        """Read the folder, now and then again."""
        style = linked("title", Path(self._runs_dir))
        self.query_one(RowsView).show([[(f" Runs in {printable(self._runs_dir)}", style)]])
        self.reload()
        self.set_interval(RELOAD_SECONDS, self.reload)

    def reload(self) -> None:
        """Read the folder on a thread of its own."""
        self.run_worker(self._read, thread=True, exclusive=True, group="runs")

    def _read(self) -> None:
        try:
            self.post_message(self.Listed(self._lister.rows()))
        except RunError as error:
            self.post_message(self.Unlisted(str(error)))

    @on(Listed)
    def take_runs(self, message: Listed) -> None:
        """Show what was read; the cursor stays with its run."""
        if message.runs == self._runs and self._runs:
            return
        before = self.chosen
        first = not self._runs
        self._runs = message.runs
        known = {run.name for run in message.runs}
        self._marked = [name for name in self._marked if name in known]
        wanted = before.name if before is not None else self._current
        self.redraw(wanted)
        if first:
            self._describe()

    @on(Unlisted)
    def tell_unlisted(self, message: Unlisted) -> None:
        """Say why the folder cannot be read; what was read before stays."""
        self.tell(f"▲ {message.problem}", "warning")

    @property
    def chosen(self) -> ListedRun | None:
        """The run under the cursor."""
        at = self.query_one(LazyList).cursor
        return self._shown[at] if at is not None and at < len(self._shown) else None

    def redraw(self, wanted: str | None = None) -> None:
        """Draw list and details; `wanted` is the run to be chosen, None stays at the row."""
        word = self._word.casefold()
        self._shown = [run for run in self._runs if word in run.name.casefold()]
        names = [run.name for run in self._shown]
        cursor = names.index(wanted) if wanted in names else None
        self.query_one(LazyList).show(len(names), self._row, heading=self._heading, cursor=cursor)
        self._draw_details()

    def _row(self, index: int, cells: int) -> Row:
        run = self._shown[index]
        sign = f"{self._marked.index(run.name) + 1}" if run.name in self._marked else ""
        sign = padded(sign, self._sign_cells)
        here = "›" if run.name == self._current else " "
        name = printable(run.name, 100)
        if run.problem is not None:
            told = f"{run.state}: {printable(run.problem, 200)}"
            style = "muted" if run.state == CLOSED else "warning"
            return fill([(f"{here}{sign} ", "accent"), (name, "muted"), (f"  {told}", style)], cells)
        phase = Phase(run.state)
        best = run.best
        texts = [
            f"{here}{sign}",
            name,
            f"{PHASE_SIGNS[phase]} {run.state}",
            f"{run.step:,}" if run.step is not None else "",
            best_text(best) if cells >= _NARROW or best is None else f"{best.short:.4f}",
            size(run.bytes) if run.bytes is not None else "-",
            age(run.age_seconds) if run.age_seconds is not None else "-",
        ]
        styles = ["accent", "text", f"state.{phase.value}", "text", "text", "muted", "muted"]
        return columns(list(zip(texts, styles, strict=True)), self._widths(cells), cells)

    def _heading(self, cells: int) -> Row:
        return columns([(head, "muted") for head in _HEADS], self._widths(cells), cells)

    def _widths(self, cells: int) -> tuple[int, ...]:
        return (self._sign_cells + 2, 0, 12, -9, 29 if cells >= _NARROW else 17, -11, -8)

    @property
    def _sign_cells(self) -> int:
        return len(f"{max(len(self._marked), 1)}")

    @on(LazyList.Chosen)
    def describe_chosen(self) -> None:
        """Read what there is to know of the chosen run."""
        self._state = self.described = None
        self._told = []
        self._draw_details()
        self._describe()

    def _describe(self) -> None:
        chosen = self.chosen
        if chosen is not None and chosen.problem is None:
            name = chosen.name
            self.run_worker(lambda: self._look(name), thread=True, exclusive=True, group="description")

    def _look(self, name: str) -> None:
        try:
            run = open_run(Path(self._runs_dir), name)
            content = run.read()
            state = read_run(run, content, whole_log=False, now=time.time())
            self.post_message(self.Described(name, state, declaration_of(content), None))
        except ArcError as error:
            self.post_message(self.Described(name, None, Declared(), str(error)))

    @on(Described)
    def take_description(self, message: Described) -> None:
        """Show it, if the cursor is still there."""
        if self.chosen is not None and self.chosen.name == message.name:
            self._state, self._declared = message.state, message.declared
            self.described = message.name
            if message.problem is not None:
                self._told = [(message.problem, "error")]
            self._draw_details()

    def _draw_details(self) -> None:
        view = self.query(".details").only_one(RowsView)
        cells = max(view.size.width, 40)
        rows: list[Row] = [self._told] if self._told else []
        chosen = self.chosen
        if chosen is not None and self._state is not None:
            rows += description(self._state, self._declared, cells)
        elif chosen is not None and chosen.problem is not None:
            rows += wrap(f"{printable(chosen.name)}: {printable(chosen.problem)}", cells)
        rows = rows[:DETAIL_LINES]
        view.show(rows)

    def copied(self) -> str | None:
        """Return the command that goes on with the chosen run."""
        chosen = self.chosen
        if chosen is None or chosen.problem is not None:
            return None
        return command_line(self._runs_dir, "train", "--resume", chosen.name)

    # Actions

    def action_attach(self) -> None:
        """Show the chosen run."""
        self._choose(Wanted.ATTACH)

    @on(LazyList.Opened)
    def attach_opened(self) -> None:
        """Show the run that was clicked twice."""
        self._choose(Wanted.ATTACH)

    def action_go_on(self) -> None:
        """Start a run again that has no process, once it is confirmed."""
        chosen = self.chosen
        if chosen is None or chosen.problem is not None or not self.may_steer():
            return
        if self._state is None:
            self.tell("… Reading what the run is doing")
        elif not self._state.ended:
            self.tell("▲ A process trains this run already", "warning")
        elif self._state.activity is Phase.FINISHED:
            self.tell("▲ All epochs are trained: nothing is left to do", "warning")
        else:
            self.app.push_screen(confirm_start(chosen.name, self._state), self._go_on_confirmed)

    def _go_on_confirmed(self, yes: bool | None) -> None:
        if yes:
            self._choose(Wanted.GO_ON)

    def _choose(self, wanted: Wanted) -> None:
        chosen = self.chosen
        if chosen is None:
            return
        if chosen.problem is not None:
            self.tell(f"▲ {printable(chosen.name, 60)} is no run that can be shown", "warning")
        else:
            self.dismiss(RunChoice(wanted, chosen.name))

    def action_mark(self) -> None:
        """Mark the chosen run for comparison, or take the mark off."""
        chosen = self.chosen
        if chosen is None or chosen.problem is not None:
            return
        if chosen.name in self._marked:
            self._marked.remove(chosen.name)
        else:
            self._marked.append(chosen.name)
        self.redraw()

    def action_mark_all(self) -> None:
        """Mark all runs that are shown, the oldest first; or take their marks off where all have one."""
        names = [run.name for run in reversed(self._shown) if run.problem is None]
        new = [name for name in names if name not in self._marked]
        self._marked = [*self._marked, *new] if new else [n for n in self._marked if n not in names]
        self.redraw()

    def action_compare(self) -> None:
        """Compare the marked runs, or the chosen one with the one that the console shows."""
        names = list(self._marked)
        for name in (self._current, self.chosen.name if self.chosen is not None else None):
            if len(names) < LEAST_COMPARED and name is not None and name not in names:
                names.append(name)
        try:
            runs = [open_run(Path(self._runs_dir), name) for name in names]
        except ArcError as error:
            self.tell(f"▲ {error}", "warning")
            return
        if len(runs) < LEAST_COMPARED:
            self.tell("▲ Mark two runs or more, or choose another than the one shown", "warning")
        else:
            self.app.push_screen(CompareRuns(*runs))

    def action_filter(self) -> None:
        """Show only runs whose name holds a word."""
        self.open_field()

    @on(Input.Changed)
    def filter_changed(self, message: Input.Changed) -> None:
        """Filter while the word is typed."""
        chosen = self.chosen
        self._word = message.value
        self.redraw(chosen.name if chosen is not None else None)

    def show_told(self) -> None:
        """Show the message above the details."""
        self._draw_details()
