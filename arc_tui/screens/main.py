"""The main screen: header, banner, the eight panels and the keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual import events, on
from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input

from arc_core.errors import ArcError
from arc_tui.keys import Scope, by_key
from arc_tui.machine import MachineSample
from arc_tui.places import CURRICULUM, GRADIENTS, GRIDS, LOG, LOSS, MACHINE, REWARD
from arc_tui.run_state import Phase
from arc_tui.screens.confirm import confirm_start, confirm_stop
from arc_tui.screens.edit import EditScreen
from arc_tui.session import Session
from arc_tui.steering import Request, Stage
from arc_tui.widgets.banner import Banner
from arc_tui.widgets.chart import Chart
from arc_tui.widgets.chart_panel import ChartPanel
from arc_tui.widgets.footer import Footer
from arc_tui.widgets.grids import GridsPanel
from arc_tui.widgets.header import Header
from arc_tui.widgets.log import LogPanel
from arc_tui.widgets.machine import MachinePanel
from arc_tui.widgets.panel import Panel
from arc_tui.widgets.panels import Panels

MESSAGE_SECONDS = 12.0
"""How long what came of a request is shown."""

_STYLES = {Stage.REJECTED: "warning", Stage.FAILED: "error", Stage.DONE: "good"}
_SIGNS = {Stage.REJECTED: "▲ ", Stage.FAILED: "✗ ", Stage.DONE: "✓ "}


class MainScreen(Screen[None]):
    """Shows a session and asks things of its run.

    Args:
        session: The run that is shown.
        keys: Keys of every action.
        runs_dir: The folder of runs as the user gave it.
        read_only: Whether nothing may be asked of the run.
        grid_digits: Whether cells have their digits at first.
        log_scale: Whether charts are logarithmic at first.
    """

    DEFAULT_CSS = """
    MainScreen { layout: vertical; background: $surface-background; color: $surface-text; }
    """

    class StartAgain(Message):
        """The user wants a process for a run that has none."""

    def __init__(
        self,
        session: Session,
        keys: Mapping[str, Sequence[str]],
        runs_dir: str,
        *,
        read_only: bool = False,
        grid_digits: bool = False,
        log_scale: bool = False,
    ) -> None:
        super().__init__()
        self.session = session
        self._keys = keys
        self._actions = by_key(Scope.MAIN, keys)
        self._chart_actions = by_key(Scope.CHART, keys)
        self._runs_dir = runs_dir
        self._read_only = read_only
        self._grid_digits = grid_digits
        self._log_scale = log_scale
        self.cursor: int | None = None
        """The step that charts and grids are at; None while they follow the newest."""

    def compose(self) -> ComposeResult:
        """Make the parts."""
        yield Header()
        yield Banner()
        yield Panels()
        yield Footer()

    def on_mount(self) -> None:
        """Begin with the loss."""
        self._panels.choose(LOSS)
        self._apply_looks()

    def on_resize(self) -> None:
        """Draw everything for the new size."""
        self._panels.stale()
        self.call_after_refresh(self.redraw)

    def on_screen_resume(self) -> None:
        """Draw what has changed while another screen was shown."""
        self._panels.stale()
        self.redraw()

    @property
    def _panels(self) -> Panels:
        return self.query_one(Panels)

    def attach(self, session: Session) -> None:
        """Show another run."""
        self.session = session
        self.cursor = None
        self._panels.stale()
        self.redraw()

    def redraw(self) -> None:
        """Draw what has changed; nothing is painted for what has not."""
        if not self.is_mounted or not self.size:
            return
        view = self.session.view(self.cursor)
        self.query_one(Header).show_view(view)
        cells = self.size.width
        if self.query_one(Banner).show_view(view, self.session.unseen, self._keys, cells):
            self._panels.stale()
            self.call_after_refresh(self.redraw)
        self.query_one(Footer).show_view(view, self._keys, read_only=self._read_only)
        self._panels.show_view(view)

    def redraw_state(self) -> None:
        """Draw header, banner and footer at once: a key press is answered without waiting for the panels."""
        view = self.session.view(self.cursor)
        self.query_one(Header).show_view(view)
        self.query_one(Banner).show_view(view, self.session.unseen, self._keys, self.size.width)
        self.query_one(Footer).show_view(view, self._keys, read_only=self._read_only)

    def stale(self) -> None:
        """Have all panels drawn anew at the next `redraw`."""
        self._panels.stale()

    def take_machine(self, sample: MachineSample) -> None:
        """Hand a machine sample to its panel."""
        panel = self._panels.panel(MACHINE)
        if isinstance(panel, MachinePanel):
            panel.take(sample)
            self._panels.stale(MACHINE)

    def tell(self, text: str, style: str = "accent", seconds: float | None = MESSAGE_SECONDS) -> None:
        """Show a message in the header for a while; None until the next one."""
        self.query_one(Header).show_message(text, style)
        if seconds is not None:
            self.set_timer(seconds, lambda: self._clear(text))

    def tell_request(self, request: Request) -> None:
        """Show how far a request is."""
        text = _SIGNS.get(request.stage, "… ") + request.line
        done = request.stage in _STYLES
        self.tell(text, _STYLES.get(request.stage, "accent"), MESSAGE_SECONDS if done else None)

    def _clear(self, text: str) -> None:
        header = self.query_one(Header)
        if header.message == text:
            header.show_message("")

    # Keys

    def on_key(self, event: events.Key) -> None:
        """Do what a key is for."""
        if isinstance(self.focused, Input) and event.key != "escape":
            return
        action = self._actions.get(event.key)
        on_chart = self._chart_actions.get(event.key)
        if on_chart is not None and isinstance(self.focused, Chart):
            event.stop()
            event.prevent_default()
            self.call_next(self.focused.run_action, on_chart.call)
        elif action is not None:
            event.stop()
            event.prevent_default()
            self.call_next(self.run_action, action.call)
        elif event.key in ("tab", "shift+tab"):
            event.stop()
            event.prevent_default()
            self._panels.next_panel(1 if event.key == "tab" else -1)
            self.redraw()

    @on(Footer.Chosen)
    async def run_chosen(self, message: Footer.Chosen) -> None:
        """Do what was clicked in the footer."""
        await self.run_action(message.action.call)

    @on(Chart.CursorMoved)
    def follow_cursor(self, message: Chart.CursorMoved) -> None:
        """Let the grids and the other charts follow the cursor of one."""
        self.point_at(message.step)

    @on(Panel.Enlarge)
    def enlarge_clicked(self, message: Panel.Enlarge) -> None:
        """Enlarge the panel whose title was clicked, or shrink it."""
        panels = self._panels
        panels.current = message.digit
        panels.enlarge(on=not panels.enlarged)
        self.redraw()

    # The run

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
        if self._read_only or self.session.replay:
            self.tell("▲ Opened for reading only", "warning")
        elif self.session.phase is Phase.FINISHED:
            self.tell("▲ All epochs are trained: nothing is left to do", "warning")
        else:
            question = confirm_start(self.session.run.name, self.session.state)
            self.app.push_screen(question, self._start_confirmed)

    def _start_confirmed(self, yes: bool | None) -> None:
        if yes:
            self.post_message(self.StartAgain())

    def _may_steer(self) -> bool:
        if self._read_only:
            self.tell("▲ Opened for reading only", "warning")
        elif self.session.replay:
            self.tell("▲ A replay takes no commands", "warning")
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

    # What is shown

    def action_panel(self, digit: int) -> None:
        """Show and focus a panel."""
        self._panels.choose(digit)
        self.redraw()

    def action_enlarge(self) -> None:
        """Let the focused panel fill the screen, or shrink it."""
        panels = self._panels
        focused = next((p for p in panels.query(Panel) if p.has_focus or p.has_focus_within), None)
        if focused is not None:
            panels.current = focused.DIGIT
        panels.enlarge(on=not panels.enlarged)
        self.redraw()

    def action_back(self) -> None:
        """Leave what is filtered, pointed at or enlarged, the innermost first."""
        panels = self._panels
        log = panels.panel(LOG)
        if isinstance(log, LogPanel) and log.display and log.close_filter():
            pass
        elif self.cursor is not None:
            self.action_live()
        elif panels.enlarged:
            panels.enlarge(on=False)
        self.redraw()

    def action_older_sample(self) -> None:
        """Show an older sample."""
        history = self.session.history
        shown = history.sample_at(self.cursor) if self.cursor is not None else history.last_sample
        older = history.previous_sample(shown.step) if shown is not None else None
        if older is not None:
            self.point_at(older.step)
        else:
            self.tell("No older sample is kept", "muted", 4)

    def action_newer_sample(self) -> None:
        """Show a newer sample; after the newest, follow live."""
        history = self.session.history
        shown = history.sample_at(self.cursor) if self.cursor is not None else None
        newer = history.next_sample(shown.step) if shown is not None else None
        if newer is None or newer == history.last_sample:
            self.action_live()
        else:
            self.point_at(newer.step)

    def action_live(self) -> None:
        """Follow the newest numbers and grids again."""
        self.point_at(None)

    def point_at(self, step: int | None) -> None:
        """Let charts and grids be at a step; None lets them follow the newest."""
        self.cursor = step
        self._panels.stale(LOSS, REWARD, GRIDS, CURRICULUM, GRADIENTS)
        self.redraw()

    def action_log_scale(self) -> None:
        """Draw the charts on a logarithmic scale, or a linear one."""
        self._log_scale = not self._log_scale
        self._apply_looks()

    def action_grid_digits(self) -> None:
        """Write the digit into each cell of a grid, or leave it out."""
        self._grid_digits = not self._grid_digits
        self._apply_looks()

    def action_filter(self) -> None:
        """Filter the log."""
        self._panels.choose(LOG)
        log = self._panels.panel(LOG)
        if isinstance(log, LogPanel):
            log.open_filter()
        self.redraw()

    def action_seen(self) -> None:
        """Mark the warnings as seen."""
        self.session.mark_seen()
        self.redraw()

    def _apply_looks(self) -> None:
        for panel in self._panels.query(ChartPanel):
            panel.log_scale = self._log_scale
        self._panels.query_one(GridsPanel).grid_digits = self._grid_digits
        self._panels.stale()
        self.redraw()
