"""The two lines at the top: which run, what it is doing, how far it is and how fast."""

from __future__ import annotations

from arc_core.base.text import printable
from arc_tui.drawing.bars import progress_bar
from arc_tui.drawing.rows import Row, Run, cut, spread, width
from arc_tui.drawing.signs import PHASE_SIGNS
from arc_tui.runs.fields import duration
from arc_tui.runs.state import Phase
from arc_tui.runs.view import RunView
from arc_tui.ui.rows_view import RowsView

LONGEST_NAME = 40


class RunHeader(RowsView):
    """Name, state, speed, device and the last message; below, epoch and run as bars with the time left."""

    DEFAULT_CSS = """
    RunHeader { height: 2; background: $surface-background; color: $surface-text; }
    """

    def __init__(self) -> None:
        super().__init__(id="header")
        self._message: Run = ("", "")
        self._view: RunView | None = None

    @property
    def message(self) -> str:
        """The message that is shown; empty while none is."""
        return self._message[0]

    def show_message(self, text: str, style: str = "accent") -> None:
        """Show what came of what was asked last; an empty text clears it."""
        self._message = (printable(text), style)
        if self._view is not None:
            self.show_view(self._view)

    def show_view(self, view: RunView) -> None:
        """Show a run as it is now."""
        self._view = view
        self.show(header_rows(view, self.size.width, self._message))


def state_run(phase: Phase) -> Run:
    """Write a state with its glyph, in a style of its own."""
    return f" {PHASE_SIGNS[phase]} {phase.value.upper()} ", f"state.{phase.value}"


def header_rows(view: RunView, cells: int, message: Run = ("", "")) -> list[Row]:
    """Draw the header.

    Args:
        view: The run.
        cells: Its width.
        message: What to show at the right of the first line in place of the device.
    """
    name = printable(view.facts.name, LONGEST_NAME if cells >= 110 else 26)
    left: Row = [(f" {name} ", "title"), state_run(view.phase)]
    if view.replay:
        left.append((" replay ", "accent"))
    speed = view.latest("pairs_per_second")
    if speed == speed and view.phase in (Phase.RUNNING, Phase.SAVING, Phase.PAUSING):
        left.append((f" {speed:5.1f} pairs/s ", ""))
    right: Row = [message] if message[0] else _place(view)
    room = cells - width(left) - 2
    if width(right) > room:
        right = cut(right, max(room, 0))
    return [spread(left, [*right, (" ", "")], cells), _progress(view, cells)]


def _place(view: RunView) -> Row:
    """Write where the run trains, and how much of its log is read."""
    parts: list[str] = []
    if view.phase is Phase.STARTING:
        parts.append("loading libraries, data and models …")
    elif not view.complete:
        parts.append("reading history …")
    if view.damaged:
        parts.append(f"{view.damaged:,} damaged lines")
    claims = dict(view.declared.claims)
    device = view.facts.device or claims.get("device")
    if device and (view.facts.processes or 1) > 1:
        device = f"{view.facts.processes} x {device}"
    claims.pop("device", None)
    parts += [printable(text, 40) for text in (*claims.values(), device) if text]
    return [("  ".join(parts), "muted")]


def _progress(view: RunView, cells: int) -> Row:
    step = view.state.last_step
    batches, total, epochs = view.facts.batches_per_epoch, view.facts.total_steps, view.facts.epochs
    done = step.batch + 1 if step is not None else 0
    of_batches = f"{done:,}/{batches:,}" if batches else f"{done:,}"
    of_epochs = f"{view.state.epoch + 1:,}/{epochs:,}" if epochs else f"{view.state.epoch + 1:,}"
    of_total = f"{view.state.step:,}/{total:,}" if total else f"{view.state.step:,}"
    going = not view.state.ended
    epoch_eta = f" eta {duration(view.epoch_seconds)}" if going else ""
    run_eta = f" eta {duration(view.run_seconds)}" if going else ""
    texts = (f" epoch {of_epochs} ", f" {of_batches}{epoch_eta}", "   step ", f" {of_total}{run_eta}")
    room = cells - sum(len(text) for text in texts) - 1
    bar = max(0, min(30, room // 2))
    row: Row = [(texts[0], "")]
    row += progress_bar(done / batches if batches else 0.0, bar)
    row += [(texts[1], ""), (texts[2], "")]
    row += progress_bar(view.state.step / total if total else 0.0, bar)
    row.append((texts[3], ""))
    return cut(row, cells)
