"""What the browser's screens have in common: a title, a line of messages and progress, and keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events, on
from textual.screen import Screen, ScreenResultType
from textual.widgets import Input

from arc_core.base.text import printable
from arc_tui.drawing.bars import share_bar
from arc_tui.drawing.rows import Row, fill, spread, width
from arc_tui.ui.browser_help import InspectHelp
from arc_tui.ui.browser_keys import EVERYWHERE, SCREENS, Key, Sections, by_name
from arc_tui.ui.jobs import Job, JobEnded, start
from arc_tui.ui.list import LazyList
from arc_tui.ui.rows_view import RowsView

PROGRESS_SECONDS = 0.1
BAR_CELLS = 20


class KeysLine(RowsView):
    """The keys of a screen at its foot, as many as fit; a click on one does what its key does.

    Args:
        keys: Those of the screen.
    """

    DEFAULT_CSS = """
    KeysLine { height: 1; background: $surface-background; color: $surface-text; }
    """

    def __init__(self, keys: Sequence[Key]) -> None:
        super().__init__()
        self._keys = [key for key in (*keys, *EVERYWHERE) if key.label]
        self._spans: list[tuple[int, int, str]] = []

    def on_resize(self) -> None:
        """Show as many keys as fit, the last ones, which every screen has, in any case."""
        parts = [[(f" {key.shown}", "key"), (f" {key.label} ", "key.label")] for key in self._keys]
        common = len([key for key in EVERYWHERE if key.label])
        room = self.size.width - sum(map(width, parts[-common:]))
        row: Row = []
        self._spans = []
        for place, (key, part) in enumerate(zip(self._keys, parts, strict=True)):
            if place < len(parts) - common and width(row) + width(part) > room:
                continue
            first = width(row)
            row += part
            self._spans.append((first, width(row), key.call))
        self.show([row])

    async def on_click(self, event: events.Click) -> None:
        """Do what the key under the mouse does."""
        for first, last, call in self._spans:
            if first <= event.x < last:
                await self.screen.run_action(call)
                return


class InspectScreen(Screen[ScreenResultType]):
    """A screen of the browser."""

    DEFAULT_CSS = """
    InspectScreen { layout: vertical; background: $surface-background; color: $surface-text; }
    InspectScreen .title { height: 1; background: $surface-background; }
    InspectScreen .told { height: 1; background: $surface-background; }
    InspectScreen Input { border: none; height: 1; padding: 0 1; background: $surface-panel; }
    """

    KEYS: ClassVar[Sequence[Key]] = ()
    """The screen's own keys."""
    SECTIONS: ClassVar[Sections] = SCREENS
    """What its help lists."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = by_name(self.KEYS)
        self._told: Row = []
        self.job: Job | None = None

    def on_mount(self) -> None:
        """Keep the line of messages and progress up to date."""
        self.set_interval(PROGRESS_SECONDS, self._show_progress)
        self.call_after_refresh(self._show_told)

    def on_key(self, event: events.Key) -> None:
        """Do what a key is for; while something is typed, keys are letters."""
        typing = isinstance(self.focused, Input)
        if typing and event.key != "escape" and not event.key.startswith("ctrl+"):
            return
        call = self._calls.get(event.key)
        if call is not None:
            self.call_next(self.run_action, call)
        elif not (isinstance(self.focused, LazyList) and self.focused.press(event.key)):
            return
        event.stop()
        event.prevent_default()

    # Messages and background work

    def head(self, left: Row, right: Row | None = None) -> None:
        """Show the title."""
        cells = max(self.size.width, 20)
        self.query_one(".title", RowsView).show(
            [spread([(" ", ""), *left], [("  ", ""), *(right or []), (" ", "")], cells)]
        )

    def tell(self, text: str, style: str = "muted") -> None:
        """Show a message until the next one."""
        self._told = [(f" {printable(text, 500)}", style)]
        self._show_told()

    def compute(self, name: str, work: Callable[[Job], None]) -> Job:
        """Begin something in the background; what was being computed is called off.

        Args:
            name: What it is, for the reader.
            work: Does it, in a thread of its own.
        """
        if self.job is not None:
            self.job.cancel()
        self.job = Job(name)
        self._told = []
        return start(self, self.job, work)  # pyright: ignore[reportArgumentType]

    @on(JobEnded)
    def job_ended(self, message: JobEnded) -> None:
        """Tell how a job has ended."""
        if message.problem is not None:
            self.tell(f"✗ {message.problem}", "error")
        elif message.job.cancelled() and message.job is self.job:
            self.tell(f"Called off: {message.job.name}")
        if message.job is self.job:
            self.job = None
            self.job_done(message.job)
        self._show_told()

    def job_done(self, job: Job) -> None:
        """Take note that the last job is over; for screens that show more then."""

    def _show_progress(self) -> None:
        if self.job is not None:
            self._show_told()

    def _show_told(self) -> None:
        if not self.is_mounted:
            return
        row = self._told
        if self.job is not None:
            bar = share_bar(self.job.share, BAR_CELLS)
            row = [(f" {self.job.share:4.0%} ", "accent"), (bar, "accent"), (f" {self.job.name}", "muted")]
        self.query_one(".told", RowsView).show([fill(row, max(self.size.width, 1))])

    # Actions

    def action_back(self) -> None:
        """Call off what is being computed, else leave the screen."""
        if self.job is not None:
            self.job.cancel()
        else:
            self.leave()

    def leave(self) -> None:
        """Leave the screen."""
        self.dismiss(None)

    def action_help(self) -> None:
        """Show all keys."""
        self.app.push_screen(InspectHelp(self.SECTIONS))

    def on_unmount(self) -> None:
        """Let nothing go on that nobody waits for."""
        if self.job is not None:
            self.job.cancel()
