"""What `arc-tui status` and `arc-tui logs` show of one run."""

from __future__ import annotations

import codecs
import dataclasses
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, cast

import typer

from arc_core.base.errors import ArcError
from arc_core.base.files import open_regular
from arc_core.base.text import printable
from arc_core.run.config import TrainConfig
from arc_core.run.declared import Declared, GroupKind, NumberGroup, ShownNumber
from arc_core.run.directory import (
    LATEST,
    RunDirectory,
    is_alive,
    lock_holder,
    open_run,
    refuse_if_gone,
    stored_config,
)
from arc_core.run.event_forms import Event, StepEvent
from arc_core.run.event_lines import content_of
from arc_core.run.events import EventReader, counting_events
from arc_core.run.presets import TRACK
from arc_core.run.recipes import declaration_of, known_config
from arc_tui.commands.headless import HeadlessReporter, PlainOutput
from arc_tui.commands.options import RUNS_DIR, AsJson, Run, RunsDir
from arc_tui.commands.output import echo_facts
from arc_tui.runs import engine
from arc_tui.runs.fields import size
from arc_tui.runs.listing import best_text, read_run
from arc_tui.runs.sentences import told_texts
from arc_tui.runs.starting import command_line, declared_by, planned_batches
from arc_tui.runs.state import Phase, RunState

BLOCK_BYTES = 1 << 20
LONGEST_LINE = 4000


def status(run: Run = LATEST, json: AsJson = False, runs_dir: RunsDir = RUNS_DIR) -> None:
    """Show what a run is doing, with its last numbers."""
    found = open_run(runs_dir, run)
    echo_facts(json, lambda: known_of(found)[0], lambda: status_lines(found))


def logs(
    run: Run = LATEST,
    engine: Annotated[
        bool, typer.Option("--engine", help="What the training process and its libraries print.")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the run ends.")] = False,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Show what has happened in a run, as train prints it."""
    show = show_engine_log if engine else show_events
    show(open_run(runs_dir, run), PlainOutput(sys.stdout), following=follow)


def known_of(run: RunDirectory) -> tuple[dict[str, Any], RunState]:
    """Return what is known of a run, as JSON writes it, and its state."""
    run_json = run.read()
    state = read_run(run, run_json, whole_log=True, now=time.time())
    alive = is_alive(run)
    best, plan = state.best_validation, run_json.get("plan")
    known: dict[str, Any] = {
        "name": run.name,
        "path": str(run.path),
        "state": state.phase.value,
        "alive": alive,
        "process": lock_holder(run) if alive else None,
        "processes": plan.get("processes") if isinstance(plan, dict) else None,
        "reason": state.reason,
        "epoch": state.epoch,
        "step": state.step,
        "total_steps": plan.get("total_steps") if isinstance(plan, dict) else None,
        "last_step": _content(state.last_step),
        "last_validation": _content(state.last_validation),
        "best_validation": _content(best.event if best else None),
        "last_checkpoint": dataclasses.asdict(state.last_checkpoint) if state.last_checkpoint else None,
        "settings": dict(state.settings),
        "warnings": [dataclasses.asdict(warning) for warning in state.warnings],
        "notes": run_json.get("notes", []),
        "starts": state.starts,
        "updated": state.updated,
    }
    return known, state


def _content(event: Event | None) -> dict[str, object] | None:
    return None if event is None else content_of(event)


def status_lines(run: RunDirectory) -> list[str]:
    """Write what is known of a run in a few lines, safe to print."""
    known, state = known_of(run)
    process = f", process {known['process']}" if known["process"] else ""
    total = known["total_steps"]
    of_total = f" of {total}" if isinstance(total, int) else ""
    count = known["processes"]
    together = f", in {count} processes" if isinstance(count, int) and count > 1 else ""
    lines = [
        f"Run {known['name']}: {known['state']}{process}" + (f" ({state.reason})" if state.reason else ""),
        f"Epoch {state.epoch}, step {state.step}{of_total}{together}",
    ]
    lines += _step_lines(state, declaration_of(run.read()))
    lines.append(f"Best validation: {best_text(state.best_validation)}")
    lines.append(f"Last checkpoint: {_checkpoint_text(state)}")
    settings = ", ".join(f"{name} {value}" for name, value in state.settings.items() if value is not None)
    lines.append(f"Settings: {settings or '-'}")
    lines += [f"Warning: {warning.message} Advice: {warning.advice}" for warning in state.warnings[-5:]]
    notes = known["notes"]
    for note in cast("list[object]", notes) if isinstance(notes, list) else []:
        lines.append(
            f"Note: {cast(Mapping[str, object], note).get('text') if isinstance(note, dict) else note}"
        )
    if state.phase is Phase.CRASHED:
        lines += crash_lines(run)
    return [printable(line, LONGEST_LINE) for line in lines]


def crash_lines(run: RunDirectory) -> list[str]:
    """Write why the training process of a run may have ended without a word, and how to go on."""
    said = engine.last_lines(run)
    own = stored_config(run.read()).get("recipe") == TRACK
    again = (
        "start the program that told it again, with resume=True"
        if own
        else command_line(str(run.path.parent), "train", "--resume", run.name)
    )
    return [
        "The training process ended without saying why"
        + (f"; the last lines of {printable(str(run.engine_log))}:" if said else "."),
        *(f"  {line}" for line in said),
        f"To go on: {again}",
    ]


def _step_lines(state: RunState, declared: Declared) -> list[str]:
    """Write a line for each group of numbers that the last step has."""
    step = state.last_step
    if step is None:
        return []
    told = [(group.shown, _group(step, group, declared)) for group in declared.groups if not group.quiet]
    lines = [f"{name}: {text}" for name, text in told if text]
    return [*lines, f"Speed: {step.number('pairs_per_second'):.1f} pairs/s"]


def _group(step: StepEvent, group: NumberGroup, declared: Declared) -> str:
    if group.note:
        return group.note
    numbers = [
        ShownNumber(
            number.name, group.dotted(number.name), "," if number.whole else _FORMS.get(group.kind, ".4f")
        )
        for number in group.numbers
    ]
    unit = f" {group.unit}" if group.unit else ""
    return ", ".join(f"{name} {text}{unit}" for name, text, _ in told_texts(step, numbers, declared))


_FORMS = {GroupKind.SIGNED: "+.4f", GroupKind.NORMS: ".2e", GroupKind.SCHEDULE: "g"}
"""How numbers of a kind are written; the others with four decimals."""


def _checkpoint_text(state: RunState) -> str:
    saved = state.last_checkpoint
    if saved is None:
        return "-"
    weight = size(saved.bytes if saved.bytes is not None else math.nan)
    return (
        f"{saved.id:05d} of step {saved.step}, {weight}, {'verified' if saved.verified else 'not verified'}"
    )


def show_events(run: RunDirectory, output: PlainOutput, *, following: bool) -> None:
    """Show the events of a run as `train --headless` prints them.

    Args:
        run: The run.
        output: Where the lines go.
        following: Whether to go on until the process of the run has ended.
    """
    reporter = HeadlessReporter(_config(run), output, lambda: planned_batches(run), lambda: declared_by(run))
    reader = EventReader(run.events)
    for event in counting_events(reader):
        reporter.handle([event])
    if following:
        for batch in engine.follow(reader, lambda: not is_alive(run)):
            reporter.handle(batch)
        refuse_if_gone(run)
    if reader.damaged:
        reporter.notice(f"{reader.damaged} damaged lines of the log are left out.")
    reporter.close()
    if read_run(run, run.read(), whole_log=False, now=time.time()).phase is Phase.CRASHED:
        for line in crash_lines(run):
            output.line(line, "error")


def show_engine_log(
    run: RunDirectory,
    output: PlainOutput,
    *,
    following: bool,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Show what the training process and its libraries printed, with control characters escaped."""
    for line in _log_lines(run, following, wait):
        output.line(printable(line.rstrip("\r").expandtabs(), LONGEST_LINE))


def _log_lines(run: RunDirectory, following: bool, wait: Callable[[float], None]) -> Iterator[str]:
    try:
        fd = open_regular(run.engine_log, os.O_RDONLY)
    except FileNotFoundError:
        return
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    with os.fdopen(fd, "rb") as file:
        while True:
            ended = not (following and is_alive(run))
            block = file.read(BLOCK_BYTES)
            *lines, rest = (rest + decoder.decode(block)).split("\n")
            yield from lines
            if not block and ended:
                refuse_if_gone(run)
                break
            if not block:
                wait(engine.POLL_SECONDS)
    if rest:
        yield rest


def _config(run: RunDirectory) -> TrainConfig:
    """Return the run's configuration, or the defaults if it is damaged: only spacing hangs on it."""
    try:
        return known_config(stored_config(run.read()))
    except ArcError:
        return TrainConfig()
