"""What an event means in words; log, marks, headless lines and answers to commands say it from here."""

from __future__ import annotations

import math

from arc_core.base.text import printable
from arc_core.run.event_forms import (
    CheckpointEvent,
    CommandAppliedEvent,
    CommandRejectedEvent,
    EpochEvent,
    Event,
    PausedEvent,
    ResumedEvent,
    RunFinishedEvent,
    RunStartedEvent,
    StepEvent,
    UnknownEvent,
    UnpausedEvent,
    ValidationEvent,
    WarningEvent,
)
from arc_tui.runs.fields import duration, size


def sentence(event: Event, form: str = "") -> str | None:
    """Say what an event tells of a run's life; None for an event that tells nothing of it.

    Args:
        event: The event.
        form: How its step is written: `,` sets off the thousands.
    """
    match event:
        case RunStartedEvent():
            return "Training started"
        case ResumedEvent():
            return f"Resumed at step {event.step:{form}}{origin(event)}"
        case PausedEvent():
            return f"Paused at step {event.step:{form}}"
        case UnpausedEvent():
            return going_on(event, form)
        case CommandRejectedEvent():
            return f"Command rejected: {event.reason}"
        case RunFinishedEvent():
            return f"Finished: {event.reason}"
        case UnknownEvent():
            return f"Event of unknown kind: {event.kind}"
        case _:
            return None


def going_on(event: UnpausedEvent | StepEvent, form: str = "") -> str:
    """Say that a run that stood still trains on."""
    return f"Going on at step {event.step:{form}}"


def origin(resumed: ResumedEvent) -> str:
    """Say from which checkpoint a run was resumed; nothing where it was none."""
    return "" if resumed.checkpoint is None else f" from checkpoint {resumed.checkpoint:05d}"


def warning_line(warning: WarningEvent) -> str:
    """Write a warning with its advice."""
    return warning.message + (f" Advice: {warning.advice}" if warning.advice else "")


def epoch_line(epoch: EpochEvent) -> str:
    """Write an epoch in one line."""
    return (
        f"Epoch {epoch.epoch}: loss {epoch.number('loss.combined'):.3f}"
        f", EFE {epoch.number('loss.efe_total'):.3f}, reward {epoch.number('reward.total'):+.4f}"
        f", cells {epoch.number('accuracy.cell'):.4f}, {duration(epoch.number('seconds'))}"
    )


def validation_line(found: ValidationEvent) -> str:
    """Write a validation beside the two baselines in one line."""
    return (
        f"Validation at step {found.step:,}: {exact_share(found)}, cells {found.cell_accuracy:.4f}"
        f" (copy {found.copy_cell_accuracy:.4f}, black {found.black_cell_accuracy:.4f})"
    )


def exact_share(validation: ValidationEvent) -> str:
    """Write how many of a validation's inputs are right in every cell."""
    return f"{validation.exact}/{validation.inputs} exact"


def batch_line(step: StepEvent) -> str:
    """Write a step as the seed does: `[Batch   50] EFE_Loss: 3.456 | d_acc: +0.050 | ...`."""
    parts = {
        "": f"[Batch {step.batch + 1:4d}] EFE_Loss: {step.number('loss.efe_total'):.3f}",
        "reward.d_acc": f"d_acc: {step.number('reward.d_acc'):+.3f}",
        "grad_norm.lm": f"Qwen_grad: {step.number('grad_norm.lm'):.2e}",
        "hard_cells.mask_ratio": f"Mask: {step.number('hard_cells.mask_ratio'):.3f}",
    }
    return " | ".join(part for name, part in parts.items() if not step.lacks(name))


def epoch_lines(epoch: EpochEvent, validation: ValidationEvent | None) -> list[str]:
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


def validation_lines(found: ValidationEvent) -> list[str]:
    """Write the numbers of a validation beside the two baselines."""
    return [
        f"  Validation Accuracy: {found.exact / max(found.inputs, 1):.4f}"
        f" ({found.exact}/{found.inputs} correct)",
        f"  Tasks Solved: {found.tasks_solved}/{found.tasks}",
        f"  Cell Accuracy: {found.cell_accuracy:.4f}"
        f" (copy {found.copy_cell_accuracy:.4f}, black {found.black_cell_accuracy:.4f})",
        f"  Size Accuracy: {found.size_accuracy:.4f}",
        f"  Accuracy Delta: {found.accuracy_delta:+.4f}",
    ]


def checkpoint_line(checkpoint: CheckpointEvent) -> str:
    """Write what became of a checkpoint."""
    name = f"Checkpoint {checkpoint.id:05d}"
    if checkpoint.phase == "failed":
        return f"{name} failed: {checkpoint.reason}"
    weight = size(math.nan if checkpoint.bytes is None else checkpoint.bytes)
    return f"{name} {checkpoint.phase} at step {checkpoint.step} ({weight}, {checkpoint.seconds:.2f} s)"


def applied_lines(event: CommandAppliedEvent) -> list[str]:
    """Write the answer to a command; one line for each setting that it changed."""
    if event.new is None:
        return [f"Command {event.command} applied"]
    before = event.old or {}
    return [
        printable(f"{name}: {before.get(name, 'unknown')} is now {value}", 500)
        for name, value in event.new.items()
    ]


def change_text(event: CommandAppliedEvent) -> str:
    """Write what a `set` changed: `agent_lr 0.0001 → 5e-05`."""
    before, after = event.old or {}, event.new or {}
    changes = [f"{name} {_value(before.get(name))} → {_value(value)}" for name, value in after.items()]
    return printable(", ".join(changes) or "set", 2000)


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
