"""Weights of a run of the pipeline, for whoever solves tasks."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from small_run import new_run, seal, train

from arc_core.base.errors import RunError
from arc_core.checkpoints.restoring import read_tensors
from arc_core.data.tasks import load_tasks
from arc_core.evaluation.export import export
from arc_core.evaluation.folder import Assignment
from arc_core.evaluation.solving import AgentSystem
from arc_core.run.checkpoint_index import STATE, list_checkpoints, read_state
from arc_core.solver.config import SolverConfig
from arc_core.solver.solver import Solver
from arc_core.solver.start import fresh_net
from arc_core.solver.weights import load_weights
from arc_core.solver.weights_file import TASK_PROMPTS, sha256_of


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


def test_a_task_that_was_trained_on_starts_from_its_own_prompt_and_another_from_the_nearest(tmp_path: Path):
    run = new_run(tmp_path, planner="canvas", optimizer="muon")
    train(run)
    path = tmp_path / "w.safetensors"
    export(run, path)
    weights = load_weights(path)
    tasks = load_tasks(str(tmp_path / "tasks")).tasks
    assert weights.notes.prompt_tasks == tuple(task.id for task in tasks)
    assignment = Assignment(
        dataset="arcagi1",
        split="training",
        tasks=(),
        seconds_per_task=None,
        steps_per_task=1,
        seed=0,
        device="cpu",
        settings=SolverConfig.from_mapping(weights.notes.architecture).to_dict(),
        weights=str(path),
        weights_sha256=sha256_of(path),
        seen=(),
    )
    system = AgentSystem(assignment, torch.device("cpu"))
    for place, task in enumerate(tasks):
        start = system.begin(task, None)[0].starts[0]
        assert torch.equal(start.nearest, weights.tensors[TASK_PROMPTS][[place]])
    stranger = replace(tasks[0], id="another")
    assert len(system.begin(stranger, None)[0].starts[0].nearest) == SolverConfig().memory


def test_a_run_of_the_seeds_planner_has_no_such_weights(tmp_path: Path):
    run = new_run(tmp_path)
    train(run)
    with pytest.raises(RunError, match="has trained no agent that solves tasks"):
        export(run, tmp_path / "w.safetensors")


def test_weights_of_a_run_of_the_recipe_that_is_gone_are_its_averages(tmp_path: Path):
    run = new_run(tmp_path, planner="canvas", optimizer="muon", max_batches=1)
    train(run)
    (checkpoint,) = list_checkpoints(run.checkpoints)
    config = SolverConfig(width=16, prompt_dim=16, steps=2)
    mean = fresh_net(config, 7).state_dict() | {TASK_PROMPTS: torch.randn(6, 8, 16)}
    save_file({name: tensor.contiguous() for name, tensor in mean.items()}, checkpoint / "mean.safetensors")
    state = read_state(checkpoint) | {"architecture": {**config.architecture(), "prompt": "learned"}}
    (checkpoint / STATE).write_text(json.dumps(state))
    seal(checkpoint)
    run.update(config={"recipe": "solver", "dataset": "arcagi1", "extra_data": "x/re_arc.zip"})
    export(run, tmp_path / "w.safetensors")
    weights = load_weights(tmp_path / "w.safetensors")
    assert weights.notes.recipe["extra_data"] == "re_arc.zip"
    assert weights.tensors.keys() == mean.keys()
    for name, tensor in mean.items():
        torch.testing.assert_close(weights.tensors[name], tensor, atol=2e-3, rtol=2e-3)
