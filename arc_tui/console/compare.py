"""Two runs' curves on one chart, by any number of their steps, and what sets the runs apart."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.message import Message

from arc_core.base.errors import ArcError
from arc_core.base.text import printable
from arc_core.run.directory import RunDirectory, stored_config
from arc_core.run.recipes import declaration_of
from arc_tui.console.lists import columns
from arc_tui.drawing.rows import Row
from arc_tui.runs.columns import OF_EVERY_STEP
from arc_tui.runs.feed import Arrival, Feed
from arc_tui.runs.history import History
from arc_tui.runs.listing import best_text
from arc_tui.runs.state import RunState
from arc_tui.ui.actions import Scope
from arc_tui.ui.chart import Chart, ChartSeries
from arc_tui.ui.rows_view import RowsView, looks
from arc_tui.ui.screen import SideScreen

DRAWS_A_SECOND = 2
STYLES = (("loss", "raw"), ("efe", "raw.efe"))
"""Line and envelope of the first run and of the second."""

NOT_COMPARED = ("name", "runs_dir", "headless", "detach", "prepare", "resume")
"""Options that say how a run was started."""

DETAIL_LINES = 12


class CompareRuns(SideScreen[None]):
    """Follows two runs and draws them over each other.

    Args:
        first: A run.
        second: Another.
    """

    SCOPE = Scope.COMPARE
    AUTO_FOCUS: ClassVar[str | None] = "Chart"

    class Arrived(Message):
        """More of a run has been read."""

        def __init__(self, place: int, batch: Arrival) -> None:
            super().__init__()
            self.place = place
            self.batch = batch

    def __init__(self, first: RunDirectory, second: RunDirectory) -> None:
        super().__init__()
        self._runs = (first, second)
        contents = [_content(run) for run in self._runs]
        self._histories = tuple(History(declaration_of(content)) for content in contents)
        self._states: list[RunState | None] = [None, None]
        self._configs = tuple(stored_config(content) for content in contents)
        self._number: str | None = None
        self._log = False
        self._cursor: int | None = None
        self._feeds = [Feed(run, self._hand_over(place)) for place, run in enumerate(self._runs)]

    def compose(self) -> ComposeResult:
        """Make the parts."""
        yield RowsView(classes="title")
        yield Chart(marks=False, empty="reading both runs")
        yield RowsView(classes="details")
        yield self.key_line()

    def on_mount(self) -> None:
        """Begin to read both runs."""
        for feed in self._feeds:
            feed.start()
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
        batch = message.batch
        first = self._states[message.place] is None
        history = self._histories[message.place]
        history.add(batch.digest if batch.digest is not None else batch.events, older=batch.older)
        self._states[message.place] = batch.state or self._states[message.place]
        if batch.problem is not None:
            self.tell(f"✗ {batch.problem}", "error")
        if first:
            self.redraw()

    @property
    def number_shown(self) -> str:
        """Dotted name of the number that the runs are compared by."""
        return self._number if self._number is not None else self.numbers[0]

    @property
    def numbers(self) -> list[str]:
        """Dotted names of what the runs can be compared by, in the order of the keys.

        Headlines, then all that is declared, of each first what both runs have; then what every step has.
        """
        one, other = (history.declared for history in self._histories)
        parts = ((*one.headlines, *other.headlines), (*one.names, *other.names))
        names = [sorted(part, key=lambda n: (n in one.numbers) != (n in other.numbers)) for part in parts]
        return list(dict.fromkeys([*names[0], *names[1], *OF_EVERY_STEP]))

    def redraw(self) -> None:
        """Draw chart and table."""
        name = self.number_shown
        curves = [
            (history, ChartSeries(name, printable(run.name, 30), line, raw))
            for run, history, (line, raw) in zip(self._runs, self._histories, STYLES, strict=True)
        ]
        self.query_one(Chart).show_curves(curves, cursor=self._cursor, log=self._log, plain=looks(self).ascii)
        scale = ", logarithmic" if self._log else ""
        self.query_one(RowsView).show([[(f" {name}", "title"), (f"{scale} of two runs", "muted")]])
        self._draw_details()

    def _draw_details(self) -> None:
        view = self.query(".details").only_one(RowsView)
        rows: list[Row] = [self._told] if self._told else []
        rows += self._difference_rows(max(view.size.width, 40))
        rows = rows[: max(4, min(DETAIL_LINES, self.size.height // 3))]
        view.show(rows)

    def _difference_rows(self, cells: int) -> list[Row]:
        """Write what is known of both runs beside each other, and where their options differ."""
        name = self.number_shown
        values = [history.latest(name) for history in self._histories]
        apart = values[1] - values[0]
        told = [
            (f"{name}, last", *(_figure(value) for value in values)),
            ("difference", "", _figure(apart, "+.4g")),
            ("step", *(f"{history.last_step:,}" for history in self._histories)),
            ("best validation", *(_best(state) for state in self._states)),
            *self._differing_options(),
        ]
        label = min(26, cells // 3)
        widths = (label, (cells - label) // 2, (cells - label) // 2)
        names = [
            ("", ""),
            *((printable(run.name), f"{look}") for run, (look, _) in zip(self._runs, STYLES, strict=True)),
        ]
        texts = [[(what, "muted"), (one, "text"), (other, "text")] for what, one, other in told]
        return [columns(row, widths, cells) for row in (names, *texts)]

    def _differing_options(self) -> list[tuple[str, str, str]]:
        first, second = self._configs
        return [
            (printable(key, 30), _option(first.get(key)), _option(second.get(key)))
            for key in dict.fromkeys([*first, *second])
            if first.get(key) != second.get(key) and key not in NOT_COMPARED
        ]

    def copied(self) -> str | None:
        """Return the values of both runs at the cursor."""
        return self.query_one(Chart).copied()

    # Actions

    @on(Chart.CursorMoved)
    def cursor_moved(self, message: Chart.CursorMoved) -> None:
        """Keep the cursor where the user has put it."""
        self._cursor = message.step

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

    def show_told(self) -> None:
        """Show the message above the table."""
        self._draw_details()


def _content(run: RunDirectory) -> dict[str, Any]:
    try:
        return run.read()
    except ArcError:
        return {}


def _option(value: object) -> str:
    return "none" if value is None else printable(str(value), 60)


def _figure(value: float, form: str = ".4g") -> str:
    return format(value, form) if math.isfinite(value) else "-"


def _best(state: RunState | None) -> str:
    return best_text(state.best_validation) if state is not None else "-"
