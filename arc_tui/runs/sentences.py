"""What an event means in words: log, marks, headless lines and answers to commands say it from here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from arc_core.base.text import printable
from arc_core.run import event_forms as forms
from arc_tui.runs.fields import duration, size


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


def epoch_line(epoch: forms.EpochEvent) -> str:
    """Write an epoch in one line."""
    return (
        f"Epoch {epoch.epoch}: loss {epoch.number('loss.combined'):.3f}"
        f", EFE {epoch.number('loss.efe_total'):.3f}, reward {epoch.number('reward.total'):+.4f}"
        f", cells {epoch.number('accuracy.cell'):.4f}, {duration(epoch.number('seconds'))}"
    )


def validation_line(found: forms.ValidationEvent) -> str:
    """Write a validation beside the two baselines in one line."""
    return (
        f"Validation at step {found.step:,}: {exact_share(found)}, cells {found.cell_accuracy:.4f}"
        f" (copy {found.number('copy_cell_accuracy'):.4f}, black {found.number('black_cell_accuracy'):.4f})"
    )


def exact_share(validation: forms.ValidationEvent) -> str:
    """Write how many of a validation's inputs are right in every cell."""
    return f"{validation.exact}/{validation.inputs} exact"


def batch_line(step: forms.StepEvent) -> str:
    """Write a step as the seed does: `[Batch   50] EFE_Loss: 3.456 | d_acc: +0.050 | ...`."""
    parts = {
        "": f"[Batch {step.batch + 1:4d}] EFE_Loss: {step.number('loss.efe_total'):.3f}",
        "reward.d_acc": f"d_acc: {step.number('reward.d_acc'):+.3f}",
        "grad_norm.lm": f"Qwen_grad: {step.number('grad_norm.lm'):.2e}",
        "hard_cells.mask_ratio": f"Mask: {step.number('hard_cells.mask_ratio'):.3f}",
    }
    return " | ".join(part for name, part in parts.items() if not step.lacks(name))


def epoch_lines(epoch: forms.EpochEvent, validation: forms.ValidationEvent | None) -> list[str]:
    """Write the summary of an epoch as the seed does, with the validation at its end if there was one."""
    parts = {
        "reward.total": f"  Average RL Reward: {epoch.number('reward.total'):+.4f}",
        "": "",
        "grad_norm.lm": f"  LM Gradient Norm: {epoch.number('grad_norm.lm'):.2e}",
        "curriculum.size_weight": f"  Size Warmup Weight: {epoch.number('curriculum.size_weight'):.3f}",
        "memory.threshold": f"  Memory Threshold: {epoch.number('memory.threshold'):.4f}",
    }
    lines = [
        f"[Epoch {epoch.epoch} Summary]",
        f"  Average EFE Loss: {epoch.number('loss.efe_total'):.3f}",
        *(part for name, part in parts.items() if not epoch.lacks(name)),
        "",
    ]
    if validation is not None:
        lines += validation_lines(validation)
    return [*lines, f"  Time: {epoch.number('seconds'):.2f}s"]


def validation_lines(found: forms.ValidationEvent) -> list[str]:
    """Write the numbers of a validation beside the two baselines."""
    return [
        f"  Validation Accuracy: {found.exact / max(found.inputs, 1):.4f}"
        f" ({found.exact}/{found.inputs} correct)",
        f"  Tasks Solved: {found.count('tasks_solved')}/{found.count('tasks')}",
        f"  Cell Accuracy: {found.cell_accuracy:.4f}"
        f" (copy {found.number('copy_cell_accuracy'):.4f}, black {found.number('black_cell_accuracy'):.4f})",
        f"  Size Accuracy: {found.number('size_accuracy'):.4f}",
        f"  Accuracy Delta: {found.number('accuracy_delta'):+.4f}",
    ]


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


def entry_of(event: forms.Event) -> LogEntry | None:
    """Return the line that tells of an event, or None for steps and samples."""
    told = _told(event)
    if told is None:
        return None
    return LogEntry(event.seq, event.time, forms.kind_of(event), *told)


def _told(event: forms.Event) -> tuple[str, str] | None:
    match event:
        case forms.EpochEvent():
            return "text", epoch_line(event)
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
