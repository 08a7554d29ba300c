"""Asks a living run for something and waits until it is done; for the command line, which has no session."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from arc_core.base.errors import RunError
from arc_core.run import event_forms as forms
from arc_core.run.commands import send
from arc_core.run.directory import RunDirectory, is_alive, refuse_if_gone
from arc_core.run.events import EventReader, read_tail
from arc_tui.runs.engine import follow
from arc_tui.runs.listing import TAIL_BYTES
from arc_tui.runs.sentences import applied_lines, going_on, sentence, validation_lines
from arc_tui.runs.starting import command_line
from arc_tui.runs.state import Phase, observed, reduce
from arc_tui.runs.steering import Request, Requests, RequestStage


def ask(
    run: RunDirectory, runs_dir: Path, command: str, args: Mapping[str, object] | None, *, wait: bool
) -> Iterator[str]:
    """Send a command to a living run, wait until it is carried out, and tell line by line what came of it.

    Args:
        run: The run.
        runs_dir: As the user gave it, for the command that starts a dead run again.
        command: One of `arc_core.run.commands.COMMANDS`.
        args: For `set`, the new values.
        wait: Whether to wait at all.

    Raises:
        RunError: If no process trains the run, or it ends before it has done what was asked, or it
            rejects the command.
    """
    again = command_line(str(runs_dir), "resume", run.name)
    if not is_alive(run):
        ended = observed(reduce(read_tail(run.events, TAIL_BYTES)), alive=False).activity
        raise RunError(f"The run {run.name} is {ended}: no process trains it. To start it again: {again}.")
    reader = EventReader(run.events, from_end=True)
    if not wait:
        send(run.commands, command, args)
        yield f"Sent {command} to {run.name}."
        return
    if reduce(read_tail(run.events, TAIL_BYTES)).activity in (Phase.STARTING, Phase.STOPPED, Phase.FINISHED):
        yield f"The run {run.name} is starting."
        _await_start(run, reader, again)
    yield from _carried_out(run, reader, command, args, again)


def _await_start(run: RunDirectory, reader: EventReader, again: str) -> None:
    for event in _events(run, reader):
        if isinstance(event, forms.RunStartedEvent | forms.ResumedEvent | forms.StepEvent):
            return
        if isinstance(event, forms.RunFinishedEvent):
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


def _lines(run: RunDirectory, moved: Request, event: forms.Event) -> list[str]:
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
        case forms.CommandAppliedEvent():
            return applied_lines(event)
        case forms.CheckpointEvent():
            return [moved.note] if moved.stage is RequestStage.DONE else []
        case forms.ValidationEvent():
            return [f"[Validation at step {event.step}]", *validation_lines(event)]
        case forms.UnpausedEvent() | forms.StepEvent():
            return [going_on(event)]
        case _:
            return [sentence(event) or moved.note]


def _events(run: RunDirectory, reader: EventReader) -> Iterator[forms.Event]:
    """Yield what the training process writes until it has ended."""
    for batch in follow(reader, lambda: not is_alive(run)):
        yield from batch
