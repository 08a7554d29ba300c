"""What is told when the training process has ended unexpectedly: how, its last words, and how to go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from arc_core.base.text import printable
from arc_tui.drawing.rows import Row, wrap
from arc_tui.ui.dialog import Dialog


class CrashScreen(Dialog[bool]):
    """Answers True if the process is to be started again.

    Args:
        cause: How the process ended, in a few words; empty where it is not known.
        log: The last lines of its engine.log, printable.
        command: The command that resumes the run.
        read_only: Whether the run cannot be started from here.
    """

    DEFAULT_CSS = """
    CrashScreen > #box { width: 130; border: round $state-crashed; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("p", "again", "Start again", show=False)]
    TITLE_TEXT = "The training process has crashed"

    def __init__(self, cause: str, log: Sequence[str], command: str, *, read_only: bool) -> None:
        super().__init__()
        self._cause = cause
        self._log = log
        self._command = command
        self._read_only = read_only
        self.HINT = "Esc closes" if read_only else "p starts it again from its last checkpoint · Esc closes"

    def rows(self, cells: int) -> list[Row]:
        """Write cause, last words and command."""
        verb = "was" if self._cause.startswith("killed") else "ended"
        how = f"It {verb} {self._cause}." if self._cause else "It ended without a word."
        rows: list[Row] = [[], *wrap(printable(how), cells, "error"), []]
        if self._log:
            rows.append([("The last lines of engine.log:", "muted")])
            rows += [[("  " + entry, "")] for entry in self._log]
        else:
            rows.append([("Its engine.log is empty.", "muted")])
        rows += [
            [],
            *wrap("All checkpoints are kept. To go on:", cells),
            [("  " + self._command, "accent")],
            [],
        ]
        return rows

    def action_again(self) -> None:
        """Close, and have the process started again."""
        if not self._read_only:
            self.dismiss(True)

    def action_close(self) -> None:
        """Close and leave the run as it is."""
        self.dismiss(False)
