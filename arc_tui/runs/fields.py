"""The lines of a headless run, in the seed's form: pure functions from events to text."""

from __future__ import annotations

import math
from typing import cast

from arc_core.base.text import printable
from arc_core.run.event_forms import Event, lacks

NOT_PART = "not part of this recipe"
"""Stands for a number that a run of this recipe does not have."""


def number(event: Event, dotted: str) -> float:
    """Return a number of an event by its dotted name; NaN where it is null or missing."""
    value: object = event
    for part in dotted.split("."):
        value = cast("dict[str, object]", value).get(part) if isinstance(value, dict) else None
    try:
        return float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:  # a damaged log may hold an integer of any length
        return math.nan


def whole(event: Event, dotted: str) -> int:
    """Return a count of an event by its dotted name; 0 where it is missing."""
    value = number(event, dotted)
    return int(value) if math.isfinite(value) else 0


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


def text(event: Event, name: str) -> str:
    """Return a text field of an event, safe to print."""
    return printable(str(event.get(name, "")), 2000)


def size(count: float) -> str:
    """Write a number of bytes in the unit that fits."""
    if not math.isfinite(count):
        return "size unknown"
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """Write a time span as h:mm:ss; `-:--:--` when it is not known."""
    if not math.isfinite(seconds):
        return "-:--:--"
    total = max(0, round(seconds))
    return f"{total // 3600}:{total // 60 % 60:02d}:{total % 60:02d}"
