"""What the main screen asks of a run: commands sent at once, and told of until the run has answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from textual.message import Message

from arc_core.base.errors import ArcError
from arc_core.run.directory import gone_sentence
from arc_tui.console.banner import Banner
from arc_tui.console.dialogs import EditScreen, confirm_start, confirm_stop
from arc_tui.console.header import RunHeader
from arc_tui.runs.session import Session
from arc_tui.runs.state import Phase
from arc_tui.runs.steering import Request, RequestStage
from arc_tui.runs.view import RunView
from arc_tui.ui.actions import ACTIONS, Action, Scope
from arc_tui.ui.screen import READ_ONLY, KeyedScreen, KeyLine

MESSAGE_SECONDS = 12.0
"""How long what came of a request is shown."""

_STYLES = {RequestStage.REJECTED: "warning", RequestStage.FAILED: "error", RequestStage.DONE: "good"}
_SIGNS = {RequestStage.REJECTED: "▲ ", RequestStage.FAILED: "✗ ", RequestStage.DONE: "✓ "}


class SteersRun(KeyedScreen[None]):
    """A screen with header, banner and keys that steers a run.

    Args:
        session: The run.
        runs_dir: The folder of runs as the user gave it.
        read_only: Whether nothing may be asked of the run.
    """

    class StartAgain(Message):
        """The user wants a process for a run that has none."""

    def __init__(self, session: Session, runs_dir: str, *, read_only: bool) -> None:
        super().__init__()
        self.session = session
        self._runs_dir = runs_dir
        self._read_only = read_only
        self.cursor: int | None = None
        """The step that charts and grids are at; None while they follow the newest."""

    @property
    def can_draw(self) -> bool:
        """Whether the parts of the screen are there: once it is composed and until the console closes."""
        return self.is_mounted and self.app.is_running

    def redraw_state(self) -> bool:
        """Draw header, banner and keys at once: a key press is answered without waiting for the panels.

        Returns:
            Whether the banner now takes another number of lines, so that the panels have other places.
        """
        if not self.can_draw:
            return False
        view = self.session.view(self.cursor)
        self.query_one(RunHeader).show_view(view)
        self.query_one(KeyLine).offer(offered(view, read_only=self._read_only or view.gone))
        return self.query_one(Banner).show_view(view, self.session.unseen, self.keys, self.size)

    def tell(self, text: str, style: str = "accent", seconds: float | None = MESSAGE_SECONDS) -> None:
        """Show a message in the header for a while; None until the next one."""
        if not self.can_draw:
            return
        self.query_one(RunHeader).show_message(text, style)
        if seconds is not None:
            self.set_timer(seconds, lambda: self._clear(text))

    def tell_request(self, request: Request) -> None:
        """Show how far a request is."""
        text = _SIGNS.get(request.stage, "… ") + request.line
        done = request.stage in _STYLES
        self.tell(text, _STYLES.get(request.stage, "accent"), MESSAGE_SECONDS if done else None)

    def _clear(self, text: str) -> None:
        header = self.query_one(RunHeader) if self.can_draw else None
        if header is not None and header.message == text:
            header.show_message("")

    def action_pause(self) -> None:
        """Pause training, or go on; start a run again that has no process."""
        if self.session.state.ended:
            self._start_again()
        elif self.session.phase in (Phase.PAUSED, Phase.PAUSING):
            self._ask("resume")
        else:
            self._ask("pause")

    def action_checkpoint(self) -> None:
        """Save a checkpoint now."""
        self._ask("checkpoint")

    def action_validate(self) -> None:
        """Validate now."""
        self._ask("validate")

    def action_edit(self) -> None:
        """Edit a learning rate or the checkpoint interval."""
        if self._may_steer():
            self.app.push_screen(EditScreen(self.session.state.settings), self._edited)

    def action_stop(self) -> None:
        """End the run once it is confirmed."""
        if self._may_steer():
            question = confirm_stop(self.session.run.name, self.session.state, self._runs_dir)
            self.app.push_screen(question, self._stop_confirmed)

    def _edited(self, values: dict[str, object] | None) -> None:
        if values:
            self._ask("set", values)

    def _stop_confirmed(self, yes: bool | None) -> None:
        if yes:
            self._ask("stop")

    def _start_again(self) -> None:
        if self._read_only or self.session.replay or self.session.gone:
            self._may_steer()
        elif self.session.phase is Phase.FINISHED:
            self.tell("▲ All epochs are trained: nothing is left to do", "warning")
        else:
            question = confirm_start(self.session.run.name, self.session.state)
            self.app.push_screen(question, self._start_confirmed)

    def _start_confirmed(self, yes: bool | None) -> None:
        if yes:
            self.post_message(self.StartAgain())

    def _may_steer(self) -> bool:
        if self.session.replay:
            self.tell("▲ A replay takes no commands", "warning")
        elif self.session.gone:
            self.tell(f"✗ {gone_sentence(self.session.run)}", "error")
        elif self._read_only:
            self.tell(READ_ONLY, "warning")
        elif self.session.state.ended:
            self.tell("▲ No process trains this run", "warning")
        else:
            return True
        return False

    def _ask(self, command: str, args: Mapping[str, object] | None = None) -> None:
        if not self._may_steer():
            return
        try:
            request = self.session.ask(command, args)
        except ArcError as error:
            self.tell(f"▲ {error}", "warning")
            return
        self.tell_request(request)
        self.redraw_state()


def offered(view: RunView, *, read_only: bool) -> list[Action]:
    """Return the actions whose keys stand at the foot of the main screen.

    Args:
        view: The run.
        read_only: Whether actions that steer are left out.
    """
    here = [action for action in ACTIONS if Scope.MAIN in action.places and action.footer is not None]
    if read_only or view.replay or view.phase is Phase.FINISHED:
        return [action for action in here if not action.steers]
    pause = "go on" if view.phase in (Phase.PAUSED, Phase.PAUSING) else "pause"
    if view.state.ended:
        here, pause = [a for a in here if a.id == "pause" or not a.steers], "start again"
    return [replace(action, label=pause) if action.id == "pause" else action for action in here]
