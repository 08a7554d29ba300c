"""Asks for a line of text: a path, a folder, a name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import on
from textual.widget import Widget
from textual.widgets import Input

from arc_core.base.errors import ArcError
from arc_tui.drawing.rows import Row, wrap
from arc_tui.ui.dialog import Dialog


class Prompt(Dialog[str]):
    """A question answered by a line of text; ends with it, or with None.

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
        self._paragraphs = paragraphs
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
        rows: list[Row] = [[]]
        for paragraph in self._paragraphs:
            rows += [*wrap(paragraph, cells), []]
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
