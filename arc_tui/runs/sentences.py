"""What an event means in words: log, marks, headless lines and answers to commands say it from here."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from arc_core.base.loose import null_at
from arc_core.base.text import printable
from arc_core.run import event_forms as forms
from arc_core.run.declared import Declared, GroupKind, ShownNumber
from arc_tui.runs.fields import duration, size

PARTED = (GroupKind.CONTRIBUTIONS, GroupKind.SIGNED)
"""Kinds of groups whose numbers add up."""

IN_A_LINE, IN_A_SUMMARY = 4, 12
"""How many numbers a line and a summary tell at most of a run that does not say what they are to tell."""


def sentence(event: forms.Event, form: str = "") -> str | None:
    """Say what an event tells of a run's life; None for an event that tells nothing of it.

    Args:
        event: The event.
        form: How its step is written: `,` sets off the thousands.
    """
    match event:
        case forms.RunStartedEvent():
            return "Training started"
        case forms.ResumedEvent():
            return f"Resumed at step {event.step:{form}}{origin(event)}"
        case forms.PausedEvent():
            return f"Paused at step {event.step:{form}}"
        case forms.UnpausedEvent():
            return going_on(event, form)
        case forms.CommandRejectedEvent():
            return f"Command rejected: {event.reason}"
        case forms.RunFinishedEvent():
            return f"Finished: {event.reason}"
        case forms.UnknownEvent():
            return f"Event of unknown kind: {event.kind}"
        case _:
            return None


def going_on(event: forms.UnpausedEvent | forms.StepEvent, form: str = "") -> str:
    """Say that a run that stood still trains on."""
    return f"Going on at step {event.step:{form}}"


def origin(resumed: forms.ResumedEvent) -> str:
    """Say from which checkpoint a run was resumed; nothing where it was none."""
    return "" if resumed.checkpoint is None else f" from checkpoint {resumed.checkpoint:05d}"


def warning_line(warning: forms.WarningEvent) -> str:
    """Write a warning with its advice."""
    return warning.message + (f" Advice: {warning.advice}" if warning.advice else "")


def epoch_line(epoch: forms.EpochEvent, declared: Declared) -> str:
    """Write an epoch in one line."""
    told = told_texts(epoch, declared.epoch_line or headlines(declared, IN_A_LINE), declared)
    parts = [*(f"{label} {text}" for label, text, _ in told), duration(epoch.number("seconds"))]
    return f"Epoch {epoch.epoch}: {', '.join(parts)}"


def batch_line(step: forms.StepEvent, declared: Declared) -> str:
    """Write a step as the seed does: `[Batch   50] EFE_Loss: 3.456 | d_acc: +0.050 | ...`."""
    told = told_texts(step, declared.step_line or headlines(declared, IN_A_LINE), declared)
    return f"[Batch {step.batch + 1:4d}] {' | '.join(f'{label}: {text}' for label, text, _ in told)}".rstrip()


def epoch_lines(
    epoch: forms.EpochEvent, validation: forms.ValidationEvent | None, declared: Declared
) -> list[str]:
    """Write the summary of an epoch as the seed does, with the validation at its end if there was one.

    What the parts of a loss or a reward come to stands before a gap, the rest behind it.
    """
    told = told_texts(epoch, declared.epoch_lines or headlines(declared, IN_A_SUMMARY), declared)
    parts = {True: list[str](), False: list[str]()}
    for label, text, number in told:
        group = declared.by_name.get(number.partition(".")[0])
        parts[group is not None and group.kind in PARTED].append(f"  {label}: {text}")
    lines = [f"[Epoch {epoch.epoch} Summary]"]
    for part in parts.values():
        lines += [*part, ""] if part else []
    if validation is not None:
        lines += validation_lines(validation)
    return [*lines, f"  Time: {epoch.number('seconds'):.2f}s"]


def told_texts(
    event: forms.MeasuredEvent, told: Iterable[ShownNumber], declared: Declared
) -> list[tuple[str, str, str]]:
    """Return what lines tell of an event, without the numbers that it does not have.

    Returns:
        Of each its label, the number as it is written, and its dotted name.
    """
    found: list[tuple[str, str, str]] = []
    for one in told:
        value = event.number(one.number)
        if not math.isfinite(value) and not null_at(event.fields, one.number):
            continue
        known = declared.numbers.get(one.number)
        count = known is not None and known.whole and value.is_integer()
        found.append((one.label, format(int(value) if count else value, one.form), one.number))
    return found


def headlines(declared: Declared, most: int) -> tuple[ShownNumber, ...]:
    """Return what tells most of a run that does not say what its lines tell."""
    found: list[ShownNumber] = []
    for dotted in declared.headlines[:most]:
        group, number = declared.by_name[dotted.partition(".")[0]], declared.numbers[dotted]
        label = group.shown if number.name in group.totals else number.shown
        found.append(ShownNumber(label, dotted, "," if number.whole else ".4f"))
    return tuple(found)


def validation_line(found: forms.ValidationEvent) -> str:
    """Write a validation beside its baselines in one line."""
    parts = [f"score {found.number('score'):.4f}"] if found.has("score") else []
    parts += [exact_share(found)] if found.has("exact") else []
    parts += [f"cells {found.cell_accuracy:.4f}{_baselines(found)}"] if found.has("cell_accuracy") else []
    parts += [f"{name} {value:.4g}" for name, value in further_numbers(found)]
    return f"Validation at step {found.step:,}: {', '.join(parts) or 'nothing measured'}"


def validation_words(found: forms.ValidationEvent) -> str:
    """Write what a validation is ranked by, in a few words."""
    parts = [f"score {found.number('score'):.4f}"] if found.has("score") else []
    parts += [exact_share(found)] if found.has("exact") else []
    parts += [f"{found.cell_accuracy:.4f} of cells"] if found.has("cell_accuracy") else []
    return ", ".join(parts) or "nothing measured"


def exact_share(validation: forms.ValidationEvent) -> str:
    """Write how many of a validation's inputs are right in every cell."""
    of_inputs = f"/{validation.inputs}" if validation.has("inputs") else ""
    return f"{validation.exact}{of_inputs} exact"


def validation_lines(found: forms.ValidationEvent) -> list[str]:
    """Write the numbers of a validation, its accuracy beside the two baselines."""
    share = f"{found.exact / max(found.inputs, 1):.4f} ({found.exact}/{found.inputs} correct)"
    lines = {
        "score": f"  Score: {found.number('score'):.4f}",
        "exact": f"  Validation Accuracy: {share}",
        "tasks_solved": f"  Tasks Solved: {found.count('tasks_solved')}/{found.count('tasks')}",
        "cell_accuracy": f"  Cell Accuracy: {found.cell_accuracy:.4f}{_baselines(found)}",
        "size_accuracy": f"  Size Accuracy: {found.number('size_accuracy'):.4f}",
        "accuracy_delta": f"  Accuracy Delta: {found.number('accuracy_delta'):+.4f}",
    }
    further = [f"  {name}: {value:.4g}" for name, value in further_numbers(found)]
    return [*(line for name, line in lines.items() if found.has(name)), *further]


def further_numbers(found: forms.ValidationEvent) -> list[tuple[str, float]]:
    """Return what else a validation has measured, by name; safe to print."""
    known = [
        (printable(str(name), 40), float(value))
        for name, value in found.group("numbers").items()
        if isinstance(value, int | float) and math.isfinite(value)
    ]
    return known[:IN_A_SUMMARY]


def _baselines(found: forms.ValidationEvent) -> str:
    known = {"copy": "copy_cell_accuracy", "black": "black_cell_accuracy"}
    told = [f"{label} {found.number(name):.4f}" for label, name in known.items() if found.has(name)]
    return f" ({', '.join(told)})" if told else ""


def checkpoint_line(checkpoint: forms.CheckpointEvent) -> str:
    """Write what became of a checkpoint."""
    name = f"Checkpoint {checkpoint.id:05d}"
    if checkpoint.phase == "failed":
        return f"{name} failed: {checkpoint.reason}"
    weight = size(math.nan if checkpoint.bytes is None else checkpoint.bytes)
    return f"{name} {checkpoint.phase} at step {checkpoint.step} ({weight}, {checkpoint.seconds:.2f} s)"


def applied_lines(event: forms.CommandAppliedEvent) -> list[str]:
    """Write the answer to a command; one line for each setting that it changed."""
    if event.new is None:
        return [f"Command {event.command} applied"]
    before = event.old or {}
    return [
        printable(f"{name}: {before.get(name, 'unknown')} is now {value}", 500)
        for name, value in event.new.items()
    ]


def change_text(event: forms.CommandAppliedEvent) -> str:
    """Write what a `set` changed: `agent_lr 0.0001 → 5e-05`."""
    before, after = event.old or {}, event.new or {}
    changes = [f"{name} {_value(before.get(name))} → {_value(value)}" for name, value in after.items()]
    return printable(", ".join(changes) or "set", 2000)


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class LogEntry:
    """One line of the log.

    Attributes:
        seq: Number of the event.
        time: When, in seconds since the epoch; NaN where the event does not say.
        kind: The event's type.
        style: Name of the style that fits: good, warning, error, muted, text.
        text: The line, safe to print.
    """

    seq: int
    time: float
    kind: str
    style: str
    text: str


def entry_of(event: forms.Event, declared: Declared) -> LogEntry | None:
    """Return the line that tells of an event, or None for steps and samples.

    Args:
        event: The event.
        declared: What steps carry.
    """
    told = _told(event, declared)
    if told is None:
        return None
    return LogEntry(event.seq, event.time, forms.kind_of(event), *told)


def _told(event: forms.Event, declared: Declared) -> tuple[str, str] | None:
    match event:
        case forms.EpochEvent():
            return "text", epoch_line(event, declared)
        case forms.ValidationEvent():
            return "text", validation_line(event)
        case forms.CheckpointEvent(phase="requested"):
            return "muted", f"Checkpoint {event.id:05d} requested at step {event.step:,}"
        case forms.CheckpointEvent():
            return _CHECKPOINT_STYLES.get(event.phase, "muted"), checkpoint_line(event)
        case forms.CommandAppliedEvent(command="set"):
            return "good", f"Applied: {change_text(event)}"
        case forms.CommandAppliedEvent():
            return "good", f"Command {event.command} applied"
        case forms.WarningEvent():
            return "warning", warning_line(event)
        case _:
            told = sentence(event, ",")
            return None if told is None else (_STYLES.get(type(event), "good"), told)


_CHECKPOINT_STYLES = {"verified": "good", "failed": "error"}
_STYLES: dict[type[forms.Event], str] = {
    forms.PausedEvent: "warning",
    forms.CommandRejectedEvent: "warning",
    forms.UnknownEvent: "muted",
}
"""Of events that are not simply good."""
