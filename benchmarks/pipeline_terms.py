"""What each term and fix of the seed's pipeline brings, on fixed held-out tasks at equal CPU seconds.

    python -m benchmarks.pipeline_terms --tasks 12 --seconds 12 --file terms.jsonl [VARIANT ...]

Every variant switches one thing off, or the bidirectional term from its backward planner to the seed's flip;
none named means all. For each task: the log-loss of the test outputs' cells under the last planning step laid
onto the true size (which only scores: what is predicted is predicted without it), that of the size, and
whether an attempt is right. Variants take turns on each task; differences to the first one are paired, with
their standard error. A line a result is appended to the file, and what is in it is not run again. On a busy
machine a budget buys uncertain numbers of steps: `--steps` gives all variants the same number instead.

`step off` is a check: a constant has no gradient, so its answers differ only where it is given other steps.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "30000")

import numpy as np
import torch
import torch.nn.functional as F

from arc_core.data.scoring import same_grid
from arc_core.data.seen import held_out, refuse_seen
from arc_core.data.tasks import Task, load_tasks
from arc_core.evaluation.pace import measure_pipeline_pace, pipeline_steps
from arc_core.evaluation.pipeline import Pipeline, PipelineSolver
from arc_core.evaluation.pipeline_start import find_run_checkpoint, settle, solving_config
from arc_core.pipeline.batch import collate
from arc_core.pipeline.loss import cell_mean, size_term
from arc_core.pipeline.padding import GridBatch
from arc_core.solver.voting import choose

VARIANTS: dict[str, dict[str, object]] = {
    "all on": {},
    "risk off": {"lambda_risk": 0.0},
    "step off": {"lambda_step": 0.0},
    "bidirectional flip": {"backward": "flip"},
    "bidirectional off": {"backward": "flip", "lambda_bi": 0.0},
    "z-anchor off": {"lambda_z": 0.0},
    "prompt off": {"lambda_prompt": 0.0},
    "hard cells off": {"hard_cell_gain": 0.0},
    "warm-up off": {"size_warmup": False},
    "memory off": {"memory": False},
    "refinement off": {"refine": False},
    "reward off": {"reward_weight": 0.0},
}
"""What each differs in from the preset. Without a weight the backward planner is not run either."""


def held_out_loss(solver: PipelineSolver, task: Task) -> tuple[float, float]:
    """Log-loss of the test outputs: of their cells, laid onto the true size, and of their sizes."""
    targets = GridBatch.pad([pair.output for pair in task.test if pair.output is not None])
    batch = collate(solver.queries)
    with torch.inference_mode():
        after = solver.system.flow(batch, explore=False).after
        logits = after.on(batch.inputs, targets.sizes, targets.canvas, slice(-1, None))[:, 0]
        cells = F.cross_entropy(logits.movedim(-1, 1), targets.cells, reduction="none")
        sizes = size_term(after.output.size_logits, targets.sizes)
    return cell_mean(cells, targets.mask).mean().item(), sizes.mean().item()


def run(task: Task, pipeline: Pipeline, seed: int, budget: Callable[[PipelineSolver], int]) -> dict[str, Any]:
    """Adapt to a task for as many steps as its budget gives, and score what comes of it."""
    began = time.process_time()
    solver = PipelineSolver(task, pipeline, seed)
    steps = budget(solver)
    solver.adapt(steps)
    attempts = [choose(ballots).attempts for ballots in solver.ballots(solver.queries)]
    fit = all(solver.look(steps, 0.0).exact)
    spent = time.process_time() - began
    cells, size = held_out_loss(solver, task)
    targets = [pair.output for pair in task.test if pair.output is not None]
    solved = all(
        any(same_grid(grid, target) for grid in both) for both, target in zip(attempts, targets, strict=True)
    )
    sized = all(both[0].shape == target.shape for both, target in zip(attempts, targets, strict=True))
    return {
        "loss": cells, "size_loss": size, "solved": solved, "sized": sized, "fit": fit, "steps": steps,
        "seconds": spent,
    }  # fmt: skip


def table(results: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Print a line for each variant, over the tasks that all of them have been run on."""
    common = sorted(set.intersection(*(set(rows) for rows in results.values())))
    if not common:
        print("No task has been run with every variant yet.")
        return

    def column(name: str, variant: str) -> np.ndarray:
        return np.array([float(results[variant][task][name]) for task in common])

    first = next(iter(results))
    for variant in results:
        texts = []
        for name, shown in (("loss", "log-loss"), ("size_loss", "of the size")):
            values = column(name, variant)
            gain = values - column(name, first)
            error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else float("nan")
            texts.append(f"{shown} {values.mean():.4f} ({gain.mean():+.4f} ± {error:.4f})")
        counts = [int(column(name, variant).sum()) for name in ("solved", "sized", "fit")]
        steps, seconds = (column(name, variant).mean() for name in ("steps", "seconds"))
        print(
            f"{variant:20} {'  '.join(texts)}  solved {counts[0]}/{len(common)} sized {counts[1]} fit "
            f"{counts[2]}  {steps:.0f} steps {seconds:.1f} s"
        )


def read_results(file: Path | None, asked: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The results that a file holds for what is asked, by variant and task."""
    if file is None or not file.exists():
        return {}
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return {(line["variant"], line["task"]): line for line in lines if line["asked"] == asked}


def arguments() -> argparse.Namespace:
    """What stands on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--steps", type=int, help="training steps of a task, instead of seconds")
    parser.add_argument("--preset", help="without --weights: tiny, or seed where left out")
    parser.add_argument("--lm", default="tiny", help="without --weights: the language model")
    parser.add_argument(
        "--weights", help="a run or checkpoint that saw none of the tasks; random if left out"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--file", type=Path, help="where results are kept and looked for")
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=", ".join(VARIANTS))
    given = parser.parse_args()
    if unknown := set(given.variants) - set(VARIANTS):
        parser.error(f"there is no variant {min(unknown)}: choose among {', '.join(VARIANTS)}")
    return given


def main() -> None:
    """Run the variants in turns and print a line for each."""
    given = arguments()
    torch.set_num_threads(1)
    tasks = held_out(load_tasks("arcagi1").tasks)[: given.tasks]
    start = None
    settings: dict[str, object] = {"lm": given.lm}
    if given.weights:
        start, settings = find_run_checkpoint(given.weights, Path("runs")), {}
        refuse_seen(start.seen, tasks, allowed=False)
    preset = given.preset or (None if start else "seed")
    pipelines: dict[str, Pipeline] = {}
    budgets: dict[str, Callable[[PipelineSolver], int]] = {}
    for name in given.variants or VARIANTS:
        config = solving_config(settle(start, preset, settings | VARIANTS[name]), given.seed)
        pipelines[name] = Pipeline(config, checkpoint=start.path if start else None)
        if given.steps is not None:
            budgets[name] = lambda solver: given.steps
        else:
            pace = measure_pipeline_pace(pipelines[name])
            budgets[name] = lambda solver, pace=pace: pipeline_steps(pace, solver, given.seconds)
    asked = {
        "seconds": None if given.steps is not None else given.seconds,
        "steps": given.steps,
        "preset": preset,
        "lm": None if start else given.lm,
        "weights": None if start is None else str(start.path),
        "seed": given.seed,
    }
    known = read_results(given.file, asked)
    results: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in pipelines}
    for task in tasks:
        for name, pipeline in pipelines.items():
            found = known.get((name, task.id))
            if found is None:
                found = run(task, pipeline, given.seed, budgets[name])
                if given.file is not None:
                    with given.file.open("a") as file:
                        line = {"asked": asked, "variant": name, "task": task.id, **found}
                        file.write(json.dumps(line) + "\n")
            results[name][task.id] = found
            print(
                f"{task.id} {name:20} {found['loss']:.3f} size {found['size_loss']:.3f} {found['solved']:d} "
                f"{found['fit']:d} {found['steps']} steps {found['seconds']:.1f} s",
                flush=True,
            )
    table(results)


if __name__ == "__main__":
    main()
