"""What every dialog has in common: a framed box in the middle, left by Escape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, ScreenResultType
from textual.widget import Widget

from arc_tui.drawing.rows import Row
from arc_tui.ui.rows_view import RowsView


class Dialog(ModalScreen[ScreenResultType]):
    """A box with rows of text, and whatever `extra` adds below them."""

    DEFAULT_CSS = """
    Dialog { align: center middle; background: $surface-background 60%; }
    Dialog > #box {
        width: 84; max-width: 96%; height: auto; max-height: 96%;
        background: $surface-panel; color: $surface-text;
        border: round $surface-accent; padding: 0 1;
    }
    Dialog #scroll { height: auto; background: $surface-panel; }
    Dialog #rows { height: auto; background: $surface-panel; }
    Dialog .extra { height: auto; background: $surface-panel; }
    """

    TITLE_TEXT = ""
    HINT = "Esc closes"

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "close", "Close", show=False)]

    def compose(self) -> ComposeResult:
        """Make the box."""
        with Vertical(id="box"):
            with VerticalScroll(id="scroll"):
                yield RowsView(id="rows")
            yield from self.extra()

    def on_mount(self) -> None:
        """Draw the rows once the width is known."""
        box = self.query_one("#box")
        box.border_title = Content(f" {self.TITLE_TEXT} ")
        box.border_subtitle = Content(f" {self.HINT} ")
        self.call_after_refresh(self.redraw)

    def on_resize(self) -> None:
        """Draw the rows for the new width."""
        self.call_after_refresh(self.redraw)

    def redraw(self) -> None:
        """Draw the rows."""
        view = self.query_one("#rows", RowsView)
        before = len(view.rows)
        view.show(self.rows(max(view.size.width, 20)))
        if len(view.rows) != before:
            view.refresh(layout=True)

    def extra(self) -> Sequence[Widget]:
        """Return what stands below the rows."""
        return ()

    def rows(self, cells: int) -> list[Row]:
        """Return the text of the dialog for so many cells."""
        del cells
        return []

    def action_close(self) -> None:
        """Close it without an answer."""
        self.dismiss(None)
