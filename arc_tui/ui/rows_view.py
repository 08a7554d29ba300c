"""A widget that shows rows of named styles and repaints only the lines that have changed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich.segment import Segment
from textual.geometry import Offset, Region, Size
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from arc_tui.drawing.rows import Row, Run, cut, marked, place_at, plain
from arc_tui.looks.themes import Theme, load_theme

_LETTERS = str.maketrans("▁▂▃▄▅▆▇█▏▎▍▌▋▊▉━╸╺", "_.,-~=+#||||###=--")
"""What blocks and bars become in a theme that keeps to plain letters."""


def looks(widget: Widget) -> Theme:
    """Return the theme of the app that a widget is in; the default one in any other app."""
    theme = getattr(widget.app, "looks", None)
    return theme if isinstance(theme, Theme) else load_theme()


class Lines(Widget):
    """A widget that paints rows, whose text the mouse can select.

    Textual finds what is under the mouse by the style of each painted run, which would cost every line that
    is painted; here the row itself tells, when somebody asks (`arc_tui.ui.selecting`).
    """

    @property
    def line_count(self) -> int:
        """How many lines there are, scrolled out of sight or not."""
        return self.size.height

    def line(self, y: int) -> Sequence[Run]:
        """Return a line as it is painted, by its place among all; empty where there is none.

        Raises:
            NotImplementedError: In a widget that does not say.
        """
        raise NotImplementedError

    def place_under(self, x: int, y: int) -> Offset:
        """Return which character of which line stands in a cell of what is seen."""
        left, top = self.scroll_offset
        return Offset(place_at(self.line(y + top), x + left), y + top)

    def selected_line(self, y: int) -> Sequence[Run]:
        """Return a line with what is selected of it marked."""
        selection = self.text_selection
        span = None if selection is None else selection.get_span(y)
        return self.line(y) if span is None else marked(self.line(y), *span)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the text that is selected, and what ends it."""
        found: list[str] = []
        for y in range(self.line_count):
            if (span := selection.get_span(y)) is not None:
                first, last = span
                found.append(plain(self.line(y))[first : None if last < 0 else last].rstrip())
        return "\n".join(found), "\n"


class RowsView(Lines, can_focus=False):
    """Shows rows; what does not fit is cut at the right and below."""

    DEFAULT_CSS = """
    RowsView { height: 1fr; width: 1fr; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._rows: list[Row] = []

    @property
    def rows(self) -> Sequence[Row]:
        """What is shown."""
        return self._rows

    def show(self, rows: Sequence[Sequence[Run]]) -> None:
        """Show other rows; lines that stay as they are are not painted again."""
        before, self._rows = self._rows, [list(row) for row in rows]
        for y in differing(before, self._rows):
            self.refresh(Region(0, y, self.size.width, 1))
        if len(before) != len(self._rows) and self.styles.is_auto_height:
            self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Take as many lines as there are rows, where the height is `auto`."""
        del container, viewport, width
        return len(self._rows)

    def line(self, y: int) -> Sequence[Run]:
        """Return a line, cut to the width."""
        return cut(self._rows[y], self.size.width) if 0 <= y < len(self._rows) else []

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        return painted(self.selected_line(y), self).adjust_cell_length(self.size.width, self.rich_style)


def differing(before: Sequence[Row], after: Sequence[Row]) -> list[int]:
    """Return the lines that have to be painted again where one drawing takes the place of another."""
    return [y for y, (old, new) in enumerate(zip_longest(before, after)) if old != new]


def painted(row: Sequence[Run], widget: Widget) -> Strip:
    """Return a row in the colours of the theme, on the ground of a widget."""
    ground, theme = widget.rich_style, looks(widget)
    if theme.ascii:
        row = [(text.translate(_LETTERS), style) for text, style in row]
    return Strip(
        [Segment(text, ground + theme.style(style) if style else ground) for text, style in row if text]
    )
