"""Dialogs: a framed box in the middle, left by Escape, that tells, asks for yes or no, or asks for a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, ScreenResultType
from textual.widget import Widget
from textual.widgets import Input

from arc_core.base.errors import ArcError
from arc_tui.drawing.rows import Row, wrap
from arc_tui.ui.rows_view import RowsView
from arc_tui.ui.selecting import SelectingScreen


class Dialog(ModalScreen[ScreenResultType], SelectingScreen[ScreenResultType]):
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
    PARAGRAPHS: Sequence[str] = ()
    """Printable texts that the user should know."""

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
        view.show(self.rows(max(view.size.width, 20)))

    def extra(self) -> Sequence[Widget]:
        """Return what stands below the rows."""
        return ()

    def rows(self, cells: int) -> list[Row]:
        """Return the text of the dialog for so many cells."""
        rows: list[Row] = [[]]
        for paragraph in self.PARAGRAPHS:
            rows += [*wrap(paragraph, cells), []]
        return rows

    def action_close(self) -> None:
        """Close it without an answer."""
        self.dismiss(None)


class Notice(Dialog[None]):
    """Rows to read.

    Args:
        title: What they are.
        told: Draws the rows in so many cells.
    """

    def __init__(self, title: str, told: Callable[[int], list[Row]]) -> None:
        super().__init__()
        self.TITLE_TEXT = title
        self._told = told

    def rows(self, cells: int) -> list[Row]:
        """Return them."""
        return self._told(cells)


class ConfirmScreen(Dialog[bool]):
    """A question before anything that cannot be taken back; only `y` answers it with yes.

    Args:
        title: The question.
        paragraphs: What the user should know, such as what will be kept; each a printable text.
        yes: What yes does, in a few words.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes", show=False),
        Binding("n", "answer(False)", "No", show=False),
    ]

    def __init__(self, title: str, paragraphs: Sequence[str], yes: str) -> None:
        super().__init__()
        self.TITLE_TEXT = title
        self.PARAGRAPHS = paragraphs
        self.HINT = f"y {yes} · n, Esc leaves everything as it is"

    def action_answer(self, yes: bool) -> None:
        """Close with the answer."""
        self.dismiss(yes)

    def action_close(self) -> None:
        """Close with no."""
        self.dismiss(False)


class Prompt(Dialog[str]):
    """A question answered by a line of text: a path, a folder, a name; ends with it, or with None.

    Args:
        title: What is asked.
        paragraphs: What the user should know.
        value: What stands in the field at first.
        check: Refuses an answer by an `ArcError`, whose sentence is shown.
    """

    DEFAULT_CSS = """
    Prompt Input { border: none; height: 1; padding: 0 1; background: $surface-background; }
    """
    HINT = "Enter answers · Esc leaves everything as it is"

    def __init__(
        self,
        title: str,
        paragraphs: Sequence[str],
        value: str = "",
        check: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()
        self.TITLE_TEXT = title
        self.PARAGRAPHS = paragraphs
        self._value = value
        self._check = check
        self._problem = ""

    def extra(self) -> Sequence[Widget]:
        """Return the field."""
        return [Input(self._value)]

    def on_mount(self) -> None:
        """Let the user type at once."""
        self.query_one(Input).focus()

    def rows(self, cells: int) -> list[Row]:
        """Write what is asked, and what was wrong with the answer."""
        rows = super().rows(cells)
        return [*rows, *wrap(f"▲ {self._problem}", cells, "warning")] if self._problem else rows

    @on(Input.Submitted)
    def answered(self, message: Input.Submitted) -> None:
        """Take the answer, or say why not."""
        answer = message.value.strip()
        try:
            if self._check is not None:
                self._check(answer)
        except ArcError as error:
            self._problem = str(error)
            self.redraw()
            return
        if answer:
            self.dismiss(answer)
