"""The part of the main screen that the panels share, and where each stands on a screen of a given size.

Three columns from 160x46 on, two from 110x34 on, else one panel with a strip of the fixes below it.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.geometry import Offset, Region, Size, Spacing
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.message import Message
from textual.widget import Widget

from arc_tui.console.panels.curriculum import CurriculumPanel
from arc_tui.console.panels.fixes import FixesPanel, FixesStrip
from arc_tui.console.panels.gradients import GradientsPanel
from arc_tui.console.panels.grids import GridsPanel
from arc_tui.console.panels.log import LogPanel
from arc_tui.console.panels.loss import LossPanel
from arc_tui.console.panels.machine import MachinePanel
from arc_tui.console.panels.panel import Panel
from arc_tui.console.panels.reward import RewardPanel
from arc_tui.runs.view import RunView

LOSS, REWARD, GRIDS, CURRICULUM, FIXES, GRADIENTS, MACHINE, LOG = range(1, 9)

WIDE = (160, 40)
"""Least width and height of the panels' area for three columns: a screen of 160x46 has it even while a
banner takes its three lines, so that the panels keep their places."""

MEDIUM = (110, 34)
"""The same for two columns, on a screen of 120x40."""

FIXES_WIDTH = 30
LOSS_WIDTH = 42
FOUR_GRIDS_WIDTH = 128
"""Four grids of 30 cells beside each other, and the panel's frame."""

SIDE = (CURRICULUM, MACHINE, LOG)
"""Panels that share a place where there are two columns; their digits switch between them."""


@dataclass(frozen=True)
class Places:
    """Panels by digit with where they stand; panels that are left out are not shown.

    Attributes:
        panels: Their regions.
        strip: Where the strip of the fixes stands; None where the fixes have their panel.
    """

    panels: dict[int, Region]
    strip: Region | None = None


def arrange(
    width: int, height: int, current: int, side: int = CURRICULUM, *, enlarged: bool = False
) -> Places:
    """Return the places of the panels.

    Args:
        width: Columns of the area that the panels share.
        height: Its rows.
        current: The panel that was chosen last; where there is room for one only, it is shown.
        side: Which of `SIDE` is shown where they share a place.
        enlarged: Whether the current panel has the whole area.
    """
    if width <= 0 or height <= 0:
        return Places({})
    if enlarged:
        return Places({current: Region(0, 0, width, height)})
    if width >= WIDE[0] and height >= WIDE[1]:
        return Places(_three_columns(width, height))
    if width >= MEDIUM[0] and height >= MEDIUM[1]:
        return Places(_two_columns(width, height, side))
    if height < 8 or current == FIXES:
        return Places({current: Region(0, 0, width, height)})
    return Places({current: Region(0, 0, width, height - 1)}, Region(0, height - 1, width, 1))


def columns(width: int, height: int) -> int:
    """Return how many columns of panels such an area has."""
    if width >= WIDE[0] and height >= WIDE[1]:
        return 3
    return 2 if width >= MEDIUM[0] and height >= MEDIUM[1] else 1


def _three_columns(width: int, height: int) -> dict[int, Region]:
    """Loss, grids and fixes above; the other five below. The grids grow first."""
    top = height - max(13, height // 3)
    grids = width - LOSS_WIDTH - FIXES_WIDTH
    if grids > FOUR_GRIDS_WIDTH:
        grids = FOUR_GRIDS_WIDTH + (grids - FOUR_GRIDS_WIDTH) // 2
    loss = width - grids - FIXES_WIDTH
    fixes = width - FIXES_WIDTH
    below = height - top
    quarter = width // 4
    machine = max(5, min(8, below - 7))
    last = Region(3 * quarter, top, width - 3 * quarter, below)
    return {
        LOSS: Region(0, 0, loss, top),
        GRIDS: Region(loss, 0, grids, top),
        FIXES: Region(fixes, 0, FIXES_WIDTH, top),
        REWARD: Region(0, top, quarter, below),
        CURRICULUM: Region(quarter, top, quarter, below),
        GRADIENTS: Region(2 * quarter, top, quarter, below),
        MACHINE: Region(last.x, top, last.width, machine),
        LOG: Region(last.x, top + machine, last.width, below - machine),
    }


def _two_columns(width: int, height: int, side: int) -> dict[int, Region]:
    half = width // 2
    right = width - half
    reward, gradients, fixes, low = 8, 9, 9, 9
    loss = height - reward - gradients
    grids = height - fixes - low
    return {
        LOSS: Region(0, 0, half, loss),
        REWARD: Region(0, loss, half, reward),
        GRADIENTS: Region(0, loss + reward, half, gradients),
        GRIDS: Region(half, 0, right, grids),
        FIXES: Region(half, grids, right, fixes),
        side: Region(half, grids + fixes, right, low),
    }


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
            region = places.strip if isinstance(child, FixesStrip) else None
            if isinstance(child, Panel):
                region = places.panels.get(child.DIGIT)
            if region is not None:
                found.append(WidgetPlacement(region, Offset(), Spacing(), child))
        return found


class Panels(Widget):
    """The eight panels and the strip of the fixes.

    Attributes:
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
        self.current = LOSS
        self.side = CURRICULUM
        self.enlarged = False
        self._places_layout = PanelsLayout()
        self._stale: set[int] = set()

    @property
    def layout(self) -> Layout:
        """Where the panels go; the CSS knows only Textual's own layouts."""
        return self._places_layout

    def compose(self) -> ComposeResult:
        """Make the panels."""
        for panel in (LossPanel, RewardPanel, GridsPanel, CurriculumPanel):
            yield panel()
        for panel in (FixesPanel, GradientsPanel, MachinePanel, LogPanel):
            yield panel()
        yield FixesStrip()

    def panel(self, digit: int) -> Panel:
        """Return the panel with a digit."""
        return self.query_one(f"#panel-{digit}", Panel)

    def places(self, size: Size | None = None) -> Places:
        """Return where the panels stand in an area of a size; of the present one by default."""
        width, height = self.size if size is None else size
        return arrange(width, height, self.current, self.side, enlarged=self.enlarged)

    def choose(self, digit: int) -> None:
        """Show and focus a panel."""
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
            shown = list(range(1, 9))
        at = shown.index(self.current) if self.current in shown else 0
        self.choose(shown[(at + step) % len(shown)])

    @property
    def columns(self) -> int:
        """How many columns of panels there are."""
        return columns(*self.size)

    def stale(self, *digits: int) -> None:
        """Have panels drawn anew at the next `show_view`; all of them by default."""
        self._stale |= set(digits) or set(range(9))

    def show_view(self, view: RunView) -> None:
        """Draw the panels that are shown and are to be drawn anew."""
        places = self.places()
        for digit in sorted(self._stale & places.panels.keys()):
            panel = self.panel(digit)
            if panel.size == places.panels[digit].size:  # else it is about to be laid out
                panel.show_view(view)
                self._stale.discard(digit)
        if places.strip is not None and 0 in self._stale:
            self.query_one(FixesStrip).show_view(view)
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
