"""`arc-tui solve` as an app: it follows the solving process and shows what it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.screen import Screen

from arc_core.base.errors import ArcError
from arc_core.data.tasks import Task
from arc_core.evaluation.folder import TaskAnswer
from arc_core.run.event_forms import Event
from arc_tui.looks.themes import DEFAULT_THEME
from arc_tui.solve.screen import SolveScreen
from arc_tui.solve.state import take
from arc_tui.ui.actions import SOLVE
from arc_tui.ui.app import BaseApp
from arc_tui.ui.keys import Keymap

POLL_SECONDS = 0.2

Poll = Callable[[], tuple[Sequence[Event], TaskAnswer | None]]
"""Gives the events that are new, and the answers once they are there; raises `ArcError` if solving failed."""


class SolveApp(BaseApp[TaskAnswer]):
    """Shows a task while it is solved; ends with the answers, or None where it was left before.

    Args:
        task: With what is known of its outputs; those of its test inputs are looked at once it is answered.
        place: Where it is from, safe to print.
        poll: Asked a few times a second for what is new.
        theme: Name of the theme.
        keys: The user's own keys by action id.
        note: What the user should know; empty for nothing.

    Raises:
        ConfigError: If there is no such theme, its file is refused, or the keys clash.
    """

    WHAT = "the view of a task that is solved"
    PICTURE = "solve"
    PLACES = SOLVE

    def __init__(
        self,
        task: Task,
        place: str,
        poll: Poll,
        theme: str = DEFAULT_THEME,
        keys: Keymap | None = None,
        *,
        note: str = "",
    ) -> None:
        super().__init__(theme, keys)
        self._asked = task
        self._place = place
        self._poll = poll
        self._note = note
        self.problem: ArcError | None = None
        """How solving failed; None if it did not."""

    def get_default_screen(self) -> Screen[None]:
        """Return the only screen."""
        self._shown = SolveScreen(self._asked, self._place)
        return self._shown

    def on_mount(self) -> None:
        """Begin to follow."""
        if self._note:
            self._shown.tell(f"▲ {self._note}", "warning")
        self._look = self.set_interval(POLL_SECONDS, self.look)

    def look(self) -> None:
        """Take in what is new."""
        if not self.is_running or self._shown.state.answer is not None:
            return
        try:
            events, answer = self._poll()
        except ArcError as error:
            self.problem = error
            self.exit()
            return
        self._shown.show_state(take(self._shown.state, events, answer))
        if answer is not None:
            self._look.stop()

    def action_leave(self) -> None:
        """Leave; what is not answered yet stays so."""
        self.exit(self._shown.state.answer)
