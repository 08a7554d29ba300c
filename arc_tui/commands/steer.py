"""Steers a living run: sends a command, waits for its answer, and tells what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from arc_core.base.errors import ConfigError, RunError
from arc_core.base.options import canonical, unknown_key
from arc_core.base.text import printable
from arc_core.run.commands import SETTABLE, send
from arc_core.run.config import settings
from arc_core.run.directory import RunDirectory, is_alive, refuse_if_gone
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
from arc_tui.runs.engine import follow
from arc_tui.runs.listing import TAIL_BYTES
from arc_tui.runs.sentences import applied_lines, going_on, sentence, validation_lines
from arc_tui.runs.starting import command_line
from arc_tui.runs.state import Phase, observed, reduce
from arc_tui.runs.steering import Request, Requests, RequestStage


def assignments(pairs: list[str]) -> dict[str, object]:
    """Read `agent_lr=5e-5` and the like.

    Raises:
        ConfigError: If one is no assignment, of a setting that cannot change, or out of range.
    """
    values: dict[str, object] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        name = canonical(key.strip())
        if not separator:
            raise ConfigError(f"set takes key=value, not {printable(pair, 60)}.")
        if name not in SETTABLE:
            raise unknown_key(key, SETTABLE, "setting that can change during a run:")
        if name in values:
            raise ConfigError(f"{name} is given twice.")
        values[name] = settings()[name].parse(value.strip())
    return values


def steer(
    run: RunDirectory,
    command: str,
    args: Mapping[str, object] | None = None,
    *,
    show: Callable[[str], None],
    wait: bool = True,
    runs_dir: str = "runs",
) -> None:
    """Send a command to a living run, wait until it is carried out, and show what came of it.

    Args:
        run: The run.
        command: One of `arc_core.run.commands.COMMANDS`.
        args: For `set`, the new values.
        show: Shows a line to the user.
        wait: False returns as soon as the command is sent.
        runs_dir: As the user gave it, for the command that starts a dead run again.

    Raises:
        RunError: If no process trains the run, or it ends before it has done what was asked, or it
            rejects the command.
    """
    again = command_line(runs_dir, "resume", run.name)
    if not is_alive(run):
        raise RunError(
            f"The run {run.name} is {_ended(run)}: no process trains it. To start it again: {again}."
        )
    reader = EventReader(run.events, from_end=True)
    if not wait:
        send(run.commands, command, args)
        show(f"Sent {command} to {run.name}.")
        return
    if reduce(read_tail(run.events, TAIL_BYTES)).activity in (Phase.STARTING, Phase.STOPPED, Phase.FINISHED):
        show(f"The run {run.name} is starting.")
        _await_start(run, reader, again)
    for line in _carried_out(run, reader, command, args, again):
        show(line)


def _ended(run: RunDirectory) -> Phase:
    return observed(reduce(read_tail(run.events, TAIL_BYTES)), alive=False).activity


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
            if (
                moved.stage is RequestStage.DONE and command != "stop"
            ):  # that is done once the process has ended
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
