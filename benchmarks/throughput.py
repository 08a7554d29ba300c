"""Pairs per second of our step beside the seed's step written naively, in one process on the same pairs.

    python -m benchmarks.throughput [--pairs 240] [--batch-sizes 1,8,32] [--rounds 3]

The last two rows are the default run's whole step, with what it has on and with every part of the seed on.

Machines are shared and noisy, so what counts is the ratio: both are timed in turns, each on pairs that it
has seen once before (a convolution compiles a kernel for each new grid size), and the median round counts.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

from arc_core.base.environment import prepare

prepare()

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from arc_core.data.dataset import ARCDataset, cut_by_size, plan_batches
from arc_core.pipeline.batch import Batch, collate
from arc_core.pipeline.config import PipelineConfig
from arc_core.pipeline.padding import FEW_SIDES
from arc_core.pipeline.recipe import PipelineRecipe
from arc_core.pipeline.step import training_step
from arc_core.pipeline.system import ArcSystem
from arc_core.run.resolving import resolve
from arc_core.training.preflight import choose_device
from arc_core.training.progress import Progress
from benchmarks.naive import naive_step, naive_system

MATRIX_SIDE = 2048

WHOLE_BATCH = 32
"""The pairs are those of whole batches of the default run: a sparse sample has fewer of like sizes."""


class OperationCounter(TorchDispatchMode):
    """Counts the floating-point operations of products and convolutions, forward and backward."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count it by torch's own table."""
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=result)
        return result


def matrix_rate(dtype: torch.dtype) -> float:
    """FLOP/s of this machine's matrix product."""
    a = torch.randn(MATRIX_SIDE, MATRIX_SIDE, dtype=dtype)
    b = torch.randn(MATRIX_SIDE, MATRIX_SIDE, dtype=dtype)
    a @ b
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - began)
    return 2 * MATRIX_SIDE**3 / statistics.median(seconds)


def batches_of(dataset: ARCDataset, indices: list[int], size: int) -> list[Batch]:
    """The chosen pairs in batches of like-sized ones."""
    cut = cut_by_size(np.array(indices), dataset.shapes(), size)
    return [collate([dataset[index] for index in batch], FEW_SIDES) for batch in cut]


WHOLE_SEED: dict[str, object] = {
    **{"lambda_risk": 1.0, "lambda_step": 0.1, "lambda_bi": 0.5, "lambda_z": 0.2, "lambda_prompt": 0.3},
    **{"memory": True, "hard_cell_gain": 4.0},
}
"""What turns on in the default run every term, fix and part of the seed."""


def built(**settings: object) -> PipelineRecipe:
    """A recipe with data and fresh models; the preset `tiny` on the CPU unless the settings say otherwise."""
    config = resolve({"device": "cpu"} | settings)
    recipe = PipelineRecipe(config, choose_device(config.device), lambda finding: None)
    recipe.load()
    recipe.models = recipe.build(None)
    return recipe


def runner(recipe: PipelineRecipe, indices: Iterable[int], size: int) -> Callable[[], None]:
    """Steps on the chosen pairs in batches of like sizes, from the grids on: laid out, padded, trained on."""
    batches = cut_by_size(np.array([*indices]), recipe.dataset.shapes(), size)
    at = Progress(recipe.config.checkpoint_every, recipe.declared())

    def run() -> None:
        for batch in batches:
            recipe.step(batch, at)

    return run


def default_run(indices: list[int], **settings: object) -> Callable[[], None]:
    """Steps of the preset `tiny` on the chosen pairs."""
    recipe = built(**settings)
    return runner(recipe, indices, recipe.config.batch_size)


def timed(run: Callable[[], None]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=240)
    parser.add_argument("--batch-sizes", default="1,8,32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dataset = ARCDataset(augment=True)
    planned = plan_batches(dataset, WHOLE_BATCH, seed=42, epoch=0)[: max(1, arguments.pairs // WHOLE_BATCH)]
    indices = [index for batch in planned for index in batch]
    cells = sum(dataset[i].input.size for i in indices) / len(indices)
    rates = {"float32": matrix_rate(torch.float32), "bfloat16": matrix_rate(torch.bfloat16)}
    print(f"{len(indices)} pairs, {cells:.0f} input cells on average, {arguments.threads} threads")
    print("matrix product: " + ", ".join(f"{rate / 1e9:.0f} GFLOP/s {name}" for name, rate in rates.items()))

    runs: dict[str, tuple[Callable[[], None], str]] = {}
    singles = batches_of(dataset, indices, 1)
    naive = naive_system()

    def run_naively() -> None:
        for batch in singles:
            naive_step(naive, batch)

    runs["naive, batch 1, float32"] = (run_naively, "float32")
    for name, amp in (("float32", "off"), ("bfloat16", "bfloat16")):
        for size in map(int, arguments.batch_sizes.split(",")):
            system = ArcSystem(PipelineConfig(amp=amp, batch_size=size), torch.device("cpu"))
            batches = batches_of(dataset, indices, size)

            def run(system: ArcSystem = system, batches: list[Batch] = batches) -> None:
                for step, batch in enumerate(batches):
                    training_step(system, batch, epoch=0, step=step + 1)

            runs[f"ours, batch {size}, {name}"] = (run, name)

    runs["default run, batch 32"] = (default_run(indices), "bfloat16")
    runs["default run, all of the seed"] = (default_run(indices, **WHOLE_SEED), "bfloat16")

    operations: dict[str, float] = {}
    for label, (run, _) in runs.items():
        with OperationCounter() as counter:  # also the first, untimed look at every size
            run()
        operations[label] = counter.total / len(indices)
    seconds: dict[str, list[float]] = {label: [] for label in runs}
    for _ in range(arguments.rounds):
        for label, (run, _) in runs.items():
            seconds[label].append(timed(run))

    base = statistics.median(seconds["naive, batch 1, float32"])
    print(f"{'':30}{'pairs/s':>9}{'ratio':>8}{'GFLOP/pair':>12}{'GFLOP/s':>9}{'of matrix rate':>16}")
    for label, (_, dtype) in runs.items():
        median = statistics.median(seconds[label])
        rate = len(indices) / median
        achieved = rate * operations[label]
        print(
            f"{label:30}{rate:9.1f}{base / median:8.2f}{operations[label] / 1e9:12.2f}"
            f"{achieved / 1e9:9.0f}{achieved / rates[dtype]:16.0%}"
        )


if __name__ == "__main__":
    main()
