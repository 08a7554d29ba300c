"""A list of tasks with grids beside it, filtered and sorted: of one evaluation, or of two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Generic

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from arc_tui.drawing.groups import Group
from arc_tui.drawing.rows import Row, wrap
from arc_tui.results.choice import EVERYTHING, SORTS, Chosen, Shown, chosen_tasks
from arc_tui.results.rows import id_cells
from arc_tui.results.task_screen import Page, ResultTaskScreen
from arc_tui.ui.actions import Scope
from arc_tui.ui.dialog import Notice
from arc_tui.ui.grid import GroupsView
from arc_tui.ui.list import LazyList
from arc_tui.ui.rows_view import RowsView
from arc_tui.ui.screen import SideScreen

LIST_SHARE = 3
"""The list takes one part of so many of the screen's width."""
SCORE_CELLS = 21
"""Cells of the name of a score."""
WIDE_GAP = "   "
"""Stands between two parts of a score."""
LEAST_LIST, MOST_LIST = 28, 66
"""Cells of the list at least and at most."""


class TasksScreen(SideScreen[None], Generic[Shown]):
    """Shows tasks and the grids of the chosen one; what they are and how they look is a child's matter.

    Args:
        tasks: The tasks.
        chosen: What is shown at first.
    """

    SCOPE = Scope.TASKS
    FILTERS: ClassVar[Sequence[str]]
    """What `f` goes through."""
    FILTER_NAMES: ClassVar[Mapping[str, str]] = {}
    """How some of these are written for the reader."""
    AUTO_FOCUS: ClassVar[str | None] = "LazyList"
    DEFAULT_CSS = """
    TasksScreen #sides { height: 1fr; }
    TasksScreen #facts { height: 1; background: $surface-background; }
    TasksScreen #shown { width: 1fr; padding: 0 0 0 1; background: $surface-background; }
    TasksScreen GroupsView { background: $surface-background; }
    """

    def __init__(self, tasks: Sequence[Shown], chosen: Chosen | None = None) -> None:
        super().__init__()
        self.tasks = tasks
        self.wide = id_cells([found.id for found in tasks])
        """Cells of the ids."""
        self.shown: list[Shown] = []
        """The tasks that are chosen, in their order."""
        self.chosen_id: str | None = None
        """The task under the cursor; None while there is none."""
        self.chosen = Chosen() if chosen is None else chosen
        self.demonstrations = True
        """Whether the demonstrations are shown where there is room."""
        self.digits = False
        """Whether each cell shows its digit."""

    # What a child says of its tasks

    def size_rules(self) -> Sequence[str]:
        """Return the size rules that occur."""
        raise NotImplementedError

    def heading(self, cells: int) -> Row:
        """Write what stands above the tasks."""
        raise NotImplementedError

    def row(self, found: Shown, cells: int) -> Row:
        """Write a task."""
        raise NotImplementedError

    def told_of(self, found: Shown) -> Row:
        """Write in a line what is known of a task."""
        raise NotImplementedError

    def groups(self, found: Shown, *, demonstrations: bool) -> Sequence[Sequence[Group]]:
        """Return what may be shown of a task's grids, what is wanted most first."""
        raise NotImplementedError

    def summary(self) -> tuple[Row, Row]:
        """Write what stands at the left and at the right of the first line."""
        raise NotImplementedError

    def scores(self) -> list[str]:
        """Write the scores."""
        raise NotImplementedError

    # The parts

    def compose(self) -> ComposeResult:
        """Make the parts."""
        yield RowsView(classes="title")
        yield Input(placeholder="part of a task's id", id="search")
        with Horizontal(id="sides"):
            yield LazyList(empty="no task")
            with Vertical(id="shown"):
                yield RowsView(id="facts")
                yield GroupsView()
        yield RowsView(classes="told")
        yield self.key_line()

    def on_mount(self) -> None:
        """Show the tasks."""
        self.again(0)

    def on_resize(self) -> None:
        """Lay out for the new size."""
        wanted = min(max(self.size.width // LIST_SHARE, LEAST_LIST), MOST_LIST)
        self.query_one(LazyList).styles.width = wanted

    def again(self, cursor: int | None = None) -> None:
        """Choose the tasks anew and show them.

        Args:
            cursor: The row to be chosen; None stays at the task that is.
        """
        before = self.chosen_id
        self.shown = chosen_tasks(self.tasks, self.chosen)
        ids = [found.id for found in self.shown]
        if cursor is None:
            cursor = ids.index(before) if before in ids else 0
        empty = "no task is so; f, z and Esc show others" if self.chosen.narrowed else "no task"
        self.query_one(LazyList).show(
            len(ids),
            lambda index, cells: self.row(self.shown[index], cells),
            heading=self.heading,
            cursor=cursor,
            empty=empty,
        )
        self.chosen_id = ids[cursor] if ids else None
        self.redraw()

    @property
    def at(self) -> int | None:
        """Where the cursor is in the list; None while there is no task."""
        return self.query_one(LazyList).cursor

    def redraw(self) -> None:
        """Draw the title, and the grids of the chosen task."""
        left, right = self.summary()
        chosen = self.chosen
        if chosen.narrowed:
            only = self.FILTER_NAMES.get(chosen.only, chosen.only)
            parts = [part for part in (only, chosen.size) if part != EVERYTHING]
            parts += [f"/{chosen.words}"] if chosen.words else []
            right = [(f"{len(self.shown):,} shown: {', '.join(parts)}  ", "accent"), *right]
        self.head(left, right)
        at = self.at
        facts, view = self.query_one("#facts", RowsView), self.query_one(GroupsView)
        found = None if at is None else self.shown[at]
        facts.show([] if found is None else [self.told_of(found)])
        groups = [] if found is None else self.groups(found, demonstrations=self.demonstrations)
        view.show_groups(groups, what=self.chosen_id, digits=self.digits)

    # Messages

    @on(LazyList.Chosen)
    def choice_changed(self, message: LazyList.Chosen) -> None:
        """Show what is chosen."""
        self.chosen_id = self.shown[message.index].id
        self.redraw()

    @on(LazyList.Opened)
    def row_opened(self) -> None:
        """Do what Enter does."""
        self.action_open()

    @on(Input.Changed, "#search")
    def search_changed(self, message: Input.Changed) -> None:
        """Search while it is typed."""
        self.chosen = replace(self.chosen, words=message.value.strip())
        self.again(0)

    def copied(self) -> str | None:
        """Return the grids that are shown, as JSON."""
        return self.query_one(GroupsView).copied()

    # Actions

    def action_open(self) -> None:
        """Let the grids of the chosen task fill the screen."""
        at = self.at
        if at is None:
            return
        pages = [
            Page(
                found.id,
                self.told_of(found),
                lambda wanted, found=found: self.groups(found, demonstrations=wanted)[0],
            )
            for found in self.shown
        ]
        screen = ResultTaskScreen(pages, at, demonstrations=self.demonstrations, digits=self.digits)
        self.app.push_screen(screen, self._returned)

    def _returned(self, at: int | None) -> None:
        if at is not None:
            self.query_one(LazyList).choose(at)

    def action_only(self) -> None:
        """Show only tasks of which the next thing is true."""
        self.chosen = replace(self.chosen, only=_next(self.FILTERS, self.chosen.only))
        self.again()

    def action_size(self) -> None:
        """Show only tasks with the next size rule."""
        self.chosen = replace(self.chosen, size=_next([EVERYTHING, *self.size_rules()], self.chosen.size))
        self.again()

    def action_sort(self) -> None:
        """Sort by the next order."""
        self.chosen = replace(self.chosen, order=_next([*SORTS], self.chosen.order), reverse=False)
        self.again(0)
        self.tell(f"Sorted by {self.chosen.order}")

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self.chosen = replace(self.chosen, reverse=not self.chosen.reverse)
        self.again(0)

    def action_search(self) -> None:
        """Search the ids."""
        self.open_field()

    def action_demonstrations(self) -> None:
        """Leave out the demonstrations, or show them again."""
        self.demonstrations = not self.demonstrations
        self.redraw()

    def action_digits(self) -> None:
        """Write the digit into each cell, or leave it out."""
        self.digits = not self.digits
        self.redraw()

    def action_other(self) -> None:
        """Go to the grids, or back to the list."""
        listed, view = self.query_one(LazyList), self.query_one(GroupsView)
        (view if listed.has_focus else listed).focus()

    def action_scores(self) -> None:
        """Show the scores."""
        cells = min(self.app.size.width, 84) - 6
        rows: list[Row] = [[]]
        for line in self.scores():
            head, gap, tail = line.rpartition(WIDE_GAP)
            if cell_len(line) <= cells:
                rows.append([(line, "text")])
            elif gap:
                rows += [[(head, "text")], [(f"{'':<{SCORE_CELLS}}{tail}", "text")]]
            else:
                rows += wrap(line, max(cells, 20), "text")
        self.app.push_screen(Notice("Scores", lambda _: rows))

    def step_back(self) -> bool:
        """Leave the search, else the filters."""
        if super().step_back():
            return True
        if (self.chosen.only, self.chosen.size) == (EVERYTHING, EVERYTHING):
            return False
        self.chosen = replace(self.chosen, only=EVERYTHING, size=EVERYTHING)
        self.again()
        return True


def _next(names: Sequence[str], name: str) -> str:
    return names[(names.index(name) + 1) % len(names)] if name in names else names[0]
