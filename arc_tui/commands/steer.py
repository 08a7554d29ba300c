"""`arc-tui pause`, `resume`, `checkpoint`, `validate`, `set` and `stop`: each sends a living run a command.

They wait for its answer, and tell what came of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from arc_core.base.errors import ConfigError, RunError
from arc_core.base.options import unknown_key
from arc_core.run.commands import SETTABLE, send
from arc_core.run.config import settings
from arc_core.run.directory import LATEST, RunDirectory, is_alive, open_run, refuse_if_gone
from arc_core.run.event_forms import (
    CheckpointEvent,
    CommandAppliedEvent,
    Event,
    ResumedEvent,
    RunFinishedEvent,
    RunStartedEvent,
    StepEvent,
    UnpausedEvent,
    ValidationEvent,
)
from arc_core.run.events import EventReader, read_tail
from arc_tui.commands.completion import changeable_settings
from arc_tui.commands.options import RUNS_DIR, Run, RunsDir, assigned
from arc_tui.commands.output import echo
from arc_tui.runs.engine import follow
from arc_tui.runs.listing import TAIL_BYTES
from arc_tui.runs.sentences import applied_lines, going_on, sentence, validation_lines
from arc_tui.runs.starting import command_line
from arc_tui.runs.state import Phase, observed, reduce
from arc_tui.runs.steering import Request, Requests, RequestStage

NoWait = Annotated[bool, typer.Option("--no-wait", help="Send the command and do not wait for its effect.")]


def pause(
    run: Run = LATEST,
    release: Annotated[
        bool,
        typer.Option("--release", help="Save a checkpoint and end the process, so that its GPU is free."),
    ] = False,
    no_wait: NoWait = False,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Let training stand still at the next step boundary."""
    found = open_run(runs_dir, run)
    _steer(found, runs_dir, "stop" if release else "pause", no_wait)
    if release and not no_wait:
        again = command_line(str(runs_dir), "resume", found.name)
        echo(f"The run {found.name} is saved and its process has ended. To go on: {again}")


def resume(run: Run = LATEST, no_wait: NoWait = False, runs_dir: RunsDir = RUNS_DIR) -> None:
    """Go on with a paused run, or start an ended one again.

    One without a process is started again in the background.
    """
    found = open_run(runs_dir, run)
    if is_alive(found):
        _steer(found, runs_dir, "resume", no_wait)
    else:
        from arc_tui.commands.train import train_here  # here, as the other commands start nothing

        flags = {"resume": found.name, "runs_dir": str(runs_dir), "detach": True}
        raise typer.Exit(train_here(flags, None))


def checkpoint(run: Run = LATEST, no_wait: NoWait = False, runs_dir: RunsDir = RUNS_DIR) -> None:
    """Save a checkpoint at the next step boundary."""
    _steer(open_run(runs_dir, run), runs_dir, "checkpoint", no_wait)


def validate(run: Run = LATEST, no_wait: NoWait = False, runs_dir: RunsDir = RUNS_DIR) -> None:
    """Validate at the next step boundary."""
    _steer(open_run(runs_dir, run), runs_dir, "validate", no_wait)


def stop(run: Run = LATEST, no_wait: NoWait = False, runs_dir: RunsDir = RUNS_DIR) -> None:
    """Save a checkpoint and end the run."""
    _steer(open_run(runs_dir, run), runs_dir, "stop", no_wait)


def set_values(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[RUN] KEY=VALUE...",
            autocompletion=changeable_settings,
            help="agent_lr, qwen_lr, policy_lr, checkpoint_every; of the newest run if none is named.",
        ),
    ],
    no_wait: NoWait = False,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Change rates or the checkpoint interval during training."""
    named = "=" not in words[0]
    given = assigned(words[1:] if named else words, "set")
    if not given:
        raise ConfigError("set needs at least one KEY=VALUE, such as agent_lr=5e-5.")
    if unknown := [name for name in given if name not in SETTABLE]:
        raise unknown_key(unknown[0], SETTABLE, "setting that can change during a run:")
    values = {name: settings()[name].parse(value) for name, value in given.items()}
    _steer(open_run(runs_dir, words[0] if named else LATEST), runs_dir, "set", no_wait, values)


def _steer(
    run: RunDirectory, runs_dir: Path, command: str, no_wait: bool, args: Mapping[str, object] | None = None
) -> None:
    """Send a command to a living run, wait until it is carried out, and show what came of it.

    Args:
        run: The run.
        runs_dir: As the user gave it, for the command that starts a dead run again.
        command: One of `arc_core.run.commands.COMMANDS`.
        no_wait: Return as soon as the command is sent.
        args: For `set`, the new values.

    Raises:
        RunError: If no process trains the run, or it ends before it has done what was asked, or it
            rejects the command.
    """
    again = command_line(str(runs_dir), "resume", run.name)
    if not is_alive(run):
        ended = observed(reduce(read_tail(run.events, TAIL_BYTES)), alive=False).activity
        raise RunError(f"The run {run.name} is {ended}: no process trains it. To start it again: {again}.")
    reader = EventReader(run.events, from_end=True)
    if no_wait:
        send(run.commands, command, args)
        echo(f"Sent {command} to {run.name}.")
        return
    if reduce(read_tail(run.events, TAIL_BYTES)).activity in (Phase.STARTING, Phase.STOPPED, Phase.FINISHED):
        echo(f"The run {run.name} is starting.")
        _await_start(run, reader, again)
    for line in _carried_out(run, reader, command, args, again):
        echo(line)


def _await_start(run: RunDirectory, reader: EventReader, again: str) -> None:
    for event in _events(run, reader):
        if isinstance(event, RunStartedEvent | ResumedEvent | StepEvent):
            return
        if isinstance(event, RunFinishedEvent):
            raise RunError(event.reason)
    refuse_if_gone(run)
    raise RunError(f"The training process of {run.name} ended before it began. To start it again: {again}.")


def _carried_out(
    run: RunDirectory,
    reader: EventReader,
    command: str,
    args: Mapping[str, object] | None,
    again: str,
) -> Iterator[str]:
    """Send the command, and yield what came of it line by line until it is done."""
    requests = Requests()
    requests.sent(send(run.commands, command, args), command, args or {})
    for event in _events(run, reader):
        for moved in requests.take([event]):
            yield from _lines(run, moved, event)
            if moved.stage is RequestStage.DONE and command != "stop":  # that is once the process has ended
                return
        for request in tuple(requests.to_resend):
            requests.resent(request, send(run.commands, command, args))
    refuse_if_gone(run)
    unanswered = requests.unanswered(command)
    if command == "stop" and not unanswered:
        return
    if unanswered:
        (run.commands / f"{requests.open[0].id}.json").unlink(missing_ok=True)
    did = "answered" if unanswered else "did what was asked"
    raise RunError(f"The training process of {run.name} ended before it {did}. To start it again: {again}.")


def _lines(run: RunDirectory, moved: Request, event: Event) -> list[str]:
    """Tell how an event has moved the request.

    Raises:
        RunError: If that is its end without the effect.
    """
    if moved.stage is RequestStage.REJECTED:
        raise RunError(f"{run.name} rejects {moved.command}: {moved.note}")
    if moved.stage is RequestStage.FAILED and moved.command == "pause":
        raise RunError(f"Another command resumed {run.name} before it paused.")
    if moved.stage is RequestStage.FAILED:
        raise RunError(moved.note)
    match event:
        case CommandAppliedEvent():
            return applied_lines(event)
        case CheckpointEvent():
            return [moved.note] if moved.stage is RequestStage.DONE else []
        case ValidationEvent():
            return [f"[Validation at step {event.step}]", *validation_lines(event)]
        case UnpausedEvent() | StepEvent():
            return [going_on(event)]
        case _:
            return [sentence(event) or moved.note]


def _events(run: RunDirectory, reader: EventReader) -> Iterator[Event]:
    """Yield what the training process writes until it has ended."""
    for batch in follow(reader, lambda: not is_alive(run)):
        yield from batch
