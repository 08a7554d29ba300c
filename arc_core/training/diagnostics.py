"""Warnings with advice, and those that any recipe may have to give."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

OUT_OF_MEMORY_ADVICE = (
    "Take a smaller batch (--batch-size), try the first batches alone (--max-batches 100), or a smaller "
    "language model (--lm tiny, --lm-train frozen)."
)


@dataclass(frozen=True)
class Finding:
    """Something that looks wrong.

    Attributes:
        code: Stable name.
        message: What was seen, with figures.
        advice: What to do about it.
    """

    code: str
    message: str
    advice: str


def skipped_step(step: int, loss: Mapping[str, float], grad_norm: Mapping[str, float]) -> Finding:
    """The warning for a 1-based step that was not taken, with its loss's terms and its gradients' norms."""
    wrong = [name for part in (loss, grad_norm) for name, value in part.items() if not math.isfinite(value)]
    return Finding(
        "nonfinite",
        f"Step {step} was skipped: not finite in {', '.join(wrong) or 'the gradient'}.",
        "One after a lowered AMP scale is normal; if it goes on, lower agent_lr and qwen_lr.",
    )


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch failed for want of memory, on a GPU or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def out_of_memory(step: int, batch_size: int, lm: str | None) -> Finding:
    """The warning for a 1-based step that found no memory; `lm` is None where there is none."""
    model = "" if lm is None else f" and lm {lm}"
    return Finding(
        "out_of_memory",
        f"Out of memory in step {step} with batch_size {batch_size}{model}.",
        OUT_OF_MEMORY_ADVICE,
    )
