"""Where training stood: progress, metrics, rates, moments, memory, preference, generators, configuration."""

from __future__ import annotations

import math
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message

from arc_tui.drawing.rows import Row
from arc_tui.inspect.browsed import Browsed
from arc_tui.inspect.tensors.moments import Update, pairs, updates
from arc_tui.inspect.training_rows import Section, sections, update_heading, update_row
from arc_tui.ui.actions import Scope
from arc_tui.ui.jobs import Job
from arc_tui.ui.list import LazyList
from arc_tui.ui.rows_view import RowsView
from arc_tui.ui.screen import JobScreen

MOMENTS = "moments"


class TrainingScreen(JobScreen[None]):
    """Shows sections at the left and the lines of the chosen one at the right.

    Args:
        browsed: A checkpoint of ours.
    """

    SCOPE = Scope.TRAINING
    AUTO_FOCUS: ClassVar[str | None] = "#sections"
    DEFAULT_CSS = """
    TrainingScreen #sides { height: 1fr; }
    TrainingScreen #sections { width: 22; }
    TrainingScreen #right { width: 1fr; }
    TrainingScreen #lines { height: 1fr; background: $surface-background; }
    TrainingScreen #details { height: auto; max-height: 60%; padding: 0 1; background: $surface-background; }
    """

    class Found(Message):
        """Moments have been read."""

        def __init__(self, found: list[Update]) -> None:
            super().__init__()
            self.found = found

    def __init__(self, browsed: Browsed) -> None:
        super().__init__()
        self.browsed = browsed
        self._sections = sections(browsed)
        self._moments: list[Update] | None = None
        self._names = [section.name for section in self._sections]
        self._names.insert(3, MOMENTS)
        self._lines: list[Row] = []

    def compose(self) -> ComposeResult:
        """Make the parts."""
        yield RowsView(classes="title")
        with Horizontal(id="sides"):
            yield LazyList(id="sections")
            with Vertical(id="right"):
                yield LazyList(id="lines")
                yield RowsView(id="details")
        yield RowsView(classes="told")
        yield self.key_line()

    def on_mount(self) -> None:
        """Show the sections."""
        names = self._names
        self.query_one("#sections", LazyList).show(
            len(names), lambda index, cells: [(f" {names[index]}", "text")]
        )

    @property
    def chosen(self) -> str:
        """Name of the chosen section."""
        return self._names[self.query_one("#sections", LazyList).cursor or 0]

    @property
    def _section(self) -> Section | None:
        return next((section for section in self._sections if section.name == self.chosen), None)

    def redraw(self) -> None:
        """Draw the lines of the chosen section."""
        self.head([(self.browsed.checkpoint.title, "title"), ("  training", "muted")])
        lines = self.query_one("#lines", LazyList)
        section = self._section
        if section is None:
            found = self._moments or []
            told = "no parameter has Adam's moments" if self._moments is not None else "is being computed"
            lines.show(
                len(found),
                lambda index, cells: update_row(found[index], cells),
                heading=update_heading,
                empty=told,
            )
        else:
            rows = section.rows(max(lines.size.width, 20))
            lines.show(len(rows), lambda index, cells: rows[index], empty="nothing is kept")
        self._show_details()

    def _show_details(self) -> None:
        view, section = self.query_one("#details", RowsView), self._section
        at = self.query_one("#lines", LazyList).cursor
        rows = section.details(at) if section is not None and section.details and at is not None else []
        view.display = bool(rows)
        view.show(rows)

    @on(LazyList.Chosen)
    def choice_changed(self, message: LazyList.Chosen) -> None:
        """Show another section, or the details of another line."""
        if message.source.id == "sections":
            self.query_one("#lines", LazyList).show(0, lambda index, cells: [], cursor=0)
            self.redraw()
            if self.chosen == MOMENTS and self._moments is None and self.job is None:
                self._compute_moments()
        else:
            self._show_details()

    def _compute_moments(self) -> None:
        state = self.browsed.training
        groups = state.groups if state is not None else ()

        def work(job: Job) -> None:
            total = len(pairs(self.browsed.checkpoint))
            found: list[Update] = []
            for update in updates(self.browsed.checkpoint, groups):
                found.append(update)
                job.progress(len(found), total)
            self.post_message(self.Found(found))

        self.compute("moments of every parameter; Esc calls it off", work)

    @on(Found)
    def take_moments(self, message: Found) -> None:
        """Show moments, the largest update for its weight first."""
        self._moments = sorted(message.found, key=lambda u: -u.ratio if math.isfinite(u.ratio) else math.inf)
        self.redraw()

    def copied(self) -> str | None:
        """Return the chosen line."""
        return self.query_one("#lines", LazyList).chosen_text

    # Actions

    def action_other(self) -> None:
        """Go to the other list."""
        here = self.query_one("#sections", LazyList)
        (self.query_one("#lines", LazyList) if here.has_focus else here).focus()

    def action_open(self) -> None:
        """Go to the lines of the chosen section."""
        self.query_one("#lines", LazyList).focus()
