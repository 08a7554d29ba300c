"""The seed's terms on trial: what each of them does to the default run's held-out log-loss.

    python -m benchmarks.trials run --file trials.jsonl --seeds 0,1 default
    python -m benchmarks.trials run --file trials.jsonl [VARIANT ...]
    python -m benchmarks.trials report --file trials.jsonl

Each variant is the preset `tiny` with one thing changed, trained afresh for a few epochs on the
demonstrations of tasks spread over the list, with the seed's first weights and the same batches for all. Then
it is scored on the tasks' test inputs, on which nothing is trained: the log-loss of the target's cells under
the last planning step at the target's own size (which only scores), mean over the cells and then over the
inputs; the share of these cells that are right; and exact answers, for which the size is not told.

A training is a line of the file. What is there is not trained again. The report pairs each variant with the
default over the same inputs and seeds; its last lines say how small a difference the file can tell.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from arc_core.base.environment import prepare

prepare()

import numpy as np
import torch
import torch.nn.functional as F

from arc_core.data.dataset import ARCDataset, Example
from arc_core.data.scoring import same_grid
from arc_core.data.tasks import Task, load_tasks
from arc_core.pipeline.batch import collate
from arc_core.pipeline.canvas_flow import canvas_flow
from arc_core.pipeline.config import PipelineConfig
from arc_core.pipeline.laying import Layouts
from arc_core.pipeline.padding import FEW_SIDES, GridBatch
from arc_core.pipeline.recipe import PipelineRecipe
from arc_core.pipeline.system import ArcSystem
from arc_core.pipeline.validation import predict_on_canvas
from arc_core.run.resolving import resolve
from arc_core.training.progress import Progress
from benchmarks.throughput import WHOLE_SEED
from benchmarks.trials_report import DEFAULT, column, read_trials, report

VARIANTS: dict[str, dict[str, object]] = {
    DEFAULT: {},
    "risk 1": {"lambda_risk": 1.0},
    "ambiguity 0.1": {"lambda_amb": 0.1},
    "step 0.1": {"lambda_step": 0.1},
    "bidirectional 0.5": {"lambda_bi": 0.5},
    "bidirectional 0.5, flipped": {"lambda_bi": 0.5, "backward": "flip"},
    "z-anchor 0.2": {"lambda_z": 0.2},
    "prompt 0.3": {"lambda_prompt": 0.3},
    "hard cells 4": {"hard_cell_gain": 4.0},
    "memory on": {"memory": True},
    "policy off": {"refine": False},
    "reward off": {"reward_weight": 0.0},
    "size warm-up off": {"size_warmup": False},
    "vector dropout 0": {"vector_dropout": 0.0},
    "vector dropout 0.3": {"vector_dropout": 0.3},
    "augmentation off": {"augment": False},
    "language model frozen": {"lm_train": "frozen"},
    "all of the seed": WHOLE_SEED,
}
"""What each variant changes."""

WARMUP_SHARE = 0.05
"""Of the steps: the default run's hundred would be much of a short run."""

SCORED_TOGETHER = 32


@dataclass(frozen=True)
class Size:
    """How much is trained.

    Attributes:
        tasks: How many, evenly spread over the list of those small enough.
        epochs: Passes over their demonstrations.
        max_cells: Of the largest grid of a task.
    """

    tasks: int
    epochs: int
    max_cells: int


def chosen_tasks(size: Size) -> list[Task]:
    """The tasks that all variants are trained on."""
    small = [task for task in load_tasks("arcagi2").tasks if _largest(task) <= size.max_cells]
    places = np.linspace(0, len(small), min(size.tasks, len(small)), endpoint=False).astype(int)
    return [small[place] for place in places]


def _largest(task: Task) -> int:
    grids = [grid for pair in (*task.train, *task.test) for grid in (pair.input, pair.output)]
    return max(grid.size for grid in grids if grid is not None)


def train(
    tasks: Sequence[Task], settings: dict[str, object], seed: int, epochs: int
) -> tuple[PipelineRecipe, float]:
    """Train the default run with some settings changed on the demonstrations of some tasks.

    Returns:
        The recipe with what it has trained, and the share of the cells right in the last epoch.
    """
    flags = {"device": "cpu", "threads": 1, "validate_on": "none", "seed": seed, "epochs": epochs} | settings
    config = cast("PipelineConfig", resolve(flags))
    recipe = PipelineRecipe(config, torch.device("cpu"), lambda finding: print(finding.text))
    recipe.load()
    whole = recipe.dataset
    recipe.dataset = ARCDataset(
        tasks=replace(whole.tasks, tasks=tuple(tasks)),
        augment=whole.augment,
        recolor=whole.recolor,
        seed=seed,
        max_context=whole.max_context,
    )
    torch.manual_seed(seed)
    recipe.models = recipe.build(None)
    plans = [recipe.plan_epoch(epoch) for epoch in range(epochs)]
    steps = sum(map(len, plans))
    warmup = math.ceil(WARMUP_SHARE * steps)
    recipe.models.schedule = replace(recipe.models.schedule, warmup_steps=warmup, total_steps=steps)
    at = Progress(config.checkpoint_every, recipe.declared())
    accuracies: list[float] = []
    for at.epoch, plan in enumerate(plans):
        accuracies.clear()
        for batch in plan:
            torch.manual_seed(seed * 1_000_000 + at.step)  # all variants leave out the same vectors
            accuracies.append(recipe.step(batch, at).numbers["accuracy"]["cell"])
            at.step += 1
    return recipe, float(np.mean(accuracies))


@torch.inference_mode()
def held_out_losses(
    system: ArcSystem, layouts: Layouts, examples: Sequence[Example]
) -> list[tuple[float, float]]:
    """For each test input the log-loss of the target's cells, and the share of them that are right.

    Plans are on the target's size: where the rules' size is the right one on the canvas that they lay.
    """
    found: list[tuple[float, float]] = []
    for first in range(0, len(examples), SCORED_TOGETHER):
        some = examples[first : first + SCORED_TOGETHER]
        grids = [example.target for example in some if example.target is not None]
        sizes = [(grid.shape[0], grid.shape[1]) for grid in grids]
        blind = [replace(example, target=None) for example in some]
        told = [
            None if layouts.known_size(example) == size else size
            for example, size in zip(blind, sizes, strict=True)
        ]
        canvas = layouts.lay(blind, told)
        logits = canvas_flow(system, collate(blind, FEW_SIDES, canvas)).planned.logits[:, -1].float()
        targets = GridBatch.pad(grids, FEW_SIDES).cells
        for scores, cells, (height, width) in zip(logits, targets, sizes, strict=True):
            scores, cells = scores[:height, :width].flatten(0, 1), cells[:height, :width].flatten()
            right = (scores.argmax(dim=-1) == cells).float().mean()
            found.append((F.cross_entropy(scores, cells).item(), right.item()))
    return found


def trial(tasks: Sequence[Task], settings: dict[str, object], seed: int, epochs: int) -> dict[str, Any]:
    """Train a variant and score it: seconds of the processor, and the score of each test input."""
    began, started = time.process_time(), time.perf_counter()
    recipe, trained = train(tasks, settings, seed, epochs)
    system, layouts = recipe.models.averaged(), recipe.layouts
    tests = ARCDataset(tasks=recipe.dataset.tasks, part="test", max_context=recipe.config.max_context)
    examples = sorted(tests, key=lambda example: example.input.size)
    losses = held_out_losses(system, layouts, examples)
    answers = predict_on_canvas(system, layouts, examples, SCORED_TOGETHER)
    inputs = {
        f"{example.task_id}/{example.pair_index}": {
            "loss": loss,
            "cells": cells,
            "exact": example.target is not None and same_grid(answer.after.numpy(), example.target),
        }
        for example, (loss, cells), answer in zip(examples, losses, answers, strict=True)
    }
    return {
        "trained_cells": trained,
        "cpu_seconds": time.process_time() - began,
        "seconds": time.perf_counter() - started,
        "inputs": inputs,
    }


def arguments() -> argparse.Namespace:
    """What stands on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=("run", "report"))
    parser.add_argument("--file", type=Path, required=True, help="where results are kept and looked for")
    parser.add_argument("--tasks", type=int, default=220)
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--max-cells", type=int, default=256, help="of the largest grid of a task")
    parser.add_argument("--seeds", default="0", help="such as 0,1")
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=", ".join(VARIANTS))
    given = parser.parse_intermixed_args()
    if unknown := set(given.variants) - set(VARIANTS):
        parser.error(f"there is no variant {min(unknown)}: choose among {', '.join(VARIANTS)}")
    return given


def main() -> None:
    """Train what is asked for and not there yet, or print the report."""
    given = arguments()
    size = Size(given.tasks, given.epochs, given.max_cells)
    known = read_trials(given.file, vars(size))
    if given.action == "report":
        if DEFAULT not in known:
            raise SystemExit(f"{given.file} has no training of the default of {vars(size)}.")
        print(report({name: known[name] for name in VARIANTS if name in known}))
        return
    torch.set_num_threads(1)
    tasks = chosen_tasks(size)
    for seed in map(int, given.seeds.split(",")):
        for name in given.variants or VARIANTS:
            if seed in known.get(name, {}):
                continue
            result = trial(tasks, VARIANTS[name], seed, size.epochs)
            with given.file.open("a") as file:
                file.write(json.dumps({"variant": name, "seed": seed, "size": vars(size), **result}) + "\n")
            loss, cells, exact = (column(result["inputs"], part) for part in ("loss", "cells", "exact"))
            print(
                f"{name}, seed {seed}: log-loss {loss.mean():.4f}, cells {cells.mean():.1%}, exact "
                f"{exact.sum():.0f} of {len(exact)}, trained cells {result['trained_cells']:.1%}, "
                f"{result['cpu_seconds']:.0f} s of the processor",
                flush=True,
            )


if __name__ == "__main__":
    main()
