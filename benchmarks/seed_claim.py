"""The seed's own figure, with its leak and without: exact answers to the training tasks' test inputs.

    python -m benchmarks.seed_claim RUN_OR_CHECKPOINT [--inputs N]

The seed's validation resizes a prediction to the target's size before it compares them, and makes the prompt
of the validated pair itself, output included. The run was trained without either; its answers are scored

    honest                 at the size that its own head predicts, from the demonstrations alone
    true size              the last step's plan laid onto the target's size
    true size and prompt   that, with the pair itself, output included, as the prompt's one demonstration

The outputs of the test inputs were never trained on, but the tasks' demonstrations were.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "30000")

import numpy as np
import torch

from arc_core.data.dataset import ARCDataset, Example
from arc_core.data.grids import Grid
from arc_core.data.scoring import Share, cell_accuracy, same_grid
from arc_core.data.tasks import Pair, load_tasks
from arc_core.evaluation.pipeline import Pipeline
from arc_core.evaluation.pipeline_start import find_run_checkpoint, settle, solving_config
from arc_core.pipeline.batch import collate
from arc_core.pipeline.system import ArcSystem
from arc_core.pipeline.validation import choose_inputs, predict

BATCH = 8


@torch.inference_mode()
def at_true_sizes(system: ArcSystem, examples: Sequence[Example]) -> list[Grid]:
    """Answers laid onto the targets' sizes, as the seed's step 6 does."""
    answers: list[Grid] = []
    for start in range(0, len(examples), BATCH):
        batch = collate(examples[start : start + BATCH])
        targets = batch.targets
        assert targets is not None
        flow = system.flow(batch, explore=False)
        logits = flow.after.on(batch.inputs, targets.sizes, targets.canvas, slice(-1, None))[:, 0]
        colors = logits.argmax(dim=-1).to(torch.int8).numpy()
        answers += [grid[:h, :w] for grid, (h, w) in zip(colors, targets.sizes.tolist(), strict=True)]
    return answers


def with_itself_as_context(example: Example) -> Example:
    """The example shown with its own pair, output included, as its one demonstration."""
    return replace(example, context=(Pair(example.input, example.target),))


def line(name: str, answers: Sequence[Grid], targets: Sequence[Grid]) -> str:
    """Share of exact answers with its interval, and of right cells and sizes."""
    pairs = list(zip(answers, targets, strict=True))
    exact = Share(sum(same_grid(*pair) for pair in pairs), len(pairs))
    sizes = Share(sum(answer.shape == target.shape for answer, target in pairs), len(pairs))
    cells = float(np.mean([cell_accuracy(*pair) for pair in pairs]))
    low, high = exact.interval
    return (
        f"{name:22} exact {exact.count}/{exact.total} = {exact.value:.2%} ({low:.2%} to {high:.2%})  "
        f"cells {cells:.1%}  sizes {sizes.value:.1%}"
    )


def main() -> None:
    """Answer the same inputs in the three ways and print a line for each, then one for copying the input."""
    parser = argparse.ArgumentParser()
    parser.add_argument("weights")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument(
        "--inputs", type=int, help="so many inputs of whole tasks, always the same; all if left out"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    start = find_run_checkpoint(given.weights, given.runs_dir)
    config = solving_config(settle(start, None, {}), 0)
    system = Pipeline(config, checkpoint=start.path).fresh_system()
    tasks = load_tasks(start.config.dataset, "training", solutions=start.config.solutions)
    every = list(ARCDataset(tasks=tasks, part="test", max_context=config.max_context))
    examples = sorted(choose_inputs(every, given.inputs), key=lambda example: example.input.size)
    targets = [example.target for example in examples if example.target is not None]
    honest = [answer.after.numpy() for answer in predict(system, examples, BATCH)]
    print(f"{start.path.parent.parent.name}, {start.path.name}: {len(examples)} test inputs", flush=True)
    print(line("honest", honest, targets), flush=True)
    print(line("true size", at_true_sizes(system, examples), targets), flush=True)
    leaking = [with_itself_as_context(example) for example in examples]
    print(line("true size and prompt", at_true_sizes(system, leaking), targets), flush=True)
    print(line("copy of the input", [example.input for example in examples], targets))


if __name__ == "__main__":
    main()
