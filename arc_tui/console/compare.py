"""Runs' curves on one chart, by any number of their steps, and what sets the runs apart.

Two runs have a line and an envelope each, and stand beside each other below the chart. More than two have a
line each with a letter on it, and a list. Those that differ in their seed alone are one line, their mean; the
range is drawn of the chosen one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.message import Message

from arc_core.base.errors import ArcError
from arc_core.base.text import printable
from arc_core.run.directory import RunDirectory, stored_config
from arc_core.run.recipes import declaration_of
from arc_tui.console.compare_rows import Table, chosen_rows, pair_rows, style_of_line, table
from arc_tui.drawing.rows import Row
from arc_tui.runs.comparison import ComparedRun, RunGroup, by_seeds, capacity_of, letter_of, numbers_of
from arc_tui.runs.feed import Arrival, Feed
from arc_tui.runs.history import History
from arc_tui.ui.actions import Scope
from arc_tui.ui.chart import Chart, ChartSeries, Source
from arc_tui.ui.list import LazyList
from arc_tui.ui.rows_view import RowsView, looks
from arc_tui.ui.screen import SideScreen

DRAWS_A_SECOND = 2
PAIR = 2
STYLES = [("loss", "raw"), ("efe", "raw.efe")]
"""Line and envelope of each of two runs."""

RANGE = "muted"
"""Style of the range of the chosen one of several lines."""

SOLID, BROKEN = 0, 1
"""How the chosen line is drawn, and the others."""

DETAIL_LINES = 12
LEAST_LISTED = 4
CHOSEN_LINES, TALL = 2, 30
"""Lines that tell of the chosen run or group, on screens of so many lines; one on lower ones."""

LABEL = 30
"""Letters of a run's name above the chart."""


class CompareRuns(SideScreen[None]):
    """Follows runs and draws them over each other.

    Args:
        runs: At least two.
    """

    SCOPE = Scope.COMPARE
    AUTO_FOCUS: ClassVar[str | None] = "Chart"

    class Arrived(Message):
        """More of a run has been read."""

        def __init__(self, place: int, batch: Arrival) -> None:
            super().__init__()
            self.place = place
            self.batch = batch

    def __init__(self, *runs: RunDirectory) -> None:
        super().__init__()
        capacity = capacity_of(len(runs))
        self.runs = [_compared(run, capacity) for run in runs]
        self._singles, self._groups = [RunGroup([run]) for run in self.runs], by_seeds(self.runs)
        self._each = len(runs) == PAIR
        """Whether each run has a line of its own, also those that differ in their seed alone."""
        self._chosen = 0
        self._shown: Table | None = None
        self._number: str | None = None
        self._log = False
        self._cursor: int | None = None
        self._feeds = [Feed(run, self._hand_over(place)) for place, run in enumerate(runs)]

    def compose(self) -> ComposeResult:
        """Make the parts."""
        yield RowsView(classes="title")
        yield Chart(marks=False, empty="reading the runs")
        if not self._is_pair:
            yield LazyList()
        yield RowsView(classes="details")
        yield self.key_line()

    def on_mount(self) -> None:
        """Begin to read the runs."""
        for feed in self._feeds:
            feed.start()
        for choices in self.query(LazyList):
            choices.focus()
        self.set_interval(1 / DRAWS_A_SECOND, self.redraw)
        self.redraw()

    def on_unmount(self) -> None:
        """Read no more."""
        for feed in self._feeds:
            feed.stop()

    def _hand_over(self, place: int) -> Any:
        return lambda batch: self.post_message(self.Arrived(place, batch))

    @on(Arrived)
    def take(self, message: Arrived) -> None:
        """Take in what is new of one of the runs."""
        batch, run = message.batch, self.runs[message.place]
        first = run.state is None
        run.history.add(batch.digest if batch.digest is not None else batch.events, older=batch.older)
        run.state = batch.state or run.state
        if batch.problem is not None:
            self.tell(f"✗ {batch.problem}", "error")
        if first:
            self.redraw()

    @property
    def lines(self) -> Sequence[RunGroup]:
        """What has a line of its own: each run, or those together that differ in their seed alone."""
        return self._singles if self._each else self._groups

    @property
    def number_shown(self) -> str:
        """Dotted name of the number that the runs are compared by."""
        return self._number if self._number is not None else self.numbers[0]

    @property
    def numbers(self) -> list[str]:
        """Dotted names of what the runs can be compared by, in the order of the keys."""
        return numbers_of([run.history.declared for run in self.runs])

    @property
    def _is_pair(self) -> bool:
        return len(self.runs) == PAIR

    def redraw(self) -> None:
        """Draw chart and table."""
        name = self.number_shown
        curves = self._pair_of_curves(name) if self._is_pair else self._curves(name)
        self.query_one(Chart).show_curves(curves, cursor=self._cursor, log=self._log, plain=looks(self).ascii)
        scale = ", logarithmic" if self._log else ""
        mean = ", mean and range over seeds" if len(self.lines) < len(self.runs) else ""
        count = "two" if self._is_pair else f"{len(self.runs)}"
        self.query_one(RowsView).show([[(f" {name}", "title"), (f"{scale} of {count} runs{mean}", "muted")]])
        self._draw_details()

    def _pair_of_curves(self, name: str) -> list[tuple[Source, ChartSeries]]:
        """Return the lines of two runs with the envelopes of their steps, or their mean in its range."""
        return [
            (
                group.history if len(group.runs) > 1 else group.runs[0].history,
                ChartSeries(name, printable(group.label, LABEL), line, raw),
            )
            for group, (line, raw) in zip(self.lines, STYLES, strict=False)
        ]

    def _curves(self, name: str) -> list[tuple[Source, ChartSeries]]:
        """Return the lines of more than two, the chosen one on top of the others and in its range."""
        found: list[tuple[Source, ChartSeries]] = []
        for place, group in enumerate(self.lines):
            is_chosen = place == self._chosen
            series = ChartSeries(
                name,
                printable(group.label, LABEL),
                style_of_line(place),
                RANGE if is_chosen and len(group.runs) > 1 else "",
                sign=letter_of(place),
                dash=SOLID if is_chosen else BROKEN,
                told=is_chosen,
            )
            found.insert(0 if is_chosen else len(found), (group.history, series))
        return found

    def _draw_details(self) -> None:
        view = self.query(".details").only_one(RowsView)
        cells = max(view.size.width, 40)
        rows: list[Row] = [self._told] if self._told else []
        if self._is_pair:
            rows += pair_rows(self._singles, self.number_shown, [look for look, _ in STYLES], cells)
            view.show(rows[: max(4, min(DETAIL_LINES, self.size.height // 3))])
            return
        choices = self.query_one(LazyList)
        found = table(self.lines, self.number_shown, self._cursor, self.size.width)
        if found != self._shown:
            self._shown = found
            choices.styles.height = min(len(found.rows) + 1, max(LEAST_LISTED, self.size.height // 3))
            choices.show(
                len(found.rows),
                lambda at, _: found.rows[at],
                heading=lambda _: found.heading,
                cursor=self._chosen,
            )
        lines = CHOSEN_LINES if self.size.height >= TALL else 1
        view.show([*rows, *chosen_rows(self.lines[self._chosen], found.left_out, cells, lines)])

    def copied(self) -> str | None:
        """Return the values of all lines at the cursor."""
        return self.query_one(Chart).copied()

    # Actions

    @on(LazyList.Chosen)
    def choose(self, message: LazyList.Chosen) -> None:
        """Lay the chosen line on top."""
        self._chosen = message.index
        self.redraw()

    @on(Chart.CursorMoved)
    def cursor_moved(self, message: Chart.CursorMoved) -> None:
        """Keep the cursor where the user has put it."""
        self._cursor = message.step
        self.redraw()

    def action_next(self) -> None:
        """Compare by the next number."""
        self._turn(1)

    def action_previous(self) -> None:
        """Compare by the previous number."""
        self._turn(-1)

    def _turn(self, places: int) -> None:
        names = self.numbers
        self._number = names[(names.index(self.number_shown) + places) % len(names)]
        self.redraw()

    def action_log_scale(self) -> None:
        """Draw on a logarithmic scale, or a linear one."""
        self._log = not self._log
        self.redraw()

    def action_mean(self) -> None:
        """Draw runs that differ in their seed alone as one line, or each by itself."""
        if len(self._groups) == len(self.runs):
            self.tell("▲ No two of these runs differ in their seed alone", "warning")
            return
        run = self.lines[self._chosen].runs[0]
        self._each = not self._each
        self._chosen = next(at for at, group in enumerate(self.lines) if run in group.runs)
        self.redraw()

    def show_told(self) -> None:
        """Show the message above the table."""
        self._draw_details()


def _compared(run: RunDirectory, capacity: int) -> ComparedRun:
    try:
        content = run.read()
    except ArcError:
        content = {}
    return ComparedRun(run.name, stored_config(content), History(declaration_of(content), capacity))
