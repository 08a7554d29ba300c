"""Asks before anything that cannot be taken back, and says what will be kept."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from arc_core.base.text import printable
from arc_tui.drawing.rows import Row, wrap
from arc_tui.runs.starting import command_line
from arc_tui.runs.state import RunState
from arc_tui.ui.dialog import Dialog


class ConfirmScreen(Dialog[bool]):
    """A question that only `y` answers with yes.

    Args:
        title: The question.
        paragraphs: What the user should know, each a printable text.
        yes: What yes does, in a few words.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes", show=False),
        Binding("n", "answer(False)", "No", show=False),
    ]

    def __init__(self, title: str, paragraphs: list[str], yes: str) -> None:
        super().__init__()
        self.TITLE_TEXT = title
        self.HINT = f"y {yes} · n, Esc leaves everything as it is"
        self._paragraphs = paragraphs

    def rows(self, cells: int) -> list[Row]:
        """Write the paragraphs."""
        rows: list[Row] = [[]]
        for paragraph in self._paragraphs:
            rows += [*wrap(paragraph, cells), []]
        return rows

    def action_answer(self, yes: bool) -> None:
        """Close with the answer."""
        self.dismiss(yes)

    def action_close(self) -> None:
        """Close with no."""
        self.dismiss(False)


def confirm_stop(name: str, state: RunState, runs_dir: str) -> ConfirmScreen:
    """Return the question before a run is ended.

    Args:
        name: The run.
        state: How far it is.
        runs_dir: Where it lies, as the user gave it.
    """
    saved = state.last_checkpoint
    last = f"The last one is {saved.id:05d} of step {saved.step:,}. " if saved is not None else ""
    return ConfirmScreen(
        f"Stop {printable(name, 40)}?",
        [
            f"The run saves a checkpoint after step {state.step:,} and its process ends. {last}"
            "All checkpoints, events and samples are kept; no step is lost.",
            f"To go on with it later: {command_line(runs_dir, 'resume', name)}",
            "To leave the console and let the run go on, detach instead.",
        ],
        "stops the run",
    )


def confirm_start(name: str, state: RunState) -> ConfirmScreen:
    """Return the question before the process of a run is started again."""
    saved = state.last_checkpoint
    place = (
        f"checkpoint {saved.id:05d} of step {saved.step:,}"
        if saved
        else "the newest checkpoint that verifies"
    )
    return ConfirmScreen(
        f"Start {printable(name, 40)} again?",
        [f"No process trains this run. A new one goes on from {place}; steps after it are trained again."],
        "starts it",
    )
