"""`arc-tui mirror`: takes a run into trackers while it trains, by a process of its own."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import Annotated

import typer

from arc_core.base.text import printable
from arc_core.run.directory import LATEST, RunDirectory, gone_sentence, is_alive, is_gone, open_run
from arc_tui.commands.options import RUNS_DIR, AlertTo, Run, RunsDir
from arc_tui.commands.output import echo

POLL_SECONDS = 0.5


def mirror(
    to: Annotated[
        str,
        typer.Option("--to", metavar="TRACKER", help="tensorboard, trackio or wandb; several with commas."),
    ],
    run: Run = LATEST,
    patience: Annotated[
        float,
        typer.Option("--patience", metavar="SECONDS", min=0, help="How long to wait for training to begin."),
    ] = 0.0,
    alert: AlertTo = None,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Take a run into TensorBoard, trackio or W&B while it trains.

    It ends with the run's process; one that was killed goes on where it was. Training does not notice it.
    """
    from arc_tui.mirror.following import Mirror
    from arc_tui.mirror.trackers import names_in, open_tracker

    names = names_in(to)
    found = open_run(runs_dir, run)
    if alert is not None:
        from arc_tui.commands.alerts import Alerts

        Alerts.of(alert).start(found)
    mirrors = [Mirror(found, name, open_tracker(name, found)) for name in names]
    requests: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: requests.append(number))
    with contextlib.ExitStack() as opened:
        for one in mirrors:
            opened.callback(one.close)
            one.open()
        seen, since = False, time.monotonic()
        while not requests:
            alive = is_alive(found)  # before the log, so that the end of a process is in it
            seen |= alive
            if sum(one.advance() for one in mirrors):
                continue
            if is_gone(found):
                echo(gone_sentence(found))
                return
            if not alive and (seen or time.monotonic() - since > patience):
                break
            time.sleep(POLL_SECONDS)
    echo(_told(found, names))


def _told(run: RunDirectory, names: tuple[str, ...]) -> str:
    return f"Run {printable(run.name)} is mirrored to {', '.join(names)}."
