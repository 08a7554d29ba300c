"""Operations that a training step asks of torch: on a GPU each is a launch, whatever it computes.

    python -m benchmarks.operations [--batch-sizes 1,8]

Views are left out, as they compute nothing. Steps of the presets `tiny` (the default run) and `seed`, both
with the language model `tiny`, on the first batches of an epoch; the very first step is left out.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from arc_core.training.progress import Progress
from benchmarks.throughput import built

STEPS = 4


class StepCounter(TorchDispatchMode):
    """Counts operations that are no views."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do an operation."""
        del types
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


def operations(preset: str, batch_size: int) -> float:
    """The median of a few steps."""
    recipe = built(preset=preset, lm="tiny", batch_size=batch_size)
    at = Progress(recipe.config.checkpoint_every, recipe.declared())
    counts: list[int] = []
    for batch in recipe.plan_epoch(0)[: 1 + STEPS]:
        with StepCounter() as counter:
            recipe.step(batch, at)
        counts.append(counter.count)
        at.step += 1
    return statistics.median(counts[1:])


def main() -> None:
    """Print a line for each preset and batch size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-sizes", default="1,8")
    for size in map(int, parser.parse_args().batch_sizes.split(",")):
        for preset in ("tiny", "seed"):
            print(f"preset {preset}, batch {size}: {operations(preset, size):,.0f} operations a step")


if __name__ == "__main__":
    main()
