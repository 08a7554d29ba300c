"""What the screens of all apps have in common: keys from the table of actions, and what tells of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Protocol, cast, runtime_checkable

from textual import events, on
from textual.dom import DOMNode
from textual.screen import Screen, ScreenResultType
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input

from arc_core.base.text import printable
from arc_tui.drawing.bars import share_bar
from arc_tui.drawing.rows import Row, fill, spread, width
from arc_tui.ui.actions import ACTIONS, Action, Scope
from arc_tui.ui.chart import Chart
from arc_tui.ui.jobs import Job, JobEnded, start
from arc_tui.ui.keys import BY_ID, Keymap, by_key, keymap, shown
from arc_tui.ui.list import LazyList
from arc_tui.ui.rows_view import RowsView
from arc_tui.ui.selecting import SelectingScreen, heard

PROGRESS_SECONDS = 0.1
BAR_CELLS = 20
READ_ONLY = "▲ Opened for reading only"
ENDS = ("back", "help", "quit")
"""Actions at the end of the line of keys on every screen beside the console's main one."""

Span = tuple[int, int, Action]
"""The first column of a key in a line of keys, the one after its last, and what it is for."""


@runtime_checkable
class HasKeys(Protocol):
    """An app that knows the keys of every action, the user's own included."""

    keys: Keymap


async def perform(action: Action, screen: Screen[object]) -> None:
    """Do an action, on a screen or the app that it is shown by.

    A screen that a key typed right before has left, or covered by another, does nothing any more.
    """
    if screen is not screen.app.screen:
        return
    node: DOMNode = screen.app if action.of_app else screen
    if action.scope is Scope.CHART:
        node = screen.focused if isinstance(screen.focused, Chart) else screen.query_one(Chart)
    await screen.app.run_action(("", action.call, action.args), node)


def keys_of(widget: Widget) -> Keymap:
    """Return the keys of the app that a widget is in; the defaults in any other app."""
    app: object = widget.app
    return app.keys if isinstance(app, HasKeys) else keymap({})


class KeyLine(RowsView):
    """Keys at the foot of a screen, as many as fit; a click on one does what its key does.

    Args:
        actions: What may be shown, in its order; those with the smallest rank have their place first.
    """

    DEFAULT_CSS = """
    KeyLine { height: 1; background: $surface-background; color: $surface-text; }
    """

    ALLOW_SELECT = False

    def __init__(self, actions: Sequence[Action] = (), *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._actions = actions
        self._spans: list[Span] = []

    def offer(self, actions: Sequence[Action]) -> None:
        """Show the keys of other actions."""
        self._actions = actions
        self.on_resize()

    def on_resize(self) -> None:
        """Show as many keys as fit."""
        row, self._spans = key_row(self._actions, keys_of(self), self.size.width)
        self.show([row])

    async def on_click(self, event: events.Click) -> None:
        """Do what the key under the mouse does."""
        for first, last, action in self._spans:
            if first <= event.x < last:
                await perform(action, self.screen)
                return


def key_row(actions: Sequence[Action], keys: Keymap, cells: int) -> tuple[Row, list[Span]]:
    """Draw a line of keys.

    Args:
        actions: What may be shown, in its order; those with the smallest rank have their place first.
        keys: Keys of every action; one without is left out.
        cells: Width of the line.

    Returns:
        The row, and where in it each action stands.
    """
    parts = {
        action.id: [(f" {shown(keys[action.id][:1])}", "key"), (f" {action.label} ", "key.label")]
        for action in actions
        if keys[action.id]
    }
    kept: set[str] = set()
    left = cells
    for action in sorted(actions, key=lambda action: action.footer or 0):
        if action.id in parts and (need := width(parts[action.id])) <= left:
            kept.add(action.id)
            left -= need
    row: Row = []
    spans: list[Span] = []
    for action in actions:
        if action.id in kept:
            first = width(row)
            row += parts[action.id]
            spans.append((first, width(row), action))
    return row, spans


class KeyedScreen(SelectingScreen[ScreenResultType]):
    """A screen that does the actions of its scope, those of its app, and those of the chart on it."""

    SCOPE: ClassVar[Scope]
    """Where in the table of actions it stands."""

    @property
    def keys(self) -> Keymap:
        """The keys of every action."""
        return keys_of(self)

    @functools.cached_property
    def _heard(self) -> Mapping[str, Action]:
        return by_key(self.SCOPE, self.keys)

    @functools.cached_property
    def _heard_by_chart(self) -> Mapping[str, Action]:
        return {**self._heard, **by_key(Scope.CHART, self.keys)}

    def copied(self) -> str | None:
        """Return what is under the cursor, to be copied; None where nothing is."""
        return None

    def on_key(self, event: events.Key) -> None:
        """Do what a key is for, at once, so that keys typed fast do not overtake each other.

        While something is typed, keys are letters, but for those with Ctrl and the one that leaves the field.
        """
        if event.key == "escape":
            self.clear_selection()
        focused = self.focused
        action = heard(self._heard_by_chart if isinstance(focused, Chart) else self._heard, event, self)
        if isinstance(focused, Input) and not (
            event.key.startswith("ctrl+") or (action is not None and action.id == "back")
        ):
            return
        if action is not None:
            self.call_next(perform, action, self)
        elif not (isinstance(focused, LazyList) and focused.press(event.key)):
            return
        event.stop()
        event.prevent_default()


class SideScreen(KeyedScreen[ScreenResultType]):
    """A screen beside the console's main one, or in a browser: a title, a line of messages, and keys.

    Args:
        read_only: Whether nothing may be asked of a run, and no file written.
    """

    DEFAULT_CSS = """
    SideScreen { layout: vertical; background: $surface-background; color: $surface-text; }
    SideScreen .title { height: 1; background: $surface-background; }
    SideScreen .told { height: 1; background: $surface-background; }
    SideScreen .details { height: auto; max-height: 50%; background: $surface-panel; padding: 0 1; }
    SideScreen Input {
        display: none; border: none; height: 1; padding: 0 1; background: $surface-panel;
    }
    """

    def __init__(self, *, read_only: bool = False) -> None:
        super().__init__()
        self.read_only = read_only
        self._told: Row = []

    def on_mount(self) -> None:
        """Show what is told already."""
        self.call_after_refresh(self.show_told)

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self.redraw)

    def redraw(self) -> None:
        """Draw what depends on the size."""

    def key_line(self) -> KeyLine:
        """Return the line of this screen's keys."""
        own = [
            action
            for action in ACTIONS
            if action.scope is self.SCOPE and action.footer and not (self.read_only and action.steers)
        ]
        ends = [replace(BY_ID[name], footer=0) for name in ENDS if self.SCOPE in BY_ID[name].places]
        return KeyLine([*own, *ends])

    def head(self, left: Row, right: Row | None = None) -> None:
        """Show the title."""
        cells = max(self.size.width, 20)
        self.query_one(".title", RowsView).show(
            [spread([(" ", ""), *left], [("  ", ""), *(right or []), (" ", "")], cells)]
        )

    def tell(self, text: str, style: str = "muted") -> None:
        """Show a message until the next one."""
        self._told = [(printable(text, 500), style)]
        self.show_told()

    def show_told(self) -> None:
        """Show the message, in a line of its own; screens that have none say where."""
        if self.is_mounted:
            self.query_one(".told", RowsView).show([fill(self.told_row(), max(self.size.width, 1))])

    def told_row(self) -> Row:
        """Return the message as a row; empty if there is none."""
        return [(f" {text}", style) for text, style in self._told]

    def may_steer(self) -> bool:
        """Whether something may be asked of a run, or written; says so where it may not."""
        if self.read_only:
            self.tell(READ_ONLY, "warning")
        return not self.read_only

    # The field that some screens have: to search in, or for a name

    def open_field(self, value: str | None = None) -> None:
        """Let the user type.

        Args:
            value: What stands in the field at first; None leaves what was typed before.
        """
        field = self.query_one(Input)
        if value is not None:
            field.value = value
        field.display = True
        field.focus()

    @on(Input.Submitted)
    def field_done(self) -> None:
        """Go back to the list, where what was typed goes on to count."""
        self.query_one(LazyList).focus()

    # The way back

    def action_back(self) -> None:
        """Take back what the screen has come to, else leave it."""
        if not self.step_back():
            self.leave()

    def step_back(self) -> bool:
        """Take back one thing, here the field; returns whether there was one."""
        for field in self.query(Input):
            if field.display:
                field.value = ""
                field.display = False
                self.query_one(LazyList).focus()
                return True
        return False

    def leave(self) -> None:
        """Leave the screen without an answer; the first one is left with the app."""
        if len(self.app.screen_stack) > 1:
            self.dismiss(None)


class JobScreen(SideScreen[ScreenResultType]):
    """A screen that computes something in the background, and shows how far that is."""

    def __init__(self, *, read_only: bool = False) -> None:
        super().__init__(read_only=read_only)
        self.job: Job | None = None
        self._progress: Timer | None = None

    def compute(self, name: str, work: Callable[[Job], None]) -> Job:
        """Begin something in the background; what was being computed is called off.

        Args:
            name: What it is, for the reader.
            work: Does it, in a thread of its own.
        """
        if self.job is not None:
            self.job.cancel()
        if self._progress is None:
            self._progress = self.set_interval(PROGRESS_SECONDS, self._show_progress)
        self.job = Job(name)
        self._told = []
        return start(cast("Screen[object]", self), self.job, work)

    @on(JobEnded)
    def job_ended(self, message: JobEnded) -> None:
        """Tell how a job has ended."""
        is_last = message.job is self.job
        if is_last:
            self.job = None
            self.job_done(message.job)  # which may say that it is done
        if message.problem is not None:
            self.tell(f"✗ {message.problem}", "error")
        elif message.job.cancelled() and is_last:
            self.tell(f"Called off: {message.job.name}")
        self.show_told()

    def job_done(self, job: Job) -> None:
        """Take note that the last job is over; for screens that show more then."""

    def _show_progress(self) -> None:
        if self.job is not None:
            self.show_told()

    def told_row(self) -> Row:
        """Return how far the job is, if there is one, else the message."""
        if self.job is None:
            return super().told_row()
        bar = share_bar(self.job.share, BAR_CELLS)
        return [(f" {self.job.share:4.0%} ", "accent"), (bar, "accent"), (f" {self.job.name}", "muted")]

    def step_back(self) -> bool:
        """Close the field, else call off what is being computed."""
        if super().step_back():
            return True
        if self.job is not None:
            self.job.cancel()
        return self.job is not None

    def on_unmount(self) -> None:
        """Let nothing go on that nobody waits for."""
        if self.job is not None:
            self.job.cancel()
