"""Makes weights of a pretraining run: `python -m arc_core.pretraining.export RUN FILE [CHECKPOINT]`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

from arc_core.base.errors import ArcError, CheckpointError, RunError
from arc_core.base.text import printable
from arc_core.checkpoints.restoring import read_tensors
from arc_core.data.seen import SeenTasks
from arc_core.pipeline.canvas_planner import CanvasPlanner
from arc_core.pipeline.muon import TASK_PROMPTS
from arc_core.run.checkpoint_index import checkpoint_id, find_checkpoint, newest_intact, read_state
from arc_core.run.course import Timeline
from arc_core.run.directory import RunDirectory, trusted_run
from arc_core.solver.config import SolverConfig
from arc_core.solver.weights import save_weights

REFUSED = 2

RECIPE = (
    *("dataset", "extra_data", "seed", "epochs", "max_batches", "batch_size", "small_cells", "augment"),
    *("optimizer", "agent_lr", "weight_decay", "schedule", "warmup_steps", "clip_norm", "amp"),
    "agent_options",
)
"""The settings of a run that a weights file tells."""


def export(run: RunDirectory, target: Path, number: int | None = None) -> str:
    """Write the averaged weights of a checkpoint as a weights file.

    Args:
        run: Of the recipe `solver`.
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
    if config.get("recipe") != "solver" or "seen" not in content:
        raise RunError(f"{printable(run.name)} has pretrained no solver: train with --preset solver.")
    if number is None:
        path, _ = newest_intact(run.checkpoints, Timeline.of(run).given_up_checkpoints(run.checkpoints))
        if path is None:
            raise CheckpointError(f"{printable(run.name)} has no checkpoint that verifies.")
    else:
        path = find_checkpoint(run.checkpoints, number)
    state = read_state(path)
    tensors, _ = read_tensors(path / "mean.safetensors")
    tasks, symmetries, _ = tensors[TASK_PROMPTS].shape if TASK_PROMPTS in tensors else (0, 0, 0)
    architecture = cast("dict[str, object]", state["architecture"])
    solver = SolverConfig.from_mapping(architecture)
    net = CanvasPlanner(solver, (tasks, symmetries))
    if tensors.keys() != net.state_dict().keys():
        raise CheckpointError(f"{path.name}/mean.safetensors is of another architecture.")
    settings = {name: config.get(name) for name in RECIPE}
    if settings["extra_data"] is not None:
        settings["extra_data"] = Path(str(settings["extra_data"])).name
    recipe = {
        **settings,
        "step": int(state["position"]["step"]),
        "seconds": float(state["elapsed_seconds"]),
        "git": content.get("git"),
        "versions": content.get("versions"),
        "tasks_sha256": cast("dict[str, Any]", content.get("dataset", {})).get("sha256"),
    }
    size = save_weights(target, solver, SeenTasks.from_json(content["seen"], run.name), recipe, tensors)
    return (
        f"Weights of checkpoint {checkpoint_id(path)}, step {recipe['step']}, in {printable(str(target))} "
        f"({size / 1e6:.1f} MB, float16)"
    )


def main(arguments: list[str]) -> int:
    """Export, and say so; 2 and a sentence on standard error where it is refused."""
    if len(arguments) not in (2, 3):
        sys.stderr.write("usage: python -m arc_core.pretraining.export RUN FILE [CHECKPOINT]\n")
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
