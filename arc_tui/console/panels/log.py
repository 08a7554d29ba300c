"""Panel 8: warnings, summaries, checkpoints and answers, with a filter."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from textual import events, on
from textual.app import ComposeResult
from textual.widgets import Input

from arc_core.base.text import printable
from arc_tui.console.panels.board import LOG
from arc_tui.console.panels.panel import Panel
from arc_tui.drawing.rows import Row, wrap
from arc_tui.runs.sentences import LogEntry
from arc_tui.runs.view import RunView
from arc_tui.ui.framed import FRAME
from arc_tui.ui.rows_view import RowsView

CLOCK = 9
"""Cells of the time of day and a space."""

KEPT_ROWS = 2000


class LogPanel(Panel):
    """The newest lines at the bottom; scrolled up, it stands still until it is scrolled down again."""

    DEFAULT_CSS = """
    LogPanel > Input {
        dock: bottom; height: 1; margin: 0 1 1 1; border: none; padding: 0;
        background: $surface-background; color: $surface-text; display: none;
    }
    LogPanel > Input:focus { border: none; }
    LogPanel.filtering > Input { display: block; }
    LogPanel.filtering > .body { margin: 1 1 2 1; }
    """

    DIGIT = LOG

    def __init__(self) -> None:
        super().__init__()
        self._view: RunView | None = None
        self._scrolled = 0
        self._rows: list[Row] = []
        self._drawn_for: tuple[int, int, str] = (-1, 0, "")

    @property
    def filter_text(self) -> str:
        """The word that lines must hold; empty for all lines."""
        return self.query_one(Input).value

    def compose(self) -> ComposeResult:
        """Make the lines and the field of the filter."""
        yield RowsView(classes="body")
        yield Input(placeholder="filter", id="filter", select_on_focus=False)

    def show_view(self, view: RunView) -> None:
        """Show the newest lines."""
        self._view = view
        body = self.query_one(RowsView)
        cells, lines = self.size.width - 2 * FRAME, body.size.height
        if cells < 1 or lines < 1:
            return
        wanted = (view.history.revision, cells, self.filter_text)
        if wanted != self._drawn_for:
            before = len(self._rows)
            self._rows = log_rows(view.history.entries, cells, self.filter_text)
            if self._scrolled and self._drawn_for[1:] == wanted[1:]:
                self._scrolled += max(len(self._rows) - before, 0)
            self._drawn_for = wanted
        self._scrolled = max(0, min(self._scrolled, len(self._rows) - lines))
        last = len(self._rows) - self._scrolled
        rows = self._rows[max(last - lines, 0) : last]
        if not rows:
            rows = [[("no line holds that word" if self.filter_text else "nothing yet", "muted")]]
        body.show(rows)
        self.show_headline(self._told(len(self._rows)))

    def open_filter(self) -> None:
        """Let the user type a word."""
        self.add_class("filtering")
        self.query_one(Input).focus()
        self.call_after_refresh(self._again)

    def close_filter(self) -> bool:
        """Show all lines again; returns whether there was a filter."""
        field = self.query_one(Input)
        had = self.has_class("filtering")
        field.value = ""
        self.remove_class("filtering")
        if had:
            self.focus()
            self.call_after_refresh(self._again)
        return had

    @on(Input.Changed)
    def refilter(self) -> None:
        """Show what holds the word typed so far."""
        self._scrolled = 0
        self._again()

    @on(Input.Submitted)
    def keep_filter(self) -> None:
        """Leave the field; an empty filter is closed."""
        if self.filter_text:
            self.focus()
        else:
            self.close_filter()

    def on_key(self, event: events.Key) -> None:
        """Scroll by keys."""
        page = max(self.query_one(RowsView).size.height - 1, 1)
        steps = {"up": 1, "down": -1, "pageup": page, "pagedown": -page, "home": KEPT_ROWS, "end": -KEPT_ROWS}
        if event.key in steps and self.has_focus:
            event.stop()
            self._scroll(steps[event.key])

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll to older lines."""
        event.stop()
        self._scroll(3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll to newer lines."""
        event.stop()
        self._scroll(-3)

    def _scroll(self, lines: int) -> None:
        self._scrolled = max(0, self._scrolled + lines)
        self._again()

    def _again(self) -> None:
        if self._view is not None:
            self.show_view(self._view)

    def _told(self, count: int) -> Row:
        if self.filter_text:
            return [("/", "key"), (printable(self.filter_text, 20), ""), (f" {count:,}", "muted")]
        return [(f"↑ {self._scrolled:,}", "muted")] if self._scrolled else []


def log_rows(entries: Sequence[LogEntry], cells: int, word: str = "") -> list[Row]:
    """Draw the newest entries, each with its time of day; long ones go on below.

    Args:
        entries: Oldest first.
        cells: Width of a row.
        word: What an entry must hold, in either case; empty for all.
    """
    wanted = word.casefold()
    blocks: list[list[Row]] = []
    count = 0
    for entry in reversed(entries):
        if wanted and wanted not in entry.text.casefold():
            continue
        block = _entry_rows(entry, cells)
        blocks.append(block)
        count += len(block)
        if count >= KEPT_ROWS:
            break
    return [row for block in reversed(blocks) for row in block]


def _entry_rows(entry: LogEntry, cells: int) -> list[Row]:
    clock = time.strftime("%H:%M:%S", time.localtime(entry.time)) if math.isfinite(entry.time) else "--:--:--"
    told = wrap(_signed(entry), max(cells - CLOCK, 8), entry.style)
    return [[(clock + " " if number == 0 else " " * CLOCK, "muted"), *row] for number, row in enumerate(told)]


def _signed(entry: LogEntry) -> str:
    """Put a sign before what is wrong, as colour is never alone."""
    sign = {"warning": "▲ ", "error": "✗ "}.get(entry.style, "")
    return sign + entry.text
