"""Warnings with advice, and those that any recipe may have to give."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch


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


def skipped_step(step: int, numbers: Mapping[str, Mapping[str, object]]) -> Finding:
    """The warning for a 1-based step that was not taken, with the groups of numbers that it told."""
    wrong = [
        name
        for group in numbers.values()
        for name, value in group.items()
        if isinstance(value, float) and not math.isfinite(value)
    ]
    named = ", ".join(dict.fromkeys(wrong)) or "the gradient"
    return Finding(
        "nonfinite",
        f"Step {step} was skipped: not finite in {named}.",
        "One after a lowered AMP scale is normal; if it goes on, lower the learning rate.",
    )


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch failed for want of memory, on a GPU or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def out_of_memory(step: int, batch_size: int, claims: Mapping[str, str], advice: str) -> Finding:
    """The warning for a 1-based step that found no memory, with what the run claims of itself."""
    models = "".join(f" and {name} {value}" for name, value in claims.items())
    return Finding(
        "out_of_memory", f"Out of memory in step {step} with batch_size {batch_size}{models}.", advice
    )
