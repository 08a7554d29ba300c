"""A run's checkpoints, with the drift of the chosen layer beside a metric of the same steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.message import Message

from arc_core.base.errors import ArcError
from arc_core.base.paths import exists
from arc_core.base.text import printable
from arc_core.run.directory import RunDirectory, check_name, is_alive
from arc_tui.drawing.point_chart import chart_rows
from arc_tui.drawing.rows import Row, beside, fill
from arc_tui.drawing.text import when
from arc_tui.inspect.tensors.timeline import (
    CheckpointMark,
    Drift,
    drift,
    drift_points,
    metric_points,
    metrics_of,
    span_of,
    timeline,
)
from arc_tui.runs.fields import size
from arc_tui.runs.starting import Begin, resuming
from arc_tui.ui.actions import Scope
from arc_tui.ui.dialog import ConfirmScreen, Prompt
from arc_tui.ui.jobs import Job
from arc_tui.ui.list import LazyList
from arc_tui.ui.rows_view import RowsView, looks
from arc_tui.ui.screen import JobScreen

BESIDE = 100
"""Cells from which both charts stand beside each other."""


class DriftScreen(JobScreen[None]):
    """Shows the checkpoints of a run.

    Args:
        run: The run.
        shown: Id of the checkpoint that is browsed.
        module: What has been chosen in it, for the title.
        names: Its tensors, whose drift is shown; empty for none.
        read_only: Whether no training may begin from here.
    """

    SCOPE = Scope.DRIFT
    AUTO_FOCUS: ClassVar[str | None] = "LazyList"
    DEFAULT_CSS = """
    DriftScreen #charts { height: 60%; background: $surface-panel; }
    """

    class Moved(Message):
        """How far the layer was at one more checkpoint."""

        def __init__(self, found: Drift) -> None:
            super().__init__()
            self.found = found

    class Open(Message):
        """The user wants to browse a checkpoint."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    class Compare(Message):
        """The user wants to compare a checkpoint with the one that is browsed."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    class Wanted(Message):
        """The user wants training to begin."""

        def __init__(self, begin: Begin) -> None:
            super().__init__()
            self.begin = begin

    def __init__(
        self, run: RunDirectory, shown: int, module: str, names: Sequence[str], *, read_only: bool = False
    ) -> None:
        super().__init__(read_only=read_only)
        self._run = run
        self._shown = shown
        self._module = module
        self._drifting = list(names)
        self.marks = timeline(run)
        self._found: list[Drift] = []
        self._metrics = metrics_of(self.marks)
        self._metric = 0

    def compose(self) -> ComposeResult:
        """Make the parts."""
        yield RowsView(classes="title")
        yield RowsView(id="charts")
        yield LazyList(empty="no checkpoint")
        yield RowsView(classes="told")
        yield self.key_line()

    def on_mount(self) -> None:
        """Begin to follow the layer."""
        at = next((n for n, mark in enumerate(self.marks) if mark.number == self._shown), 0)
        self._show_list(at)
        if self._drifting:

            def work(job: Job) -> None:
                for one in drift(self._run, self._drifting, progress=job.progress):
                    self.post_message(self.Moved(one))

            self.compute(f"drift of {self._module or 'everything'}; Esc calls it off", work)

    @on(Moved)
    def take_drift(self, message: Moved) -> None:
        """Show one more point."""
        self._found.append(message.found)
        self.redraw()

    @property
    def chosen(self) -> CheckpointMark | None:
        """The chosen checkpoint."""
        at = self.query_one(LazyList).cursor
        return None if at is None else self.marks[at]

    def _show_list(self, cursor: int | None = None) -> None:
        self.query_one(LazyList).show(len(self.marks), self._row, heading=self._heading, cursor=cursor)

    def _heading(self, cells: int) -> Row:
        text = (
            f"   {'CHECKPOINT':<12}{'STEP':>9}{'EPOCH':>7}{'BYTES':>11}  {'DRIFT':>9}  {'METRIC':>10}  SAVED"
        )
        return fill([(text, "muted")], cells)

    def _row(self, index: int, cells: int) -> Row:
        mark = self.marks[index]
        if mark.problem is not None:
            return [(f" ✗ {mark.number:05d}  ", "error"), (printable(mark.problem, 300), "error")]
        moved = next((one for one in self._found if one.mark.number == mark.number), None)
        told = "" if moved is None else "damaged" if moved.problem else f"{moved.since_first:.2e}"
        metric = mark.metrics.get(self._metrics[self._metric]) if self._metrics else None
        sign = "●" if mark.number == self._shown else "◆"
        best = " best" if mark.is_best else ""
        saved = "" if mark.saved_at is None else when(mark.saved_at)
        text = (
            f"{f'{mark.number:05d}{best}':<12}{mark.step or 0:>9,}{mark.epoch or 0:>7}{size(mark.bytes):>11}"
            f"  {told:>9}  {'' if metric is None else f'{metric:.4g}':>10}  {saved}"
        )
        return fill([(f" {sign} ", "mark.checkpoint"), (text, "text")], cells)

    def redraw(self) -> None:
        """Draw the charts."""
        self.head(
            [(f"Checkpoints of {printable(self._run.name, 100)}", "title")],
            [(f"{len(self.marks)} checkpoints", "muted")],
        )
        view = self.query_one("#charts", RowsView)
        cells, lines = view.size.width, view.size.height
        chosen = self.chosen
        cursor = None if chosen is None else chosen.step
        metric = self._metrics[self._metric] if self._metrics else ""
        wide = cells >= BESIDE
        room, tall = (cells // 2 - 1, lines) if wide else (cells, lines // 2)
        span, plain = span_of(self.marks), looks(self).ascii
        left = chart_rows(
            f"{printable(self._module, 60) or 'everything'}: change since the first checkpoint",
            drift_points(self._found),
            span,
            "series.0",
            room,
            tall,
            cursor=cursor,
            plain=plain,
            empty="is being computed",
        )
        right = chart_rows(
            metric or "no metric",
            metric_points(self.marks, metric),
            span,
            "series.1",
            room,
            tall if wide else lines - tall,
            cursor=cursor,
            plain=plain,
            empty="no checkpoint tells it",
        )
        view.show(beside([(left, room), (right, room)], gap=2) if wide else [*left, *right])
        self.query_one(LazyList).refresh()

    @on(LazyList.Chosen)
    def choice_changed(self) -> None:
        """Move the cursor of the charts."""
        self.redraw()

    @on(LazyList.Opened)
    def row_opened(self) -> None:
        """Do what Enter does."""
        self.action_open()

    def copied(self) -> str | None:
        """Return the command that goes on from the chosen checkpoint."""
        return None if (chosen := self.chosen) is None else resuming(self._run, chosen.number)

    # Actions

    def action_open(self) -> None:
        """Browse the chosen checkpoint."""
        if (chosen := self.chosen) is not None:
            self.post_message(self.Open(chosen.number))

    def action_compare(self) -> None:
        """Compare the checkpoint that is browsed with the chosen one."""
        if (chosen := self.chosen) is not None:
            self.post_message(self.Compare(chosen.number))

    def action_metric(self) -> None:
        """Show the next metric."""
        if self._metrics:
            self._metric = (self._metric + 1) % len(self._metrics)
            self.redraw()

    def action_resume(self) -> None:
        """Go on with the run from the chosen checkpoint; asks first."""
        chosen = self.chosen
        if chosen is None or not self.may_steer():
            return
        if is_alive(self._run):
            self.tell(
                f"▲ {printable(self._run.name, 60)} is being trained: stop it first, or branch", "warning"
            )
            return
        newest = chosen is self.marks[-1]
        given_up = "" if newest else " Steps that were trained after it are given up."
        dialog = ConfirmScreen(
            f"Go on with {printable(self._run.name, 40)}?",
            [f"Training goes on from checkpoint {chosen.number:05d} of step {chosen.step or 0:,}.{given_up}"],
            "goes on",
        )
        self.app.push_screen(dialog, lambda yes: self._begin(None) if yes else None)

    def action_branch(self) -> None:
        """Begin a new run from the chosen checkpoint; asks for its name."""
        chosen = self.chosen
        if chosen is not None and self.may_steer():
            place = f"checkpoint {chosen.number:05d} of step {chosen.step or 0:,}"
            told = f"A new run begins from {place}; this one stays as it is."
            dialog = Prompt("Name of the new run", [told], check=self._check_name)
            self.app.push_screen(dialog, self._begin_branch)

    def _check_name(self, name: str) -> None:
        check_name(name)
        if exists(self._run.path.parent / name):
            raise ArcError(f"The run {printable(name, 60)} exists already.")

    def _begin_branch(self, name: str | None) -> None:
        if name:
            self._begin(name)

    def _begin(self, branch: str | None) -> None:
        if (chosen := self.chosen) is not None:
            self.post_message(self.Wanted(Begin(self._run.name, chosen.number, branch)))
