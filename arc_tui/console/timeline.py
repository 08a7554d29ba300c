"""The checkpoints of a run along its loss: open one, go on from it, or branch off a new run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.message import Message
from textual.widgets import Input

from arc_core.base.errors import ArcError
from arc_core.base.text import printable
from arc_core.run.checkpoint_index import checkpoint_id
from arc_core.run.directory import RunDirectory, check_name
from arc_tui.console.lists import checkpoint_heading, checkpoint_row
from arc_tui.console.panels.drawing import headline_curve
from arc_tui.drawing.rows import Row
from arc_tui.runs.checkpoints import SavedState, Standing, best_id, list_saved, verified
from arc_tui.runs.history import History
from arc_tui.runs.marks import MarkKind
from arc_tui.runs.starting import Begin, resuming
from arc_tui.runs.view import RunView
from arc_tui.ui.actions import Scope
from arc_tui.ui.chart import Chart
from arc_tui.ui.dialog import ConfirmScreen
from arc_tui.ui.list import LazyList
from arc_tui.ui.osc import linked
from arc_tui.ui.rows_view import RowsView, looks
from arc_tui.ui.screen import SideScreen

REFRESH_SECONDS = 1.0
_KINDS = (MarkKind.CHECKPOINT, MarkKind.CHECKPOINT_FAILED)


class TimelineScreen(SideScreen[Begin]):
    """Shows the checkpoints of a run; ends with the training that is to begin, or None.

    Args:
        run: The run.
        view: Tells how the run stands.
        read_only: Whether nothing may be asked of it.
    """

    SCOPE = Scope.TIMELINE
    AUTO_FOCUS: ClassVar[str | None] = "LazyList"
    DEFAULT_CSS = """
    TimelineScreen Chart { height: 40%; min-height: 6; background: $surface-panel; }
    TimelineScreen .details { max-height: 6; }
    """

    class Listed(Message):
        """The folder of checkpoints has been read."""

        def __init__(self, saved: list[SavedState], best: int | None) -> None:
            super().__init__()
            self.saved = saved
            self.best = best

    class BrowserWanted(Message):
        """A checkpoint is to be opened in the browser."""

        def __init__(self, checkpoint: int) -> None:
            super().__init__()
            self.checkpoint = checkpoint

    class Told(Message):
        """Something has been found out."""

        def __init__(self, text: str, style: str) -> None:
            super().__init__()
            self.text = text
            self.style = style

    def __init__(self, run: RunDirectory, view: Callable[[], RunView], *, read_only: bool = False) -> None:
        super().__init__(read_only=read_only)
        self._run = run
        self._view = view
        self._saved: list[SavedState] = []
        self._best: int | None = None
        self._log = False
        self._cursor: int | None = None
        self._seen_marks: object = None

    def compose(self) -> ComposeResult:
        """Make the parts."""
        yield RowsView(classes="title")
        yield Chart()
        yield LazyList(empty="no checkpoint yet")
        yield Input(placeholder="name of the new run", id="branch")
        yield RowsView(classes="details")
        yield self.key_line()

    def on_mount(self) -> None:
        """Read the folder, and look again for new ones."""
        self.query_one(RowsView).show([[(f" Checkpoints of {printable(self._run.name)}", "title")]])
        self.refresh_view()
        self.set_interval(REFRESH_SECONDS, self.refresh_view)

    def refresh_view(self) -> None:
        """Draw what has changed; the folder is only read if the log tells of another checkpoint."""
        history = self._history
        marks = history.marks(kinds=_KINDS)
        if marks != self._seen_marks:
            self._seen_marks = marks
            folder = self._run.checkpoints
            self.run_worker(
                lambda: self.post_message(self.Listed(list_saved(folder, marks), best_id(folder))),
                thread=True,
                exclusive=True,
                group="checkpoints",
            )
        self._draw_chart()

    @property
    def _history(self) -> History:
        return self._view().history

    @on(Listed)
    def take_list(self, message: Listed) -> None:
        """Show what was read; the cursor stays with its checkpoint, at first it is at the newest."""
        before = self.chosen
        self._saved, self._best = message.saved, message.best
        steps = [(saved.step, saved.id) for saved in self._saved]
        kept = (before.step, before.id) if before is not None else None
        self.redraw(steps.index(kept) if kept in steps else len(steps) - 1)

    @property
    def chosen(self) -> SavedState | None:
        """The checkpoint under the cursor."""
        at = self.query_one(LazyList).cursor
        return self._saved[at] if at is not None and at < len(self._saved) else None

    def redraw(self, cursor: int | None = None) -> None:
        """Draw everything; `cursor` is the row to be chosen, None stays at the one that is."""
        self.query_one(LazyList).show(len(self._saved), self._row, heading=checkpoint_heading, cursor=cursor)
        self._draw_chart()
        self._draw_details()

    def _row(self, index: int, cells: int) -> Row:
        return checkpoint_row(self._saved[index], self._best, cells)

    def _draw_chart(self) -> None:
        chosen = self.chosen
        at = self._cursor if self._cursor is not None else (chosen.step if chosen is not None else None)
        view = self._view()
        curves = [(view.history, headline_curve(view.declared, name)) for name in view.declared.headlines[:1]]
        self.query_one(Chart).show_curves(curves, cursor=at, log=self._log, plain=looks(self).ascii)

    def _draw_details(self) -> None:
        view = self.query(".details").only_one(RowsView)
        chosen = self.chosen
        rows: list[Row] = []
        if chosen is not None and chosen.path is not None:
            if chosen.best_exact is not None and chosen.best_cells is not None:
                best = f"{chosen.best_exact} exact, {chosen.best_cells:.4f} of cells"
                rows.append([("best validation by then ", "muted"), (best, "text")])
            rows.append([(printable(str(chosen.path), 200), linked("muted", chosen.path))])
        if self._told:
            rows.append(self._told)
        view.show(rows)

    @on(LazyList.Chosen)
    def choose(self) -> None:
        """Put the chart's cursor at the chosen checkpoint."""
        self._cursor, self._told = None, []
        self._draw_chart()
        self._draw_details()

    @on(LazyList.Opened)
    def opened(self) -> None:
        """Open the checkpoint that was clicked twice."""
        self.action_open()

    @on(Chart.CursorMoved)
    def cursor_moved(self, message: Chart.CursorMoved) -> None:
        """Choose the checkpoint that is nearest to the chart's cursor."""
        step = message.step
        if step is None or not self._saved:
            return
        distances = [abs(saved.step - step) for saved in self._saved]
        self.query_one(LazyList).choose(distances.index(min(distances)))
        self._cursor = step
        self._draw_chart()

    def copied(self) -> str | None:
        """Return the command that goes on from the chosen checkpoint."""
        chosen = self.chosen
        return None if chosen is None or chosen.id is None else resuming(self._run, chosen.id)

    # Actions

    def action_log_scale(self) -> None:
        """Draw on a logarithmic scale, or a linear one."""
        self._log = not self._log
        self._draw_chart()

    def action_open(self) -> None:
        """Ask for the browser on the chosen checkpoint."""
        if (path := self._path()) is not None:
            self.post_message(self.BrowserWanted(checkpoint_id(path)))

    def _path(self) -> Path | None:
        """The chosen checkpoint's folder; tells where there is none."""
        chosen = self.chosen
        if chosen is None or chosen.path is None:
            self.tell("▲ There are no files of this one", "warning")
            return None
        return chosen.path

    def action_verify(self) -> None:
        """Hold the files of the chosen checkpoint against its manifest, on a thread."""
        path = self._path()
        if path is None:
            return
        self.tell("… Reading its files")
        self.run_worker(lambda: self._verify(path), thread=True, exclusive=True, group="verify")

    def _verify(self, path: Path) -> None:
        try:
            told = verified(path)
        except (ArcError, OSError) as error:
            told = f"✗ {error}"
        self.post_message(self.Told(printable(told, 500), "good" if told.startswith("✓") else "error"))

    @on(Told)
    def take_told(self, message: Told) -> None:
        """Show what was found out."""
        self.tell(message.text, message.style)

    def action_resume(self) -> None:
        """Go on with the run from the chosen checkpoint, once it is confirmed."""
        chosen = self._usable()
        if chosen is None:
            return
        if not self._view().state.ended:
            self.tell("▲ A process trains this run: stop it first, or branch", "warning")
            return
        lost = self._view().state.step - chosen.step
        question = ConfirmScreen(
            f"Go on from checkpoint {chosen.id:05d}?",
            [
                f"The run goes on after step {chosen.step:,}; the {lost:,} steps after it no longer count. "
                "They stay in the log, and newer checkpoints stay until they are pruned.",
                "To keep both, branch off a new run instead.",
            ],
            "goes on from it",
        )
        self.app.push_screen(question, lambda yes: self._begin(None) if yes else None)

    def action_branch(self) -> None:
        """Ask for the name of a new run that begins at the chosen checkpoint."""
        chosen = self._usable()
        if chosen is not None:
            self.open_field(f"{self._run.name}-{chosen.step}")

    @on(Input.Submitted)
    def branch_named(self, message: Input.Submitted) -> None:
        """Begin the new run if its name is allowed, else stay in the field."""
        message.prevent_default()
        try:
            check_name(message.value)
        except ArcError as error:
            self.tell(f"▲ {error}", "warning")
            return
        self._begin(message.value)

    def _begin(self, branch: str | None) -> None:
        chosen = self._usable()
        if chosen is not None and chosen.id is not None:
            self.dismiss(Begin(self._run.name, chosen.id, branch))

    def _usable(self) -> SavedState | None:
        """Return the chosen checkpoint if it can be gone back to; says so where it cannot."""
        chosen = self.chosen
        if chosen is None or not self.may_steer():
            return None
        if chosen.standing is not Standing.SAVED:
            self.tell(f"▲ That checkpoint is {chosen.standing.value}: choose one that is saved", "warning")
            return None
        return chosen

    def show_told(self) -> None:
        """Show the message below the list."""
        self._draw_details()
