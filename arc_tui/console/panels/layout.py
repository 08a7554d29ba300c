"""The part of the main screen that the panels share."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.geometry import Offset, Size, Spacing
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.message import Message
from textual.widget import Widget

from arc_core.run.declared import Declared
from arc_core.run.event_forms import EvidenceEvent
from arc_tui.console.panels.board import PARTS, PLANS, board_of
from arc_tui.console.panels.chart_panel import NormsPanel, PartsPanel, PlansPanel, SignedPanel
from arc_tui.console.panels.evidence import EvidencePanel, EvidenceStrip
from arc_tui.console.panels.grids import GridsPanel
from arc_tui.console.panels.log import LogPanel
from arc_tui.console.panels.machine import MachinePanel
from arc_tui.console.panels.panel import Panel
from arc_tui.console.panels.places import SIDE, Places, arrange, columns
from arc_tui.runs.evidence import evidence_of
from arc_tui.runs.view import RunView


class PanelsLayout(Layout):
    """Puts each panel where `Panels.places` says."""

    name = "panels"

    def arrange(
        self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True
    ) -> ArrangeResult:
        """Place the panels that have a place; the others are not shown."""
        del greedy
        if not isinstance(parent, Panels):
            return []
        places = parent.places(size)
        found: ArrangeResult = []
        for child in children:
            region = places.strip if isinstance(child, EvidenceStrip) else None
            if isinstance(child, Panel):
                region = places.panels.get(child.DIGIT)
            if region is not None:
                found.append(WidgetPlacement(region, Offset(), Spacing(), child))
        return found


class Panels(Widget):
    """The panels of a run's board, and the strip of its evidence.

    Attributes:
        board: The panels that the run has.
        current: Digit of the panel that was chosen last.
        side: Which of the panels that share a place in two columns is shown.
        enlarged: Whether the current panel has the whole area.
    """

    DEFAULT_CSS = """
    Panels { height: 1fr; width: 1fr; background: $surface-background; }
    """

    class Rearranged(Message):
        """The panels have their new places and can be drawn there."""

    def __init__(self) -> None:
        super().__init__(id="panels")
        self.board = board_of(Declared())
        self._followed: tuple[Declared, EvidenceEvent | None] | None = None
        self.current = PARTS
        self.side = PLANS
        self.enlarged = False
        self._places_layout = PanelsLayout()
        self._stale: set[int] = set()

    @property
    def layout(self) -> Layout:
        """Where the panels go; the CSS knows only Textual's own layouts."""
        return self._places_layout

    def compose(self) -> ComposeResult:
        """Make the panels."""
        for panel in (PartsPanel, SignedPanel, GridsPanel, PlansPanel):
            yield panel()
        for panel in (EvidencePanel, NormsPanel, MachinePanel, LogPanel):
            yield panel()
        yield EvidenceStrip()

    def panel(self, digit: int) -> Panel:
        """Return the panel with a digit."""
        return self.query_one(f"#panel-{digit}", Panel)

    def places(self, size: Size | None = None) -> Places:
        """Return where the panels stand in an area of a size; of the present one by default."""
        width, height = self.size if size is None else size
        return arrange(self.board, width, height, self.current, self.side, enlarged=self.enlarged)

    def choose(self, digit: int) -> None:
        """Show and focus a panel that the board has."""
        self.current = digit
        if digit in SIDE:
            self.side = digit
        self._rearrange()
        self.panel(digit).take_focus()

    def enlarge(self, *, on: bool) -> None:
        """Give the current panel the whole area, or let the others have their places again."""
        self.enlarged = on
        self._rearrange()
        self.panel(self.current).take_focus()

    def next_panel(self, step: int) -> None:
        """Choose the next panel, or the one before; where several are shown, among these."""
        shown = sorted(self.places().panels)
        if len(shown) < 2:
            shown = list(self.board.digits)
        at = shown.index(self.current) if self.current in shown else 0
        self.choose(shown[(at + step) % len(shown)])

    @property
    def columns(self) -> int:
        """How many columns of panels there are."""
        return columns(*self.size)

    def stale(self, *digits: int) -> None:
        """Have panels drawn anew at the next `show_view`; all of them by default."""
        self._stale |= set(digits) or set(range(9))

    def follow(self, view: RunView) -> None:
        """Have the board of what a run declares, and tells of its evidence."""
        told = (view.declared, view.state.last_evidence)
        if self._followed is not None and all(a is b for a, b in zip(told, self._followed, strict=True)):
            return
        self._followed = told
        board = board_of(view.declared, len(evidence_of(view)))
        if board == self.board:
            return
        self.board = board
        for panel in self.query(Panel):
            panel.take_board(board)
        if self.current not in board.digits:
            self.current, self.enlarged = board.digits[0], False
        self._rearrange()

    def show_view(self, view: RunView) -> None:
        """Draw the panels that are shown and are to be drawn anew."""
        if not self._stale:
            return
        self.follow(view)
        places = self.places()
        for digit in sorted(self._stale & places.panels.keys()):
            panel = self.panel(digit)
            if panel.size == places.panels[digit].size:  # else it is about to be laid out
                panel.show_view(view)
                self._stale.discard(digit)
        strip = self.query_one(EvidenceStrip)
        if places.strip is not None and 0 in self._stale and strip.size == places.strip.size:
            strip.show_view(view)
            self._stale.discard(0)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Take the panel that was focused by the mouse as the current one."""
        panel = next((node for node in event.widget.ancestors_with_self if isinstance(node, Panel)), None)
        if panel is not None and panel.DIGIT in self.places().panels:
            self.current = panel.DIGIT

    def on_resize(self) -> None:
        """Show the panels that have a place in the new size."""
        self._rearrange()

    def _rearrange(self) -> None:
        places = self.places()
        for child in self.children:
            if isinstance(child, Panel):
                child.display = child.DIGIT in places.panels
            else:
                child.display = places.strip is not None
        self.stale()
        self.refresh(layout=True)
        self.call_after_refresh(self.post_message, self.Rearranged())
