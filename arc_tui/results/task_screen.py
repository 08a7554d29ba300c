"""The grids of one task of an evaluation, as large as the screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult

from arc_tui.drawing.groups import Group
from arc_tui.drawing.rows import Row
from arc_tui.ui.actions import Scope
from arc_tui.ui.grid import GroupsView
from arc_tui.ui.rows_view import RowsView
from arc_tui.ui.screen import SideScreen


@dataclass(frozen=True)
class Page:
    """What is shown of a task.

    Attributes:
        id: The task.
        head: What it is.
        groups: Its grids, given whether the demonstrations are wanted; all of them, whatever the room.
    """

    id: str
    head: Row
    groups: Callable[[bool], Sequence[Group]]


class ResultTaskScreen(SideScreen[int]):
    """Shows one task of a list after another; ends with the place of the one shown last.

    Args:
        pages: The tasks of the list.
        at: Which is shown first.
        demonstrations: Whether the demonstrations are shown.
        digits: Whether each cell shows its digit.
    """

    SCOPE = Scope.TASK
    AUTO_FOCUS: ClassVar[str | None] = "GroupsView"
    DEFAULT_CSS = """
    ResultTaskScreen GroupsView { margin: 0 1; background: $surface-background; }
    """

    def __init__(self, pages: Sequence[Page], at: int, *, demonstrations: bool, digits: bool) -> None:
        super().__init__()
        self._pages = pages
        self._at = at
        self._demonstrations = demonstrations
        self._digits = digits

    def compose(self) -> ComposeResult:
        """Make the parts."""
        yield RowsView(classes="title")
        yield GroupsView()
        yield RowsView(classes="told")
        yield self.key_line()

    def on_mount(self) -> None:
        """Draw once the size is known."""
        self.call_after_refresh(self.redraw)

    def redraw(self) -> None:
        """Draw the task."""
        page = self._pages[self._at]
        self.head(page.head, [(f"{self._at + 1:,} of {len(self._pages):,}", "muted")])
        self.query_one(GroupsView).show_groups(
            [page.groups(self._demonstrations)], what=(page.id, self._demonstrations), digits=self._digits
        )

    def copied(self) -> str | None:
        """Return the grids that are shown, as JSON."""
        return self.query_one(GroupsView).copied()

    def action_step(self, by: int) -> None:
        """Show another task of the list."""
        self._at = min(max(self._at + by, 0), len(self._pages) - 1)
        self.redraw()

    def action_demonstrations(self) -> None:
        """Leave out the demonstrations, or show them again."""
        self._demonstrations = not self._demonstrations
        self.redraw()

    def action_digits(self) -> None:
        """Write the digit into each cell, or leave it out."""
        self._digits = not self._digits
        self.redraw()

    def leave(self) -> None:
        """Go back to the list, to the task that was shown last."""
        self.dismiss(self._at)
