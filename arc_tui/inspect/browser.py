"""The browser's first screen: modules as a tree or tensors as a table, and what is chosen beside it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input

from arc_core.base.errors import ArcError
from arc_tui.drawing.rows import Row
from arc_tui.inspect.browsed import Browsed
from arc_tui.inspect.browser_rows import (
    COLUMNS,
    Line,
    Outline,
    table_heading,
    table_row,
    tree_heading,
    tree_row,
)
from arc_tui.inspect.detail_rows import detail_rows, metadata_rows, part_rows
from arc_tui.inspect.facts import type_facts
from arc_tui.inspect.tensor_screen import TensorScreen
from arc_tui.inspect.tensors.binning import Statistics
from arc_tui.inspect.tensors.search import TensorQuery, parse_query
from arc_tui.inspect.tensors.source import Kind
from arc_tui.inspect.tensors.statistics import statistics
from arc_tui.runs.fields import size
from arc_tui.ui.actions import Scope
from arc_tui.ui.dialog import Notice
from arc_tui.ui.jobs import Job
from arc_tui.ui.list import LazyList
from arc_tui.ui.rows_view import RowsView
from arc_tui.ui.screen import JobScreen

WIDE = 110
"""Cells from which the details stand beside the list instead of below it."""
AT_ONCE = 64 << 20
"""Bytes up to which a tensor's statistics are computed as soon as it is chosen."""
AT_ONCE_FROM_HUB = 4 << 20
"""The same where these bytes are fetched from a hub."""
SETTLED_SECONDS = 0.15
"""So long a tensor is chosen before anything is computed for it."""
ONE_TENSOR = "statistics of one tensor"
"""What is computed by itself, and not announced once it is done."""
SEARCHED_LEVELS = 12
"""How deep what has been found is opened at once."""
BATCH = 32
"""Tensors whose statistics are handed over together."""


class BrowserScreen(JobScreen[None]):
    """Shows a checkpoint.

    Args:
        browsed: The checkpoint.
    """

    SCOPE = Scope.BROWSER
    AUTO_FOCUS: ClassVar[str | None] = "LazyList"
    DEFAULT_CSS = """
    BrowserScreen #sides { height: 1fr; }
    BrowserScreen LazyList { width: 3fr; }
    BrowserScreen #details { width: 2fr; background: $surface-background; padding: 0 1; }
    BrowserScreen.narrow #sides { layout: vertical; }
    BrowserScreen.narrow LazyList { width: 1fr; height: 1fr; }
    BrowserScreen.narrow #details { width: 1fr; height: 9; }
    BrowserScreen.table LazyList { width: 1fr; }
    BrowserScreen.table #details { display: none; }
    """

    class Computed(Message):
        """Statistics have been computed."""

        def __init__(self, found: dict[int, Statistics]) -> None:
            super().__init__()
            self.found = found

    def __init__(self, browsed: Browsed, *, read_only: bool = False) -> None:
        super().__init__(read_only=read_only)
        self.browsed = browsed
        self._places: list[int] | None = None
        self._tree = browsed.whole
        self._outline = self._outlined(whole=True)
        self._table = False
        self._table_places: list[int] = []
        self._sorted_by, self._descending = 0, False
        self._powers = False
        self._looked_at = False

    def compose(self) -> ComposeResult:
        """Make the parts."""
        yield RowsView(classes="title")
        yield Input(placeholder="words, type:bf16, size>10MB, has:nan", id="search")
        with Horizontal(id="sides"):
            yield LazyList(empty="no tensor")
            yield RowsView(id="details")
        yield RowsView(classes="told")
        yield self.key_line()

    def on_mount(self) -> None:
        """Draw everything that is known."""
        self._show_list()
        notes = [*self.browsed.checkpoint.problems, *self.browsed.checkpoint.notes]
        if notes:
            first = f"1 of {len(notes)}: " if len(notes) > 1 else ""
            self.tell(f"▲ {first}{notes[0]}", "warning")

    def on_resize(self) -> None:
        """Lay out for the new size."""
        self.set_class(self.size.width < WIDE, "narrow")
        self.call_after_refresh(self._first_look)

    def _first_look(self) -> None:
        if not self._looked_at:
            self._looked_at = True
            self._outline.unfold_to_fit(self._list.size.height - 1)

    # What is chosen

    @property
    def chosen_line(self) -> Line | None:
        """The chosen line of the tree; None while the table is shown or the tree is empty."""
        at = self._list.cursor
        return None if self._table or at is None else self._outline.lines[at]

    @property
    def chosen_place(self) -> int | None:
        """The chosen tensor; None where a module is chosen."""
        at = self._list.cursor
        if self._table:
            return None if at is None else self._table_places[at]
        line = self.chosen_line
        return None if line is None or line.node is None else line.node.place

    @property
    def chosen_module(self) -> str | None:
        """Name of what is chosen, without a dot at its end; None if nothing is."""
        place, line = self.chosen_place, self.chosen_line
        if place is not None:
            return self.browsed.checkpoint.table.names[place]
        return line.node.prefix.rstrip(".") if line is not None and line.node is not None else None

    def chosen_names(self) -> list[str]:
        """Return the names of all tensors that are chosen."""
        names = self.browsed.checkpoint.table.names
        if self._table:
            place = self.chosen_place
            return [] if place is None else [names[place]]
        line = self.chosen_line
        return [] if line is None else [names[place] for place in self._outline.places(line)]

    @property
    def _list(self) -> LazyList:
        return self.query_one(LazyList)

    def _outlined(self, *, whole: bool) -> Outline:
        """Outline the tree; where nothing is searched, with the files that have no tensors in it."""
        if not whole:
            return Outline(self._tree)
        parts = self.browsed.checkpoint.parts
        with_metadata = sum(bool(part.header and part.header.metadata) for part in parts)
        return Outline(self._tree, [part for part in parts if part.header is None], with_metadata)

    # Drawing

    def redraw(self) -> None:
        """Draw the title, the list and the details."""
        checkpoint = self.browsed.checkpoint
        table = checkpoint.table
        types = ", ".join(f"{name} {size(found['bytes'])}" for name, found in type_facts(checkpoint).items())
        shown = len(table) if self._places is None else len(self._places)
        count = f"{shown:,} of {len(table):,} tensors" if shown < len(table) else f"{len(table):,} tensors"
        self.head(
            [(checkpoint.title, "title"), (f"  {checkpoint.kind.value}  {types}", "muted")],
            [(f"{count}, {int(table.parameters.sum()):,} parameters", "text")],
        )
        self._show_list()
        self.show_details()

    def _show_list(self, cursor: int | None = None) -> None:
        empty = "no tensor matches" if self._places is not None else "no tensor"
        if self._table:
            self._list.show(
                len(self._table_places),
                lambda index, cells: table_row(self.browsed, self._table_places[index], cells),
                heading=lambda cells: table_heading(cells, self._sorted_by, descending=self._descending),
                cursor=cursor,
                empty=empty,
            )
            return
        lines, total = self._outline.lines, int(self.browsed.checkpoint.table.bytes.sum())

        def draw(index: int, cells: int) -> Row:
            line = lines[index]
            opened = self._outline.is_open(line)
            return tree_row(line, cells, total, self.browsed.checkpoint, is_open=opened)

        self._list.show(len(lines), draw, heading=tree_heading, cursor=cursor, empty=empty)

    def show_details(self) -> None:
        """Draw what is chosen."""
        view = self.query_one("#details", RowsView)
        cells, lines = view.size.width - 2, view.size.height
        if cells > 10 and lines > 0:
            rows = detail_rows(
                self.browsed,
                self._tree,
                self.chosen_line,
                self.chosen_place,
                cells,
                lines,
                powers=self._powers,
            )
            view.show(rows[:lines])

    # Messages

    @on(LazyList.Chosen)
    def choice_changed(self) -> None:
        """Show what is chosen, and compute its statistics once the cursor rests."""
        self.show_details()
        place = self.chosen_place
        table = self.browsed.checkpoint.table
        if place is None or self.job is not None or not self.browsed.unread([place]):
            return
        limit = AT_ONCE_FROM_HUB if self.browsed.checkpoint.kind is Kind.HUB else AT_ONCE
        if int(table.bytes[place]) <= limit:
            self.set_timer(SETTLED_SECONDS, lambda: self._compute_if_chosen(place))

    def _compute_if_chosen(self, place: int) -> None:
        if self.job is None and self.is_current and self.chosen_place == place:
            self._compute(ONE_TENSOR, self.browsed.unread([place]))

    @on(LazyList.Opened)
    def row_opened(self) -> None:
        """Do what Enter does."""
        self.action_open()

    @on(Computed)
    def take_statistics(self, message: Computed) -> None:
        """Keep what has been computed, and show it."""
        self.browsed.statistics.update(message.found)
        if self._table:
            self._list.refresh()
        if self.chosen_place in message.found:
            self.show_details()

    def _compute(self, name: str, places: Sequence[int]) -> None:
        def work(job: Job) -> None:
            found: dict[int, Statistics] = {}
            for place, one in statistics(self.browsed.checkpoint, places, progress=job.progress):
                found[place] = one
                if len(found) >= BATCH:
                    self.post_message(self.Computed(found))
                    found = {}
            self.post_message(self.Computed(found))

        if places:
            self.compute(name, work)

    def copied(self) -> str | None:
        """Return the name of what is chosen."""
        return self.chosen_module

    # Actions

    def action_open(self) -> None:
        """Open or close a module, or show a tensor's values."""
        place, at, line = self.chosen_place, self._list.cursor, self.chosen_line
        if line is not None and line.files:
            checkpoint = self.browsed.checkpoint
            self.app.push_screen(Notice("Metadata", lambda cells: metadata_rows(checkpoint, cells)))
        elif line is not None and line.part is not None:
            self.app.push_screen(Notice("File", functools.partial(part_rows, line.part)))
        elif place is not None:
            if self.browsed.checkpoint.table.element(place).kind == "unread":
                self.tell("▲ Values of this type are not read", "warning")
            else:
                self.app.push_screen(TensorScreen(self.browsed, place), lambda _: self.redraw())
        elif at is not None and not self._table:
            if not self._outline.unfold(at):
                self._outline.fold(at)
            self._show_list()

    def action_unfold(self) -> None:
        """Open a module."""
        at = self._list.cursor
        if at is not None and not self._table and self._outline.unfold(at):
            self._show_list()

    def action_fold(self) -> None:
        """Close a module, or go to the one around it."""
        at = self._list.cursor
        if at is None or self._table:
            return
        if self._outline.fold(at):
            self._show_list()
        else:
            self._list.choose(self._outline.around(at))

    def action_view(self) -> None:
        """Change between the tree and the table."""
        self._table = not self._table
        self.set_class(self._table, "table")
        self._sort()
        self._show_list(cursor=0)
        self.call_after_refresh(self.redraw)

    def action_sort(self) -> None:
        """Sort the table by the next column."""
        if not self._table:
            self.action_view()
            return
        self._sorted_by = (self._sorted_by + 1) % len(COLUMNS)
        self._descending = self._sorted_by > 0
        self._sort()
        self._show_list(cursor=0)

    def action_reverse(self) -> None:
        """Sort the table the other way round."""
        self._descending = not self._descending
        self._sort()
        self._show_list(cursor=0)

    def _sort(self) -> None:
        if self._table:
            everything = range(len(self.browsed.checkpoint.table))
            places = everything if self._places is None else self._places
            key = functools.partial(COLUMNS[self._sorted_by].key, self.browsed)
            self._table_places = sorted(places, key=key)
            if self._descending:
                self._table_places.reverse()

    def action_search(self) -> None:
        """Search names and conditions."""
        self.open_field()

    @on(Input.Changed, "#search")
    def search_changed(self, message: Input.Changed) -> None:
        """Search while it is typed."""
        try:
            query = parse_query(message.value)
        except ArcError as error:
            self.tell(f"▲ {error}", "warning")
            return
        self._filter(query)

    def _filter(self, query: TensorQuery) -> None:
        self._told = []
        self._places = None if query.is_empty else self.browsed.found(query)
        whole = self._places is None
        self._tree = self.browsed.tree(self._places)
        self._outline = self._outlined(whole=whole)
        self._outline.unfold_to_fit(self._list.size.height - 1, levels=1 if whole else SEARCHED_LEVELS)
        self._sort()
        if self._table and query.words and self._places is not None:
            self._table_places = list(self._places)  # the best match first
        self._show_list(cursor=0)
        self.redraw()

    def action_statistics(self) -> None:
        """Compute the statistics of all tensors shown."""
        everything = range(len(self.browsed.checkpoint.table))
        places = self.browsed.unread(everything if self._places is None else self._places)
        if places:
            self._compute(f"statistics of {len(places):,} tensors; Esc calls it off", places)
        else:
            self.tell("All statistics have been computed")

    def job_done(self, job: Job) -> None:
        """Draw what the last job has changed."""
        if not job.cancelled() and job.name != ONE_TENSOR:
            self.tell(f"✓ {job.name.partition(';')[0]}", "good")
        self.redraw()

    def action_scale(self) -> None:
        """Draw the histogram by values, or by powers of two."""
        self._powers = not self._powers
        self.show_details()
