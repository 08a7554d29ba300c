"""What `arc-tui status` and `arc-tui logs` show of one run."""

from __future__ import annotations

import codecs
import dataclasses
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from rich.cells import cell_len

from arc_core.base.errors import ArcError
from arc_core.base.files import open_regular
from arc_core.base.text import printable
from arc_core.run.config import TrainConfig
from arc_core.run.directory import RunDirectory, is_alive, lock_holder, refuse_if_gone, stored_config
from arc_core.run.event_forms import Event, StepEvent
from arc_core.run.event_lines import content_of
from arc_core.run.events import EventReader, counting_events
from arc_tui.commands.headless import HeadlessReporter, Output
from arc_tui.drawing.rows import padded
from arc_tui.drawing.signs import shown
from arc_tui.runs.engine import POLL_SECONDS, follow, last_lines
from arc_tui.runs.fields import NOT_PART, size
from arc_tui.runs.listing import Row, age, best_text, read_run
from arc_tui.runs.starting import command_line, planned_batches
from arc_tui.runs.state import Phase, RunState, ValidationResult

BLOCK_BYTES = 1 << 20
LONGEST_LINE = 4000


def status(run: RunDirectory, now: float | None = None) -> dict[str, Any]:
    """Return what is known of a run, as JSON writes it."""
    return _known(run, now)[0]


def _known(run: RunDirectory, now: float | None) -> tuple[dict[str, Any], RunState]:
    run_json = run.read()
    state = read_run(run, run_json, whole_log=True, now=time.time() if now is None else now)
    alive = is_alive(run)
    best, plan = state.best_validation, run_json.get("plan")
    known: dict[str, Any] = {
        "name": run.name,
        "path": str(run.path),
        "state": state.phase.value,
        "alive": alive,
        "process": lock_holder(run) if alive else None,
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


def to_json(content: object) -> str:
    """Write JSON in which no control character stands unescaped; a number that is not finite is null."""
    return json.dumps(_finite(content), indent=2, allow_nan=False).replace("\x7f", "\\u007f")


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {str(name): _finite(part) for name, part in cast("dict[object, object]", value).items()}
    if isinstance(value, list):
        return [_finite(part) for part in cast("list[object]", value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def status_lines(run: RunDirectory, now: float | None = None) -> list[str]:
    """Write what is known of a run in a few lines, safe to print."""
    known, state = _known(run, now)
    process = f", process {known['process']}" if known["process"] else ""
    total = known["total_steps"]
    of_total = f" of {total}" if isinstance(total, int) else ""
    lines = [
        f"Run {known['name']}: {known['state']}{process}" + (f" ({state.reason})" if state.reason else ""),
        f"Epoch {state.epoch}, step {state.step}{of_total}",
    ]
    lines += _step_lines(state)
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
    said = last_lines(run)
    again = command_line(str(run.path.parent), "train", "--resume", run.name)
    return [
        "The training process ended without saying why"
        + (f"; the last lines of {printable(str(run.engine_log))}:" if said else "."),
        *(f"  {line}" for line in said),
        f"To go on: {again}",
    ]


def _step_lines(state: RunState) -> list[str]:
    step = state.last_step
    if step is None:
        return []
    losses = _group(step, "loss", ".4f")
    return [
        f"Loss: {losses}",
        f"Reward: {_group(step, 'reward', '+.4f')}",
        f"Gradient norms: {_group(step, 'grad_norm', '.2e')}",
        f"Learning rates: {_group(step, 'learning_rate', 'g')}",
        f"Memory threshold: {_number(step, 'memory.threshold', '.4f')}",
        f"Speed: {step.number('pairs_per_second'):.1f} pairs/s",
    ]


def _group(step: StepEvent, name: str, form: str) -> str:
    names = step.group(name)
    known = [part for part in names if not step.lacks(f"{name}.{part}")]
    if names and not known:
        return NOT_PART
    return ", ".join(f"{part} {step.number(f'{name}.{part}'):{form}}" for part in known) or "-"


def _number(step: StepEvent, name: str, form: str) -> str:
    return NOT_PART if step.lacks(name) else f"{step.number(name):{form}}"


def _checkpoint_text(state: RunState) -> str:
    saved = state.last_checkpoint
    if saved is None:
        return "-"
    weight = size(saved.bytes if saved.bytes is not None else math.nan)
    return (
        f"{saved.id:05d} of step {saved.step}, {weight}, {'verified' if saved.verified else 'not verified'}"
    )


def show_events(run: RunDirectory, output: Output, *, following: bool) -> None:
    """Show the events of a run as `train --headless` prints them.

    Args:
        run: The run.
        output: Where the lines go.
        following: Whether to go on until the process of the run has ended.
    """
    reporter = HeadlessReporter(_config(run), output, lambda: planned_batches(run))
    reader = EventReader(run.events)
    for event in counting_events(reader):
        reporter.handle([event])
    if following:
        for batch in follow(reader, lambda: not is_alive(run)):
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
    show: Callable[[str], None],
    *,
    following: bool,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Show what the training process and its libraries printed, with control characters escaped."""
    for line in _log_lines(run, following, wait):
        show(printable(line.rstrip("\r").expandtabs(), LONGEST_LINE))


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
                wait(POLL_SECONDS)
    if rest:
        yield rest


def _config(run: RunDirectory) -> TrainConfig:
    """Return the run's configuration, or the defaults if it is damaged: only spacing hangs on it."""
    stored = stored_config(run.read())
    try:
        return TrainConfig.from_dict(stored)
    except ArcError:
        return TrainConfig()


def table(rows: list[Row]) -> list[str]:
    """Write the list as aligned lines."""
    heads = ("NAME", "STATE", "EPOCH", "STEP", "BEST VALIDATION", "SIZE", "AGE")
    lines = [tuple(map(shown, line)) for line in (heads, *(_cells(row) for row in rows))]
    widths = [
        max((cell_len(line[i]) for line in lines if len(line) > i + 1), default=0) for i in range(len(heads))
    ]
    return [
        "  ".join(padded(cell, width) for cell, width in zip(line, widths, strict=False)).rstrip()
        for line in lines
    ]


def _cells(row: Row) -> tuple[str, ...]:
    name = printable(row.name, 60)
    if row.problem is not None:
        return name, f"{row.state}: {printable(row.problem, 200)}"
    weight = "-" if row.bytes is None else size(row.bytes)
    best = None
    if row.best_exact is not None and row.best_cell_accuracy is not None:
        best = ValidationResult(0, row.best_exact, row.best_inputs or 0, row.best_cell_accuracy)
    since = "-" if row.age_seconds is None else age(row.age_seconds)
    return name, row.state, str(row.epoch), str(row.step), best_text(best), weight, since
