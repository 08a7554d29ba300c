"""A sample's grids beside each other, as large as there is room for."""

from __future__ import annotations

from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from arc_tui.grids_view import draw, lay_out, pictures_of
from arc_tui.rows import Row, width
from arc_tui.samples import Sample
from arc_tui.widgets.rows_view import looks, painted


class GridView(ScrollView, can_focus=True):
    """Shows one sample; what does not fit even at its smallest is scrolled by keys and mouse.

    Args:
        empty: What to say while there is no sample.
    """

    DEFAULT_CSS = """
    GridView { height: 1fr; width: 1fr; scrollbar-size: 1 1; }
    """

    def __init__(
        self,
        *,
        empty: str = "waits for the first sample",
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._empty = empty
        self._sample: Sample | None = None
        self._digits = False
        self._rows: list[Row] = []
        self._drawn: object = None

    @property
    def rows(self) -> list[Row]:
        """What is drawn, scrolled out of sight or not."""
        return self._rows

    def show_sample(self, sample: Sample | None, *, digits: bool = False) -> None:
        """Show a sample, or that there is none yet.

        Args:
            sample: The sample.
            digits: Whether each cell shows its digit; without colours all do.
        """
        self._sample, self._digits = sample, digits
        self.redraw()

    def redraw(self) -> None:
        """Draw again if sample, size or theme have changed; only lines that differ are painted."""
        theme, size = looks(self), self.size
        state = (self._sample, self._digits, theme.colourless, theme.ascii, size)
        if state == self._drawn or not size:
            return
        self._drawn = state
        before, self._rows = self._rows, self._draw(*size)
        self.virtual_size = Size(max(map(width, self._rows), default=0), len(self._rows))
        for y in range(max(len(before), len(self._rows))):
            old = before[y] if y < len(before) else None
            if old != (self._rows[y] if y < len(self._rows) else None):
                self.refresh(Region(0, y - self.scroll_offset.y, size.width, 1))

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.redraw()

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        left, top = self.scroll_offset
        row = self._rows[y + top] if 0 <= y + top < len(self._rows) else []
        return painted(row, self).crop_extend(left, left + self.size.width, self.rich_style)

    def _draw(self, cells: int, lines: int) -> list[Row]:
        if self._sample is None:
            return [[(self._empty, "muted")]]
        theme = looks(self)
        digits, plain = self._digits or theme.colourless, theme.ascii
        layout = lay_out(pictures_of(self._sample), cells, lines, digits=digits, plain=plain)
        return draw(layout, digits=digits, plain=plain)
