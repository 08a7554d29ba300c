"""Training without the console: its lines, and what becomes of the run where they cannot be written."""

from __future__ import annotations

import dataclasses
import errno
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from arc_core.base.text import printable
from arc_core.run.directory import gone_sentence, is_gone
from arc_core.run.event_forms import Event, ResumedEvent, RunFinishedEvent, RunStartedEvent
from arc_core.run.resolving import launch_options
from arc_tui.alerts.target import without_address
from arc_tui.commands.alerts import Alerts
from arc_tui.commands.headless import HeadlessReporter, SurvivingOutput, open_output
from arc_tui.commands.output import LOST, abandon, cannot_write, echo_error
from arc_tui.mirror.beside import start_mirror
from arc_tui.runs.engine import Engine, Outcome, engine_command, supervise
from arc_tui.runs.starting import (
    Launch,
    command_line,
    conclude,
    declared_by,
    how_to_go_on,
    plan_of,
    planned_batches,
    prepare,
)

QUIET_SECONDS = 5.0
"""A run that takes longer to begin is said to be loading."""


def train_here(
    flags: Mapping[str, object],
    file: Path | None,
    engine: Engine | None = None,
    *,
    alert: str | None = None,
) -> int:
    """Train a run to its end without the console, or with `detach` until it has begun.

    Args:
        flags: The options given on the command line.
        file: The config file, if one was given.
        engine: Gives the command line of the training process; None is that of the package.
        alert: Where alerts are sent; None takes what the user's settings say.

    Returns:
        The exit code: 0 if the run ended as it should, 1 if its process crashed.

    Raises:
        ArcError: If anything about the input is refused, here or by the training process; a new run
            directory is gone again then.
    """
    alerts = Alerts.of(alert)
    asked = launch_options(flags, file)  # a resumed run's own configuration does not say
    launch = prepare(flags, file, without_address(sys.argv))
    return show_training(launch, alerts, engine, detach=asked.detach, mirror=asked.mirror)[0]


def show_training(
    launch: Launch,
    alerts: Alerts,
    engine: Engine | None = None,
    *,
    detach: bool = False,
    mirror: str | None = None,
) -> tuple[int, Outcome]:
    """Train a run that is ready to be started, and print what it tells.

    Args:
        launch: The run.
        alerts: Where alerts are sent.
        engine: As `train_here` takes it.
        detach: Whether to leave it once it has begun.
        mirror: The trackers that it is mirrored to, as `--mirror` takes them.

    Returns:
        The exit code, as of `train_here`, and how its process ended.

    Raises:
        ArcError: As `train_here` does.
    """
    from arc_tui.looks.themes import load_theme  # here, as other commands need no colours

    colours = load_theme().status
    lost = _Loss(launch)
    try:
        output = SurvivingOutput(open_output(colours), lost.tell)
        output.line(
            f"Run {launch.run.name}, preset {launch.config.preset}, in {printable(str(launch.run.path))}",
            "muted",
            launch.run.path,
        )
    except OSError:
        launch.undo()
        raise
    lost.begun = True
    run = launch.run
    alerts.start(run)
    reporter = HeadlessReporter(launch.config, output, lambda: planned_batches(run), lambda: declared_by(run))
    ending: list[Event] = []

    told_gone = told_start = False
    began = time.monotonic()

    def on_events(events: list[Event]) -> None:
        nonlocal told_gone, told_start
        if not told_start and (events or time.monotonic() - began > QUIET_SECONDS):
            told_start = True
            if not events:
                data = printable(launch.config.dataset, 200)
                reporter.notice(f"Still loading libraries, the data ({data}) and the models; steps follow.")
        if not told_gone and is_gone(launch.run):
            told_gone = True
            reporter.notice(f"{gone_sentence(launch.run)} Its process goes on without it; Ctrl+C ends it.")
        ending.extend(event for event in events if isinstance(event, RunFinishedEvent))
        if any(isinstance(event, RunStartedEvent | ResumedEvent) for event in events):
            if mirror is not None:
                start_mirror(run, mirror)
            reporter.notice(printable(str(plan_of(launch.run).get("summary", "The plan is not known."))))
        reporter.handle([event for event in events if not isinstance(event, RunFinishedEvent)])

    def on_stop_request(times: int) -> None:
        first = "Stopping: the run is saved first."
        line = first if times == 1 else "Still saving; the run ends as soon as its checkpoint is written."
        reporter.notice(line) if lost.error is None else echo_error(line)

    try:
        outcome = supervise(launch.run, on_events, on_stop_request, engine or engine_command, detach=detach)
        if outcome.refusal is None:
            reporter.handle(ending)
        if outcome.left_running:
            for line in how_to_go_on(launch.run, launch.config.runs_dir):
                reporter.notice(line)
    finally:
        reporter.close()
    if not outcome.left_running and outcome.refusal is None:
        alerts.wait()
    return lost.settle(conclude(launch, outcome, echo_error), outcome), outcome


@dataclasses.dataclass
class _Loss:
    """Tells that standard output cannot be written while a run is followed, and what becomes of the run."""

    launch: Launch
    begun: bool = False
    """Whether there is training to go on with."""
    error: OSError | None = None

    def tell(self, error: OSError) -> None:
        """Tell it, and go on.

        Raises:
            OSError: If nothing has begun, unless it is only that the reader has gone.
        """
        if not self.begun and error.errno != errno.EPIPE:
            raise error
        self.error = error
        abandon(sys.stdout)
        echo_error(f"{cannot_write(error)}; run {printable(self.launch.run.name)} goes on.")
        for line in how_to_go_on(self.launch.run, self.launch.config.runs_dir)[1:]:
            echo_error(line)

    def settle(self, code: int, outcome: Outcome) -> int:
        """Return the exit code: a reader that has gone is no error."""
        if self.error is None or self.error.errno == errno.EPIPE:
            return code
        if not outcome.left_running:
            logs = command_line(self.launch.config.runs_dir, "logs", self.launch.run.name)
            echo_error(f"The run has ended: {printable(outcome.reason or 'it did not say why')}.")
            echo_error(f"To read what could not be written: {logs}")
        return code or LOST
