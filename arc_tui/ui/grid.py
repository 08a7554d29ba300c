"""Grids as large as there is room for; what does not fit even at its smallest is scrolled to."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence

from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from arc_tui.drawing.grids import draw, lay_out, pictures_of
from arc_tui.drawing.groups import Group, group_rows
from arc_tui.drawing.rows import Row, Run, width
from arc_tui.runs.samples import Sample, numbers
from arc_tui.ui.rows_view import Lines, differing, looks, painted


class DrawnView(ScrollView, Lines, can_focus=True):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Shows rows that are drawn for its size; what does not fit is scrolled by keys and mouse.

    Args:
        empty: What to say while there is nothing to draw.
    """

    DEFAULT_CSS = """
    DrawnView { height: 1fr; width: 1fr; scrollbar-size: 1 1; }
    """

    def __init__(
        self,
        *,
        empty: str = "",
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._empty = empty
        self._digits = False
        self._rows: list[Row] = []
        self._drawn: object = None

    @property
    def rows(self) -> list[Row]:
        """What is drawn, scrolled out of sight or not."""
        return self._rows

    def content(self) -> Hashable:
        """Return what is shown, to be compared with what was drawn last; None while there is nothing.

        Raises:
            NotImplementedError: In a view that does not say.
        """
        raise NotImplementedError

    def drawing(self, cells: int, lines: int, *, digits: bool, plain: bool) -> list[Row]:
        """Draw what is shown, once there is something.

        Args:
            cells: Width.
            lines: Height.
            digits: Whether each cell must show its digit.
            plain: Whether to keep to ASCII.

        Raises:
            NotImplementedError: In a view that does not say.
        """
        raise NotImplementedError

    def redraw(self) -> None:
        """Draw again if content, size or theme have changed; only lines that differ are painted."""
        theme, size, content = looks(self), self.size, self.content()
        state = (content, self._digits, theme.colourless, theme.ascii, size)
        if state == self._drawn or not size:
            return
        self._drawn = state
        before = self._rows
        if content is None:
            self._rows = [[(self._empty, "muted")]]
        else:
            digits = self._digits or theme.colourless
            self._rows = self.drawing(*size, digits=digits, plain=theme.ascii)
            if len(self._rows) > size.height and size.width == self.outer_size.width:
                # A scrollbar will take a column.
                self._rows = self.drawing(size.width - 1, size.height, digits=digits, plain=theme.ascii)
        self.virtual_size = Size(max(map(width, self._rows), default=0), len(self._rows))
        for y in differing(before, self._rows):
            self.refresh(Region(0, y - self.scroll_offset.y, size.width, 1))

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.redraw()

    @property
    def line_count(self) -> int:
        """How many lines there are, scrolled out of sight or not."""
        return len(self._rows)

    def line(self, y: int) -> Sequence[Run]:
        """Return a line."""
        return self._rows[y] if 0 <= y < len(self._rows) else []

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        left, top = self.scroll_offset
        strip = painted(self.selected_line(y + top), self)
        return strip.crop_extend(left, left + self.size.width, self.rich_style)


class GridView(DrawnView):
    """Shows the four grids of one sample."""

    def __init__(self) -> None:
        super().__init__(empty="waits for the first sample")
        self._sample: Sample | None = None

    def show_sample(self, sample: Sample | None, *, digits: bool = False) -> None:
        """Show a sample, or that there is none yet.

        Args:
            sample: The sample.
            digits: Whether each cell shows its digit; without colours all do.
        """
        self._sample, self._digits = sample, digits
        self.redraw()

    def copied(self) -> str | None:
        """Return the sample's grids as JSON; None while there is no sample."""
        if self._sample is None:
            return None
        one = self._sample
        facts = {"task": one.task, "pair": one.pair, "step": one.step}
        return as_json({**facts, **{part.name: numbers(part.grid) for part in one.grids}})

    def content(self) -> Hashable:
        """Return the sample."""
        return self._sample

    def drawing(self, cells: int, lines: int, *, digits: bool, plain: bool) -> list[Row]:
        """Draw it."""
        assert self._sample is not None
        layout = lay_out(pictures_of(self._sample), cells, lines, digits=digits, plain=plain)
        return draw(layout, digits=digits, plain=plain)


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

    def copied(self) -> str | None:
        """Return the grids as JSON, those of each group under its title; None while there are none."""
        groups = self._alternatives[0] if self._alternatives else ()
        found = {
            group.title[0][0]: {picture.name: numbers(picture.grid) for picture in group.pictures}
            for group in groups
            if group.pictures
        }
        return as_json(found) if found else None

    def content(self) -> Hashable:
        """Return the groups."""
        return self._alternatives or None

    def drawing(self, cells: int, lines: int, *, digits: bool, plain: bool) -> list[Row]:
        """Draw them."""
        return group_rows(self._alternatives, cells, lines, digits=digits, plain=plain)


def as_json(content: object) -> str:
    """Write grids as JSON on one line."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False)
