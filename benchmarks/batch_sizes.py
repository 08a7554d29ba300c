"""Pairs per second and peak memory of a preset of the pipeline by batch size, as lines of JSON.

    python -m benchmarks.batch_sizes PRESET [--device cuda] [--seconds 30] [--steps 16] [--set KEY=VALUE ...]

The preset's own batch size is doubled until that brings less than 5%, or until memory, pairs or seconds are
at their end. Each size is timed on pairs that it has seen once before. On the CPU the memory is the most that
the process ever had.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Iterator

from arc_core.base.environment import prepare

prepare()

import torch

from arc_core.base.errors import ArcError, LanguageModelError
from arc_core.pipeline.recipe import PipelineRecipe
from arc_core.training.diagnostics import is_out_of_memory
from benchmarks.throughput import built, runner

GROWTH = 1.05
"""By what factor a rate must grow for the next size to be tried."""

TWICE = 2.5
"""How many times as long a size may take as the half of it."""


def build(settings: dict[str, object]) -> PipelineRecipe:
    """The recipe; its language model is a small random one where the preset's cannot be had."""
    try:
        return built(**settings)
    except LanguageModelError:
        return built(**settings | {"lm": "tiny"})


def peak_memory(device: torch.device) -> int:
    """Bytes: of tensors since the last reset on a GPU, of the whole process so far on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(recipe: PipelineRecipe, size: int, steps: int) -> dict[str, float]:
    """What a batch size takes, on as many pairs as it needs for its steps, from the whole data set."""
    device, pairs = recipe.device, len(recipe.dataset)
    indices = range(0, pairs, max(1, pairs // (steps * size)))[: steps * size]
    run = runner(recipe, indices, size)
    wait = (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else lambda: None
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    run()
    wait()
    began = time.perf_counter()
    run()
    wait()
    seconds = time.perf_counter() - began
    return {"pairs_per_second": len(indices) / seconds, "memory_gb": peak_memory(device) / 1e9}


def search(recipe: PipelineRecipe, steps: int, until: float) -> Iterator[dict[str, object]]:
    """Yield what each batch size takes, and at last why there is no further one."""
    size, best, took = recipe.config.batch_size, 0.0, 0.0
    while size <= len(recipe.dataset):
        began = time.monotonic()
        if took and began + TWICE * took > until:
            yield {"ended": f"no time for batches of {size}"}
            return
        try:
            found = measure(recipe, size, steps)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            yield {"ended": f"no memory for batches of {size}"}
            return
        took = time.monotonic() - began
        yield {"batch_size": size, **found}
        if recipe.config.compile:
            yield {"ended": f"compiled for batches of {size} alone"}
            return
        if found["pairs_per_second"] < GROWTH * best:
            yield {"ended": f"batches of {size} bring less than 5%"}
            return
        size, best = 2 * size, found["pairs_per_second"]
    yield {"ended": f"there are {len(recipe.dataset)} pairs"}


def main() -> int:
    """Print the lines; 2 and a sentence on standard error where something is refused."""
    parser = argparse.ArgumentParser()
    parser.add_argument("preset")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    until = time.monotonic() + given.seconds
    settings: dict[str, object] = dict(assignment.split("=", 1) for assignment in given.set)
    settings |= {"preset": given.preset, "device": given.device, "validate_on": "none"}
    try:
        recipe = build(settings)
    except ArcError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 2
    precision = recipe.models.precision.dtype_name
    print(json.dumps({"language_model": recipe.config.lm, "precision": precision}), flush=True)
    for line in search(recipe, given.steps, until):
        print(json.dumps(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
