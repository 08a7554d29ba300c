"""Prints a run as it goes: the seed's lines, above a progress bar where the output is a terminal."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from arc_core.base.text import printable
from arc_core.run import event_forms as forms
from arc_core.run.config import TrainConfig
from arc_core.run.declared import Declared
from arc_tui.runs.fields import duration
from arc_tui.runs.pace import TimeLeft
from arc_tui.runs.sentences import (
    applied_lines,
    batch_line,
    checkpoint_line,
    epoch_lines,
    sentence,
    validation_lines,
    warning_line,
)
from arc_tui.ui.osc import file_uri, takes_links

if TYPE_CHECKING:
    from rich.console import Console

    from arc_tui.looks.themes import Status

BATCHES_BETWEEN_LINES = 50
FEW_BATCHES = 100
"""An epoch of fewer batches gets a line every tenth."""


class PlainOutput:
    """Where lines go: a stream without colour or progress, on which each is written at once."""

    shows_progress = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def line(self, line: str, status: str = "", path: Path | None = None) -> None:
        """Show one line.

        Args:
            line: The line.
            status: What it tells of, as a theme's status colours name it.
            path: What it ends with; a link to it on a terminal that takes them.
        """
        del status, path
        self._stream.write(line + "\n")
        self._stream.flush()

    def progress(self, step: forms.StepEvent, done: int, total: int | None, label: str) -> None:
        """Show how far the epoch is, where that is of use; in a log it is not."""

    def close(self) -> None:
        """Leave the output as it was found."""


class TerminalOutput(PlainOutput):
    """Coloured lines above a progress bar with the time that is left."""

    shows_progress = True

    def __init__(self, console: Console, colours: Status) -> None:
        # Here, as most commands need none of it.
        from rich.progress import BarColumn, Progress, TextColumn

        self._console = console
        self._colours = colours
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None, complete_style=colours.running),
            TextColumn("{task.fields[counts]}", markup=False),
            console=console,
            refresh_per_second=4,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None, counts="")
        self._bar.start()

    def line(self, line: str, status: str = "", path: Path | None = None) -> None:
        """Print one line above the bar."""
        from rich.text import Text

        style: str = getattr(self._colours, status) if status else ""
        text = Text(line, style=style)
        if path is not None and takes_links(os.environ):
            text.stylize(f"link {file_uri(path)}", len(line) - len(printable(str(path))))
        self._console.print(text, soft_wrap=True)

    def progress(self, step: forms.StepEvent, done: int, total: int | None, label: str) -> None:
        """Move the bar."""
        rate = f"{step.number('pairs_per_second'):5.1f} pairs/s"
        counts = f"{done}/{total if total is not None else '?'}  {rate}  {label}"
        epoch = f"Epoch {step.epoch}"
        self._bar.update(self._task, description=epoch, completed=done, total=total, counts=counts)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()


class SurvivingOutput(PlainOutput):
    """An output that is left alone once it cannot be written: what follows a run goes on.

    Args:
        output: Where the lines go.
        on_lost: Told once, why they can go there no more.
    """

    def __init__(self, output: PlainOutput, on_lost: Callable[[OSError], None]) -> None:
        self.shows_progress = output.shows_progress
        self._output: PlainOutput | None = output
        self._on_lost = on_lost

    def line(self, line: str, status: str = "", path: Path | None = None) -> None:
        """Show one line."""
        self._try(lambda output: output.line(line, status, path))

    def progress(self, step: forms.StepEvent, done: int, total: int | None, label: str) -> None:
        """Show how far the epoch is."""
        self._try(lambda output: output.progress(step, done, total, label))

    def close(self) -> None:
        """Leave the output as it was found."""
        self._try(lambda output: output.close())

    def _try(self, use: Callable[[PlainOutput], None]) -> None:
        if self._output is None:
            return
        try:
            use(self._output)
        except OSError as error:
            output, self._output = self._output, None
            self._on_lost(error)
            with contextlib.suppress(OSError):
                output.close()


class HeadlessReporter:
    """Turns the events of a run into lines."""

    def __init__(
        self,
        config: TrainConfig,
        output: PlainOutput,
        planned: Callable[[], int | None],
        declared: Callable[[], Declared],
    ) -> None:
        """Prepare to report.

        Args:
            config: The run's configuration.
            output: Where the lines go.
            planned: Tells the batches of an epoch once the training process knows them.
            declared: Tells what steps carry, as run.json has it by then.
        """
        self._config = config
        self._output = output
        self._planned = planned
        self._declares = declared
        self._known: Declared | None = None
        self._total: int | None = None
        self._asked = False
        self._pace = TimeLeft()
        self._epoch: forms.EpochEvent | None = None
        self._validation: forms.ValidationEvent | None = None
        self._checkpoints: set[int] = set()

    def handle(self, events: list[forms.Event]) -> None:
        """Report what is new."""
        for event in events:
            if isinstance(event, forms.NOTED):
                self._known, self._asked = None, False
            match event:
                case forms.StepEvent():
                    self._on_step(event)
                case forms.EpochEvent():
                    self._on_epoch(event)
                case forms.ValidationEvent():
                    self._on_validation(event)
                case forms.CheckpointEvent():
                    self._on_checkpoint(event)
                case forms.WarningEvent():
                    self._output.line(f"Warning: {warning_line(event)}", "warning")
                case _ if (told := _life_line(event)) is not None:
                    self._settle()
                    self._output.line(*told)
                case _:
                    pass

    def notice(self, line: str) -> None:
        """Show a line of the command itself."""
        self._output.line(line, "muted")

    def close(self) -> None:
        """Report what was held back and leave the output as it was found."""
        self._settle()
        self._output.close()

    @property
    def _declared(self) -> Declared:
        if self._known is None:
            self._known = self._declares()
        return self._known

    def _on_step(self, step: forms.StepEvent) -> None:
        self._settle()
        if self._total is None and not self._asked:
            self._total, self._asked = self._planned() or self._config.max_batches, True
        done = step.batch + 1
        if self._output.shows_progress:
            self._pace.update(step)
            self._output.progress(step, done, self._total, self._time_left(step, done))
        few = self._total is not None and self._total < FEW_BATCHES
        if done % (10 if few else BATCHES_BETWEEN_LINES) == 0:
            self._output.line(batch_line(step, self._declared))

    def _time_left(self, step: forms.StepEvent, done: int) -> str:
        if self._total is None:
            return f"eta {duration(math.nan)}"
        epochs_after = max(self._config.epochs - step.epoch - 1, 0)
        rest = max(self._total - done, 0)
        return (
            f"eta epoch {duration(self._pace.remaining(rest))}"
            f"  run {duration(self._pace.remaining(rest + epochs_after * self._total))}"
        )

    def _on_epoch(self, epoch: forms.EpochEvent) -> None:
        """Hold the summary back until its validation is there, whichever comes first."""
        self._epoch = epoch
        if self._validation is not None or self._config.validate_on == "none":
            self._settle()

    def _on_validation(self, validation: forms.ValidationEvent) -> None:
        self._validation = validation
        if self._epoch is not None:
            self._settle()

    def _settle(self) -> None:
        """Print the epoch and validation held back."""
        lines: list[str] = []
        if self._epoch is not None:
            lines = ["", *epoch_lines(self._epoch, self._validation, self._declared), ""]
        elif self._validation is not None:
            lines = [f"[Validation at step {self._validation.step}]"]
            lines += validation_lines(self._validation)
        self._epoch = self._validation = None
        for line in lines:
            self._output.line(line)

    def _on_checkpoint(self, checkpoint: forms.CheckpointEvent) -> None:
        """Report a checkpoint once, when it is on the disk or has failed."""
        if checkpoint.phase == "failed":
            self._output.line(checkpoint_line(checkpoint), "error")
        elif checkpoint.phase in ("saved", "verified") and checkpoint.id not in self._checkpoints:
            self._checkpoints.add(checkpoint.id)
            self._output.line(checkpoint_line(checkpoint), "muted")


def open_output(colours: Status, stream: TextIO | None = None) -> PlainOutput:
    """Return the output that fits the stream (standard output): with progress on a terminal, else plain."""
    from rich.console import Console

    target = stream if stream is not None else sys.stdout
    console = Console(file=target, markup=False, highlight=False, emoji=False)
    return TerminalOutput(console, colours) if console.is_terminal else PlainOutput(target)


_STATUSES: dict[type[forms.Event], str] = {
    forms.PausedEvent: "paused",
    forms.UnpausedEvent: "running",
    forms.CommandRejectedEvent: "warning",
    forms.RunFinishedEvent: "finished",
    forms.UnknownEvent: "muted",
}
"""Of events that are not simply good."""


def _life_line(event: forms.Event) -> tuple[str, str] | None:
    """Return line and status of an event about the run's life, or None for one that says nothing here."""
    if isinstance(event, forms.CommandAppliedEvent):
        return "; ".join(applied_lines(event)), "good"
    told = sentence(event)
    return None if told is None else (told, _STATUSES.get(type(event), "good"))
