"""Weights of a run of the pipeline, for whoever solves tasks."""

from pathlib import Path

import pytest
import torch
from small_run import new_run, train

from arc_core.base.errors import RunError
from arc_core.checkpoints.restoring import read_tensors
from arc_core.data.tasks import load_tasks
from arc_core.evaluation.export import export
from arc_core.run.checkpoint_index import list_checkpoints
from arc_core.solver.config import SolverConfig
from arc_core.solver.solver import Solver
from arc_core.solver.weights import load_weights
from arc_core.solver.weights_file import TASK_PROMPTS


def test_a_runs_planner_and_prompts_are_what_a_task_is_solved_from(tmp_path: Path):
    run = new_run(tmp_path, planner="canvas", optimizer="muon")
    train(run)
    told = export(run, tmp_path / "w.safetensors")
    assert "step 6" in told
    weights = load_weights(tmp_path / "w.safetensors")
    tensors, _ = read_tensors(list_checkpoints(run.checkpoints)[-1] / "agent.safetensors")
    for name, tensor in tensors.items():
        if name.startswith("forward_planner."):
            kept = weights.tensors[name.removeprefix("forward_planner.")]
            torch.testing.assert_close(kept, tensor.float(), atol=2e-3, rtol=2e-3)
    prompts = weights.tensors[TASK_PROMPTS]
    assert prompts.shape == (6, 8, 16)
    assert len({tuple(row.flatten().tolist()) for row in prompts}) == 6
    task = load_tasks(str(tmp_path / "tasks")).tasks[0]
    config = SolverConfig.from_mapping({**weights.notes.architecture, "color_maps": 1})
    assert len(Solver(task, config, weights.tensors).solve(1)) == 1
    assert weights.notes.seen.overlap([task]) == [task.id]


def test_a_run_of_the_seeds_planner_has_no_such_weights(tmp_path: Path):
    run = new_run(tmp_path)
    train(run)
    with pytest.raises(RunError, match="has trained no agent that solves tasks"):
        export(run, tmp_path / "w.safetensors")
