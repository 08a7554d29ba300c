"""The main screen: header, banner, the panels of the run's board and the keys."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.message import Message

from arc_tui.console.banner import Banner
from arc_tui.console.header import RunHeader
from arc_tui.console.machine import MachineSample
from arc_tui.console.panels.board import GRIDS, LOG, MACHINE, NORMS, PARTS, PLANS, SIGNED
from arc_tui.console.panels.chart_panel import ChartPanel
from arc_tui.console.panels.grids import GridsPanel
from arc_tui.console.panels.layout import Panels
from arc_tui.console.panels.log import LogPanel
from arc_tui.console.panels.machine import MachinePanel
from arc_tui.console.panels.panel import Panel
from arc_tui.console.steering import SteersRun
from arc_tui.runs.session import Session
from arc_tui.ui.actions import PANEL_NAMES, Scope
from arc_tui.ui.chart import Chart
from arc_tui.ui.screen import KeyLine


class MainScreen(SteersRun):
    """Shows a session and asks things of its run.

    Args:
        session: The run that is shown.
        runs_dir: The folder of runs as the user gave it.
        read_only: Whether nothing may be asked of the run.
        grid_digits: Whether cells have their digits at first.
        log_scale: Whether charts are logarithmic at first.
    """

    SCOPE = Scope.MAIN
    DEFAULT_CSS = """
    MainScreen {
        layout: vertical; overflow: hidden; background: $surface-background; color: $surface-text;
    }
    """

    class Ready(Message):
        """The screen can show a run."""

    def __init__(
        self,
        session: Session,
        runs_dir: str,
        *,
        read_only: bool = False,
        grid_digits: bool = False,
        log_scale: bool = False,
    ) -> None:
        super().__init__(session, runs_dir, read_only=read_only)
        self._grid_digits = grid_digits
        self._log_scale = log_scale

    def compose(self) -> ComposeResult:
        """Make the parts."""
        yield RunHeader()
        yield Banner()
        yield Panels()
        yield KeyLine(id="footer")

    def on_mount(self) -> None:
        """Begin with the first panel."""
        self._panels.follow(self.session.view())
        self._panels.choose(self._panels.current)
        self._apply_looks()
        self.post_message(self.Ready())

    def on_resize(self) -> None:
        """Draw everything for the new size."""
        self._panels.stale()
        self.call_after_refresh(self.redraw)

    @on(Panels.Rearranged)
    def draw_rearranged(self) -> None:
        """Draw the panels in their new places."""
        self.redraw()

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
        if not self.can_draw:
            return
        if self.redraw_state():
            self._panels.stale()
            self.call_after_refresh(self.redraw)
        self._panels.show_view(self.session.view(self.cursor))

    def stale(self) -> None:
        """Have all panels drawn anew at the next `redraw`."""
        if self.can_draw:
            self._panels.stale()

    def take_machine(self, sample: MachineSample) -> None:
        """Hand a machine sample to its panel."""
        if not self.can_draw:
            return
        panel = self._panels.panel(MACHINE)
        if isinstance(panel, MachinePanel):
            panel.take(sample)
            self._panels.stale(MACHINE)

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

    # What is shown

    def action_panel(self, digit: int) -> None:
        """Show and focus a panel; where the run has none of that digit, say so."""
        if digit in self._panels.board.digits:
            self._panels.choose(digit)
            self.redraw()
        else:
            self.tell(f"This run has no panel {digit} ({PANEL_NAMES[digit]})", "muted", 4)

    def action_turn_panel(self, by: int) -> None:
        """Go to the next panel, or to the one before."""
        self._panels.next_panel(by)
        self.redraw()

    def copied(self) -> str | None:
        """Return what is copied of the current panel."""
        return self._panels.panel(self._panels.current).copied()

    def action_enlarge(self) -> None:
        """Let the focused panel fill the screen, or shrink it."""
        panels = self._panels
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
        self._panels.stale(PARTS, SIGNED, GRIDS, PLANS, NORMS)
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
