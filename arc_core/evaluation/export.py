"""Makes weights of a run: `python -m arc_core.evaluation.export RUN FILE [CHECKPOINT]`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from arc_core.base.errors import ArcError, CheckpointError, RunError
from arc_core.base.text import first_of, printable
from arc_core.checkpoints.restoring import read_tensors
from arc_core.data.dataset import Example, augment_example
from arc_core.data.grids import NUM_COLORS
from arc_core.data.seen import SeenTasks
from arc_core.data.tasks import Task
from arc_core.pipeline.batch import collate
from arc_core.pipeline.canvas_flow import learned_prompts
from arc_core.pipeline.canvas_planner import CanvasPlanner
from arc_core.pipeline.config import CANVAS, PipelineConfig
from arc_core.pipeline.padding import FEW_SIDES
from arc_core.pipeline.startup import training_tasks
from arc_core.pipeline.system import ArcSystem, language_model_of
from arc_core.pipeline.task_prompts import SYMMETRIES
from arc_core.run.checkpoint_index import checkpoint_id, find_checkpoint, newest_intact, read_state
from arc_core.run.course import Timeline
from arc_core.run.directory import RunDirectory, config_of, trusted_run
from arc_core.run.presets import PIPELINE, SOLVER
from arc_core.solver.config import SolverConfig
from arc_core.solver.weights import save_weights
from arc_core.solver.weights_file import TASK_PROMPTS

REFUSED = 2

AT_ONCE = 64
"""Examples that are read together."""

RECIPE = (
    *("dataset", "extra_data", "seed", "epochs", "max_batches", "batch_size", "small_cells", "augment"),
    *("optimizer", "agent_lr", "weight_decay", "schedule", "warmup_steps", "clip_norm", "amp", "ema"),
)
"""The settings of a run that a weights file tells."""


def export(run: RunDirectory, target: Path, number: int | None = None) -> str:
    """Write the agent of a checkpoint and the prompts of its tasks as a weights file.

    Args:
        run: Of the pipeline with the planner `canvas`, or of the recipe `solver`.
        target: The file.
        number: Id of the checkpoint; None takes the newest that verifies and was not given up.

    Returns:
        A sentence about what was written.

    Raises:
        RunError: If the run is of another recipe.
        CheckpointError: If there is no such checkpoint, or it is damaged.
    """
    content = run.read()
    config = cast("dict[str, Any]", content.get("config", {}))
    on_canvas = config.get("recipe", PIPELINE) == PIPELINE and config.get("planner") == CANVAS
    if not (on_canvas or config.get("recipe") == SOLVER) or "seen" not in content:
        raise RunError(
            f"{printable(run.name)} has trained no agent that solves tasks: that takes the planner canvas, "
            "which the preset tiny has, or the preset solver."
        )
    if number is None:
        path, _ = newest_intact(run.checkpoints, Timeline.of(run).given_up_checkpoints(run.checkpoints))
        if path is None:
            raise CheckpointError(f"{printable(run.name)} has no checkpoint that verifies.")
    else:
        path = find_checkpoint(run.checkpoints, number)
    state = read_state(path)
    tensors, solver = _of_pipeline(run, path) if on_canvas else _of_solver(path, state)
    learned = state.get("task_prompts", []) if on_canvas else state.get("system", {}).get("prompt_tasks", [])
    settings = {name: config.get(name) for name in RECIPE}
    for name in ("dataset", "extra_data"):  # where they lie here is nobody's affair
        if settings[name] is not None:
            settings[name] = Path(str(settings[name])).name
    recipe = {
        **settings,
        "step": int(state["position"]["step"]),
        "seconds": float(state["elapsed_seconds"]),
        "git": content.get("git"),
        "versions": content.get("versions"),
        "tasks_sha256": cast("dict[str, Any]", content.get("dataset", {})).get("sha256"),
    }
    seen = SeenTasks.from_json(content["seen"], run.name)
    size = save_weights(target, solver, seen, recipe, tensors, learned)
    return (
        f"Weights of checkpoint {checkpoint_id(path)}, step {recipe['step']}, in {printable(str(target))} "
        f"({size / 1e6:.1f} MB, float16)"
    )


def _of_solver(path: Path, state: Mapping[str, Any]) -> tuple[Mapping[str, Tensor], SolverConfig]:
    """The averaged weights of a run of the recipe `solver`, and their architecture."""
    tensors, _ = read_tensors(path / "mean.safetensors")
    solver = SolverConfig.from_mapping(cast("dict[str, object]", state["architecture"]))
    if tensors.keys() - {TASK_PROMPTS} != CanvasPlanner(solver).state_dict().keys():
        raise CheckpointError(f"{path.name}/mean.safetensors is of another architecture.")
    return tensors, solver


def _of_pipeline(run: RunDirectory, path: Path) -> tuple[Mapping[str, Tensor], SolverConfig]:
    """The planner of a run of the pipeline, with the prompt of each task under each symmetry."""
    config = cast(PipelineConfig, config_of(run))
    known = {task.id: task for task in training_tasks(config, lambda finding: None).tasks}
    learned = read_state(path).get("task_prompts", [])
    if gone := [name for name in learned if name not in known]:
        raise CheckpointError(
            f"{printable(run.name)} has learned prompts of {len(gone)} tasks that are gone from "
            f"{printable(config.dataset)} ({first_of(gone)})."
        )
    tasks = [known[name] for name in learned]
    language_model = language_model_of(path, config)
    ids = [task.id for task in tasks]
    system = ArcSystem(config, torch.device("cpu"), language_model=language_model, tasks=ids)
    system.models.restore(path)
    system = system.averaged()
    planner = system.agent.canvas_planner
    prompts = _prompts(system, tasks)
    solver = SolverConfig(width=config.hidden_dim, prompt_dim=config.prompt_dim, steps=config.max_steps)
    return planner.state_dict() | {TASK_PROMPTS: prompts}, solver


@torch.inference_mode()
def _prompts(system: ArcSystem, tasks: Sequence[Task]) -> Tensor:
    """The prompts of tasks [K, 8, P]: what is read of demonstrations and first test input, and their own."""
    asked = [
        (place, example) for place, task in enumerate(tasks) for example in _under_symmetries(system, task)
    ]
    asked.sort(key=lambda one: sum(pair.input.size for pair in one[1].context))  # alike sizes pad little
    prompts = torch.stack([learned_prompts(system).under_symmetries(task.id) for task in tasks])
    for start in range(0, len(asked), AT_ONCE):
        some = asked[start : start + AT_ONCE]
        _, base, _ = system.read_prompts(collate([example for _, example in some], FEW_SIDES))
        prompts[[place for place, _ in some], [example.symmetry for _, example in some]] += base
    return prompts


def _under_symmetries(system: ArcSystem, task: Task) -> list[Example]:
    context = task.train[: system.config.max_context]
    plain = Example(task.id, 0, "test", context, task.test[0].input, None)
    return [augment_example(plain, symmetry, np.arange(NUM_COLORS)) for symmetry in range(SYMMETRIES)]


def main(arguments: list[str]) -> int:
    """Export, and say so; 2 and a sentence on standard error where it is refused."""
    if len(arguments) not in (2, 3):
        sys.stderr.write("usage: python -m arc_core.evaluation.export RUN FILE [CHECKPOINT]\n")
        return REFUSED
    try:
        number = int(arguments[2]) if len(arguments) == 3 else None
        sys.stdout.write(export(trusted_run(Path(arguments[0])), Path(arguments[1]), number) + "\n")
    except (ArcError, OSError) as error:
        sys.stderr.write(f"Error: {printable(str(error))}\n")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
