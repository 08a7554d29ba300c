"""Groups of grids, as large as there is room for."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from arc_tui.drawing.groups import Group, group_rows
from arc_tui.drawing.rows import Row
from arc_tui.ui.grid import DrawnView


class GroupsView(DrawnView):
    """Shows groups of grids; see `arc_tui.drawing.groups.group_rows`."""

    def __init__(self, *, empty: str = "", id: str | None = None) -> None:  # noqa: A002
        super().__init__(empty=empty, id=id)
        self._alternatives: tuple[tuple[Group, ...], ...] = ()
        self._what: Hashable = None

    def show_groups(
        self, alternatives: Sequence[Sequence[Group]], *, what: Hashable = None, digits: bool = False
    ) -> None:
        """Show other groups.

        Args:
            alternatives: What may be shown, what is wanted most first; empty for nothing.
            what: What they are of: where it is something else than before, the view is scrolled back.
            digits: Whether each cell shows its digit; without colours all do.
        """
        self._alternatives = tuple(map(tuple, alternatives))
        self._digits = digits
        if what != self._what:
            self._what = what
            self.scroll_home(animate=False)
        self.redraw()

    def content(self) -> Hashable:
        """Return the groups."""
        return self._alternatives or None

    def drawing(self, cells: int, lines: int, *, digits: bool, plain: bool) -> list[Row]:
        """Draw them."""
        return group_rows(self._alternatives, cells, lines, digits=digits, plain=plain)
