"""The console's own dialogs: before a run is ended or started again, to edit it, and after it has crashed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Label

from arc_core.base.errors import ConfigError
from arc_core.base.text import printable
from arc_core.run.commands import changeable, check_command
from arc_tui.drawing.rows import Row, wrap
from arc_tui.runs.starting import command_line
from arc_tui.runs.state import RunState
from arc_tui.ui.dialog import ConfirmScreen, Dialog


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


class EditScreen(Dialog[dict[str, object]]):
    """A field for each setting that may change; answers the values that differ from the present ones.

    Args:
        current: The present values, by name.
    """

    DEFAULT_CSS = """
    EditScreen .field { height: 1; width: 1fr; background: $surface-panel; }
    EditScreen Label { width: 20; background: $surface-panel; color: $surface-text; }
    EditScreen .now { width: 1fr; color: $state-muted; }
    EditScreen Input {
        width: 20; height: 1; border: none; padding: 0 1;
        background: $surface-background; color: $surface-text;
    }
    EditScreen Input:focus { border: none; background: $surface-accent; color: $accent-ink; }
    EditScreen .problem { width: 1fr; height: auto; color: $state-error; margin: 1 0 0 0; }
    """
    TITLE_TEXT = "Edit while training"
    HINT = "Enter sends · ↑ ↓ double and halve · Tab next · Esc leaves all as it is"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scale(2)", "Double", show=False, priority=True),
        Binding("down", "scale(0.5)", "Halve", show=False, priority=True),
    ]

    def __init__(self, current: Mapping[str, object]) -> None:
        super().__init__()
        self._current = current
        self._settings = changeable(current)

    def rows(self, cells: int) -> list[Row]:
        """Say when a change counts."""
        told = "A change counts from the next step on and is marked on the charts. It survives a resume."
        return [*wrap(told, cells, "muted"), []]

    def extra(self) -> Sequence[Widget]:
        """Make the fields."""
        fields = [
            Horizontal(
                Label(Content(name)),
                Input(_shown(self._current, name), id=f"field-{name}", select_on_focus=True),
                Label(Content(f" now {_shown(self._current, name) or 'unknown'}"), classes="now"),
                classes="field",
            )
            for name in self._settings
        ]
        return [*fields, Label(Content(""), classes="problem", id="problem")]

    def on_mount(self) -> None:
        """Begin in the first field."""
        self.query_one(Input).focus()

    def action_scale(self, factor: float) -> None:
        """Multiply the number in the focused field."""
        field = self.focused
        if not isinstance(field, Input):
            return
        name = (field.id or "").removeprefix("field-")
        try:
            value = float(field.value) * factor
        except ValueError:
            return
        field.value = str(max(1, round(value))) if self._settings[name].kind is int else f"{value:.3g}"

    @on(Input.Submitted)
    def send(self) -> None:
        """Close with what differs; a value that is refused is told and nothing is sent."""
        try:
            values = self._changed()
        except ConfigError as error:
            self.query_one("#problem", Label).update(Content(printable(str(error))))
            return
        self.dismiss(values)

    def _changed(self) -> dict[str, object]:
        changed: dict[str, object] = {}
        for name, setting in self._settings.items():
            text = self.query_one(f"#field-{name}", Input).value.strip()
            if text == _shown(self._current, name):
                continue
            value = setting.parse(text)
            if value != self._current.get(name):
                changed[name] = value
        return dict(check_command("set", changed, self._settings)) if changed else {}


def _shown(current: Mapping[str, object], name: str) -> str:
    """Write a setting as it is typed; empty where it is not known."""
    value = current.get(name)
    if value is None:
        return "none" if name in current else ""
    if isinstance(value, int):
        return str(value)
    return f"{value:g}" if isinstance(value, float) else ""
