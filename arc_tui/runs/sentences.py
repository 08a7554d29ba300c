"""What an event means in words; log, marks, headless lines and answers to commands say it from here."""

from __future__ import annotations

from typing import cast

from arc_core.base.text import printable
from arc_core.run.event_forms import Event, lacks
from arc_tui.runs.fields import duration, number, size, text, whole


def sentence(event: Event, step: str) -> str | None:
    """Say what an event tells of a run's life; None for an event that tells nothing of it.

    Args:
        event: The event.
        step: Its step as the reader is to see it.
    """
    match event["type"]:
        case "run_started":
            return "Training started"
        case "resumed":
            return f"Resumed at step {step}{origin(event)}"
        case "paused":
            return f"Paused at step {step}"
        case "unpaused":
            return f"Going on at step {step}"
        case "command_rejected":
            return f"Command rejected: {text(event, 'reason')}"
        case "run_finished":
            return f"Finished: {text(event, 'reason')}"
        case _:
            return None


def origin(resumed: Event) -> str:
    """Say from which checkpoint a run was resumed; nothing where it was none."""
    return "" if resumed.get("checkpoint") is None else f" from checkpoint {whole(resumed, 'checkpoint'):05d}"


def warning_line(warning: Event) -> str:
    """Write a warning with its advice."""
    advice = text(warning, "advice")
    return text(warning, "message") + (f" Advice: {advice}" if advice else "")


def epoch_line(event: Event) -> str:
    """Write an epoch in one line."""
    return (
        f"Epoch {whole(event, 'epoch')}: loss {number(event, 'loss.combined'):.3f}"
        f", EFE {number(event, 'loss.efe_total'):.3f}, reward {number(event, 'reward.total'):+.4f}"
        f", cells {number(event, 'accuracy.cell'):.4f}, {duration(number(event, 'seconds'))}"
    )


def validation_line(event: Event) -> str:
    """Write a validation beside the two baselines in one line."""
    return (
        f"Validation at step {whole(event, 'step'):,}: {exact_share(event)}"
        f", cells {number(event, 'cell_accuracy'):.4f}"
        f" (copy {number(event, 'copy_cell_accuracy'):.4f}, black {number(event, 'black_cell_accuracy'):.4f})"
    )


def exact_share(validation: Event) -> str:
    """Write how many of a validation's inputs are right in every cell."""
    return f"{whole(validation, 'exact')}/{whole(validation, 'inputs')} exact"


def batch_line(step: Event) -> str:
    """Write a step as the seed does: `[Batch   50] EFE_Loss: 3.456 | d_acc: +0.050 | ...`."""
    parts = {
        "": f"[Batch {whole(step, 'batch') + 1:4d}] EFE_Loss: {number(step, 'loss.efe_total'):.3f}",
        "reward.d_acc": f"d_acc: {number(step, 'reward.d_acc'):+.3f}",
        "grad_norm.lm": f"Qwen_grad: {number(step, 'grad_norm.lm'):.2e}",
        "hard_cells.mask_ratio": f"Mask: {number(step, 'hard_cells.mask_ratio'):.3f}",
    }
    return " | ".join(part for name, part in parts.items() if not lacks(step, name))


def epoch_lines(epoch: Event, validation: Event | None) -> list[str]:
    """Write the summary of an epoch as the seed does, with the validation at its end if there was one."""
    parts = {
        "reward.total": f"  Average RL Reward: {number(epoch, 'reward.total'):+.4f}",
        "": "",
        "grad_norm.lm": f"  LM Gradient Norm: {number(epoch, 'grad_norm.lm'):.2e}",
        "curriculum.size_weight": f"  Size Warmup Weight: {number(epoch, 'curriculum.size_weight'):.3f}",
        "memory.threshold": f"  Memory Threshold: {number(epoch, 'memory.threshold'):.4f}",
    }
    lines = [
        f"[Epoch {whole(epoch, 'epoch')} Summary]",
        f"  Average EFE Loss: {number(epoch, 'loss.efe_total'):.3f}",
        *(part for name, part in parts.items() if not lacks(epoch, name)),
        "",
    ]
    if validation is not None:
        lines += validation_lines(validation)
    return [*lines, f"  Time: {number(epoch, 'seconds'):.2f}s"]


def validation_lines(validation: Event) -> list[str]:
    """Write the numbers of a validation beside the two baselines."""
    exact, inputs = whole(validation, "exact"), whole(validation, "inputs")
    return [
        f"  Validation Accuracy: {exact / max(inputs, 1):.4f} ({exact}/{inputs} correct)",
        f"  Tasks Solved: {whole(validation, 'tasks_solved')}/{whole(validation, 'tasks')}",
        f"  Cell Accuracy: {number(validation, 'cell_accuracy'):.4f}"
        f" (copy {number(validation, 'copy_cell_accuracy'):.4f},"
        f" black {number(validation, 'black_cell_accuracy'):.4f})",
        f"  Size Accuracy: {number(validation, 'size_accuracy'):.4f}",
        f"  Accuracy Delta: {number(validation, 'accuracy_delta'):+.4f}",
    ]


def checkpoint_line(checkpoint: Event) -> str:
    """Write what became of a checkpoint."""
    name = f"Checkpoint {whole(checkpoint, 'id'):05d}"
    if checkpoint.get("phase") == "failed":
        return f"{name} failed: {text(checkpoint, 'reason')}"
    cost = f"{size(number(checkpoint, 'bytes'))}, {number(checkpoint, 'seconds'):.2f} s"
    return f"{name} {text(checkpoint, 'phase')} at step {whole(checkpoint, 'step')} ({cost})"


def applied_lines(event: Event) -> list[str]:
    """Write the answer to a command; one line for each setting that it changed."""
    old, new = event.get("old"), event.get("new")
    if not isinstance(new, dict):
        return [f"Command {text(event, 'command')} applied"]
    before = cast("dict[str, object]", old) if isinstance(old, dict) else {}
    return [
        printable(f"{name}: {before.get(name, 'unknown')} is now {value}", 500)
        for name, value in cast("dict[str, object]", new).items()
    ]


def change_text(event: Event) -> str:
    """Write what a `set` changed: `agent_lr 0.0001 → 5e-05`."""
    old, new = event.get("old"), event.get("new")
    before = cast("dict[str, object]", old) if isinstance(old, dict) else {}
    after = cast("dict[str, object]", new) if isinstance(new, dict) else {}
    changes = [f"{name} {_value(before.get(name))} → {_value(value)}" for name, value in after.items()]
    return printable(", ".join(changes) or "set", 2000)


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
